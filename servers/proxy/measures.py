"""
The proxy's metrics, for Prometheus.

What lives here: the metrics of requests, bytes, decisions and the upstream, and their names.
Not here: names of repositories, subjects or clients, whose number has no bound (the decision log
has those: `decision_record`); and the metrics of the embedded token server, which stand on the same
page (`telemetry.metrics`).
"""

from functools import partial
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"))
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900)


class ProxyMetrics:
    """The metrics of one process.  Safe to use from many threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        self._requests = counter(
            "registry_proxy_requests",
            "Requests, by the kind of route (`none` for what is no route), method and status.",
            ("kind", "method", "status"),
        )
        self._bytes = counter(
            "registry_proxy_bytes",
            "Bytes of bodies, by direction: `in` from clients, `out` to them.",
            ("direction",),
        )
        self._decisions = counter(
            "registry_proxy_decisions",
            "Decided requests, by whom they were answered to (`proxy`, `gateway`), and the reason: "
            "`allowed`, or why not.",
            ("asked_by", "reason"),
        )
        self._turned_away = counter(
            "registry_proxy_connections_turned_away",
            "Connections that were refused or ended, by why.",
            ("why",),
        )
        for direction in ("in", "out"):
            self._bytes.labels(direction)
        self._measure_upstream()

    def _measure_upstream(self) -> None:
        """Make the gauges."""
        counter = partial(Counter, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry)
        self._open = gauge("registry_proxy_open_requests", "Requests on their way to the registry.")
        self._upstream_seconds = Histogram(
            "registry_proxy_upstream_seconds",
            "How long the registry took until the first byte of its answer.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._upstream_failures = counter(
            "registry_proxy_upstream_failures",
            "Requests that the registry failed: late, refused, unusable, broken-off.",
            ("why",),
        )
        self._upstream_usable = gauge(
            "registry_proxy_upstream_usable",
            "1 when the registry answered the last request or look, else 0.",
        )
        self._keys_usable = gauge(
            "registry_proxy_token_keys_usable",
            "1 when the keys that tokens are verified with can be had, else 0.",
        )
        self._dropped = gauge(
            "registry_proxy_log_lines_dropped", "Lines that could not be written to the log."
        )

    def decided(self, asked_by: str, reason: str) -> None:
        """Count a decision; of a reason with details only its first word counts."""
        self._decisions.labels(asked_by, reason.partition(":")[0] or "allowed").inc()

    def began(self) -> None:
        """Count a request that goes to the registry as under way."""
        self._open.inc()

    def ended(self) -> None:
        """Count such a request as over."""
        self._open.dec()

    def answered(self, kind: str, method: str, status: int) -> None:
        """Count a request that was answered."""
        # Clients choose the method.  All others share one label, or clients could make labels
        # without end.
        known = method if method in _METHODS else "other"
        self._requests.labels(kind or "none", known, str(status)).inc()

    def passed(self, direction: str, size: int) -> None:
        """Count bytes of a body."""
        self._bytes.labels(direction).inc(size)

    def upstream_answered(self, seconds: float) -> None:
        """Observe how long the registry took to begin its answer."""
        self._upstream_seconds.observe(seconds)

    def upstream_failed(self, why: str) -> None:
        """Count a request that the registry failed."""
        self._upstream_failures.labels(why).inc()

    def upstream_usable(self, *, usable: bool) -> None:
        """Tell whether the registry answers."""
        self._upstream_usable.set(usable)

    def keys_usable(self, *, usable: bool) -> None:
        """Tell whether tokens can be verified."""
        self._keys_usable.set(usable)

    def turned_away(self, why: str, number: int = 1) -> None:
        """Count a connection that its client could not have, or could not keep."""
        self._turned_away.labels(why).inc(number)

    def page(self, dropped: int) -> bytes:
        """Return the metrics in Prometheus's text format, with the log lines that were lost."""
        self._dropped.set(dropped)
        return generate_latest(self._registry)
