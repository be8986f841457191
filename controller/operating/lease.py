"""
Who holds a controller's Lease, as somebody sees it who takes no part in the election.

What lives here: reading the Lease: its holder, and until when it holds.  Not here: the election
(`regauth.controller.applying.leadership`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from regauth.controller.observing.api_errors import NOT_FOUND, ApiError
from regauth.controller.observing.cluster import Cluster, path_of
from regauth.controller.settings import Election


@dataclass(frozen=True, slots=True)
class Holder:
    """What a Lease says (coordination.k8s.io/v1)."""

    name: str
    """Who holds it; empty when it was given back."""
    uid: str
    renewed: datetime | None
    duration: timedelta

    def holds(self, now: datetime) -> bool:
        """Tell whether the Lease has not ended, by the times that its holder wrote into it."""
        if not self.name:
            return False
        return self.renewed is None or now < self.renewed + self.duration


def holder_of(cluster: Cluster, election: Election) -> Holder | None:
    """
    Return who holds a Lease; None when there is no Lease.

    Raises:
        ApiError: It cannot be read.
    """
    path = path_of("coordination.k8s.io/v1", "leases", election.namespace, election.name)
    try:
        found = cluster.get(path)
    except ApiError as error:
        if error.status == NOT_FOUND:
            return None
        raise
    spec = found.get("spec") or {}
    seconds = spec.get("leaseDurationSeconds")
    return Holder(
        str(spec.get("holderIdentity") or ""),
        str(found["metadata"]["uid"]),
        _moment(spec.get("renewTime")),
        timedelta(seconds=seconds if isinstance(seconds, int) else 0),
    )


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
