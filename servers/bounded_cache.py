"""
A cache with a bound.

What lives here: keeping values by key, the oldest dropped first.  Not here: when a value is still
good.  Its owner asks that of each value that it takes out (`token.login_cache`,
`token.answer_cache`).
"""

import threading
from collections.abc import Hashable
from itertools import islice
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """
    At most `size` values.  Safe to use from many threads.

    Looking up takes no lock; putting in takes one, and when the cache is full it drops a tenth of
    it, oldest first, so that the cost of making room is shared by many.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: dict[Key, Value] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """Return the value of a key, or None."""
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keep a value; a size of 0 keeps nothing."""
        if not self.size:
            return
        with self._lock:
            values = self._values
            values.pop(key, None)
            if len(values) >= self.size:
                for old in list(islice(values, max(1, self.size // 10))):
                    del values[old]
            values[key] = value

    def drop(self, key: Key) -> None:
        """Forget a key."""
        with self._lock:
            self._values.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
