"""
Conditions made readable: one request put in, and what is then certain left out.

What lives here: rewriting an expression's tree without a change of when it is true.  Not here: what
follows from other conditions, which takes a proof (`ways_in`).

Where an expression fails, the rewritten one fails or is false: both give nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from regauth.engine.cel import BOOL, DYN, CelError, Node, Program, unparse
from regauth.engine.cel.evaluation.program import make
from regauth.engine.cel.syntax.analysis import references
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Has,
    Index,
    ListLiteral,
    Logic,
    Name,
    Select,
    Table,
    Unary,
    definition_of,
    path_of,
    walk,
)

_OPPOSITES: Final = {"==": "!=", "!=": "=="}

Known = Mapping[tuple[str, ...], str]
"""What is known of the variables of a request, by path: `("scope", "name")`."""


def filled(program: Program, known: Known) -> Node:
    """Return an expression's tree without definitions, and with what is known put in."""
    return _folded(_filled(program.node, program.definitions, known))


def _filled(node: Node, definitions: Mapping[str, Program], known: Known) -> Node:
    name = definition_of(node)
    if name is not None and name in definitions:
        inner = definitions[name]
        if isinstance(inner.node, Table):
            return node  # a table has no other form
        return _filled(inner.node, inner.definitions, known)
    path = path_of(node)
    if path is not None and path in known:
        return Constant(node.start, node.end, known[path])
    return _mapped(node, lambda one: _filled(one, definitions, known))


def _mapped(node: Node, change: Callable[[Node], Node]) -> Node:
    """Return a node with each of its parts changed."""
    match node:
        case Select() | Has() | Unary():
            return replace(node, operand=change(node.operand))
        case Index():
            return replace(node, operand=change(node.operand), index=change(node.index))
        case ListLiteral():
            return replace(node, items=tuple(map(change, node.items)))
        case Binary():
            return replace(node, left=change(node.left), right=change(node.right))
        case Logic():
            return replace(node, operands=tuple(map(change, node.operands)))
        case Conditional():
            test, yes, no = map(change, (node.test, node.yes, node.no))
            return replace(node, test=test, yes=yes, no=no)
        case Call():
            target = None if node.target is None else change(node.target)
            return replace(node, target=target, arguments=tuple(map(change, node.arguments)))
        case Comprehension():
            last = None if node.transform is None else change(node.transform)
            return replace(node, source=change(node.source), body=change(node.body), transform=last)
        case Constant() | Name() | Table():
            return node


def _folded(node: Node) -> Node:
    """Return a tree in which what reads no variable is its value."""
    node = _mapped(node, _folded)
    match node:
        case Logic(operator=operator, operands=operands):
            return _chain(node, operator == "&&", operands)
        case Conditional(test=Constant(value=bool(value)), yes=yes, no=no):
            return yes if value else no
        case Constant() | Name() | ListLiteral() | Table():
            return node
        case _:
            return _value(node)


def _chain(node: Logic, both: bool, operands: tuple[Node, ...]) -> Node:  # noqa: FBT001 - a value
    kept: list[Node] = []
    for one in operands:
        inner = one.operands if isinstance(one, Logic) and one.operator == node.operator else (one,)
        for each in inner:
            if isinstance(each, Constant) and isinstance(each.value, bool):
                if each.value is not both:
                    return each  # one decisive operand outweighs an error
            elif each not in kept:
                kept.append(each)
    if not kept:
        return Constant(node.start, node.end, both)
    return kept[0] if len(kept) == 1 else replace(node, operands=tuple(kept))


def _value(node: Node) -> Node:
    """Return the value of a node that reads no variable, or the node."""
    if any(references(node)) or _has_names(node):
        return node
    try:
        value = make("", node, DYN, {}).evaluate({})
    except CelError:
        return node
    if isinstance(value, str | int | float | bool) or value is None:
        return Constant(node.start, node.end, value)
    return node


def _has_names(node: Node) -> bool:
    return any(isinstance(one, Name) for one in walk(node))


def conjuncts(node: Node) -> Iterator[Node]:
    """Yield conditions that all hold exactly where a condition does, negations inmost."""
    node = _plain(node)
    if isinstance(node, Logic) and node.operator == "&&":
        for one in node.operands:
            yield from conjuncts(one)
    elif not (isinstance(node, Constant) and node.value is True):
        yield node


def _plain(node: Node, *, negated: bool = False) -> Node:
    """Move negations inwards, as De Morgan says; errors stay errors."""
    match node:
        case Unary(operator="!", operand=operand):
            return _plain(operand, negated=not negated)
        case Logic(operator=operator, operands=operands):
            other = {"&&": "||", "||": "&&"}[operator] if negated else operator
            parts = tuple(_plain(one, negated=negated) for one in operands)
            flat = [
                each
                for one in parts
                for each in (
                    one.operands if isinstance(one, Logic) and one.operator == other else (one,)
                )
            ]
            return replace(node, operator=other, operands=tuple(flat))
        case Binary(operator="==" | "!=") if negated:
            return replace(node, operator=_OPPOSITES[node.operator])
        case Constant(value=bool(value)) if negated:
            return replace(node, value=not value)
        case _:
            return Unary(node.start, node.end, "!", node) if negated else node


def program_of(nodes: tuple[Node, ...], definitions: Mapping[str, Program]) -> Program | None:
    """Return the condition that all of some hold; None for none.  Tables are still definitions."""
    if not nodes:
        return None
    node = nodes[0] if len(nodes) == 1 else Logic(0, 0, "&&", nodes)
    tables = {name: one for name, one in definitions.items() if isinstance(one.node, Table)}
    return make(unparse(node), node, BOOL, tables)
