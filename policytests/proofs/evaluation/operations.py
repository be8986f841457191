"""
The operators of expressions, on values that are not known.

What lives here: subscripts, equality, order, `in` and `+`, as `regauth.engine.cel` has them
(`values`, `operators`).  Not here: `&&`, `||`, `!` and `? :` (`evaluator`).
"""

from collections.abc import Hashable
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from regauth.engine.cel.library.operators import ARITHMETIC
from regauth.policytests.proofs.languages.images import TextFunction
from regauth.policytests.proofs.logic import atoms, formulas
from regauth.policytests.proofs.logic.atoms import Linear, Literal_, Quantity
from regauth.policytests.proofs.logic.formulas import TRUE
from regauth.policytests.proofs.logic.universe import Kind

from . import calls, quantifiers
from .values import (
    ERROR,
    LISTS,
    Bool,
    Elements,
    ListAt,
    MapAt,
    Null,
    Num,
    Outcome,
    Pieces,
    ScopeMap,
    Str,
    Unclear,
    Value,
    certain,
    outcome,
    truth,
)

if TYPE_CHECKING:
    from .evaluator import Evaluator

MAX_EXACT: Final = 2**53
"""Every integer below it is a double of its own."""

_MAPS: Final = (MapAt, ScopeMap)


def binary(evaluator: "Evaluator", operator: str, left: Value, right: Value) -> Outcome:
    """Return the outcome of an operator with two operands."""
    match operator:
        case "==":
            return equal(evaluator, left, right)
        case "!=":
            return _not(equal(evaluator, left, right))
        case "in":
            return _contained(evaluator, left, right)
        case "<" | "<=":
            return _ordered(evaluator, operator, left, right)
        case ">" | ">=":
            return _ordered(evaluator, "<" if operator == ">" else "<=", right, left)
        case _:
            pass
    return calls.arithmetic(evaluator, ARITHMETIC[operator], operator, (left, right))


def _not(found: Outcome) -> Outcome:
    return outcome(
        (when, Bool(value.holds.negation)) for when, value in found.cases if isinstance(value, Bool)
    )


def _pair(left: Value, right: Value) -> Hashable:
    """Return a key for two values whose order does not matter."""
    return tuple(sorted((left, right), key=repr))


def equal(evaluator: "Evaluator", left: Value, right: Value) -> Outcome:
    """Return whether two values are equal; of different kinds it is an error, but for `null`."""
    if isinstance(left, Str) and isinstance(right, Str):
        return certain(Bool(atoms.same_text(left.text, right.text)))
    match left, right:
        case (Unclear(), _) | (_, Unclear()):
            return evaluator.opaque(("==", _pair(left, right)), Kind.BOOL)
        case (Null(), _) | (_, Null()):
            return certain(Bool(formulas.of(left == right)))
        case Bool(holds=first), Bool(holds=second):
            return certain(Bool(formulas.same(first, second)))
        case Num(), Num():
            return _compared(evaluator, "==", left, right)
        case Elements(items=items), Elements(items=others):
            return _equal_lists(evaluator, items, others)
        case _:
            pass
    if isinstance(right, Elements) and isinstance(left, (ListAt, Pieces)):
        left, right = right, left
    match left, right:
        case Elements(items=items), (ListAt() | Pieces()) if len(items) < _MAX_POSITION:
            return _equal_to_elements(evaluator, items, right)
        case _:
            pass
    both_lists = isinstance(left, LISTS) and isinstance(right, LISTS)
    if both_lists or (isinstance(left, _MAPS) and isinstance(right, _MAPS)):
        return evaluator.opaque(("==", _pair(left, right)), Kind.BOOL)
    return ERROR


def _equal_lists(
    evaluator: "Evaluator", items: tuple[Outcome, ...], others: tuple[Outcome, ...]
) -> Outcome:
    if len(items) != len(others):
        return certain(Bool(formulas.FALSE))
    pairs = [_equal_outcomes(evaluator, *pair) for pair in zip(items, others, strict=True)]
    return truth(
        formulas.every(pair.true for pair in pairs), formulas.some(pair.false for pair in pairs)
    )


def _equal_to_elements(
    evaluator: "Evaluator", items: tuple[Outcome, ...], found: ListAt | Pieces
) -> Outcome:
    """Return whether a list is the one that an expression spells out."""
    if isinstance(found, ListAt):
        evaluator.lists.sized.add(found.path)
        size = atoms.quantity(Quantity("size", found.path))
    else:
        size = calls.number_of_pieces(found.text, found.separator)
    same = atoms.compares(size, "==", atoms.constant(len(items)))
    others = tuple(
        _at_position(evaluator, found, Num("int", atoms.constant(number)))
        for number in range(len(items))
    )
    equal_items = _equal_lists(evaluator, items, others)
    return outcome(
        [
            (same.negation, Bool(formulas.FALSE)),
            *((formulas.both(same, when), value) for when, value in equal_items.cases),
        ]
    )


def _equal_outcomes(evaluator: "Evaluator", left: Outcome, right: Outcome) -> Outcome:
    return outcome(
        (formulas.every((when, also, own)), value)
        for when, first in left.cases
        for also, second in right.cases
        for own, value in equal(evaluator, first, second).cases
    )


def _compared(evaluator: "Evaluator", operator: atoms.Comparison, left: Num, right: Num) -> Outcome:
    """
    Compare two numbers, or two times of one kind.

    An int and a double are compared as doubles.  That is the comparison of the numbers themselves
    where one is known and exact as a double: rounding keeps the order, and keeps that one.
    """
    if left.kind != right.kind:
        if {left.kind, right.kind} != {"int", "double"}:
            return ERROR
        if not (_is_exact(left.sum) or _is_exact(right.sum)):
            return evaluator.opaque(("numbers", operator, left, right), Kind.BOOL)
    return certain(Bool(atoms.compares(left.sum, operator, right.sum)))


def _is_exact(number: Linear) -> bool:
    return number.is_constant and abs(Fraction(number.constant)) < MAX_EXACT


def _ordered(
    evaluator: "Evaluator", operator: atoms.Comparison, left: Value, right: Value
) -> Outcome:
    match left, right:
        case (Unclear(), _) | (_, Unclear()):
            return evaluator.opaque((operator, left, right), Kind.BOOL)
        case Num(), Num():
            return _compared(evaluator, operator, left, right)
        case Str(text=Literal_(text=one)), Str(text=Literal_(text=other)):
            return certain(Bool(formulas.of(one < other or (operator == "<=" and one == other))))
        case (Str(), Str()) | (Bool(), Bool()):
            return evaluator.opaque((operator, left, right), Kind.BOOL)
        case _:
            pass
    return ERROR


def _contained(evaluator: "Evaluator", item: Value, container: Value) -> Outcome:
    match container:
        case MapAt() | ScopeMap() | Unclear():
            return _is_key(evaluator, item, container)
        case Elements(items=items):
            return _element(evaluator, item, items)
        case ListAt(path=path) if path in evaluator.lists.walking and not _is_known(item):
            return evaluator.opaque(("in", item, container), Kind.BOOL)
        case ListAt(path=path):
            return quantifiers.exists(
                evaluator,
                path,
                ("in", item),
                lambda element: _equal_outcomes(evaluator, certain(item), element),
            )
        case Pieces():
            return evaluator.opaque(("in", item, container), Kind.BOOL)
        case _:
            pass
    return ERROR


def _is_known(item: Value) -> bool:
    return isinstance(item, Str) and isinstance(item.text, Literal_)


def _is_key(evaluator: "Evaluator", item: Value, container: Value) -> Outcome:
    match item, container:
        case Str(text=Literal_(text=name)), MapAt(path=path):
            return certain(Bool(evaluator.is_there((*path, name))))
        case (Unclear(), _) | (_, Unclear()) | (Str(), _):
            return evaluator.opaque(("in", item, container), Kind.BOOL)
        case _:
            pass
    return ERROR


def _element(evaluator: "Evaluator", item: Value, items: tuple[Outcome, ...]) -> Outcome:
    texts = [
        value.text.text
        for one in items
        for when, value in one.cases
        if when is TRUE and isinstance(value, Str) and isinstance(value.text, Literal_)
    ]
    if isinstance(item, Str) and len(texts) == len(items):
        return certain(Bool(atoms.is_text(item.text, *texts)))
    pairs = [_equal_outcomes(evaluator, certain(item), one) for one in items]
    return truth(
        formulas.some(pair.true for pair in pairs), formulas.every(pair.false for pair in pairs)
    )


# -- subscripts


def index(evaluator: "Evaluator", operand: Value, at: Value) -> Outcome:
    """Return what `operand[at]` is."""
    match operand, at:
        case (Unclear(), _) | (_, Unclear()):
            return evaluator.opaque(("index", operand, at), _element_kind(evaluator, operand))
        case MapAt(path=path), Str(text=Literal_(text=name)):
            return evaluator.read((*path, name))
        case ((MapAt() | ScopeMap()), Str()):
            return evaluator.opaque(("index", operand, at))
        case ((ListAt() | Elements() | Pieces()), Num(kind="int" | "double")):
            return _at_position(evaluator, operand, at)
        case _:
            pass
    return ERROR


def _element_kind(evaluator: "Evaluator", operand: Value) -> str:
    """Return the kind that all elements have, if that is known."""
    if isinstance(operand, Pieces):
        return Kind.STRING
    if isinstance(operand, ListAt):
        kinds = set(evaluator.universe.kinds((*operand.path, atoms.Slot(0)))) - {Kind.ABSENT}
        return Kind.STRING if kinds == {Kind.STRING} else ""
    return ""


def _at_position(evaluator: "Evaluator", operand: Value, at: Num) -> Outcome:
    if not at.sum.is_constant:
        return evaluator.opaque(("index", operand, at), _element_kind(evaluator, operand))
    position = at.sum.constant
    if position < 0 or Fraction(position).denominator != 1:
        return ERROR
    number = int(position)
    match operand:
        case Elements(items=items):
            return items[number] if number < len(items) else ERROR
        case Pieces(text=text, separator=separator):
            count = calls.number_of_pieces(text, separator)
            there = atoms.compares(atoms.constant(number), "<", count)
            piece = atoms.applied(TextFunction("piece", (separator, number)), text)
            return certain(Str(piece), there)
        case ListAt(path=path) if number < _MAX_POSITION:
            evaluator.lists.sized.add(path)
            evaluator.lists.positions.setdefault(path, set()).add(number)
            return evaluator.read((*path, atoms.Slot(number, position=True)))
    return evaluator.opaque(("index", operand, at), _element_kind(evaluator, operand))


_MAX_POSITION: Final = 20
"""The positions of a list that are told apart."""
