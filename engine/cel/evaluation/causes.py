"""
Which parts of a condition keep it from being true.

What lives here: the walk from a condition that is false, or an error, down to the atomic conditions
that make it so; and whether a condition can still be true while one variable is not known.
Not here: a second meaning of any operator.  Each part is lowered and run as the whole is
(`lowering`).

Every evaluation takes its steps from the request's, as that of a whole condition does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from regauth.engine.cel.library.values import Value
from regauth.engine.cel.syntax.analysis import Path, references
from regauth.engine.cel.syntax.errors import CelError, CelErrorCode
from regauth.engine.cel.syntax.nodes import (
    DEFINITIONS,
    Comprehension,
    Conditional,
    Has,
    Logic,
    Node,
    Unary,
    children,
    definition_of,
)

from .budget import STEPS, run_bounded
from .comprehensions import weight
from .lowering import lower
from .program import Program


@dataclass(frozen=True, slots=True)
class Atom:
    """An atomic condition as it stands in an expression, or in a definition that this one uses."""

    text: str
    paths: frozenset[Path]
    """What it reads from the variables, what definitions read included."""


def atoms_of(program: Program) -> tuple[Atom, ...]:
    """Return the atomic conditions of an expression, left to right, definitions written out."""
    return tuple(_written_out(program))


def _written_out(program: Program) -> Iterator[Atom]:
    for part in program.parts:
        name = definition_of(part.node)
        if name is None:
            yield _atom(program, part.node)
        else:
            yield from _written_out(program.definitions[name])


def failing_atoms(program: Program, variables: Mapping[str, Any]) -> tuple[Atom, ...]:
    """
    Return the atomic conditions that keep an expression from being true; none where it is true.

    Of a conjunction these are the operands that are not true, of a disjunction all of them.  An
    operand that cannot be evaluated counts as one that is not true.
    """
    return tuple(dict.fromkeys(_failing(program, program.node, variables, wanted=True)))


def _failing(
    program: Program, node: Node, variables: Mapping[str, Any], *, wanted: bool
) -> Iterator[Atom]:
    """Yield the atoms because of which a part has not the value that is wanted of it."""
    value = _value(program, node, variables)
    if value is wanted:
        return
    name = definition_of(node)
    if name is not None:
        inner = program.definitions[name]
        yield from _failing(inner, inner.node, variables, wanted=wanted)
        return
    match node:
        case Logic():
            for operand in node.operands:
                yield from _failing(program, operand, variables, wanted=wanted)
        case Unary(operator="!"):
            yield from _failing(program, node.operand, variables, wanted=not wanted)
        case Conditional():
            chosen = _value(program, node.test, variables)
            yield from _failing(program, node.test, variables, wanted=chosen is not True)
            if isinstance(chosen, bool):
                taken = node.yes if chosen else node.no
                yield from _failing(program, taken, variables, wanted=wanted)
        case _:
            yield _atom(program, node)


def can_be_true(program: Program, variables: Mapping[str, Any], unknown: Path) -> bool:
    """
    Tell whether an expression may be true once what stands at a path is known.

    Only the parts that do not read it are evaluated; where such a part fails, so does what needs
    it.  So the answer may be true where no value makes the expression true, and it is never false
    where one does.
    """
    return _can_be(program, program.node, variables, unknown, wanted=True)


def _can_be(
    program: Program, node: Node, variables: Mapping[str, Any], unknown: Path, *, wanted: bool
) -> bool:
    """Tell whether a part may have the value that is wanted of it."""
    name = definition_of(node)
    if name is not None:
        inner = program.definitions[name]
        return _can_be(inner, inner.node, variables, unknown, wanted=wanted)
    if not _reads(program, node, unknown):
        return _value(program, node, variables) is wanted

    def may(part: Node, *, be: bool) -> bool:
        return _can_be(program, part, variables, unknown, wanted=be)

    match node:
        case Logic():
            # An operand with the value that decides makes up for one that cannot be evaluated.
            decides = node.operator == "||"
            found = (may(operand, be=wanted) for operand in node.operands)
            return any(found) if wanted is decides else all(found)
        case Unary(operator="!"):
            return may(node.operand, be=not wanted)
        case Conditional():
            return any(
                may(node.test, be=value) and may(part, be=wanted)
                for value, part in ((True, node.yes), (False, node.no))
            )
        case Comprehension(source=source) if not _reads(program, source, unknown):
            items = _value(program, source, variables)
            if isinstance(items, list | tuple | dict) and not items:  # the body is never looked at
                return _value(program, node, variables) is wanted
            return not isinstance(items, CelError)
        case _:
            return not _fails(program, node, variables, unknown)


def _fails(program: Program, node: Node, variables: Mapping[str, Any], unknown: Path) -> bool:
    """Tell whether a part cannot be evaluated, whatever stands at a path that is not known."""
    name = definition_of(node)
    if name is not None:
        inner = program.definitions[name]
        return _fails(inner, inner.node, variables, unknown)
    if not _reads(program, node, unknown):
        return isinstance(_value(program, node, variables), CelError)
    match node:
        case Logic() | Has():
            return False  # an operand may make up for one that fails
        case Conditional():
            needed: tuple[Node, ...] = (node.test,)
        case Comprehension():
            needed = (node.source,)
        case _:
            needed = children(node)
    return any(_fails(program, part, variables, unknown) for part in needed)


def _reads(program: Program, node: Node, unknown: Path) -> bool:
    return any(_overlap(path, unknown) for path in _atom(program, node).paths)


def _overlap(path: Path, other: Path) -> bool:
    return all(one == two for one, two in zip(path, other, strict=False))


def _value(program: Program, node: Node, variables: Mapping[str, Any]) -> Value | CelError:
    left = variables.get(STEPS)
    if left is not None:
        left[0] -= weight(node, program.scope)
    try:
        return run_bounded(lower(node, program.scope), variables)
    except CelError as error:
        return error
    except RecursionError:
        return CelError(CelErrorCode.LIMIT, "a value nests too deep", node.start, node.end)


def _atom(program: Program, node: Node) -> Atom:
    paths: set[Path] = set()
    for path in references(node):
        if path[0] == DEFINITIONS:
            paths |= program.definitions[path[1]].paths
        else:
            paths.add(path)
    return Atom(program.source(node), frozenset(paths))
