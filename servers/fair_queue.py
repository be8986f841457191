"""
Waiting for a thread: who is served next, and who is turned away.

What lives here: the queue, and the measure of being overloaded.  Not here: what a client is told
(`regauth.servers.http_server.shedding`), and the threads (`http_server.tasks`,
`http_server.granian_answers`).

The measure is the age of the oldest request that waits, as in CoDel (RFC 8289): a queue that is
long for a moment is a burst, and one whose head is old does not get shorter.  Who got least is
served first, as in fair queueing.  So a client that asks for more than its share waits for the
others, and it is the one that is told to come again.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

WINDOW: Final = 5.0
"""Seconds after which what a client got begins to be forgotten; after twice that it is."""

MAX_NAMES: Final = 20_000
"""Clients of a window.  With more, a new window begins earlier."""

LEVELS: Final = 16
"""Clients of one level got about as much: none, one, two or three, four to seven, and so on."""

MAX_OVERTAKEN: Final = 2
"""Times the bound of its age that a request waits when others are served before it."""

MAX_PRIVILEGED: Final = 32
"""Privileged requests that may wait."""

MAX_PRIVILEGES: Final = 100
"""Privileged requests of one client in a window; more are ordinary ones."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class WaitBounds:
    """How long the queue may become."""

    seconds: float = 2.0
    """The age of the oldest request above which others are told to come again."""
    requests: int = 500
    """The same for their number."""


def wait_bounds(seconds: float | None) -> WaitBounds | None:
    """Return the bounds for a setting, whose None is without any."""
    return None if seconds is None else WaitBounds(seconds)


class _Waiting(NamedTuple, Generic[Item]):
    item: Item
    since: float


class FairQueue(Generic[Item]):
    """
    Requests that wait for a thread.  Its owner holds a lock around each call.

    Args:
        bounds: Its bounds; None is without any, and then the order is that of arrival.
        clock: Monotonic seconds.
    """

    def __init__(
        self, bounds: WaitBounds | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bounds = bounds
        self._clock = clock
        self._privileged: deque[Item] = deque()
        self._levels: tuple[deque[_Waiting[Item]], ...] = tuple(deque() for _ in range(LEVELS))
        self._length = 0
        self._got: Counter[str] = Counter()
        self._got_before: Counter[str] = Counter()
        self._window_ends = 0.0

    def __len__(self) -> int:
        return self._length + len(self._privileged)

    def refuses(self, client: str) -> bool:
        """
        Tell whether a request of a client is to be told to come again.

        Only requests that would be served before it count.  So clients that got less are served as
        if those that got more were not there.
        """
        bounds = self._bounds
        if bounds is None or not self._length:
            return False
        oldest, ahead = self._clock() - bounds.seconds, 0
        for waiting in self._levels[: self._level_of(client) + 1]:
            if waiting:
                ahead += len(waiting)
                if waiting[0].since < oldest:
                    return True
        return ahead >= bounds.requests

    def add(self, client: str, item: Item, *, may_displace: bool = True) -> Item | None:
        """Have a request wait; return one that gives way to it, where the queue is full."""
        level, out = 0, None
        bounds = self._bounds
        if bounds is not None and self._length:  # else nobody has to share
            level = self._level_of(client)
            self._count(client)
            if may_displace and self._length >= bounds.requests:
                out = self._last_above(level)
        self._levels[level].append(_Waiting(item, self._clock()))
        self._length += 1
        return out

    def add_privileged(self, client: str, item: Item) -> bool:
        """
        Have a request wait before all others, and say whether it may.

        A probe must get its answer.  But its path is nobody's secret, so each client has few of
        these requests.
        """
        if len(self._privileged) >= MAX_PRIVILEGED:
            return False
        if self._count(f"privileged {client}") > MAX_PRIVILEGES:
            return False
        self._privileged.append(item)
        return True

    def next_privileged(self) -> Item | None:
        """Take out the privileged request that is served next, or return None without any."""
        return self._privileged.popleft() if self._privileged else None

    def next(self) -> Item | None:
        """Take out the request that is served next, or return None where none waits."""
        if self._privileged:
            return self._privileged.popleft()
        for waiting in self._levels:
            if waiting:
                self._length -= 1
                return waiting.popleft().item
        return None

    def overtaken(self) -> list[Item]:
        """
        Take out the requests that waited too long, because others are served before them.

        Otherwise they would hold their connections until their clients hang up.
        """
        found: list[Item] = []
        if self._bounds is None or not self._length:
            return found
        oldest = self._clock() - MAX_OVERTAKEN * self._bounds.seconds
        for waiting in self._levels:
            while waiting and waiting[0].since < oldest:
                found.append(waiting.popleft().item)
                self._length -= 1
        return found

    def oldest(self) -> float:
        """Return for how many seconds the oldest request waits; 0 without any."""
        heads = [waiting[0].since for waiting in self._levels if waiting]
        return self._clock() - min(heads) if heads else 0.0

    def _last_above(self, level: int) -> Item | None:
        """Take out the request that would be served last, if that is after a level."""
        for waiting in reversed(self._levels[level + 1 :]):
            if waiting:
                self._length -= 1
                return waiting.pop().item
        return None

    def _level_of(self, client: str) -> int:
        """Return how much a client got, on a scale of powers of two."""
        self._forget()
        got = self._got.get(client, 0) + self._got_before.get(client, 0)
        return min(got.bit_length(), LEVELS - 1)

    def _count(self, name: str) -> int:
        self._forget()
        self._got[name] += 1
        return self._got[name]

    def _forget(self) -> None:
        now = self._clock()
        if now >= self._window_ends or len(self._got) >= MAX_NAMES:
            # After a pause, what was counted before it is too old.
            stale = now >= self._window_ends + WINDOW
            self._got_before = Counter() if stale else self._got
            self._got, self._window_ends = Counter(), now + WINDOW
