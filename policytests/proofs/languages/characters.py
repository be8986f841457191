"""
Sets of characters as intervals of code points.

What lives here: union, intersection, complement.  Not here: texts.

The alphabet is Unicode without its surrogates: no JSON text that a token may hold has one
(`regauth.engine` reads tokens strictly), and CEL has no literal for one.
"""

from collections.abc import Iterable
from typing import Final

Characters = tuple[tuple[int, int], ...]
"""Disjoint intervals, both ends included, in ascending order, none touching the next."""

LAST: Final = 0x10FFFF
FIRST_SURROGATE: Final = 0xD800
AFTER_SURROGATES: Final = 0xE000

EVERY: Final[Characters] = ((0, FIRST_SURROGATE - 1), (AFTER_SURROGATES, LAST))
"""Every character there is."""


def union(intervals: Iterable[tuple[int, int]]) -> Characters:
    """Return the set of all characters in some intervals, which may overlap."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(intervals):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def intersection(left: Characters, right: Characters) -> Characters:
    """Return the characters in both sets."""
    return union(
        (max(low, other_low), min(high, other_high))
        for low, high in left
        for other_low, other_high in right
        if max(low, other_low) <= min(high, other_high)
    )


def complement(characters: Characters) -> Characters:
    """Return every character that is not in the set."""
    found, at = [], 0
    for low, high in union(characters):
        if at < low:
            found.append((at, low - 1))
        at = high + 1
    if at <= LAST:
        found.append((at, LAST))
    return intersection(tuple(found), EVERY)


def of_text(text: str) -> Characters:
    """Return the set of the characters of a text."""
    return union((ord(character), ord(character)) for character in text)


def ranges(*bounds: str) -> Characters:
    """Return the set of ranges, each written as two characters: `ranges("az", "09")`."""
    return union((ord(bound[0]), ord(bound[1])) for bound in bounds)


def shifted(characters: Characters, distance: int) -> Characters:
    """Return the set with every code point moved by a distance."""
    return tuple((low + distance, high + distance) for low, high in characters)
