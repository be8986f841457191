"""
The controller's metrics, for Prometheus.

What lives here: the metrics and their names.  Not here: names of namespaces or accounts, whose
number has no bound.  The event log has those (`event_log`).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Measures:
    """The metrics of one controller."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "kube_controller_api_requests",
            "Requests to the API server; status 0 is one that could not be reached.",
            ("method", "kind", "status"),
            registry=self._registry,
        )
        self._reconciled = Counter(
            "kube_controller_reconciled",
            "Service accounts looked at, by what became of it.",
            ("outcome",),
            registry=self._registry,
        )
        self._issued = Counter(
            "kube_controller_tokens_issued",
            "Pull secrets given new tokens, by the cause.",
            ("cause",),
            registry=self._registry,
        )
        self._troubles = Counter(
            "kube_controller_watch_failures",
            "Lists and watches that failed; with status 410 the list was read anew.",
            ("kind", "status"),
            registry=self._registry,
        )
        self._ages = Gauge(
            "kube_controller_watch_age_seconds",
            "Seconds since the API server was last heard of a kind; absent before the first list.",
            ("kind",),
            registry=self._registry,
        )
        self._accounts = Gauge(
            "kube_controller_accounts",
            "Service accounts that are not as they should be, by what is in the way.",
            ("state",),
            registry=self._registry,
        )
        self._add_gauges()

    def _add_gauges(self) -> None:
        self._leader = self._gauge("leader", "1 while this process leads, else 0.")
        self._depth = self._gauge("queue_depth", "Service accounts that are to be looked at now.")
        self._failing = self._gauge("failing", "Service accounts whose last attempt failed.")
        self._namespaces = self._gauge("queue_namespaces", "Namespaces with accounts in the queue.")
        self._wait = self._gauge("queue_wait_seconds", "How long the next account has waited.")
        self._soonest = self._gauge(
            "soonest_expiry_timestamp_seconds", "When the first of all tokens expires; 0 for none."
        )
        self._expired = self._gauge("expired", "Pull secrets with a token that has expired.")
        self._offset = self._gauge(
            "clock_offset_seconds", "How far the API server's clock is ahead of this machine's."
        )
        self._unread = self._gauge(
            "reload_failed", "1 while settings or policy have errors and the old ones are in use."
        )
        self._loaded = self._gauge("loaded_timestamp_seconds", "When settings were read last.")

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"kube_controller_{name}", text, registry=self._registry)

    def request(self, method: str, kind: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(method, kind, str(status)).inc()

    def reconciled(self, outcome: str) -> None:
        """Count an attempt on a service account."""
        self._reconciled.labels(outcome).inc()

    def issued(self, cause: str) -> None:
        """Count a pull secret that was given new tokens."""
        self._issued.labels(cause).inc()

    def trouble(self, kind: str, status: int) -> None:
        """Count a list or watch that failed."""
        self._troubles.labels(kind, str(status)).inc()

    def state(self, *, leads: bool, offset: float) -> None:
        """Tell whether this process leads, and how far its clock is off."""
        self._leader.set(1 if leads else 0)
        self._offset.set(offset)

    def queue(self, depth: int, failing: int, namespaces: int, wait: float) -> None:
        """Tell how things stand in the queue."""
        self._depth.set(depth)
        self._failing.set(failing)
        self._namespaces.set(namespaces)
        self._wait.set(wait)

    def accounts(self, counts: Iterable[tuple[str, int]]) -> None:
        """Tell how many accounts are not as they should be, by state."""
        for state, count in counts:
            self._accounts.labels(state).set(count)

    def tokens(self, expiries: Iterable[float], now: float) -> None:
        """Tell when each pull secret's first token expires, in seconds since 1970."""
        soonest, expired = 0.0, 0
        for one in expiries:
            soonest = min(soonest or one, one)
            expired += one <= now
        self._soonest.set(soonest)
        self._expired.set(expired)

    def loaded(self, now: float) -> None:
        """Tell that settings and policy in use were read now."""
        self._loaded.set(now)
        self._unread.set(0)

    def not_reloaded(self) -> None:
        """Tell that what is in the files cannot be used."""
        self._unread.set(1)

    def reloadable(self) -> None:
        """Tell that what is in the files is what is in use."""
        self._unread.set(0)

    def watches(self, ages: Mapping[str, float | None]) -> None:
        """Tell how long ago the API server was heard of each kind."""
        for kind, age in ages.items():
            if age is not None:
                self._ages.labels(kind).set(age)

    def page(self) -> bytes:
        """Return the metrics in Prometheus's text format."""
        return generate_latest(self._registry)
