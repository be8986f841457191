"""
How much generated input a test takes: a part in `make test`, all of it in `make fuzz`.

A test that asks here is marked `fuzz`, or `make fuzz` would not run it.
"""

import os
from collections.abc import Sequence
from typing import Final, TypeVar

FUZZING: Final = float(os.environ.get("FUZZ_SECONDS", "0")) > 0
PART: Final = 1 if FUZZING else 3
"""Which part `make test` takes: every third."""

_T = TypeVar("_T")


def seeds(count: int) -> range:
    """Return so many seeds; in `make test` the first third of them."""
    return range(max(count // PART, 1))


def some(items: Sequence[_T]) -> Sequence[_T]:
    """Return all items; in `make test` every third of them, the first included."""
    return items[::PART]
