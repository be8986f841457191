"""
Exit codes: what `policytest` ends with beside pytest's own 0 to 5.

What lives here: the numbers that scripts rely on.  Not here: when each is due.
"""

from typing import Final

INTERRUPTED: Final = 2
"""Somebody stopped it (pytest's)."""

NOTHING_RUN: Final = 5
"""There was nothing to judge, so nothing is said to be right (pytest's)."""

USAGE: Final = 4
"""What was asked for cannot be done; the caller's fault (pytest's)."""

POLICY_BROKEN: Final = 10
"""A policy does not compile."""

GATE_MISSED: Final = 11
"""Coverage or mutation score is under what was asked for."""

NEW_ACCESS: Final = 12
"""Somebody gets what they did not get before, and nobody accepted it."""

NOT_EXCLUDED: Final = 13
"""Nobody is known to get more than before, but for some it could not be found out."""
