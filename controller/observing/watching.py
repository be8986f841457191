"""
List and watch: one kind of object, from the first list to the end of the process.

What lives here: paging, resuming from the last resourceVersion, bookmarks, and beginning anew
when the server no longer knows it.  What must not: what an object means.

Source: Kubernetes documentation, "Kubernetes API Concepts": "Efficient detection of changes",
"Watch bookmarks", "Retrieving large results sets in chunks", "410 Gone responses".
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from regauth.controller.back_off import back_off

from .cluster import GONE, ApiError, Cluster, Object, Stream

PAGE: Final = "500"
WATCH_SECONDS: Final = 240

SILENT_SECONDS: Final = 270.0
_READ_EVENTS: Final = frozenset(("ADDED", "MODIFIED", "DELETED"))


class Watcher:
    """
    Keeps somebody informed of all objects of one kind.

    Args:
        cluster: The API.
        path: The collection.
        query: What the list is restricted to.
        replaced: Takes each whole list and its resourceVersion.
        changed: Takes each event's type and object.
        troubled: Told what went wrong and in how many seconds it is tried again.
    """

    def __init__(
        self,
        cluster: Cluster,
        path: str,
        query: dict[str, str],
        replaced: Callable[[list[Object], str], None],
        changed: Callable[[str, Object], None],
        troubled: Callable[[ApiError, float], None],
    ) -> None:
        self._cluster = cluster
        self._path = path
        self._query = query
        self._replaced = replaced
        self._changed = changed
        self._troubled = troubled
        self._stopping = threading.Event()
        self._stream: Stream | None = None
        self.version = ""
        """The resourceVersion that is known; empty before the first list."""
        self.seconds = WATCH_SECONDS
        """How long the server is asked to keep a watch open."""
        self.wait: Callable[[float], object] = self._stopping.wait
        """Waits so many seconds before the server is asked again."""
        self.listed = threading.Event()
        """Set once there has been a whole list."""

    def run(self) -> None:
        """List and watch until `stop`."""
        failures = 0
        while not self._stopping.is_set():
            try:
                if not self.version:
                    self.list()
                begun = time.monotonic()
                events = self.watch()
            except ApiError as error:
                if self._stopping.is_set():
                    return
                if error.status == GONE:
                    self.version = ""
                failures += 1
                pause = error.retry_after or back_off(failures)
                self._troubled(error, pause)
                self.wait(pause)
            else:
                # One that ends in time without an event is as it should be where nothing happens;
                # a server that ends every watch at once is not asked at once.
                early = not events and time.monotonic() - begun < self.seconds / 2
                failures = failures + 1 if early else 0
                if failures > 1:
                    self.wait(back_off(failures))

    def list(self) -> None:
        """
        Read the whole list, page by page, and hand it over.

        Raises:
            ApiError: A page failed; 410 when the list changed too much between two pages.
        """
        found: list[Object] = []
        query = {**self._query, "limit": PAGE}
        while True:
            page = self._cluster.get(self._path, **query)
            found.extend(page.get("items") or [])
            meta = page.get("metadata") or {}
            if not meta.get("continue"):
                break
            query["continue"] = meta["continue"]
        version = str(meta.get("resourceVersion") or "")
        self._replaced(found, version)
        self.version = version
        self.listed.set()

    def watch(self) -> int:
        """
        Follow the changes since the known version until the server ends the watch.

        Returns:
            How many events there were, bookmarks included.

        Raises:
            ApiError: The watch broke; 410 when the version is too old.
        """
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self.version,
            "timeoutSeconds": str(self.seconds),
        }
        events = 0
        self._stream = self._cluster.stream(self._path, query, SILENT_SECONDS)
        if self._stopping.is_set():
            self._stream.close()
        for event in self._stream:
            self._event(event)
            events += 1
        return events

    def _event(self, event: Object) -> None:
        kind, found = event.get("type"), event.get("object")
        if not isinstance(found, dict):
            raise ApiError(0, "the watch sent an event without an object")
        if kind == "ERROR":
            code = found.get("code")
            raise ApiError(
                code if isinstance(code, int) else 0,
                str(found.get("message") or "the watch failed"),
            )
        if kind in _READ_EVENTS:
            self._changed(str(kind), found)
        version = (found.get("metadata") or {}).get("resourceVersion")
        if isinstance(version, str) and version:
            self.version = version

    def stop(self) -> None:
        """End `run`, also in the middle of a watch."""
        self._stopping.set()
        if self._stream is not None:
            self._stream.close()
