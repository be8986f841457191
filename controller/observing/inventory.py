"""
The inventory: the cluster's state as watches and our own writes tell it.

What lives here: keeping the newest state of every object, and finding whom a change concerns.
Not here: asking the API for anything (`watching`, `cluster`).

Our own writes are entered from the API server's answer, because the watch reports them later.  A
plan in between must not repeat them.  Of two states of an object the one with the higher
resourceVersion counts; KEP-5504 says that they can be compared as numbers.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from regauth.controller.naming import secret_name

from .cluster import Object
from .observed import Account, AccountKey, Namespace, Observed, PullSecret
from .reading import account, namespace, pull_secret

ACCOUNTS: Final = "serviceaccounts"
NAMESPACES: Final = "namespaces"
SECRETS: Final = "secrets"
KINDS: Final = (NAMESPACES, SECRETS, ACCOUNTS)
"""Accounts come last: when their work begins, the rest is known."""

Value = Account | Namespace | PullSecret
_READERS: Final[Mapping[str, Callable[[Object], Value]]] = {
    ACCOUNTS: account,
    NAMESPACES: namespace,
    SECRETS: pull_secret,
}


class InventoryEntry(NamedTuple):
    """What is kept of an object."""

    key: AccountKey
    version: int
    value: Value


def entry(kind: str, found: Object) -> InventoryEntry:
    """Return what is kept of an object of a kind (one of `KINDS`)."""
    return InventoryEntry(
        _key(found), _number(found["metadata"]["resourceVersion"]), _READERS[kind](found)
    )


class Inventory:
    """Everything that plans are made from; safe for threads."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._lock = threading.RLock()
        self._objects: dict[str, dict[AccountKey, Value]] = {kind: {} for kind in KINDS}
        self._versions: dict[str, dict[AccountKey, int]] = {kind: {} for kind in KINDS}
        self._members: dict[str, set[AccountKey]] = {}
        self._secrets_of: dict[AccountKey, set[AccountKey]] = {}
        self._named: dict[AccountKey, AccountKey] = {}

    def replace(
        self,
        kind: str,
        found: Iterable[InventoryEntry],
        version: str,
        *,
        restored: bool = False,
        namespace: str = "",
    ) -> set[AccountKey]:
        """
        Enter a whole list; return the accounts that it concerns.

        Args:
            kind: Of `KINDS`.
            found: The objects, reduced by `entry`.
            version: The list's resourceVersion.
            restored: Whether versions went back: then no known version is newer than the list.
            namespace: The only namespace that the list is of; empty for all.
        """
        with self._lock:
            before = {key for key in self._objects[kind] if namespace in ("", key.namespace)}
            if restored:
                self._versions[kind] |= dict.fromkeys(before, -1)
            concerned: set[AccountKey] = set()
            for one in found:
                before.discard(one.key)
                concerned |= self._put(kind, one)
            for key in before:
                if self._versions[kind][key] <= _number(version):
                    concerned |= self._remove(kind, key)
            return concerned

    def put(self, kind: str, found: Object) -> set[AccountKey]:
        """Enter an object; return the accounts that the change concerns."""
        with self._lock:
            return self._put(kind, entry(kind, found))

    def remember(self, secret: PullSecret) -> None:
        """Enter a pull secret that is not read but remembered; what was read counts more."""
        with self._lock:
            self._put(SECRETS, InventoryEntry(AccountKey(secret.namespace, secret.name), 0, secret))

    def secret_of(self, key: AccountKey) -> PullSecret | None:
        """Return the pull secret of an account, if it is known."""
        with self._lock:
            name = AccountKey(key.namespace, secret_name(key.name, self._instance))
            held = self._objects[SECRETS].get(name)
            return held if isinstance(held, PullSecret) else None

    def remove(self, kind: str, found: Object) -> set[AccountKey]:
        """Strike an object off; return the accounts that its end concerns."""
        with self._lock:
            key = _key(found)
            if self._versions[kind].get(key, 0) > _number(found["metadata"]["resourceVersion"]):
                return set()
            return self._remove(kind, key)

    def forget_secret(self, namespace_: str, name: str, uid: str) -> None:
        """Strike off a secret that was deleted, unless there is a new one of its name."""
        with self._lock:
            key = AccountKey(namespace_, name)
            held = self._objects[SECRETS].get(key)
            if isinstance(held, PullSecret) and held.uid == uid:
                self._remove(SECRETS, key)

    def observed(self, key: AccountKey, signing_keys: frozenset[str] | None) -> Observed:
        """Return what is known of a service account."""
        with self._lock:
            held = self._objects[ACCOUNTS].get(key)
            of_namespace = self._objects[NAMESPACES].get(AccountKey("", key.namespace))
            names = self._secrets_of.get(key, set())
            names = names | {AccountKey(key.namespace, secret_name(key.name, self._instance))}
            secrets = (self._objects[SECRETS].get(name) for name in sorted(names))
            return Observed(
                key,
                held if isinstance(held, Account) else None,
                of_namespace if isinstance(of_namespace, Namespace) else None,
                tuple(one for one in secrets if isinstance(one, PullSecret)),
                signing_keys,
            )

    def accounts(self) -> tuple[AccountKey, ...]:
        """Return every service account, and those that are gone but have secrets of ours."""
        with self._lock:
            return tuple(sorted({*self._objects[ACCOUNTS], *self._secrets_of}))

    def serving_secrets(self) -> list[PullSecret]:
        """
        Return the pull secrets that new pods are started with.

        Whose account, namespace or Secret is being deleted is served by none; nor is anybody by a
        Secret that only has our labels.
        """
        with self._lock:
            found = []
            for name, key in self._named.items():
                account, secret = self._objects[ACCOUNTS].get(key), self._objects[SECRETS].get(name)
                home = self._objects[NAMESPACES].get(AccountKey("", key.namespace))
                ending = isinstance(home, Namespace) and home.terminating
                if (
                    isinstance(account, Account)
                    and isinstance(secret, PullSecret)
                    and secret.instance == self._instance
                    and secret.owner_uid == account.uid
                    and not (ending or account.terminating or secret.terminating)
                ):
                    found.append(secret)
            return found

    def secrets(self) -> Iterator[PullSecret]:
        """Yield every pull secret that is known."""
        with self._lock:
            held = tuple(self._objects[SECRETS].values())
        return (one for one in held if isinstance(one, PullSecret))

    def _put(self, kind: str, found: InventoryEntry) -> set[AccountKey]:
        key, version, new = found
        if self._versions[kind].get(key, -1) >= version:
            return set()
        old = self._objects[kind].get(key)
        self._objects[kind][key] = new
        self._versions[kind][key] = version
        if isinstance(new, Account):
            self._members.setdefault(key.namespace, set()).add(key)
            self._named[AccountKey(key.namespace, secret_name(key.name, self._instance))] = key
        if isinstance(new, PullSecret):
            self._disown(key, old)
            if new.owner is not None:
                self._secrets_of.setdefault(new.owner, set()).add(key)
        if isinstance(new, Namespace) and old == new:
            return set()
        return self._concerned(key, old) | self._concerned(key, new)

    def _remove(self, kind: str, key: AccountKey) -> set[AccountKey]:
        old = self._objects[kind].pop(key, None)
        self._versions[kind].pop(key, None)
        concerned = self._concerned(key, old)
        if isinstance(old, Account):
            self._members.get(key.namespace, set()).discard(key)
            self._named.pop(AccountKey(key.namespace, secret_name(key.name, self._instance)), None)
        if isinstance(old, PullSecret):
            self._disown(key, old)
        return concerned

    def _disown(self, key: AccountKey, old: Value | None) -> None:
        if isinstance(old, PullSecret) and old.owner in self._secrets_of:
            held = self._secrets_of[old.owner]
            held.discard(key)
            if not held:
                del self._secrets_of[old.owner]

    def _concerned(self, key: AccountKey, value: Value | None) -> set[AccountKey]:
        if isinstance(value, Account):
            return {key}
        if isinstance(value, Namespace):
            return set(self._members.get(value.name, ()))
        if isinstance(value, PullSecret):
            return {one for one in (value.owner, self._named.get(key)) if one is not None}
        return set()


def _key(found: Object) -> AccountKey:
    meta = found["metadata"]
    return AccountKey(meta.get("namespace", ""), meta["name"])


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdigit() else 0
