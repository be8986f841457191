"""
Metrics, for Prometheus.

What lives here: the metrics and their names.  Not here: names of repositories, subjects or clients,
whose number has no bound.  The decision log has those (`decision_log`).

With several processes, `PROMETHEUS_MULTIPROC_DIR` names the folder they share; it must be set
before this module is imported.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from regauth.servers.provider_keys.cache import KeyState

from .request_counts import RequestCounts
from .shared_metrics import FOLDER_VARIABLE

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def forget_process(pid: int) -> None:
    """Remove a process that has ended from the metrics of all processes."""
    if os.environ.get(FOLDER_VARIABLE):
        mark_process_dead(pid)


def _forget_the_dead() -> None:
    """
    Remove processes that have ended without `forget_process`.

    `token-server` calls it; other WSGI servers replace their processes without telling anybody.
    """
    for file in Path(os.environ[FOLDER_VARIABLE]).glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            forget_process(int(pid))


_TURNED_AWAY: Final = (
    "Connections that were refused or ended: too-many, slow-headers, slow-body, pipelined, urgent, "
    "spool-full, request-refused, overloaded."
)


@dataclass(frozen=True, slots=True)
class _Gauges:
    """The gauges.  The other metrics are counters."""

    key_age: Gauge
    key_usable: Gauge
    policy: Gauge
    expires: Gauge
    reload_refused: Gauge
    dropped: Gauge


def _gauges(registry: CollectorRegistry) -> _Gauges:
    gauge = partial(Gauge, registry=registry)
    return _Gauges(
        key_age=gauge(
            "token_server_provider_key_age_seconds",
            "Seconds since a provider's keys were fetched, in the process where it is longest.",
            ("provider",),
            multiprocess_mode="livemax",
        ),
        key_usable=gauge(
            "token_server_provider_keys_usable",
            "1 when a provider's tokens can be verified in every process, else 0.",
            ("provider",),
            multiprocess_mode="livemin",
        ),
        policy=gauge(
            "token_server_policy_info",
            "1 for the policy that decides, by its hash.",
            ("hash",),
            multiprocess_mode="livemax",
        ),
        expires=gauge(
            "token_server_certificate_expires_timestamp_seconds",
            "When the signing key's certificates end, in Unix time; 0 when tokens carry none.",
            multiprocess_mode="livemin",
        ),
        reload_refused=gauge(
            "token_server_reload_refused",
            "1 while policy or keys as they are on disk cannot be used and the ones before serve.",
            multiprocess_mode="livemax",
        ),
        dropped=gauge(
            "token_server_log_lines_dropped",
            "Lines that could not be written to a log.",
            multiprocess_mode="livesum",
        ),
    )


class Metrics:
    """The metrics of one process, and how all processes' are shown."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._gauges = _gauges(self._registry)
        self._serving = ""
        self._told: set[str] = set()
        self._aged: set[str] = set()
        shared = FOLDER_VARIABLE in os.environ
        self._counts = RequestCounts(self._registry, shared=shared)
        self.request = self._counts.note
        """Count a request."""
        counter = partial(Counter, registry=self._registry)
        self._refused = counter(
            "token_server_refused_requests",
            "Token requests that got no token, by the reason code.",
            ("provider", "reason"),
        )
        whys = ("token_server_why_requests", "Questions to /auth/why, by what became of them.")
        self._explained = counter(*whys, ("outcome",))
        self._reloads = counter(
            "token_server_reloads",
            "Times that policy and keys were read again, by whether they were taken.",
            ("outcome",),
        )
        self._turned_away = counter("token_server_connections_turned_away", _TURNED_AWAY, ("why",))

    def refused(self, provider: str, reason: str) -> None:
        """Count a request that got no token; reasons are the engine's, a rule's or our own."""
        self._refused.labels(provider, reason).inc()

    def explained(self, outcome: str) -> None:
        """Count a question to `/auth/why`."""
        self._explained.labels(outcome).inc()

    def serving(self, policy_hash: str, expires: datetime | None) -> None:
        """Tell what is served now."""
        if self._serving:
            self._gauges.policy.labels(self._serving).set(0)
        self._gauges.policy.labels(policy_hash).set(1)
        self._serving = policy_hash
        self._gauges.expires.set(0 if expires is None else expires.timestamp())

    def reloaded(self, *, taken: bool) -> None:
        """Count a reload."""
        self._reloads.labels("taken" if taken else "refused").inc()
        self._gauges.reload_refused.set(0 if taken else 1)

    def keys(self, states: Mapping[str, KeyState]) -> None:
        """Set the gauges of the keys of all providers."""
        # A label cannot be removed.  The label of a removed provider gets values that those of
        # other processes override.
        gone = dict.fromkeys(
            self._told - states.keys(), KeyState(usable=True, age=None, problem="")
        )
        self._told = set(states)
        for provider, state in {**states, **gone}.items():
            self._gauges.key_usable.labels(provider).set(1 if state.usable else 0)
            if state.age is not None or provider in self._aged:
                self._aged.add(provider)
                self._gauges.key_age.labels(provider).set(state.age or 0)

    def turned_away(self, why: str, number: int = 1) -> None:
        """Count a connection that its client could not have, or could not keep."""
        self._turned_away.labels(why).inc(number)

    def dropped(self, lines: int) -> None:
        """Tell how many log lines this process has lost."""
        self._gauges.dropped.set(lines)

    def settle(self) -> None:
        """Count requests that have only been noted, before another process is asked for them."""
        self._counts.settle()

    def page(self) -> bytes:
        """Return the metrics of all processes, in Prometheus's text format."""
        self.settle()
        if not os.environ.get(FOLDER_VARIABLE):
            return generate_latest(self._registry)
        _forget_the_dead()
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
