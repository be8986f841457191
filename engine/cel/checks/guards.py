"""
Which optional members are known to be there, and not null, where an expression stands.

What lives here: what a condition proves by being true, or by being false.  Not here: findings
(`checking`).
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import Final

from regauth.engine.cel.syntax.analysis import Path, references
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Comprehension,
    Conditional,
    Constant,
    Has,
    ListLiteral,
    Logic,
    Node,
    Unary,
    children,
    definition_of,
    path_of,
)

Paths = frozenset[Path]
NOT_NULL: Final = "\0not null"
"""The end of the path of a member that is known not to be null.  No claim has this name."""
_NONE: Final[Paths] = frozenset()


def proven(
    node: Node, definitions: Mapping[str, Node], *, value: bool, guards_only: bool = False
) -> Paths:
    """
    Give the paths that are there whenever `node` has this value.

    With `guards_only` it gives only what `has()` and `in` say, else also every member that must be
    read to get a value.  A path with `NOT_NULL` at its end says that the member before it is not
    null.
    """

    def part(of: Node, of_value: bool) -> Paths:  # noqa: FBT001 - a value, not a switch
        return proven(of, definitions, value=of_value, guards_only=guards_only)

    match node:
        case Unary(operator="!"):
            return part(node.operand, not value)
        case Logic():
            parts = [part(operand, value) for operand in node.operands]
            every = (node.operator == "&&") == value
            return reduce(frozenset.union if every else frozenset.intersection, parts)
        case _:
            pass
    name = definition_of(node)
    if name is not None:
        return part(definitions[name], value) if name in definitions else _NONE
    asked = _asked(node) if value else None
    found: set[Path] = set() if asked is None else {asked}
    if not guards_only:
        found.update(_read(node))
    return with_prefixes(found) | _not_null(node, value=value)


def with_prefixes(paths: Iterable[Path]) -> Paths:
    """Add the beginnings of each path: where `a.b.c` is there, `a.b` is too."""
    return frozenset(path[:size] for path in paths for size in range(1, len(path) + 1))


def _asked(node: Node) -> Path | None:
    """Give the path that a `has()` or an `in` asks for."""
    match node:
        case Has():
            operand = path_of(node.operand)
            return None if operand is None else (*operand, node.field)
        case Binary(operator="in", left=Constant(value=str(key)), right=right):
            operand = path_of(right)
            return None if operand is None else (*operand, key)
        case _:
            return None


def _not_null(node: Node, *, value: bool) -> Paths:
    """Give the paths that a comparison proves not to be null."""
    tested: list[Node] = []
    match node:
        case Binary(operator="==" | "!=" as operator, left=left, right=right):
            equal = (operator == "==") == value
            for one, other in ((left, right), (right, left)):
                # Equal to a value that is not null, or different from null.
                if isinstance(other, Constant) and equal != (other.value is None):
                    tested.append(one)
        case Binary(operator="in", left=left, right=ListLiteral(items=items)) if value:
            if all(isinstance(item, Constant) and item.value is not None for item in items):
                tested.append(left)
        case _:
            return _NONE
    paths = map(path_of, tested)
    return frozenset((*path, NOT_NULL) for path in paths if path is not None)


def _read(node: Node) -> Iterator[Path]:
    """Give the paths that are read on every way to a value of `node`."""
    match node:
        case Logic() | Has():
            return
        case Conditional():
            yield from _read(node.test)
        case Comprehension():
            yield from _read(node.source)
        case _ if path_of(node) is not None:
            yield from references(node)
        case _:
            for child in children(node):
                yield from _read(child)
