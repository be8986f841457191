"""
The controller's metrics, for Prometheus.

What lives here: the metrics and their names.  Not here: names of namespaces or accounts,
which are without bound; the event log has those.
"""

from collections.abc import Mapping
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
        self._leader = self._gauge("leader", "1 while this process leads, else 0.")
        self._depth = self._gauge("queue_depth", "Service accounts that are to be looked at now.")
        self._failing = self._gauge("failing", "Service accounts whose last attempt failed.")

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

    def state(self, *, leads: bool, depth: int, failing: int) -> None:
        """Tell how things stand."""
        self._leader.set(1 if leads else 0)
        self._depth.set(depth)
        self._failing.set(failing)

    def watches(self, ages: Mapping[str, float | None]) -> None:
        """Tell how long ago the API server was heard of each kind."""
        for kind, age in ages.items():
            if age is not None:
                self._ages.labels(kind).set(age)

    def page(self) -> bytes:
        """Return the metrics in Prometheus's text format."""
        return generate_latest(self._registry)
