"""
Reconciling: from something that happened to a service account that is as it should be.

What lives here: watches, queue, plan and applying put together, for one account at a time.
Not here: threads and signals (`regauth.controller.running`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from regauth.controller.naming import secret_name
from regauth.controller.observing.api_errors import FORBIDDEN, INVALID, THROTTLED, ApiError
from regauth.controller.observing.inventory import KINDS, NAMESPACES, SECRETS, Inventory
from regauth.controller.observing.observed import Account, AccountKey
from regauth.controller.observing.signing_keys import SigningKeys
from regauth.controller.planning.entitlements import Entitlements
from regauth.controller.planning.planning import (
    LOOK_AGAIN,
    Attach,
    Change,
    Delete,
    Issue,
    IssueCause,
    Plan,
    ReportEvent,
    conflict_of,
    plan,
)
from regauth.controller.settings import Memory

from .applying import Applier, ChangeError, NotLeadingError, TakenError, is_over
from .contention import TOLD_AFTER, Contention
from .host import Host
from .standing import AttemptState, UnsettledAccounts
from .state_book import StateBook
from .watches import Watches
from .work_queue import Urgency, WorkQueue

MAX_CHANGES: Final = 8
"""
Changes for one account at a time; the rest waits in line again.  A tenant who labels a thousand
Secrets as ours would have them deleted before anybody else is served.
"""
_ROUNDS: Final = 4
_TOLD_FAILURES: Final = 5
"""Failures in a row before an account's owner is told: the first few seconds mend most of them."""
_REFUSALS: Final = frozenset((400, FORBIDDEN, 405, 413, INVALID))
"""What quotas, admission controllers and missing permissions answer: time alone mends none."""


class Controller:
    """Keeps the pull secrets of all service accounts as the policy says."""

    def __init__(
        self, host: Host, entitlements: Entitlements, memory: Memory = Memory.SECRETS
    ) -> None:
        self._host = host
        self._entitlements = entitlements
        self.inventory = Inventory(entitlements.instance)
        self.queue = WorkQueue(host.clock, self._urgency)
        self.active = True
        """Whether there is work; a standby knows all and has none, so that its queue is empty."""
        self.standing = UnsettledAccounts()
        self._contention = Contention(host.clock)
        self.keys = SigningKeys(host.cluster, host.clock)
        instance, named = entitlements.instance, entitlements.selection.namespaces
        kinds = [one for one in KINDS if one not in _not_read(memory, named)]
        self.watches = Watches(
            host, self.inventory, instance, kinds, named, self._enqueue, self.queue.hurry
        )
        self.book = None
        if memory == Memory.CONFIG_MAPS:
            self.book = StateBook(host.cluster, self.inventory, instance, self._guard, named)
        self._applier = Applier(
            host.cluster,
            self.inventory,
            entitlements.instance,
            host.may_write,
            host.now,
            self.keys,
            host.measures.issued,
        )

    def _enqueue(self, keys: set[AccountKey]) -> None:
        if self.active:
            for key in sorted(keys):
                self.queue.add(key)

    def _urgency(self, key: AccountKey) -> Urgency:
        """
        Tell how long an account's pods can wait.

        After an outage or a jump of the clock, all accounts of a namespace are due.  Most of their
        tokens are good for minutes, or their pods run already; those of a new account wait to run.
        """
        held = self.inventory.secret_of(key)
        if held is None or not held.credentials:
            return Urgency.NEW
        now = self._host.now()
        good = any(one.expires > now for one in held.credentials)
        return Urgency.GOOD if good else Urgency.EXPIRED

    def _guard(self) -> None:
        if not self._host.may_write():
            raise NotLeadingError

    def begin(self) -> None:
        """
        Work from now on, and have every account looked at.

        Raises:
            ApiError: What was made before is remembered, and cannot be read.
        """
        if self.book is not None:
            self.book.load()
        self.active = True
        self.look_at_everything()

    def sync(self) -> None:
        """
        List everything once, without watching.

        Raises:
            ApiError: A list failed.
        """
        self.keys.refresh()
        if self.book is not None:
            self.book.load()
        for watcher in self.watches.watchers.values():
            watcher.list()
        self.look_at_everything()

    def entitle(self, entitlements: Entitlements) -> None:
        """
        Go by other registries, another selection or another policy from now on.

        The instance stays: secrets are found by it, and a process has one.  So do the namespaces
        that are watched: `regauth.controller.running` begins anew with others.
        """
        self._entitlements = replace(entitlements, instance=self._entitlements.instance)
        self.look_at_everything()

    def look_at_everything(self) -> None:
        """Have every account looked at."""
        self._enqueue(set(self.inventory.accounts()))

    def expiries(self) -> Iterator[float]:
        """Yield when the first token of each pull secret expires, in seconds since 1970."""
        for one in self.inventory.serving_secrets():
            if one.credentials:
                yield min(login.expires for login in one.credentials).timestamp()

    def apply(self, change: Change) -> None:
        """
        Make a change that no plan asks for.

        Raises:
            ApiError: A request failed.
        """
        self._applier.make(change)

    def plans(self) -> Iterator[Plan]:
        """Yield the plan for every account."""
        for key in self.inventory.accounts():
            yield self._plan(key)

    def _plan(self, key: AccountKey) -> Plan:
        observed = self.inventory.observed(key, self.keys.known)
        return plan(observed, self._entitlements, self._host.now())

    def work(self, key: AccountKey) -> None:
        """
        Look at an account and do what its plan says; failures are put back into the queue.

        Raises:
            NotLeadingError: This process may not write any more.
        """
        try:
            state = self._attempt(key)
            self.standing.put(key, state)
            self._host.measures.reconciled(str(state))
        finally:
            self.queue.done(key)

    def _attempt(self, key: AccountKey) -> AttemptState:
        try:
            state = self._reconcile(key)
            self._remember(key)
        except ApiError as error:
            if is_over(error):
                self.queue.succeeded(key)
                return AttemptState.OVER
            self._failed(key, error, error.retry_after or 0.0)
            return self._told_of(key, error)
        except TakenError as error:
            self._failed(key, error)
            secret = secret_name(key.name, self._entitlements.instance)
            self._tell(key, lambda account: conflict_of(account, secret))
            return AttemptState.CONFLICT
        except ChangeError as error:
            self._failed(key, error)
            return AttemptState.FAILED
        return state

    def _told_of(self, key: AccountKey, error: ApiError) -> AttemptState:
        """Tell an account's owner of an error that concerns the account and does not pass soon."""
        if error.status in _REFUSALS:
            message = f"the API server refuses its pull secret: {error}"
            self._tell(key, lambda account: ReportEvent(account, "PullSecretRefused", message))
            return AttemptState.REFUSED
        # Such as an admission webhook that cannot be called (500), in one namespace alone.
        asked = not error.away and error.status != THROTTLED
        if asked and self.queue.failures(key) >= _TOLD_FAILURES:
            message = f"the API server fails to write its pull secret: {error}"
            self._tell(key, lambda account: ReportEvent(account, "PullSecretFailed", message))
        return AttemptState.FAILED

    def _remember(self, key: AccountKey) -> None:
        """Write what was made into the namespace's ConfigMap, with that of the accounts to come."""
        if self.book is not None:
            self.book.note(key)
            self.book.write(key.namespace, more_to_come=self.queue.has(key.namespace))

    def _reconcile(self, key: AccountKey) -> AttemptState:
        for _ in range(_ROUNDS):
            planned = self._plan(key)
            if _doubts_keys(planned) and self.keys.refresh(older_than=0.0):
                planned = self._plan(key)
            if not all(self._make(key, change) for change in planned.changes[:MAX_CHANGES]):
                return AttemptState.UNDONE
            if len(planned.changes) > MAX_CHANGES:
                self.queue.add(key)
                return AttemptState.OK
            if all(isinstance(change, ReportEvent) for change in planned.changes):
                break
        else:
            raise ChangeError("the account does not come to rest")
        self.queue.succeeded(key)
        again = planned.again
        if planned.changes:  # what is reported is looked at, and told, again
            again = self._host.now() + LOOK_AGAIN
        if again is not None:
            left = min(again - self._host.now(), LOOK_AGAIN).total_seconds()
            self.queue.add_in(key, max(left, 1.0))
        return AttemptState.CONFLICT if planned.changes else AttemptState.OK

    def _make(self, key: AccountKey, change: Change) -> bool:
        """Make a change, or put it off and return False when somebody undoes it each time."""
        pause = self._contention.pause(key, change)
        if pause:
            self._put_off(key, change, pause)
            return False
        try:
            self._applier.make(change)
        except TakenError:
            if not isinstance(change, Issue) or not change.uid:
                raise
            # What is ours, and was changed so that it cannot be written to, is made anew.
            return self._make(key, Delete(key, change.secret, change.uid))
        self._contention.wrote(key, change)
        kind = type(change).__name__.lower()
        self._host.log.event(kind, account=str(key), **_told(change))
        return True

    def _put_off(self, key: AccountKey, change: Change, pause: float) -> None:
        """Look at an account later, and tell its owner who undoes what is done for it."""
        self.queue.succeeded(key)
        self.queue.add_in(key, pause)
        times = self._contention.times(key, change)
        observed = self.inventory.observed(key, None)
        managers = [one.manager for one in observed.secrets if one.manager]
        if isinstance(change, Attach) and observed.account is not None:
            managers = [observed.account.manager]
        manager = (managers or [""])[0] or "somebody"
        said = {"account": str(key), "by": manager, "times": times, "again_in": pause}
        self._host.log.event("undone", "warning", **said)
        if times >= TOLD_AFTER:
            what = "its lists of secrets" if isinstance(change, Attach) else "its pull secret"
            message = f"{manager} has changed {what} back {times} times since it was written"
            self._tell(key, lambda account: ReportEvent(account, "PullSecretUndone", message))

    def _failed(
        self, key: AccountKey, error: ApiError | ChangeError, at_least: float = 0.0
    ) -> None:
        away = isinstance(error, ApiError) and error.away
        pause = self.queue.retry(key, at_least, away=away)
        status = error.status if isinstance(error, ApiError) else None
        self._host.log.event(
            "failed", "warning", account=str(key), error=str(error), status=status, again_in=pause
        )

    def _tell(self, key: AccountKey, report: Callable[[Account], ReportEvent]) -> None:
        """Tell an account's owner; when even that fails, the log has it."""
        account = self.inventory.observed(key, None).account
        try:
            if account is not None:
                self._applier.make(report(account))
        except ApiError as failure:
            self._host.log.event("event-failed", "warning", account=str(key), error=str(failure))


def _not_read(memory: Memory, named: Sequence[str]) -> set[str]:
    """Return the kinds that are not listed: nobody may list namespaces by the Roles of some."""
    found = {NAMESPACES} if named else set()
    return found if memory == Memory.SECRETS else {*found, SECRETS}


def _doubts_keys(planned: Plan) -> bool:
    return any(
        isinstance(one, Issue) and one.cause == IssueCause.KEY_GONE for one in planned.changes
    )


def _told(change: object) -> dict[str, object]:
    """Return what the log says of a change."""
    if isinstance(change, Issue):
        registries = [one.registry for one in change.wanted]
        return {"secret": change.secret, "cause": str(change.cause), "registries": registries}
    if isinstance(change, ReportEvent):
        return {"reason": change.reason, "message": change.message}
    secret = getattr(change, "secret", "")
    return {"secret": secret} if secret else {}
