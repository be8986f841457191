"""
Tables of the policy's `definitions`, as finite maps.

What lives here: look-ups in a table, and whether it has a key, for keys that are not known.
Not here: what else an expression does with a table, which is not followed (`evaluator`).

Every key tells texts apart, so the budget bounds what a large table takes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from regauth.engine.cel import Node, Program, TableValue
from regauth.engine.cel.syntax.nodes import definition_of
from regauth.policytests.proofs.logic import atoms, formulas
from regauth.policytests.proofs.logic.atoms import Literal_
from regauth.policytests.proofs.logic.universe import Kind

from .closed_text import key_of
from .values import ERROR, Bool, Elements, Num, Outcome, Str, Unclear, Value, certain, outcome

if TYPE_CHECKING:
    from .evaluator import Evaluator


def table_of(node: Node, definitions: Mapping[str, Program]) -> Program | None:
    """Return the table that a node names, or None where it names none."""
    name = definition_of(node)
    if name is None or name not in definitions or definitions[name].table is None:
        return None
    return definitions[name]


def entry(table: Program, key: str) -> Outcome:
    """Return what a table holds under a known key."""
    held = table.table or {}
    return _outcome_of(held[key]) if key in held else ERROR


def lookup(evaluator: "Evaluator", table: Program, key: Value) -> Outcome:
    """Return what a table holds under a key; without such a key it is an error."""
    match key:
        case Str(text=Literal_(text=known)):
            return entry(table, known)
        case Unclear():
            return evaluator.opaque(("lookup", key_of(table), key), _kind(table))
        case Str(text=text):
            return outcome(
                (atoms.is_text(text, *keys), value)
                for keys, found in _by_value(table)
                for _, value in found.cases
            )
        case _:
            return ERROR


def has_key(evaluator: "Evaluator", table: Program, key: Value) -> Outcome:
    """Return whether a table has a key; what is no text is an error."""
    match key:
        case Str(text=Literal_(text=known)):
            return certain(Bool(formulas.of(known in (table.table or {}))))
        case Unclear():
            return evaluator.opaque(("has key", key_of(table), key), Kind.BOOL)
        case Str(text=text):
            return certain(Bool(atoms.is_text(text, *(table.table or {}))))
        case _:
            return ERROR


def _by_value(table: Program) -> list[tuple[list[str], Outcome]]:
    """Return the different values of a table, each with its keys."""
    held = (table.table or {}).items()
    found: dict[str, tuple[list[str], TableValue]] = {}
    for key, value in held:
        found.setdefault(repr(value), ([], value))[0].append(key)
    return [(keys, _outcome_of(value)) for keys, value in found.values()]


def _kind(table: Program) -> Kind | str:
    """Return the kind that all values of a table have, of those that an opaque value can have."""
    kinds: dict[type, Kind] = {bool: Kind.BOOL, str: Kind.STRING, int: Kind.INT}
    held = {type(value) for value in (table.table or {}).values()}
    return kinds.get(held.pop(), "") if len(held) == 1 else ""


def _outcome_of(value: TableValue) -> Outcome:
    return certain(_value_of(value))


def _value_of(value: TableValue) -> Value:
    if isinstance(value, list):
        return Elements(tuple(_outcome_of(item) for item in value))
    if isinstance(value, bool):
        return Bool(formulas.of(value))
    if isinstance(value, int):
        return Num("int", atoms.constant(value))
    return Str(Literal_(value))
