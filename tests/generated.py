"""
How much generated input a test takes: a part in `make test`, all of it in `make fuzz`.

Generated input is what a program made: random policies, mutants, bugs that are planted in our own
code to see that a test finds them.  `make test` asks whether a change broke something, after each
change; a tenth is enough for that.  `make fuzz` looks for what nobody thought of, each night.

A test that asks here is marked `fuzz`, or `make fuzz` would not run it.
"""

import os
from collections.abc import Sequence
from typing import Final, TypeVar

FUZZING: Final = float(os.environ.get("FUZZ_SECONDS", "0")) > 0
PART: Final = 1 if FUZZING else 10
"""Which part `make test` takes: a tenth."""

_T = TypeVar("_T")


def share(count: int) -> int:
    """Return how many of so many are taken: all, or the tenth part of them, at least one."""
    return max(count // PART, 1)


def seeds(count: int) -> range:
    """Return so many seeds; in `make test` the first tenth of them."""
    return range(share(count))


def some(items: Sequence[_T]) -> Sequence[_T]:
    """Return all items; in `make test` every tenth of them, the first included."""
    return items[::PART]
