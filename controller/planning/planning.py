"""
The plan: from what is observed to what has to change.

What lives here: `plan`, which is pure; time is an argument.  Not here: the API
(`observing.cluster`), and how a change is made (`regauth.controller.applying.applying`).

A plan is made again after every change, so each has only the next steps.  After an interruption,
the next plan goes on from what is there.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from regauth.controller.naming import secret_name
from regauth.controller.observing.observed import (
    Account,
    AccountKey,
    Credential,
    Observed,
    PullSecret,
)
from regauth.controller.observing.reading import MAX_LISTED

from .entitlements import Entitlements, Wanted

ROTATE_BELOW: Final = 0.40
"""The share of a token's life that is left when it is replaced, at the earliest."""

JITTER: Final = 0.10
"""By how much of its life, at most, the replacement of a token is put off."""

LOOK_AGAIN: Final = timedelta(minutes=10)
"""How long an account is left alone at most; looking asks the API for nothing."""


class IssueCause(StrEnum):
    """Why tokens are requested."""

    CREATION = "creation"
    INCOMPLETE = "incomplete"
    CHANGE = "change"
    ROTATION = "rotation"
    KEY_GONE = "key-gone"


@dataclass(frozen=True, slots=True)
class Issue:
    """Request tokens and write them; without a `uid`, the secret is created first."""

    account: Account
    secret: str
    uid: str
    wanted: tuple[Wanted, ...]
    cause: IssueCause


@dataclass(frozen=True, slots=True)
class Attach:
    """Set the account's two lists of secrets, unless it has changed since it was observed."""

    account: Account
    pull_secrets: tuple[str, ...]
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a secret of ours, if it is still the same one; its tokens end with it."""

    key: AccountKey
    secret: str
    uid: str


@dataclass(frozen=True, slots=True)
class ReportEvent:
    """Tell people about something that the controller leaves alone, as an Event."""

    account: Account
    reason: str
    message: str


Change = Issue | Attach | Delete | ReportEvent


@dataclass(frozen=True, slots=True)
class Plan:
    """The next changes, in their order, and when to look again even if nothing happens."""

    changes: tuple[Change, ...] = ()
    again: datetime | None = None

    def lines(self) -> list[str]:
        """Return each change as a line for people."""
        return [_line(change) for change in self.changes]


def plan(observed: Observed, entitlements: Entitlements, now: datetime) -> Plan:
    """Return what has to change for one service account."""
    account = observed.account
    name = secret_name(observed.key.name, entitlements.instance)
    ours = [one for one in observed.secrets if _is_ours(one, observed.key, name, entitlements)]
    if account is None:
        return Plan(_deletions(observed.key, ours))
    if not entitlements.selects(account, observed.namespace):
        return Plan(_withdraw(account, ours))
    wanted = entitlements.wanted(account, now)
    if not wanted:
        # A condition may go by the time, and then nothing else happens that would tell.
        return Plan(_withdraw(account, ours), now + LOOK_AGAIN)
    if account.terminating or (observed.namespace is not None and observed.namespace.terminating):
        # What is going gets nothing more.  It may take long to go, so what has to be taken away is
        # taken away before.
        return Plan()
    stale = [one for one in ours if one.name != name]
    found = next((one for one in observed.secrets if one.name == name), None)
    if found is not None and found not in ours:
        return Plan((*_withdraw(account, stale), conflict_of(account, name)))
    if found is not None and found.terminating:
        return Plan((_stuck(account, found),))
    if found is not None and found.owner_uid != account.uid:
        # Of an account of this name that is gone, or of nobody's: its tokens are not this one's.
        return Plan((Delete(account.key, found.name, found.uid),))
    issue = _issue(account, name, found, wanted, observed.signing_keys, now)
    attach = _attach(account, name, stale) if entitlements.attach else ()
    changes = (*issue, *attach)
    again = None
    if found is not None and not issue:
        again = min(_due(one, _life_of(one, wanted), account.uid) for one in found.credentials)
    return Plan((*changes, *_deletions(account.key, stale)), again)


def _is_ours(secret: PullSecret, key: AccountKey, name: str, entitlements: Entitlements) -> bool:
    """Go by the labels; an ownerReference that somebody took away makes it nobody else's."""
    return secret.instance == entitlements.instance and (secret.owner == key or secret.name == name)


def _deletions(key: AccountKey, secrets: list[PullSecret]) -> tuple[Change, ...]:
    return tuple(Delete(key, one.name, one.uid) for one in secrets if not one.terminating)


def _withdraw(account: Account, ours: list[PullSecret]) -> tuple[Change, ...]:
    """Take our secrets from the account first, so that no pod is started with a dead name."""
    gone = {one.name for one in ours}
    pull_secrets = tuple(name for name in account.pull_secrets if name not in gone)
    secrets = tuple(name for name in account.secrets if name not in gone)
    deletions = _deletions(account.key, ours)
    if (pull_secrets, secrets) == (account.pull_secrets, account.secrets):
        return deletions
    return (Attach(account, pull_secrets, secrets), *deletions)


def _attach(account: Account, name: str, stale: list[PullSecret]) -> tuple[Change, ...]:
    gone = {one.name for one in stale}
    lists = []
    for listed in (account.pull_secrets, account.secrets):
        kept = [one for one in listed if one not in gone]
        lists.append(tuple(kept if name in kept else [*kept, name]))
    if account.overfull:
        message = f"it lists more than {MAX_LISTED} secrets; {name} is not added to them"
        return (ReportEvent(account, "TooManySecrets", message),)
    if lists == [account.pull_secrets, account.secrets]:
        return ()
    return (Attach(account, lists[0], lists[1]),)


def conflict_of(account: Account, secret: str) -> ReportEvent:
    """Return what people are told of a secret of somebody else's that has the name of ours."""
    return ReportEvent(
        account,
        "PullSecretConflict",
        f"the secret {secret} is not managed by this controller and is left alone;"
        f" {account.key.name} gets no pull secret until it is deleted or renamed",
    )


def _stuck(account: Account, found: PullSecret) -> ReportEvent:
    return ReportEvent(
        account,
        "PullSecretStuck",
        f"the secret {found.name} was deleted and a finalizer keeps it; {account.key.name} gets"
        " a new one when the finalizer is removed",
    )


def _issue(
    account: Account,
    name: str,
    found: PullSecret | None,
    wanted: tuple[Wanted, ...],
    signing_keys: frozenset[str] | None,
    now: datetime,
) -> tuple[Change, ...]:
    if found is None:
        return (Issue(account, name, "", wanted, IssueCause.CREATION),)
    cause = _cause(found.credentials, wanted, signing_keys, account.uid, now)
    return () if cause is None else (Issue(account, name, found.uid, wanted, cause),)


def _cause(
    credentials: tuple[Credential, ...],
    wanted: tuple[Wanted, ...],
    signing_keys: frozenset[str] | None,
    uid: str,
    now: datetime,
) -> IssueCause | None:
    """Return why a secret's tokens have to be replaced, or None when they are still good."""
    if not credentials:
        return IssueCause.INCOMPLETE
    held = {one.registry: one for one in credentials}
    if set(held) != {one.registry for one in wanted} or not all(
        _fits(held[one.registry], one) for one in wanted
    ):
        return IssueCause.CHANGE
    if signing_keys is not None and any(one.key_id not in signing_keys for one in credentials):
        return IssueCause.KEY_GONE
    if any(now >= _due(one, _life_of(one, wanted), uid) for one in credentials):
        return IssueCause.ROTATION
    return None


def _fits(held: Credential, wanted: Wanted) -> bool:
    return held.username == wanted.username and wanted.audience in held.audiences


def _life_of(held: Credential, wanted: tuple[Wanted, ...]) -> timedelta:
    """Return how long after `iat` a token is good."""
    life = held.expires - held.issued
    ages = [one.max_age for one in wanted if one.registry == held.registry and one.max_age]
    return min([life, *ages])


def _due(held: Credential, life: timedelta, uid: str) -> datetime:
    """
    Return when a token is to be replaced.

    Accounts whose tokens were issued together are spread by their UID, so that they are not
    replaced together too; it needs no random number, and every controller comes to the same.
    """
    spread = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4], "big") / 2**32
    return held.issued + life * (1 - ROTATE_BELOW + JITTER * spread)


def is_due(held: Credential, wanted: tuple[Wanted, ...], uid: str, now: datetime) -> bool:
    """Tell whether a token would be replaced at once: then this clock and the cluster's differ."""
    return now >= _due(held, _life_of(held, wanted), uid)


def _line(change: Change) -> str:
    match change:
        case Issue(account=account):
            registries = ", ".join(f"{one.registry} as {one.username}" for one in change.wanted)
            return f"{account.key}: write {change.secret} ({change.cause}): {registries}"
        case Attach(account=account):
            return f"{account.key}: imagePullSecrets: {', '.join(change.pull_secrets) or 'none'}"
        case Delete():
            return f"{change.key}: delete {change.secret}"
        case ReportEvent(account=account):
            return f"{account.key}: {change.reason}: {change.message}"
