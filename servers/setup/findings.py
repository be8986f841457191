"""
Findings: the doctor's result of one check.

What lives here: the value.
Not here: the checks.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, and what to do when it failed."""

    right: bool
    fact: str
    remedy: str = ""


def right(fact: str) -> Finding:
    """Make the finding of a check that passed."""
    return Finding(right=True, fact=fact)


def wrong(fact: str, remedy: str) -> Finding:
    """Make the finding of a check that failed, with what to do."""
    return Finding(right=False, fact=fact, remedy=remedy)
