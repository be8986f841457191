"""
Taking away what an instance of the controller has made in a cluster, and nothing else.

What lives here: pull secrets and their names in accounts' lists, the ConfigMaps that remember them,
and the Lease.  Not here: what `kubectl delete` takes away, which is what the manifests have made
(`installing.manifests`).

To take all away is the plan for a controller that nobody is entitled to anything from.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from kubernetes.client import Configuration as Connection

from regauth.controller.applying.applying import TakenError
from regauth.controller.applying.host import Host
from regauth.controller.applying.reconciling import Controller
from regauth.controller.applying.work_queue import Throttle
from regauth.controller.event_log import ControllerLog
from regauth.controller.measures import Measures
from regauth.controller.naming import is_secret_name, secret_name, state_name
from regauth.controller.observing.api_errors import NOT_FOUND, ApiError
from regauth.controller.observing.cluster import Cluster, path_of
from regauth.controller.observing.inventory import SECRETS
from regauth.controller.observing.observed import Account, AccountKey, PullSecret
from regauth.controller.planning.entitlements import Entitlements
from regauth.controller.planning.planning import Attach, Change, Delete
from regauth.controller.settings import Election, Memory, Selection

from .lease import Holder, holder_of

MAX_LOOKS: Final = 3
"""
How often everything is listed at most.  What was changed or deleted by others between a list and
our request is found by the next list.
"""


class RunningError(Exception):
    """A controller holds the Lease: it would make everything anew."""


class Uninstaller:
    """
    Takes away what one instance has made.

    Args:
        connection: Where the API server is.
        instance: Whose work it is.
        election: Its Lease.
        memory: Where it remembers what it has made.
        namespaces: The only ones to look at; empty for all.
        log: Where events go.
    """

    def __init__(
        self,
        connection: Connection,
        instance: str,
        election: Election,
        memory: Memory,
        log: ControllerLog,
        namespaces: tuple[str, ...] = (),
    ) -> None:
        throttle = Throttle(50.0, 100.0, time.monotonic, time.sleep)
        self._cluster = Cluster(connection, throttle)
        self._instance = instance
        self._election = election
        host = Host(self._cluster, _now, time.monotonic, lambda: True, log, Measures())
        nobody = Entitlements((), Selection(namespaces=namespaces), instance=instance)
        self._controller = Controller(host, nobody, memory)
        self._states: list[tuple[str, str]] = []

    def plan(self) -> list[str]:
        """
        Return what would be taken away, a line for each change.

        Raises:
            ApiError: The cluster cannot be asked.
            RunningError: A controller of the instance is running.
        """
        self._look()
        names = tuple(self._left())  # before the plans, as it may find a Secret of ours
        lines = [line for planned in self._controller.plans() for line in planned.lines()]
        lines += [f"{one.namespace}: delete {one.name}, of no account" for one in self._orphans()]
        lines += [f"{account.key}: remove {name} from its lists" for account, name in names]
        name = state_name(self._instance)
        lines += [f"{namespace}: delete the ConfigMap {name}" for namespace, _ in self._states]
        if self._lease() is not None:
            lines.append(f"{self._election.namespace}: delete the Lease {self._election.name}")
        return lines

    def run(self) -> int:
        """
        Take everything away; return how many accounts could not be dealt with.

        Raises:
            ApiError: The cluster cannot be asked.
            RunningError: A controller of the instance is running.
        """
        failed = 0
        for _ in range(MAX_LOOKS):
            self._look()
            if not failed and not self._is_any_left():
                break
            failed = self._take_away()
        if failed:
            return failed  # the state says what is left
        for namespace, uid in self._states:
            path = path_of("v1", "configmaps", namespace, state_name(self._instance))
            self._delete(path, uid)
        lease = self._lease()
        if lease is not None:
            self._delete(self._lease_path(), lease.uid)
        return 0

    def _look(self) -> None:
        holder = self._lease()
        if holder is not None and holder.holds(_now()):
            raise RunningError(
                f"{holder.name} holds the Lease {self._election.namespace}/{self._election.name}:"
                " scale the controller to 0 and wait until the Lease has ended"
            )
        self._controller.sync()
        if self._controller.book is not None:
            self._states = self._controller.book.load()

    def _is_any_left(self) -> bool:
        names = tuple(self._left())  # before the plans, as it may find a Secret of ours
        planned = any(one.changes for one in self._controller.plans())
        return planned or bool(names) or any(True for _ in self._orphans())

    def _take_away(self) -> int:
        """Take away what is known; return how many accounts could not be dealt with."""
        while (key := self._controller.queue.take()) is not None:
            self._controller.work(key)
        failed = self._controller.queue.failing
        for one in tuple(self._orphans()):
            key = AccountKey(one.namespace, "")
            failed += not self._done(Delete(key, one.name, one.uid))
        for account, name in self._left():
            failed += not self._take_off(account, name)
        return failed

    def _orphans(self) -> Iterator[PullSecret]:
        """
        Yield the Secrets of ours that tell no account: somebody took their owner away.

        A copy that somebody made of one, with our labels and a name of its own, is not ours.
        """
        accounts = self._controller.inventory.accounts()
        named = {(key.namespace, secret_name(key.name, self._instance)) for key in accounts}
        for one in self._controller.inventory.secrets():
            known = one.owner is not None or (one.namespace, one.name) in named
            ours = one.instance == self._instance and is_secret_name(one.name, self._instance)
            if ours and not known and not one.terminating:
                yield one

    def _left(self) -> Iterator[tuple[Account, str]]:
        """
        Yield the accounts that still list a pull secret which is no more.

        One that is there and was not known, as the state of it is lost, is known from then on.
        """
        for key in self._controller.inventory.accounts():
            account = self._controller.inventory.observed(key, None).account
            name = secret_name(key.name, self._instance)
            if account is None or name not in (*account.pull_secrets, *account.secrets):
                continue
            if self._controller.inventory.secret_of(key) is None and self._is_gone(account, name):
                yield account, name

    def _is_gone(self, account: Account, name: str) -> bool:
        """Tell whether there is no Secret of the name: one of somebody else's stays listed."""
        try:
            found = self._cluster.get(path_of("v1", SECRETS, account.key.namespace, name))
        except ApiError as error:
            if error.status == NOT_FOUND:
                return True
            raise
        self._controller.inventory.put(SECRETS, found)
        return False

    def _take_off(self, account: Account, name: str) -> bool:
        lists = (account.pull_secrets, account.secrets)
        kept = [tuple(one for one in listed if one != name) for listed in lists]
        return self._done(Attach(account, kept[0], kept[1]))

    def _done(self, change: Change) -> bool:
        try:
            self._controller.apply(change)
        except (ApiError, TakenError):
            return False
        return True

    def _lease(self) -> Holder | None:
        return holder_of(self._cluster, self._election)

    def _lease_path(self) -> str:
        election = self._election
        return path_of("coordination.k8s.io/v1", "leases", election.namespace, election.name)

    def _delete(self, path: str, uid: str) -> None:
        try:
            self._cluster.delete(path, uid)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise


def _now() -> datetime:
    return datetime.now(UTC)
