"""
List and watch: one kind of object, from the first list to the end of the process.

What lives here: paging, resuming from the last resourceVersion, bookmarks, and listing anew when
the server no longer knows the version.  Not here: what an object means (`reading`), and which kinds
are watched (`applying.watches`).

Source: Kubernetes documentation, "Kubernetes API Concepts": "Efficient detection of changes",
"Watch bookmarks", "Retrieving large results sets in chunks", "410 Gone responses".
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from regauth.controller.back_off import back_off

from .api_errors import GONE, ApiError
from .cluster import Cluster, Object, Stream
from .paging import read_pages

WATCH_SECONDS: Final = 240
"""How long the server is asked to keep a watch open."""

SILENT_SECONDS: Final = 270.0
"""A watch that sends nothing for so long is broken: the server ends it earlier by itself."""

STEADY_SECONDS: Final = 5.0
"""A watch that was open for so long has worked, whatever ended it: a proxy in between may cut."""

MAX_PAUSE: Final = 20.0
"""
The longest pause, in seconds, before the server is asked again.  It bounds the blindness: with the
list that follows, a new account is served within 30 seconds of the server's return.
"""

_READ_EVENTS: Final = frozenset(("ADDED", "MODIFIED", "DELETED"))
_TOO_LARGE: Final = "Too large resource version"
"""What the API server says of a version of its future (k8s.io/apimachinery, `NewTimeoutError`)."""


Entry = TypeVar("Entry")
"""What is kept of an object of a list."""


class Watcher(Generic[Entry]):
    """
    Keeps somebody informed of all objects of one kind.

    Args:
        cluster: The API.
        path: The collection.
        query: What the list is restricted to.
        reduce: Returns of an object what is kept; nothing else of a list stays in memory.
        replaced: Takes each whole list, its resourceVersion, and whether the version went back:
            then the server's store was restored, and what is known of later versions is void.
        changed: Takes each event's type and object.
        troubled: Told what went wrong and in how many seconds it is tried again.
    """

    def __init__(
        self,
        cluster: Cluster,
        path: str,
        query: dict[str, str],
        reduce: Callable[[Object], Entry],
        replaced: Callable[[list[Entry], str, bool], None],
        changed: Callable[[str, Object], None],
        troubled: Callable[[ApiError, float], None],
    ) -> None:
        self._cluster = cluster
        self._path = path
        self._query = query
        self._reduce = reduce
        self._replaced = replaced
        self._changed = changed
        self._troubled = troubled
        self._stopping = threading.Event()
        self._stream: Stream | None = None
        self._heard = False
        self._away = self._silent = False
        self._highest = 0
        self.version = ""
        """The resourceVersion that is known; empty before the first list."""
        self.seconds = WATCH_SECONDS
        """How long the server is asked to keep a watch open."""
        self.wait: Callable[[float], object] = self._stopping.wait
        """Waits so many seconds before the server is asked again."""
        self.clock: Callable[[], float] = time.monotonic
        """Seconds that never run backwards."""
        self.jitter: Callable[[], float] = random.random
        """The share, from 0 to 1, by which a pause is shortened by up to a half."""
        self.last_contact: float | None = None
        """When the server last told how things stand, by `clock`; None before the first list."""
        self.returned: Callable[[], None] = lambda: None
        """Called when the server answers that had been away."""
        self.listed = threading.Event()
        """Set once there has been a whole list."""

    def run(self) -> None:
        """List and watch until `stop`."""
        failures = 0
        while not self._stopping.is_set():
            begun, self._heard = self.clock(), False
            error = self._list_and_watch()
            if self._stopping.is_set():
                return
            # Who was heard, or stayed for a while, has worked: only what fails at once again and
            # again is asked less and less.
            worked = self._heard or self.clock() - begun >= min(STEADY_SECONDS, self.seconds / 2)
            is_back = self._is_back(error)
            failures = 0 if worked or is_back else failures + 1
            if error is not None:
                self._recover(error, failures)
            elif failures > 1:
                self.wait(self._pause(failures))

    def _list_and_watch(self) -> ApiError | None:
        """List if need be, then watch once; return what went wrong, if anything did."""
        try:
            if self._away and self.version:
                self._check_version()  # who restores a store ends its servers first
            if not self.version:
                self.list()
            begun = self.clock()
            if not self.watch() and self.clock() - begun >= STEADY_SECONDS:
                self._check_version()
        except ApiError as error:
            return error
        return None

    def _is_back(self, error: ApiError | None) -> bool:
        """
        Tell whether an error is the first answer after an outage.

        A server that has just started may refuse what it permits a second later, when it has read
        the roles.
        """
        was_silent, self._silent = self._silent, error is not None and error.away
        return was_silent and not self._silent

    def _check_version(self) -> None:
        """
        List anew if the server's version is behind ours.

        A watch without a single event or bookmark may wait for a version of the future: a server
        whose store was restored counts on from an older version, and sends nothing until it has
        caught up.
        """
        page = self._cluster.get(self._path, **self._query, limit="1")
        if _number((page.get("metadata") or {}).get("resourceVersion")) < _number(self.version):
            self.version = ""

    def _recover(self, error: ApiError, failures: int) -> None:
        self._away = self._away or error.away
        # What a server or a proxy asks for has the same bound: it would be as long a blindness.
        pause = min(error.retry_after or self._pause(failures), MAX_PAUSE)
        if error.status == GONE or _TOO_LARGE in str(error):
            # The version is too old, or (after etcd was restored) too new: a list mends it.  It is
            # no failure of the server, so it costs no time, unless it comes again at once.
            self.version = ""
            pause = 0.0 if failures <= 1 else pause
        self._troubled(error, pause)
        if pause:
            self.wait(pause)

    def _pause(self, failures: int) -> float:
        return min(back_off(failures), MAX_PAUSE) * (1.0 - self.jitter() / 2)

    def list(self) -> None:
        """
        Read the whole list, page by page, and hand it over.

        Raises:
            ApiError: A page failed; 410 when the list changed too much between two pages.
        """
        found: list[Entry] = []
        meta: Object = {}
        for page in read_pages(self._cluster, self._path, self._query):
            found.extend(map(self._reduce, page.get("items") or []))
            meta = page.get("metadata") or {}
        version = str(meta.get("resourceVersion") or "")
        self._replaced(found, version, _number(version) < self._highest)
        self.version = version
        self._highest = _number(version)
        self.last_contact = self.clock()
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
        if self._away:
            self._away = False
            self.returned()
        if self._stopping.is_set():
            self._stream.close()
        for event in self._stream:
            self._event(event)
            self._heard = True
            self.last_contact = self.clock()
            events += 1
        self.last_contact = self.clock()
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
        version = (found.get("metadata") or {}).get("resourceVersion")
        if isinstance(version, str) and _number(version) < self._highest:
            raise ApiError(GONE, "the server's versions went back: its store was restored")
        if kind in _READ_EVENTS:
            self._changed(str(kind), found)
        if isinstance(version, str) and version:
            self.version = version
            self._highest = _number(version)

    @property
    def age(self) -> float | None:
        """Seconds since the server last told how things stand; None before the first list."""
        return None if self.last_contact is None else self.clock() - self.last_contact

    def stop(self) -> None:
        """End `run`, also in the middle of a watch."""
        self._stopping.set()
        if self._stream is not None:
            self._stream.close()


def _number(version: object) -> int:
    """Return a resourceVersion as a number; KEP-5504 says that versions can be compared so."""
    text = version if isinstance(version, str) else ""
    return int(text) if text.isascii() and text.isdigit() else 0
