"""
Findings: what the doctor says of one thing that it looked at.

What lives here: the value.
Not here: looking.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: whether it is right, and what to do when it is not."""

    right: bool
    fact: str
    remedy: str = ""


def right(fact: str) -> Finding:
    """Say what is as it must be."""
    return Finding(right=True, fact=fact)


def wrong(fact: str, remedy: str) -> Finding:
    """Say what is not, and what to do about it."""
    return Finding(right=False, fact=fact, remedy=remedy)
