"""
How things stand: which service accounts have a pull secret, until when, and what is in the way.

What lives here: reading it from the cluster, with the rights of whoever asks, and the verdict on
each account.  Not here: how it is printed (`commands`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Final

from regauth.controller.naming import INSTANCE, MANAGED_BY, MANAGER
from regauth.controller.observing.cluster import Cluster, path_of
from regauth.controller.observing.docker_config import TYPE
from regauth.controller.observing.inventory import ACCOUNTS, SECRETS, Inventory, entry
from regauth.controller.observing.observed import Account, AccountKey, Credential, PullSecret
from regauth.controller.observing.paging import read_pages
from regauth.controller.settings import Election

from .lease import Holder, holder_of


class AccountStanding(StrEnum):
    """How an account stands."""

    GOOD = "good"
    NONE = "none"
    """It has no pull secret, and nothing was reported: nothing was asked for it, or not yet."""
    EMPTY = "empty"
    EXPIRED = "expired"
    DETACHED = "detached"
    """Its pull secret is good, and neither of its lists names it."""
    REPORTED = "reported"
    """An Event of the last hour, and newer than its tokens, says what is in the way."""


WRONG: Final = frozenset((AccountStanding.EMPTY, AccountStanding.EXPIRED, AccountStanding.REPORTED))


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One service account."""

    key: AccountKey
    standing: AccountStanding
    expires: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """How an instance stands."""

    lines: tuple[AccountLine, ...]
    lease: Holder | None
    now: datetime

    @property
    def leader(self) -> str:
        """Who leads now; empty when nobody does."""
        return self.lease.name if self.lease is not None and self.lease.holds(self.now) else ""

    @property
    def soonest(self) -> datetime | None:
        """When the first token of all expires."""
        return min((one.expires for one in self.lines if one.expires), default=None)

    @property
    def wrong(self) -> tuple[AccountLine, ...]:
        """The accounts that somebody has to look at."""
        return tuple(one for one in self.lines if one.standing in WRONG)


def status(
    cluster: Cluster, instance: str, election: Election, namespace: str, now: datetime
) -> InstanceStatus:
    """
    Read how an instance stands.

    Args:
        cluster: The API.
        instance: The instance.
        election: Its Lease.
        namespace: The only one to look at; empty for all.
        now: The time.

    Raises:
        ApiError: Something cannot be read.
    """
    inventory = Inventory(instance)
    labels = f"{MANAGED_BY}={MANAGER},{INSTANCE}={instance}"
    queries = {SECRETS: {"fieldSelector": f"type={TYPE}", "labelSelector": labels}, ACCOUNTS: {}}
    for kind, query in queries.items():
        found = _read(cluster, kind, namespace, query)
        inventory.replace(kind, map(partial(entry, kind), found), "0")
    reports = _reports(cluster, namespace)
    lines = []
    for key in inventory.accounts():
        account = inventory.observed(key, None).account
        if account is not None:
            lines.append(_line(account, inventory.secret_of(key), reports.get(account.uid), now))
    return InstanceStatus(tuple(lines), holder_of(cluster, election), now)


def _read(
    cluster: Cluster, kind: str, namespace: str, query: Mapping[str, str]
) -> Iterator[dict[str, object]]:
    for page in read_pages(cluster, path_of("v1", kind, namespace), query):
        yield from page.get("items") or []


def _reports(cluster: Cluster, namespace: str) -> dict[str, tuple[str, str]]:
    """
    Return when and what the newest Event says of each account, by its UID.

    API servers keep them an hour.
    """
    found: dict[str, tuple[str, str]] = {}
    for one in _read(cluster, "events", namespace, {"fieldSelector": f"source={MANAGER}"}):
        about = one.get("involvedObject")
        if isinstance(about, dict):
            when, uid = str(one.get("lastTimestamp") or ""), str(about.get("uid"))
            said = (when, f"{one.get('reason')}: {one.get('message')}")
            found[uid] = max(found.get(uid, said), said)
    return found


def _line(
    account: Account, secret: PullSecret | None, said: tuple[str, str] | None, now: datetime
) -> AccountLine:
    credentials = secret.credentials if secret is not None else ()
    expires = min((one.expires for one in credentials), default=None)
    attached = secret is not None and secret.name in account.pull_secrets
    report = None if said is None or (attached and _is_over(said[0], credentials)) else said[1]
    if expires is not None and expires <= now:
        return AccountLine(account.key, AccountStanding.EXPIRED, expires, report or "")
    if report is not None:
        return AccountLine(account.key, AccountStanding.REPORTED, expires, report)
    if secret is None:
        return AccountLine(account.key, AccountStanding.NONE)
    if expires is None:
        return AccountLine(account.key, AccountStanding.EMPTY)
    return AccountLine(
        account.key, AccountStanding.GOOD if attached else AccountStanding.DETACHED, expires
    )


def _is_over(reported: str, credentials: tuple[Credential, ...]) -> bool:
    """Tell whether all tokens were issued after an Event: what was in the way is so no more."""
    try:
        moment = datetime.fromisoformat(reported)
    except ValueError:
        return False
    issued = min((one.issued for one in credentials), default=None)
    return issued is not None and moment.tzinfo is not None and moment < issued
