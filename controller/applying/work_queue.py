"""
The work queue: which service accounts to check, and when.

What lives here: each key once, not by two workers at a time, later and later while it fails, the
namespaces in turn; and the throttle on requests.  Not here: what is done for an account
(`reconciling`).

The meaning is that of client-go's workqueue, but for the turns: a namespace in which thousands of
accounts are made at once must not keep the others waiting.
"""

import heapq
import threading
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum

from regauth.controller.back_off import LONGEST_PAUSE, back_off
from regauth.controller.observing.observed import AccountKey


class Urgency(IntEnum):
    """How soon a key should be looked at, compared with the others of its namespace."""

    GOOD = 0
    """Its account has a good token."""
    EXPIRED = 1
    """Its account has had a token, which is good no more."""
    NEW = 2
    """Its account has no token yet."""


class _Line:
    """What waits of one namespace: by urgency, each key with the moment since when."""

    def __init__(self) -> None:
        self._waiting: tuple[OrderedDict[AccountKey, float], ...]
        self._waiting = tuple(OrderedDict() for _ in Urgency)
        self._new_was_last = False

    def put(self, key: AccountKey, since: float, urgency: Urgency) -> None:
        self._waiting[urgency][key] = since

    def raise_to(self, key: AccountKey, urgency: Urgency) -> None:
        """Put a key that waits among the more urgent ones, if it is not there yet."""
        for less in self._waiting[:urgency]:
            if key in less:
                self.put(key, less.pop(key), urgency)

    def take(self) -> AccountKey:
        """
        Take out the key that is next: the most urgent one, but every other time none that is new.

        Who makes accounts without end would else have the tokens of the namespace expire.
        """
        lines = [one for one in reversed(self._waiting) if one]
        is_new = lines[0] is self._waiting[Urgency.NEW]
        if is_new and self._new_was_last and len(lines) > 1:
            del lines[0]
        self._new_was_last = lines[0] is self._waiting[Urgency.NEW]
        return lines[0].popitem(last=False)[0]

    @property
    def is_empty(self) -> bool:
        return not any(self._waiting)

    @property
    def since(self) -> float:
        # Not of the first of each: who moves forward keeps the moment, and stands behind others.
        return min(since for line in self._waiting for since in line.values())


class WorkQueue:
    """
    Keys that wait; safe for threads.

    Args:
        clock: Seconds that never run backwards.
        urgency: How urgent a key is now.  It must not call the queue, which waits for it.
    """

    def __init__(
        self, clock: Callable[[], float], urgency: Callable[[AccountKey], Urgency]
    ) -> None:
        self._clock = clock
        self._urgency = urgency
        self._condition = threading.Condition()
        self._ready: OrderedDict[str, _Line] = OrderedDict()
        self._ready_keys = 0
        self._waiting: list[tuple[float, AccountKey]] = []
        self._due: dict[AccountKey, float] = {}
        self._pending: set[AccountKey] = set()
        self._unserved: dict[AccountKey, Urgency] = {}
        self._working: set[AccountKey] = set()
        self._failures: dict[AccountKey, int] = {}
        self._away: set[AccountKey] = set()
        self._closed = False

    def add(self, key: AccountKey) -> None:
        """
        Have a key looked at; one that is being worked on is looked at again afterwards.

        Urgent keys come before the others of their namespace, and not before those of another.  A
        key that waits already moves forward if it has become more urgent.  A key stays as urgent as
        it was until it has succeeded: a token is of use only once its account names it.
        """
        with self._condition:
            if key not in self._pending:
                self._pending.add(key)
                if key not in self._working:
                    self._line_up(key)
                    self._condition.notify()
            elif key not in self._working:
                self._ready[key.namespace].raise_to(key, self._how_urgent(key))

    def add_in(self, key: AccountKey, seconds: float) -> None:
        """Have a key looked at in so many seconds; the last such time of a key counts."""
        with self._condition:
            when = self._clock() + max(seconds, 0.0)
            self._due[key] = when
            heapq.heappush(self._waiting, (when, key))
            self._condition.notify()

    def retry(self, key: AccountKey, at_least: float = 0.0, *, away: bool = False) -> float:
        """
        Have a key that failed looked at again; return in how many seconds.

        Args:
            key: The key.
            at_least: How many seconds somebody asks to wait; no more than the longest pause counts.
            away: Whether the server was away, so that the key need not wait once it is back.
        """
        with self._condition:
            failures = self._failures.get(key, 0) + 1
            self._failures[key] = failures
            self._away.discard(key)
            if away:
                self._away.add(key)
        pause = max(back_off(failures), min(at_least, LONGEST_PAUSE))
        self.add_in(key, pause)
        return pause

    def hurry(self) -> None:
        """Have the keys looked at now that failed because the server was away, as if once."""
        with self._condition:
            for key in sorted(self._away):
                self._due.pop(key, None)
                self._failures[key] = 0
                self.add(key)
            self._away.clear()

    def failures(self, key: AccountKey) -> int:
        """Return how often a key has failed in a row."""
        with self._condition:
            return self._failures.get(key, 0)

    def succeeded(self, key: AccountKey) -> None:
        """Forget a key's failures, how urgent it was, and when it was to be looked at."""
        with self._condition:
            self._unserved.pop(key, None)
            self._failures.pop(key, None)
            self._away.discard(key)
            self._due.pop(key, None)

    def take(self) -> AccountKey | None:
        """Return a key to work on, without waiting; `done` must follow."""
        with self._condition:
            return self._take()

    def get(self) -> AccountKey | None:
        """Wait for a key to work on; None once the queue is closed."""
        with self._condition:
            while not self._closed:
                key = self._take()
                if key is not None:
                    return key
                self._condition.wait(self._pause())
            return None

    def done(self, key: AccountKey) -> None:
        """End the work on a key."""
        with self._condition:
            self._working.discard(key)
            if key in self._pending:
                self._line_up(key)
            self._condition.notify_all()

    def close(self) -> None:
        """Release all threads that wait."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def has(self, namespace: str) -> bool:
        """Tell whether a key of a namespace could be worked on now."""
        with self._condition:
            return namespace in self._ready

    @property
    def depth(self) -> int:
        """How many keys could be worked on now, or are."""
        with self._condition:
            self._ripen()
            return self._ready_keys + len(self._working)

    @property
    def failing(self) -> int:
        """How many keys have failed and not succeeded since."""
        with self._condition:
            return len(self._failures)

    @property
    def namespaces(self) -> int:
        """How many namespaces have keys that could be worked on now."""
        with self._condition:
            return len(self._ready)

    @property
    def wait(self) -> float:
        """For how many seconds the key that could be worked on for longest has waited."""
        with self._condition:
            now = self._clock()
            return now - min((line.since for line in self._ready.values()), default=now)

    def _take(self) -> AccountKey | None:
        self._ripen()
        if not self._ready:
            return None
        namespace, line = self._ready.popitem(last=False)
        key = line.take()
        self._ready_keys -= 1
        if not line.is_empty:
            self._ready[namespace] = line  # behind all others that have work
        self._pending.discard(key)
        self._working.add(key)
        return key

    def _line_up(self, key: AccountKey) -> None:
        line = self._ready.setdefault(key.namespace, _Line())
        line.put(key, self._clock(), self._how_urgent(key))
        self._ready_keys += 1

    def _how_urgent(self, key: AccountKey) -> Urgency:
        urgency = max(self._urgency(key), self._unserved.get(key, Urgency.GOOD))
        if urgency is not Urgency.GOOD:
            self._unserved[key] = urgency
        return urgency

    def _ripen(self) -> None:
        now = self._clock()
        while self._waiting and self._waiting[0][0] <= now:
            when, key = heapq.heappop(self._waiting)
            if self._due.get(key) == when:
                del self._due[key]
                self.add(key)

    def _pause(self) -> float | None:
        return max(self._waiting[0][0] - self._clock(), 0.0) if self._waiting else None


class Throttle:
    """
    A token bucket: so many requests a second, and so many at once.

    Args:
        per_second: How fast it fills.
        burst: How much it holds.
        clock: Seconds that never run backwards.
        wait: Waits so many seconds.
    """

    def __init__(
        self,
        per_second: float,
        burst: float,
        clock: Callable[[], float],
        wait: Callable[[float], object],
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._level = burst
        self._seen = clock()

    def __call__(self) -> None:
        """Take one; wait for it if there is none left."""
        with self._lock:
            now = self._clock()
            self._level = min(self._burst, self._level + (now - self._seen) * self._per_second)
            self._seen = now
            self._level -= 1.0
            debt = -self._level / self._per_second
        if debt > 0:
            self._wait(debt)
