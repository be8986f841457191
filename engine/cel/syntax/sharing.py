"""
One parse for all expressions that differ in the words of their strings alone.

What lives here: the shape of an expression, in which plain strings are blanks, and putting the
strings of another expression of that shape, and its offsets, into the tree of the first.  A policy
of ten thousand grants has few shapes.  Not here: parsing (`parsing`).

Only strings are blanks that the scan and the parser cannot see differently: printable ASCII between
single quotes or double quotes, without escapes, prefixes and quotes inside.  The text of such a
string matters only to the checks, which see the whole tree; the tests hold the tree equal to that
of a parse of the text itself.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from .nodes import Constant, Node
from .scanning import Scan

_PLAIN: Final = re.compile(r""""[ !#-&(-\[\]-~]*"|'[ !#-&(-\[\]-~]*'""")
_BLANK: Final = '"x"'
_SIMPLE: Final = re.compile(
    # No other strings, no comment, and no quote that could belong to a prefix or to three quotes.
    rf"""(?:[^"'\\/]++|(?<![A-Za-z0-9_])(?:{_PLAIN.pattern})(?!["']))*+"""
)

_OFFSETS: Final = frozenset({"start", "end", "field_start", "name_start", "text_start"})
_NODES: Final = frozenset(
    {
        *("operand", "index", "left", "right", "test", "yes", "no"),
        *("target", "source", "body", "transform"),
    }
)
_LISTS: Final = frozenset({"items", "operands", "arguments"})


@dataclass(frozen=True, slots=True)
class Shape:
    """An expression with blanks for plain strings, and what stood there."""

    text: str
    strings: dict[int, str]
    """What stands in each blank, by where the blank begins."""
    ends: tuple[int, ...]
    """Where each blank ends."""
    shifts: tuple[int, ...]
    """How far what follows each blank is from its place in the expression itself."""


def shape_of(text: str, found: Scan) -> Shape:
    """Return the shape of an expression; `found` is what the scan of it found."""
    plain = (
        (start, end)
        for start, end in sorted(found.strings.items())
        if _PLAIN.fullmatch(text, start, end) is not None
    )
    return _shape(text, plain)


def simple_shape(text: str) -> Shape | None:
    """Return the shape of an expression that needs no scan, as most do; None for another one."""
    if _SIMPLE.fullmatch(text) is None:
        return None
    return _shape(text, (found.span() for found in _PLAIN.finditer(text)))


def _shape(text: str, plain: Iterable[tuple[int, int]]) -> Shape:
    """Return the shape of an expression by where its plain strings begin and end."""
    parts: list[str] = []
    strings: dict[int, str] = {}
    ends: list[int] = []
    wider: list[int] = []
    at = length = 0
    for start, end in plain:
        parts += (text[at:start], _BLANK)
        length += start - at
        strings[length] = text[start + 1 : end - 1]
        length += len(_BLANK)
        ends.append(length)
        wider.append(end - start - len(_BLANK))
        at = end
    parts.append(text[at:])
    return Shape("".join(parts), strings, tuple(ends), tuple(accumulate(wider)))


def fill(node: Node, shape: Shape) -> Node:
    """Return the tree of the shape's text with the strings and offsets of the expression itself."""
    return _Filler(shape).fill(node) if shape.strings else node


class _Filler:
    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def fill(self, node: Node) -> Node:
        values = [change(self, getattr(node, name)) for name, change in _PLANS[type(node)]]
        if type(node) is Constant and node.text_start is not None:
            said = self._shape.strings.get(node.text_start - 1)
            if said is not None:
                return Constant(values[0], values[1], said, values[3])
        made: Node = type(node)(*values)
        return made

    def offset(self, at: int | None) -> int | None:
        if at is None:
            return None
        blanks = bisect_right(self._shape.ends, at)
        return at + self._shape.shifts[blanks - 1] if blanks else at

    def optional(self, node: Node | None) -> Node | None:
        return None if node is None else self.fill(node)

    def all(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        return tuple(map(self.fill, nodes))

    def same(self, value: object) -> object:
        return value


def _change(name: str) -> Callable[[_Filler, Any], Any]:
    if name in _OFFSETS:
        return _Filler.offset
    if name in _NODES:
        return _Filler.optional
    return _Filler.all if name in _LISTS else _Filler.same


_PLANS: Final = {
    kind: tuple((each, _change(each)) for each in kind.__struct_fields__) for kind in Node.__args__
}
