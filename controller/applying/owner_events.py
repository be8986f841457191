"""
Events: what the owner of a service account is told of it (`kubectl describe serviceaccount`).

What lives here: writing an Event (core/v1), and how often the same may be said.  Not here: what is
worth saying (`applying`, `reconciling`).
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from regauth.controller.naming import MANAGER
from regauth.controller.observing.cluster import Cluster, Object, path_of
from regauth.controller.planning.planning import ReportEvent

EVERY: Final = timedelta(hours=1)
"""How often the same is said of an account: API servers keep Events for an hour by default."""

_MAX_MESSAGE: Final = 1024
"""Characters of a message (k8s.io/kubernetes, `ValidateEvent`)."""
_MAX_SUBJECT: Final = 200


class OwnerEvents:
    """
    Says what is said, the same once an hour; safe for threads.

    Args:
        cluster: The API.
        now: The time.
    """

    def __init__(self, cluster: Cluster, now: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._now = now
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str], datetime] = {}
        self._purge_at = 1024

    def is_news(self, report: ReportEvent) -> bool:
        """Tell whether the last hour has not heard it."""
        with self._lock:
            said = self._said.get(_topic(report))
            return said is None or abs(self._now() - said) >= EVERY

    def tell(self, report: ReportEvent) -> None:
        """
        Create an Event.

        Raises:
            ApiError: The API server refuses it, or could not be asked.
        """
        moment = self._now()
        namespace = report.account.key.namespace
        self._cluster.create(path_of("v1", "events", namespace), _event(report, moment))
        with self._lock:
            self._said[_topic(report)] = moment
            if len(self._said) > self._purge_at:
                self._said = {one: at for one, at in self._said.items() if moment - at < EVERY}
                self._purge_at = max(2 * len(self._said), 1024)


def _topic(report: ReportEvent) -> tuple[str, str]:
    """Return what counts as the same; a message may hold a number that changes."""
    return report.account.uid, report.reason


def _event(report: ReportEvent, moment: datetime) -> Object:
    key = report.account.key
    when = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{key.name[:_MAX_SUBJECT]}.", "namespace": key.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "namespace": key.namespace,
            "name": key.name,
            "uid": report.account.uid,
        },
        "reason": report.reason,
        "message": report.message[:_MAX_MESSAGE],
        "type": "Warning",
        "count": 1,
        "firstTimestamp": when,
        "lastTimestamp": when,
        "source": {"component": MANAGER},
    }
