"""
Whether the proxy can do its work: its registry and the keys of its token server.

What lives here: the state of the upstream as requests and looks find it, `/readyz` and `/metrics`.
Not here: whether the process lives at all, `/healthz` (`app`).
"""

import json
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import falcon

from regauth.engine.decisions.exchange import KeysUnavailable
from regauth.servers.http_client.pool import UpstreamError
from regauth.servers.telemetry.event_log import EventLog

from .measures import CONTENT_TYPE, ProxyMetrics
from .trust import TrustSource

LOOK_SECONDS: Final = 5.0
"""Seconds between two checks of the registry, however often readiness is asked for."""

REPEAT_SECONDS: Final = 60.0
"""Seconds between two log lines about a registry that stays away."""


class UpstreamState:
    """
    Whether the registry answers.  Safe to use from many threads.

    Args:
        look: Asks the registry something small; raises `UpstreamError`.
        log: Is told when the state changes, and every `REPEAT_SECONDS` while it is bad.
        metrics: Are told of each state.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        look: Callable[[], None],
        log: EventLog,
        metrics: ProxyMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._known: float | None = None
        self._problem = ""
        self._down_since = 0.0
        self._said = 0.0
        self._unsaid = 0

    def answered(self) -> None:
        """Record that the registry has answered, whatever the answer was."""
        with self._lock:
            self._known = self._clock()
            self._metrics.upstream_usable(usable=True)
            if not self._problem:
                return
            self._problem = ""
            seconds = round(self._clock() - self._down_since, 1)
        self._log.event("upstream-up", seconds=seconds)

    def failed(self, reason: str) -> None:
        """Record that it has not; the log gets one line an interval and the count of the others."""
        with self._lock:
            now = self._known = self._clock()
            self._metrics.upstream_usable(usable=False)
            begins = not self._problem
            if begins:
                self._down_since = now
            self._problem = reason
            if not begins and now - self._said < REPEAT_SECONDS:
                self._unsaid += 1
                return
            self._said = now
            more, self._unsaid = self._unsaid, 0
        self._log.event("upstream-down", "error", reason=reason, more=more or "")

    def problem(self) -> str:
        """Return why the registry cannot be used, or ""; check again when the last check is old."""
        with self._looking:  # the threads that ask during a check get its result
            known = self._known
            if known is None or self._clock() - known >= LOOK_SECONDS:
                try:
                    self._look()
                except UpstreamError as error:
                    self.failed(str(error))
                else:
                    self.answered()
        return self._problem


class ProxyReadyResource:
    """
    Whether requests can be answered: 503 without the registry, or without keys to verify with.

    Args:
        source: Whose tokens are good.
        upstream: The registry's state; None for a decision endpoint alone.
        embedded: Answers for the embedded token server, which says more about its providers.
    """

    def __init__(
        self,
        source: TrustSource,
        upstream: UpstreamState | None,
        embedded: Callable[[falcon.Request, falcon.Response], None] | None,
    ) -> None:
        self._source = source
        self._upstream = upstream
        self._embedded = embedded

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer with the state of each part."""
        content: dict[str, object] = {"status": "ready"}
        ready = True
        if self._embedded is not None:
            self._embedded(request, response)
            content = json.loads(response.text or "{}")
            ready = response.status_code == HTTPStatus.OK
        parts = {"keys": self.keys_problem()}
        if self._upstream is not None:
            parts["upstream"] = self._upstream.problem()
        for name, problem in parts.items():
            content[name] = {"usable": not problem, **({"problem": problem} if problem else {})}
        if any(parts.values()):
            content["status"], ready = "unavailable", False
        response.status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        response.set_header("Cache-Control", "no-store")
        response.text = json.dumps(content)

    on_head = on_get

    def keys_problem(self) -> str:
        """Return why tokens cannot be verified; empty when they can."""
        found = self._source.current()
        return str(found.reason) if isinstance(found, KeysUnavailable) else ""


class ProxyMetricsResource:
    """
    The metrics, for Prometheus.

    Args:
        metrics: The proxy's.
        ready: Knows how the parts stand.
        log: The log, whose lost lines are counted.
        embedded: Answers with the embedded token server's metrics, which come first.
    """

    def __init__(
        self,
        metrics: ProxyMetrics,
        ready: ProxyReadyResource,
        log: EventLog,
        embedded: Callable[[falcon.Request, falcon.Response], None] | None,
    ) -> None:
        self._metrics = metrics
        self._ready = ready
        self._log = log
        self._embedded = embedded

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer with all metrics of the process."""
        before = b""
        if self._embedded is not None:
            self._embedded(request, response)
            before = response.data or b""
        self._metrics.keys_usable(usable=not self._ready.keys_problem())
        response.data = before + self._metrics.page(self._log.dropped)
        response.content_type = CONTENT_TYPE
