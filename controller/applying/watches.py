"""
The watches that keep the inventory up to date, one for each kind of object.

Where the settings name namespaces, there is one for each kind in each of them: a Role permits no
more.

What lives here: what is watched, and how old the news may be.  Not here: how one watch works
(`observing.watching`), and what is done about a change (`reconciling`).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from regauth.controller.naming import INSTANCE, MANAGED_BY, MANAGER
from regauth.controller.observing.api_errors import ApiError
from regauth.controller.observing.cluster import Object, path_of
from regauth.controller.observing.docker_config import TYPE
from regauth.controller.observing.inventory import SECRETS, Inventory, InventoryEntry, entry
from regauth.controller.observing.observed import AccountKey
from regauth.controller.observing.watching import Watcher

from .host import Host

STALE_SECONDS: Final = 360.0
"""
Seconds after which a watch that was not heard counts as blind.  A watch is ended by the server
after `watching.WATCH_SECONDS`, so a live one is heard more often.
"""


class Watches:
    """
    All watches of a controller.

    Args:
        host: What it runs on.
        inventory: What is kept up to date.
        instance: Whose pull secrets are watched.
        kinds: What is watched.
        namespaces: Where it is watched; none for the whole cluster.
        concerned: Told of the accounts that a change concerns.
        returned: Called when the server answers that had been away.
    """

    def __init__(
        self,
        host: Host,
        inventory: Inventory,
        instance: str,
        kinds: Iterable[str],
        namespaces: Sequence[str],
        concerned: Callable[[set[AccountKey]], None],
        returned: Callable[[], None],
    ) -> None:
        self._host = host
        self._inventory = inventory
        self._instance = instance
        self._concerned = concerned
        self._returned = returned
        self._watchers = {
            (kind, namespace): self._watcher(kind, namespace)
            for kind in kinds
            for namespace in namespaces or ("",)
        }
        self.watchers = {
            f"{kind}/{namespace}" if namespace else kind: watcher
            for (kind, namespace), watcher in self._watchers.items()
        }
        """Each with its name: the kind, and the namespace where it is one of several."""

    def _watcher(self, kind: str, namespace: str) -> Watcher[InventoryEntry]:
        # Other people's secrets are not read: whether one has the name of ours, the API server
        # says when ours is applied.
        labels = f"{MANAGED_BY}={MANAGER},{INSTANCE}={self._instance}"
        query = {"fieldSelector": f"type={TYPE}", "labelSelector": labels}
        watcher = Watcher(
            self._host.cluster,
            path_of("v1", kind, namespace),
            query if kind == SECRETS else {},
            partial(entry, kind),
            partial(self._replaced, kind, namespace),
            partial(self._changed, kind),
            partial(self._troubled, kind, namespace),
        )
        watcher.returned = self._returned
        return watcher

    def _replaced(
        self,
        kind: str,
        namespace: str,
        found: list[InventoryEntry],
        version: str,
        restored: bool,  # noqa: FBT001 - a callback's
    ) -> None:
        if restored:
            self._host.log.event("store-restored", "warning", kind=kind, **_where(namespace))
        self._concerned(
            self._inventory.replace(kind, found, version, restored=restored, namespace=namespace)
        )

    def _changed(self, kind: str, event: str, found: Object) -> None:
        change = self._inventory.remove if event == "DELETED" else self._inventory.put
        self._concerned(change(kind, found))

    def _troubled(self, kind: str, namespace: str, error: ApiError, pause: float) -> None:
        self._host.measures.trouble(kind, error.status)
        self._host.log.event(
            "watch-failed",
            "warning",
            kind=kind,
            **_where(namespace),
            status=error.status,
            error=str(error),
            again_in=pause,
        )

    @property
    def ready(self) -> bool:
        """Whether every kind has been listed."""
        return all(watcher.listed.is_set() for watcher in self.watchers.values())

    @property
    def current(self) -> bool:
        """Whether every kind has been listed, and the server was heard of each a while ago."""
        return all(age is not None and age <= STALE_SECONDS for age in self.ages().values())

    def ages(self) -> dict[str, float | None]:
        """
        Return for each kind the seconds since the server was heard; None before a list.

        Of several namespaces, the one that was not heard for the longest counts.
        """
        found: dict[str, float | None] = {}
        for (kind, _), watcher in self._watchers.items():
            age, other = watcher.age, found.get(kind, 0.0)
            found[kind] = None if age is None or other is None else max(age, other)
        return found


def _where(namespace: str) -> dict[str, str]:
    return {"namespace": namespace} if namespace else {}
