"""
Sets of characters, as sorted intervals of code points.

What lives here: the intervals, their union, intersection and complement.  Not here: patterns
(`patterns`).
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

Characters: TypeAlias = tuple[tuple[int, int], ...]
"""Sorted, disjoint and not adjacent; each interval holds both its ends."""

LAST: Final = 0x10FFFF
FIRST_SURROGATE: Final = 0xD800
AFTER_SURROGATES: Final = 0xE000
ALL: Final[Characters] = ((0, FIRST_SURROGATE - 1), (AFTER_SURROGATES, LAST))
"""Every character.  Surrogates are none: JSON text with half of a pair is refused."""

_READABLE: Final = (
    (ord("a"), ord("z")),
    (ord("0"), ord("9")),
    (ord("A"), ord("Z")),
    (0x21, 0x7E),
    (0x20, 0x20),
)


def normal(intervals: Iterable[tuple[int, int]]) -> Characters:
    """Return intervals sorted, with those that touch or overlap joined."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(intervals):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return tuple(joined)


def of(text: str) -> Characters:
    """Return the set of a text's characters."""
    if len(text) == 1:
        return ((ord(text), ord(text)),)
    return normal((ord(character), ord(character)) for character in text)


def between(*ranges: str) -> Characters:
    """Return a set of ranges, each written as its two ends: `between("az", "09")`."""
    return normal((ord(ends[0]), ord(ends[1])) for ends in ranges)


def union(*sets: Characters) -> Characters:
    """Return the characters that are in any of the sets."""
    return normal(interval for one in sets for interval in one)


def meet(left: Characters, right: Characters) -> Characters:
    """Return the characters that are in both sets."""
    found: list[tuple[int, int]] = []
    at = beside = 0
    while at < len(left) and beside < len(right):
        low = max(left[at][0], right[beside][0])
        high = min(left[at][1], right[beside][1])
        if low <= high:
            found.append((low, high))
        if left[at][1] < right[beside][1]:
            at += 1
        else:
            beside += 1
    return tuple(found)


def others(characters: Characters) -> Characters:
    """Return the characters that are not in the set."""
    gaps: list[tuple[int, int]] = []
    begin = 0
    for low, high in characters:
        if begin < low:
            gaps.append((begin, low - 1))
        begin = high + 1
    if begin <= LAST:
        gaps.append((begin, LAST))
    return meet(tuple(gaps), ALL)


def shifted(characters: Characters, distance: int) -> Characters:
    """Return the set with every code point moved by a distance."""
    return tuple((low + distance, high + distance) for low, high in characters)


def sample(characters: Characters) -> str:
    """Return one character of a set that is not empty, a letter or digit where there is one."""
    for readable in _READABLE:
        both = meet(characters, (readable,))
        if both:
            return chr(both[0][0])
    return chr(characters[0][0])
