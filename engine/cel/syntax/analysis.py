"""
What can be known about an expression without evaluating it.

What lives here: the variables and paths it reads, the equalities an index can use, its atomic
conditions, its size.  Not here: types (`checks.checking`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

from .nodes import (
    DEFINITIONS,
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

Path = tuple[str, ...]
Equalities = Mapping[Path, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Part:
    """
    An atomic condition of an expression: what `&&`, `||`, `!` and `? :` combine.

    `start` and `end` are offsets in the expression's text.
    """

    start: int
    end: int
    text: str
    node: Node


def references(node: Node, bound: frozenset[str] = frozenset()) -> Iterator[Path]:
    """
    Give the longest path of every chain of selections that begins at a variable.

    The path of a definition is `("defs", NAME)`; macro variables are not variables.
    """
    found: list[Path] = []
    _add_references(node, bound, found)
    return iter(found)


def _add_references(node: Node, bound: frozenset[str], found: list[Path]) -> None:
    path = path_of(node)
    if isinstance(node, Has):
        # What is asked for is read, even if it is not there.
        operand = path_of(node.operand)
        path = None if operand is None else (*operand, node.field)
    if path is not None:
        if path[0] not in bound:
            found.append(path[:2] if path[0] == DEFINITIONS else path)
    elif isinstance(node, Comprehension):
        _add_references(node.source, bound, found)
        inner = bound | {node.variable}
        _add_references(node.body, inner, found)
        if node.transform is not None:
            _add_references(node.transform, inner, found)
    else:
        for child in children(node):
            _add_references(child, bound, found)


def equalities(node: Node, definitions: Mapping[str, Equalities]) -> Equalities:
    """
    Give, for some paths, the strings outside of which the condition is false.

    Whenever the value at a path is a string that is not in its set, `node` evaluates to false: not
    to true and not to an error.
    """
    match node:
        case Logic(operator="&&"):
            return reduce(_both, (equalities(part, definitions) for part in node.operands))
        case Logic():
            return reduce(_either, (equalities(part, definitions) for part in node.operands))
        case Binary(operator="==", left=left, right=Constant(value=str(text))):
            return _equality(left, frozenset({text}))
        case Binary(operator="==", left=Constant(value=str(text)), right=right):
            return _equality(right, frozenset({text}))
        case Binary(operator="in", left=left, right=ListLiteral(items=items)):
            texts = frozenset(
                item.value
                for item in items
                if isinstance(item, Constant) and isinstance(item.value, str)
            )
            plain = all(isinstance(i, Constant) and isinstance(i.value, str) for i in items)
            return _equality(left, texts) if plain else {}
        case _:
            name = definition_of(node)
            return definitions.get(name, {}) if name else {}


def _equality(node: Node, texts: frozenset[str]) -> Equalities:
    path = path_of(node)
    return {} if path is None or path[0] == DEFINITIONS else {path: texts}


def _both(left: Equalities, right: Equalities) -> Equalities:
    """One false conjunct makes `&&` false, whatever the others are."""
    met = {path: left[path] & right[path] for path in left.keys() & right.keys()}
    return {**left, **right, **met}


def _either(left: Equalities, right: Equalities) -> Equalities:
    """`||` is false only when both are."""
    return {path: left[path] | right[path] for path in left.keys() & right.keys()}


def atoms(node: Node) -> Iterator[Node]:
    """Give the atomic conditions of an expression, left to right."""
    match node:
        case Logic():
            for operand in node.operands:
                yield from atoms(operand)
        case Unary(operator="!"):
            yield from atoms(node.operand)
        case Conditional():
            for part in (node.test, node.yes, node.no):
                yield from atoms(part)
        case _:
            yield node


def depth(node: Node, definitions: Mapping[str, int]) -> int:
    """Count the levels of operators inside operators, those of definitions included."""
    name = definition_of(node)
    if name is not None:
        return definitions.get(name, 0) + 1
    return max((depth(child, definitions) + 1 for child in children(node)), default=0)


def is_constant(node: Node, bound: frozenset[str] = frozenset()) -> bool:
    """Whether an expression reads no variable and no definition."""
    return next(references(node, bound), None) is None
