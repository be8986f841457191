"""
Contention: what was written and somebody has undone since, and how long to leave it alone.

What lives here: counting the same write to the same account, and the pause before the next.
Not here: the write (`applying`), and what people are told of it (`owner_events`).

A GitOps controller that takes a name off an account's list as often as it is added there would be
hundreds of writes a second, at the cost of all other accounts.
"""

import threading
from collections.abc import Callable
from typing import Final

from regauth.controller.back_off import back_off
from regauth.controller.observing.observed import AccountKey
from regauth.controller.planning.planning import (
    Attach,
    Change,
    Delete,
    Issue,
    IssueCause,
    ReportEvent,
)

MEMORY_SECONDS: Final = 3600.0
"""A write that held for so long was not undone."""

TOLD_AFTER: Final = 3
"""How often something is undone before people are told of it."""


class Contention:
    """
    Remembers the last writes; safe for threads.

    Args:
        clock: Seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._writes: dict[int, tuple[float, int]] = {}
        self._purge_at = 1024

    def pause(self, key: AccountKey, change: Change) -> float:
        """Return how many seconds to wait before a change may be made, 0 in most cases."""
        with self._lock:
            when, times = self._writes.get(_write(key, change), (0.0, 0))
            left = when + back_off(times) - self._clock() if times > 1 else 0.0
            return max(left, 0.0)

    def times(self, key: AccountKey, change: Change) -> int:
        """Return how often a change was made and undone again."""
        with self._lock:
            when, times = self._writes.get(_write(key, change), (0.0, 1))
            return times - 1 if self._clock() - when < MEMORY_SECONDS else 0

    def wrote(self, key: AccountKey, change: Change) -> None:
        """Take note of a change that was made."""
        if isinstance(change, ReportEvent) or getattr(change, "cause", "") == IssueCause.ROTATION:
            return  # nobody undoes a report, and a token's life ends by itself
        with self._lock:
            now, write = self._clock(), _write(key, change)
            when, times = self._writes.get(write, (now, 0))
            self._writes[write] = (now, times + 1 if now - when < MEMORY_SECONDS else 1)
            if len(self._writes) > self._purge_at:
                self._purge(now)

    def _purge(self, now: float) -> None:
        kept = {one: it for one, it in self._writes.items() if now - it[0] < MEMORY_SECONDS}
        self._writes = kept
        self._purge_at = max(2 * len(kept), 1024)


def _write(key: AccountKey, change: Change) -> int:
    """Return what stands for a write to an account: of the same kind, to the same object."""
    match change:
        case Issue(account=account):
            return hash((key, "issue", account.uid))
        case Attach(account=account):
            return hash((key, "attach", account.uid))
        case Delete(secret=secret):
            return hash((key, "delete", secret))
        case ReportEvent():
            return hash((key, "report"))
