"""
Leader election by a Lease: of several controllers, one works.

What lives here: taking, renewing and giving back the Lease.  Not here: what the leader does
(`reconciling`, `running`).

Source: Kubernetes documentation, "Leases", "Leader election", and client-go's leaderelection: the
holder's end is measured by this process's own clock from the moment it saw the Lease change, so
that clocks which differ between nodes make no second leader.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from regauth.controller.observing.api_errors import CONFLICT, NOT_FOUND, ApiError
from regauth.controller.observing.cluster import Cluster, Object, path_of
from regauth.controller.settings import Election

_VERSION: Final = "coordination.k8s.io/v1"
_SAFETY: Final = 2 / 3
"""
The share of the Lease's duration after which a leader that could not renew it stops by itself.
"""


@dataclass
class _Seen:
    version: str = ""
    at: float = 0.0


class Elector:
    """
    One controller's part in the election.

    Args:
        cluster: The API.
        election: The Lease and its times.
        identity: A name that no other process has.
        clock: Monotonic seconds.
        now: The time of day, for people who read the Lease.
    """

    def __init__(
        self,
        cluster: Cluster,
        election: Election,
        identity: str,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._election = election
        self._identity = identity
        self._clock = clock
        self._now = now
        self._seen = _Seen()
        self._renewed: float | None = None
        self.again_at = clock()
        """When the next step is due, by the clock: to renew, or when another's Lease ends."""

    @property
    def leads(self) -> bool:
        """Whether this process may write: it holds the Lease and has renewed it in time."""
        limit = self._election.duration.total_seconds() * _SAFETY
        return self._renewed is not None and self._clock() - self._renewed < limit

    def step(self) -> bool:
        """
        Take or renew the Lease if it can be had; return whether this process leads.

        Raises:
            ApiError: The API server could not be asked; `leads` goes on holding for its time.
        """
        begun = self._clock()
        self.again_at = begun + self._election.renew.total_seconds()
        try:
            held = self._cluster.urgent(self._path(self._election.name))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            return self._write(None, begun)
        spec = held.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        version = held["metadata"]["resourceVersion"]
        if version != self._seen.version:
            self._seen = _Seen(version, begun)
        seconds = spec.get("leaseDurationSeconds") or 0
        if holder not in ("", self._identity) and begun < self._seen.at + seconds:
            self._renewed = None
            # After an outage all wait for this moment: to miss it would cost another `renew`.
            self.again_at = min(self.again_at, self._seen.at + seconds)
            return False
        return self._write(held, begun)

    def release(self) -> None:
        """
        Give the Lease back, so that the next leader need not wait.

        Raises:
            ApiError: The API server could not be asked; the Lease then ends by itself.
        """
        if not self.leads:
            return
        self._renewed = None
        held = self._cluster.urgent(self._path(self._election.name))
        if (held.get("spec") or {}).get("holderIdentity") == self._identity:
            # One second: the API server takes no shorter one (k8s.io/kubernetes,
            # `ValidateLeaseSpec`).
            body = {
                **held,
                "spec": {**held["spec"], "holderIdentity": "", "leaseDurationSeconds": 1},
            }
            self._cluster.replace(self._path(self._election.name), body)

    def _write(self, held: Object | None, begun: float) -> bool:
        try:
            if held is None:
                answer = self._cluster.create(self._path(), self._lease(None), urgent=True)
            else:
                name = self._election.name
                answer = self._cluster.replace(self._path(name), self._lease(held))
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            self._renewed = None  # another process was faster
            return False
        self._seen = _Seen(answer["metadata"]["resourceVersion"], begun)
        # From before the request: others count from when they see the new Lease, which is later.
        self._renewed = begun
        return True

    def _lease(self, held: Object | None) -> Object:
        moment = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = (held.get("spec") or {}) if held else {}
        mine = before.get("holderIdentity") == self._identity
        transitions = int(before.get("leaseTransitions") or 0)
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._election.duration.total_seconds()),
            "acquireTime": before.get("acquireTime") if mine else moment,
            "renewTime": moment,
            "leaseTransitions": transitions + (held is not None and not mine),
        }
        meta: Object = {"name": self._election.name, "namespace": self._election.namespace}
        if held:
            # Of several processes that have read the same Lease, one is written and the others get
            # 409.
            meta["resourceVersion"] = held["metadata"]["resourceVersion"]
        return {"apiVersion": _VERSION, "kind": "Lease", "metadata": meta, "spec": spec}

    def _path(self, name: str = "") -> str:
        return path_of(_VERSION, "leases", self._election.namespace, name)
