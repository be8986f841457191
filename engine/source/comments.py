"""
The comments of a YAML document, and the lines that each comment is about.

What lives here: finding them, which a YAML parser leaves out.  Not here: what a comment asks for
(`compiler.silencing`).
"""

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from . import nodes
from .problems import Location

_BLOCKS: Final = ("|", ">")


@dataclass(frozen=True, slots=True)
class Comment:
    """
    A comment, from its `#` to the end of the line.

    `lines` are those it is about: its own, and where it stands alone the next; and of a block
    scalar (`|`, `>`) that begins in one of them all.
    """

    text: str
    location: Location
    lines: range


def comments(text: str, file: str) -> Iterator[Comment]:
    """Return the comments of a document; none of one that is not YAML."""
    text = text.removeprefix("\ufeff")
    scalars = nodes.scalars(text)
    if scalars is None:
        return
    blocks = {
        one.line: _last_line(text, one.start, one.end) for one in scalars if one.style in _BLOCKS
    }
    covered = _Covered(text, scalars)
    at = 0
    for number, line in enumerate(text.split("\n"), 1):
        for found in re.finditer(r"(?:^|(?<=[ \t]))#", line):
            if covered(at + found.start()):
                continue
            alone = not line[: found.start()].strip()
            last = number + alone
            yield Comment(
                line[found.start() :],
                Location(file, number, found.start() + 1, number, len(line) + 1),
                range(number, max(last, blocks.get(last, 0)) + 1),
            )
            break
        at += len(line) + 1


def _last_line(text: str, start: int, end: int) -> int:
    return text.count("\n", 0, start + len(text[start:end].rstrip())) + 1


class _Covered:
    """Tells whether a place in a document is inside a scalar, where no comment can be."""

    def __init__(self, text: str, scalars: list[nodes.Scalar]) -> None:
        self._starts = [one.start for one in scalars]
        self._ends = []
        for one in scalars:
            # The line that a block scalar begins in can end with a comment.
            first = text.find("\n", one.start) if one.style in _BLOCKS else one.start
            self._ends.append((first, one.end))

    def __call__(self, at: int) -> bool:
        index = bisect.bisect_right(self._starts, at) - 1
        return index >= 0 and self._ends[index][0] <= at < self._ends[index][1]
