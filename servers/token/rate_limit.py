"""
Rate limits: how often one client, or one identity, may ask.

What lives here: token buckets, kept for as many names as a bound allows.
Not here: what a name stands for, and the answer to those who ask too often (`refusals`).

Each process counts for itself, so that nothing is shared between processes: with N workers a
client can have up to N times the rate.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from regauth.servers.configuration.settings import Rate

MAX_NAMES: Final = 20_000
"""Names that are kept.  When there are more, those with a full bucket are forgotten."""


class RateLimit:
    """
    Token buckets by name.  Safe to use from many threads.

    Args:
        rate: The rate; None limits nothing.
        clock: Monotonic seconds.
        size: How many names are kept.
    """

    def __init__(
        self,
        rate: Rate | None,
        clock: Callable[[], float] = time.monotonic,
        size: int = MAX_NAMES,
    ) -> None:
        self.on = rate is not None
        """Whether it limits anything."""
        self._rate = rate
        self._clock = clock
        self._size = size
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, name: str, amount: float = 1.0) -> float:
        """
        Take from a name's bucket, and return 0, or the seconds after which it may ask again.

        An `amount` of 0 only looks.
        """
        rate = self._rate
        if rate is None:
            return 0.0
        if not amount and name not in self._buckets:
            return 0.0
        now = self._clock()
        with self._lock:
            left, then = self._buckets.get(name, (rate.burst, now))
            left = min(rate.burst, left + (now - then) * rate.per_second)
            if left < max(amount, 1.0):
                self._buckets[name] = (left, now)
                return (max(amount, 1.0) - left) / rate.per_second
            if amount:
                if name not in self._buckets and len(self._buckets) >= self._size:
                    self._forget(rate, now)
                self._buckets[name] = (left - amount, now)
        return 0.0

    def _forget(self, rate: Rate, now: float) -> None:
        """Drop the buckets that are full again, and if all are in use, those used longest ago."""
        self._buckets = {
            name: (left, then)
            for name, (left, then) in self._buckets.items()
            if left + (now - then) * rate.per_second < rate.burst
        }
        if len(self._buckets) >= self._size:
            by_age = sorted(self._buckets, key=lambda name: self._buckets[name][1])
            for name in by_age[: self._size // 10]:
                del self._buckets[name]
