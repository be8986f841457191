"""
Findings: the doctor's result of one check.

What lives here: the value.
Not here: the checks (`doctor`, `comparison`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check, and what to do when it failed."""

    right: bool
    fact: str
    remedy: str = ""


def right(fact: str) -> CheckResult:
    """Make the finding of a check that passed."""
    return CheckResult(right=True, fact=fact)


def wrong(fact: str, remedy: str) -> CheckResult:
    """Make the finding of a check that failed, with what to do."""
    return CheckResult(right=False, fact=fact, remedy=remedy)
