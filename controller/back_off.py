"""
How long to wait before a failed attempt is repeated.

What lives here: the length of the pause after so many failures.  Not here: waiting, and who has
failed how often (`applying.work_queue`, `observing.watching`).
"""

from typing import Final

FIRST_PAUSE: Final = 0.5
"""Seconds after the first failure."""

LONGEST_PAUSE: Final = 300.0
"""Seconds that no pause exceeds."""


def back_off(failures: int) -> float:
    """Return the seconds to wait after `failures` failures in a row: doubled each time."""
    return min(FIRST_PAUSE * 2.0 ** min(max(failures, 1) - 1, 20), LONGEST_PAUSE)
