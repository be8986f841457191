"""
Reconciling: from something that happened to a service account that is as it should be.

What lives here: watches, queue, plan and applying put together, for one account at a time.
Not here: threads and signals (`regauth.controller.running`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from regauth.controller.event_log import EventLog
from regauth.controller.measures import Measures
from regauth.controller.naming import secret_name
from regauth.controller.observing.cluster import ApiError, Cluster, Object, path_of
from regauth.controller.observing.docker_config import TYPE
from regauth.controller.observing.inventory import KINDS, SECRETS, Inventory
from regauth.controller.observing.observed import Key
from regauth.controller.observing.signing_keys import SigningKeys
from regauth.controller.observing.watching import Watcher
from regauth.controller.planning.entitlements import Entitlements
from regauth.controller.planning.planning import LOOK_AGAIN, Cause, Issue, Plan, Report, plan

from .applying import Applier, ChangeError, NotLeadingError, conflict_of, is_over
from .work_queue import WorkQueue

STALE_SECONDS: Final = 360.0
"""
Seconds after which a watch that was not heard counts as blind.  A watch is ended by the server
after `watching.WATCH_SECONDS`, so a live one is heard more often.
"""

_ROUNDS: Final = 4


@dataclass(frozen=True)
class Host:
    """
    What the controller runs on.

    Attributes:
        cluster: The API.
        now: The time of day.
        clock: Seconds that never run backwards.
        may_write: Whether this process leads.
        log: Where events go.
        measures: Where things are counted.
    """

    cluster: Cluster
    now: Callable[[], datetime]
    clock: Callable[[], float]
    may_write: Callable[[], bool]
    log: EventLog
    measures: Measures


class Controller:
    """Keeps the pull secrets of all service accounts as the policy says."""

    def __init__(self, host: Host, entitlements: Entitlements) -> None:
        self._host = host
        self._entitlements = entitlements
        self.inventory = Inventory(entitlements.instance)
        self.queue = WorkQueue(host.clock)
        self.keys = SigningKeys(host.cluster, host.clock)
        self.watchers = {kind: self._watcher(kind) for kind in KINDS}
        self._applier = Applier(
            host.cluster,
            self.inventory,
            entitlements.instance,
            host.may_write,
            host.now,
            self.keys,
            host.measures.issued,
        )

    def _watcher(self, kind: str) -> Watcher:
        # Other people's pull secrets are seen too, by name, to leave them alone.
        query = {"fieldSelector": f"type={TYPE}"} if kind == SECRETS else {}
        return Watcher(
            self._host.cluster,
            path_of("v1", kind),
            query,
            partial(self._replaced, kind),
            partial(self._changed, kind),
            partial(self._troubled, kind),
        )

    def _replaced(self, kind: str, found: list[Object], version: str, restored: bool) -> None:  # noqa: FBT001 - a callback's
        if restored:
            self._host.log.event("store-restored", "warning", kind=kind)
        self._enqueue(self.inventory.replace(kind, found, version, restored=restored))

    def _changed(self, kind: str, event: str, found: Object) -> None:
        change = self.inventory.remove if event == "DELETED" else self.inventory.put
        self._enqueue(change(kind, found))

    def _troubled(self, kind: str, error: ApiError, pause: float) -> None:
        self._host.measures.trouble(kind, error.status)
        self._host.log.event(
            "watch-failed",
            "warning",
            kind=kind,
            status=error.status,
            error=str(error),
            again_in=pause,
        )

    def _enqueue(self, keys: set[Key]) -> None:
        for key in sorted(keys):
            self.queue.add(key)

    @property
    def ready(self) -> bool:
        """Whether every kind has been listed."""
        return all(watcher.listed.is_set() for watcher in self.watchers.values())

    @property
    def current(self) -> bool:
        """Whether every kind has been listed, and the server was heard of each a while ago."""
        return all(age is not None and age <= STALE_SECONDS for age in self.watch_ages().values())

    def watch_ages(self) -> dict[str, float | None]:
        """Return for each kind the seconds since the server was heard; None before a list."""
        return {kind: watcher.age for kind, watcher in self.watchers.items()}

    def sync(self) -> None:
        """
        List everything once, without watching.

        Raises:
            ApiError: A list failed.
        """
        self.keys.refresh()
        for watcher in self.watchers.values():
            watcher.list()

    def entitle(self, entitlements: Entitlements) -> None:
        """
        Go by other registries, another selection or another policy from now on.

        The instance stays: secrets are found by it, and a process has one.
        """
        self._entitlements = replace(entitlements, instance=self._entitlements.instance)
        self.look_at_everything()

    def look_at_everything(self) -> None:
        """Have every account looked at."""
        self._enqueue(set(self.inventory.accounts()))

    def plans(self) -> Iterator[Plan]:
        """Yield the plan for every account."""
        for key in self.inventory.accounts():
            yield self._plan(key)

    def _plan(self, key: Key) -> Plan:
        observed = self.inventory.observed(key, self.keys.known)
        return plan(observed, self._entitlements, self._host.now())

    def work(self, key: Key) -> None:
        """
        Look at an account and do what its plan says; failures are put back into the queue.

        Raises:
            NotLeadingError: This process may not write any more.
        """
        try:
            self._reconcile(key)
        except NotLeadingError:
            raise
        except ApiError as error:
            if is_over(error):
                self.queue.succeeded(key)
                self._host.measures.reconciled("over")
            else:
                self._failed(key, str(error), error.retry_after or 0.0, error.status)
        except ChangeError as error:
            self._failed(key, str(error), 0.0)
            if error.conflict:
                self._tell(key)
        finally:
            self.queue.done(key)

    def _reconcile(self, key: Key) -> None:
        for _ in range(_ROUNDS):
            planned = self._plan(key)
            if _doubts_keys(planned) and self.keys.refresh(older_than=0.0):
                planned = self._plan(key)
            for change in planned.changes:
                self._applier.make(change)
                self._host.log.event(
                    type(change).__name__.lower(), account=str(key), **_told(change)
                )
            if all(isinstance(change, Report) for change in planned.changes):
                break
        else:
            raise ChangeError("the account does not come to rest")
        self.queue.succeeded(key)
        self._host.measures.reconciled("ok")
        if planned.again is not None:
            left = min(planned.again - self._host.now(), LOOK_AGAIN).total_seconds()
            self.queue.add_in(key, max(left, 1.0))

    def _failed(self, key: Key, error: str, at_least: float, status: int | None = None) -> None:
        pause = self.queue.retry(key, at_least)
        self._host.measures.reconciled("failed")
        self._host.log.event(
            "failed", "warning", account=str(key), error=error, status=status, again_in=pause
        )

    def _tell(self, key: Key) -> None:
        """Tell people of a conflict; when even that fails, the log has it."""
        account = self.inventory.observed(key, None).account
        try:
            if account is not None:
                secret = secret_name(key.name, self._entitlements.instance)
                self._applier.make(conflict_of(account, secret))
        except ApiError as failure:
            self._host.log.event("event-failed", "warning", account=str(key), error=str(failure))


def _doubts_keys(planned: Plan) -> bool:
    return any(isinstance(one, Issue) and one.cause == Cause.KEY_GONE for one in planned.changes)


def _told(change: object) -> dict[str, object]:
    """Return what the log says of a change."""
    if isinstance(change, Issue):
        registries = [one.registry for one in change.wanted]
        return {"secret": change.secret, "cause": str(change.cause), "registries": registries}
    if isinstance(change, Report):
        return {"reason": change.reason, "message": change.message}
    secret = getattr(change, "secret", "")
    return {"secret": secret} if secret else {}
