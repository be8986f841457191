"""
The watches that keep the inventory up to date, one for each kind of object.

What lives here: what is watched, and how old the news may be.  Not here: what is done about it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from regauth.controller.naming import INSTANCE, MANAGED_BY, MANAGER
from regauth.controller.observing.api_errors import ApiError
from regauth.controller.observing.cluster import Object, path_of
from regauth.controller.observing.docker_config import TYPE
from regauth.controller.observing.inventory import SECRETS, Entry, Inventory, entry
from regauth.controller.observing.observed import Key
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
        concerned: Told of the accounts that a change concerns.
    """

    def __init__(
        self,
        host: Host,
        inventory: Inventory,
        instance: str,
        kinds: Iterable[str],
        concerned: Callable[[set[Key]], None],
    ) -> None:
        self._host = host
        self._inventory = inventory
        self._instance = instance
        self._concerned = concerned
        self.watchers = {kind: self._watcher(kind) for kind in kinds}

    def _watcher(self, kind: str) -> Watcher[Entry]:
        # Other people's secrets are not read: whether one has the name of ours, the API server
        # says when ours is applied.
        labels = f"{MANAGED_BY}={MANAGER},{INSTANCE}={self._instance}"
        query = {"fieldSelector": f"type={TYPE}", "labelSelector": labels}
        return Watcher(
            self._host.cluster,
            path_of("v1", kind),
            query if kind == SECRETS else {},
            partial(entry, kind),
            partial(self._replaced, kind),
            partial(self._changed, kind),
            partial(self._troubled, kind),
        )

    def _replaced(self, kind: str, found: list[Entry], version: str, restored: bool) -> None:  # noqa: FBT001 - a callback's
        if restored:
            self._host.log.event("store-restored", "warning", kind=kind)
        self._concerned(self._inventory.replace(kind, found, version, restored=restored))

    def _changed(self, kind: str, event: str, found: Object) -> None:
        change = self._inventory.remove if event == "DELETED" else self._inventory.put
        self._concerned(change(kind, found))

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

    @property
    def ready(self) -> bool:
        """Whether every kind has been listed."""
        return all(watcher.listed.is_set() for watcher in self.watchers.values())

    @property
    def current(self) -> bool:
        """Whether every kind has been listed, and the server was heard of each a while ago."""
        return all(age is not None and age <= STALE_SECONDS for age in self.ages().values())

    def ages(self) -> dict[str, float | None]:
        """Return for each kind the seconds since the server was heard; None before a list."""
        return {kind: watcher.age for kind, watcher in self.watchers.items()}
