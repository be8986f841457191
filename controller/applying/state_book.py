"""
What was made, remembered in one ConfigMap a namespace, so that no Secret has to be read.

What lives here: what is written of a pull secret, and reading it back.  No token and no name of a
Secret is in it: names are computed.  Not here: whether the controller goes without reading Secrets
(`settings`).

A tenant who may write ConfigMaps in a namespace can change its state.  At worst a secret of this
namespace is not renewed, or is made anew: whose secret it is and what it is called is computed, and
a UID that is not true fails the API server's precondition.
"""

import json
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from regauth.controller.naming import INSTANCE, MANAGED_BY, MANAGER, secret_name, state_name
from regauth.controller.observing.cluster import Cluster, Object, path_of
from regauth.controller.observing.inventory import Inventory
from regauth.controller.observing.observed import AccountKey, Credential, PullSecret
from regauth.controller.observing.paging import read_pages

CONFIG_MAPS: Final = "configmaps"
MAX_UNWRITTEN: Final = 50
"""
Accounts of a namespace that may wait to be written together.  After a crash, so many are given new
tokens that need none.
"""


class StateBook:
    """
    The state of all namespaces; safe for threads.

    Args:
        cluster: The API.
        inventory: Where pull secrets are known.
        instance: Whose state it is.
        guard: Raises where this process may not write.
        namespaces: The only ones whose state is read; empty for all.
    """

    def __init__(
        self,
        cluster: Cluster,
        inventory: Inventory,
        instance: str,
        guard: Callable[[], None],
        namespaces: Sequence[str] = (),
    ) -> None:
        self._cluster = cluster
        self._inventory = inventory
        self._instance = instance
        self._guard = guard
        self._namespaces = namespaces
        self._name = state_name(instance)
        self._lock = threading.Lock()
        self._texts: dict[str, dict[str, str]] = {}
        self._unwritten: dict[str, set[str]] = {}

    def load(self) -> list[tuple[str, str]]:
        """
        Read all state; return the namespace and the UID of each ConfigMap.

        Raises:
            ApiError: It cannot be read.
        """
        found = []
        query = {"fieldSelector": f"metadata.name={self._name}"}
        for namespace in self._namespaces or ("",):
            for page in read_pages(self._cluster, path_of("v1", CONFIG_MAPS, namespace), query):
                for one in page.get("items") or []:
                    self._enter(one)
                    found.append((one["metadata"]["namespace"], one["metadata"]["uid"]))
        return found

    def _enter(self, found: Object) -> None:
        namespace = found["metadata"]["namespace"]
        texts = {name: str(text) for name, text in (found.get("data") or {}).items()}
        with self._lock:
            self._texts[namespace] = texts
        for name, text in texts.items():
            secret = _read(AccountKey(namespace, name), text, self._instance)
            if secret is not None:
                self._inventory.remember(secret)

    def note(self, key: AccountKey) -> None:
        """Take note of how an account's pull secret stands now."""
        secret = self._inventory.secret_of(key)
        with self._lock:
            texts = self._texts.setdefault(key.namespace, {})
            text = _write(secret) if secret is not None and secret.credentials else None
            if texts.get(key.name) == text:
                return
            if text is None:
                del texts[key.name]
            else:
                texts[key.name] = text
            self._unwritten.setdefault(key.namespace, set()).add(key.name)

    def write(self, namespace: str, *, more_to_come: bool) -> None:
        """
        Write a namespace's state if it has changed; a few changes may wait while more will come.

        Raises:
            ApiError: It cannot be written; the next call tries again.
        """
        with self._lock:
            waiting = set(self._unwritten.get(namespace, ()))
            texts = dict(self._texts.get(namespace, {}))
        if not waiting or (more_to_come and len(waiting) < MAX_UNWRITTEN):
            return
        self._guard()
        body: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self._name,
                "namespace": namespace,
                "labels": {MANAGED_BY: MANAGER, INSTANCE: self._instance},
            },
            "data": texts,
        }
        path = path_of("v1", CONFIG_MAPS, namespace, self._name)
        # `force`: what a tenant has changed must not keep the state from being written.
        self._cluster.apply(path, body, MANAGER, force=True)
        with self._lock:
            left = self._unwritten.get(namespace, set()) - waiting
            if left:
                self._unwritten[namespace] = left
            else:
                self._unwritten.pop(namespace, None)

    def forget(self, namespace: str) -> None:
        """Forget a namespace that is going."""
        with self._lock:
            self._texts.pop(namespace, None)
            self._unwritten.pop(namespace, None)


def _write(secret: PullSecret) -> str:
    logins = []
    for one in secret.credentials:
        life = [_seconds(one.issued), _seconds(one.expires)]
        logins.append([one.registry, one.username, list(one.audiences), *life, one.key_id])
    return json.dumps([secret.uid, secret.owner_uid, logins], separators=(",", ":"))


def _read(key: AccountKey, text: str, instance: str) -> PullSecret | None:
    """Read what `_write` wrote; what somebody else has changed is as if it were not there."""
    try:
        uid, owner_uid, logins = json.loads(text)
        credentials = tuple(
            Credential(
                str(registry), str(username), tuple(map(str, audiences)),
                datetime.fromtimestamp(issued, UTC), datetime.fromtimestamp(expires, UTC),
                None if key_id is None else str(key_id),
            )
            for registry, username, audiences, issued, expires, key_id in logins
        )  # fmt: skip
    except (ValueError, TypeError, OverflowError, OSError, RecursionError):
        return None
    if not all(one.issued < one.expires for one in credentials):
        return None
    name = secret_name(key.name, instance)
    return PullSecret(
        key.namespace, name, str(uid), "0", instance, key, str(owner_uid), credentials
    )


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
