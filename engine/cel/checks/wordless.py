"""
Expressions of which the checks say the same whatever the words in their strings are.

What lives here: which trees are such.  Not here: sharing a parse (`syntax.sharing`), and the checks
(`checking`, `constants`).

A policy of ten thousand grants has few shapes.  Where one expression of a shape was checked and
nothing was found, nothing is found in another one, if no check looks at the words: they are
compared with a value each, and no value is compared twice, so that they cannot contradict each
other.
"""

from typing import Final

from regauth.engine.cel.syntax.analysis import Path
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Comprehension,
    Conditional,
    Constant,
    ListLiteral,
    Node,
    Unary,
    path_of,
    walk,
)

_TESTS: Final = frozenset({"startsWith", "endsWith", "contains"})
"""Functions whose argument no check looks at; `matches` is none."""


def is_wordless(node: Node) -> bool:
    """Whether what the checks find in a tree without definitions depends on no string in it."""
    strings = compared = 0
    paths: set[Path] = set()
    for part in walk(node):
        if isinstance(part, Unary | Conditional | Comprehension):
            return False
        strings += _is_text(part)
        side, texts = _compared(part)
        if not texts:
            continue
        compared += texts
        path = None if side is None else path_of(side)
        if path is None or path in paths:
            return False
        paths.add(path)
    return strings == compared


def _compared(part: Node) -> tuple[Node | None, int]:
    """Return what is compared with strings, and with how many."""
    match part:
        case Binary(operator="==" | "!=", left=left, right=Constant()):
            return left, _is_text(part.right)
        case Binary(operator="==" | "!=", left=Constant(), right=right):
            return right, _is_text(part.left)
        case Binary(operator="in", left=left, right=ListLiteral(items=items)):
            return left, sum(map(_is_text, items))
        case Call(function=function, target=target, arguments=(argument,)) if function in _TESTS:
            return target, _is_text(argument)
        case _:
            return None, 0


def _is_text(node: Node) -> bool:
    return isinstance(node, Constant) and isinstance(node.value, str)
