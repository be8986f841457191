"""
Look-ups in tables that can miss.

What lives here: which look-ups `defs.TABLE[key]` of some expressions are not guarded by a condition
that says the key is there.  Not here: what follows from one; in a denial it is an error, elsewhere
a warning (`regauth.engine.compiler.lints.lookups`).

A guard is `key in defs.TABLE`, or a comparison of the key with literals that the table has.
Definitions are looked into, as the guard and the look-up can stand in different ones.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final

from regauth.engine.cel.evaluation.program import Program
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Comprehension,
    Conditional,
    Constant,
    Index,
    ListLiteral,
    Logic,
    Node,
    TableValue,
    Unary,
    children,
    definition_of,
)
from regauth.engine.cel.syntax.unparsing import unparse

Guards = frozenset[tuple[str, frozenset[str]]]
"""Texts of keys, each with values of which it certainly has one."""

_NONE: Final[Guards] = frozenset()


@dataclass(frozen=True, slots=True)
class Lookup:
    """A look-up: where it stands, in `program`, and the definition that is if it is one."""

    program: Program
    definition: str
    node: Index
    table: str

    @property
    def guard(self) -> str:
        """The condition that guards it."""
        return f"{unparse(self.node.index)} in defs.{self.table}"


def unguarded_lookups(program: Program, beside: Iterable[Program] = ()) -> Iterator[Lookup]:
    """
    Yield the look-ups of an expression that can miss.

    Args:
        program: The expression.
        beside: Conditions that hold wherever its value matters.
    """
    if not program.definitions:  # tables are definitions
        return
    known = _NONE.union(*(_proven(one.node, one.definitions, value=True) for one in beside))
    yield from _LookupWalk(program, "").over(program.node, known)


@dataclass(frozen=True, slots=True)
class _LookupWalk:
    program: Program
    definition: str

    def over(self, node: Node, known: Guards) -> Iterator[Lookup]:
        definitions = self.program.definitions
        match node:
            case Logic():
                value = node.operator == "&&"
                guards = [_proven(one, definitions, value=value) for one in node.operands]
                for at, operand in enumerate(node.operands):
                    # An operand that errs where another decides does no harm.
                    yield from self.over(operand, known.union(*guards[:at], *guards[at + 1 :]))
                return
            case Conditional():
                yield from self.over(node.test, known)
                for branch, value in ((node.yes, True), (node.no, False)):
                    here = known | _proven(node.test, definitions, value=value)
                    yield from self.over(branch, here)
                return
            case Comprehension():
                yield from self.over(node.source, known)
                inner = _without(known, node.variable)
                yield from self.over(node.body, inner)
                if node.transform is not None:
                    chosen = inner | _proven(node.body, definitions, value=True)
                    yield from self.over(node.transform, chosen)
                return
            case Index():
                yield from self._lookup(node, known)
            case _:
                pass
        name = definition_of(node)
        if name is not None and name in definitions:
            inner_walk = _LookupWalk(definitions[name], name)
            yield from inner_walk.over(inner_walk.program.node, known)
            return
        for child in children(node):
            yield from self.over(child, known)

    def _lookup(self, node: Index, known: Guards) -> Iterator[Lookup]:
        name = definition_of(node.operand)
        table = _table(name, self.program.definitions)
        # What is wrong with a literal key is known without any token (`checking`).
        if name is None or table is None or isinstance(node.index, Constant):
            return
        possible = _held(node.index, self.program.definitions)
        if possible is not None and possible <= table.keys():
            return
        text = unparse(node.index)
        if not any(key == text and values <= table.keys() for key, values in known):
            yield Lookup(self.program, self.definition, node, name)


def _without(known: Guards, variable: str) -> Guards:
    """Leave out what is known of keys that read another variable of this name."""
    reads = re.compile(rf"\b{re.escape(variable)}\b")
    return frozenset(one for one in known if not reads.search(one[0]))


def _proven(node: Node, definitions: Mapping[str, Program], *, value: bool) -> Guards:
    """Return what is known of keys whenever a condition has this value."""
    match node:
        case Unary(operator="!"):
            return _proven(node.operand, definitions, value=not value)
        case Logic():
            parts = [_proven(operand, definitions, value=value) for operand in node.operands]
            every = (node.operator == "&&") == value
            return reduce(frozenset.union if every else frozenset.intersection, parts)
        case Binary(operator="==" | "!=" as operator) if (operator == "==") == value:
            sides = ((node.left, node.right), (node.right, node.left))
            return frozenset(
                (unparse(key), frozenset({other.value}))
                for key, other in sides
                if isinstance(other, Constant) and isinstance(other.value, str)
            )
        case Binary(operator="in") if value:
            values = _values(node.right, definitions)
            return _NONE if values is None else frozenset({(unparse(node.left), values)})
        case _:
            pass
    name = definition_of(node)
    if name is None or name not in definitions:
        return _NONE
    used = definitions[name]
    return _proven(used.node, used.definitions, value=value)


def _values(node: Node, definitions: Mapping[str, Program]) -> frozenset[str] | None:
    """Return what a table or a list of literals holds, or None for anything else."""
    if isinstance(node, ListLiteral):
        texts = [one.value for one in node.items if isinstance(one, Constant)]
        found = frozenset(one for one in texts if isinstance(one, str))
        return found if len(texts) == len(node.items) == sum(map(_is_text, texts)) else None
    table = _table(definition_of(node), definitions)
    return None if table is None else frozenset(table)


def _held(node: Node, definitions: Mapping[str, Program]) -> frozenset[str] | None:
    """Return what a look-up in another table gives, if it gives texts; None for anything else."""
    name = definition_of(node)
    if name is not None and name in definitions:
        return _held(definitions[name].node, definitions[name].definitions)
    table = _table(definition_of(node.operand), definitions) if isinstance(node, Index) else None
    held = frozenset(one for one in table.values() if isinstance(one, str)) if table else None
    return held if table and held and all(map(_is_text, table.values())) else None


def _table(name: str | None, definitions: Mapping[str, Program]) -> Mapping[str, TableValue] | None:
    return definitions[name].table if name is not None and name in definitions else None


def _is_text(value: object) -> bool:
    return isinstance(value, str)
