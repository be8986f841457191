"""
The functions of expressions, on values that are not known.

What lives here: the functions that are followed, with the errors that `regauth.engine.cel` has for
them, and arithmetic.  Not here: macros (`quantifiers`), comparisons (`operations`).

Which kinds a function takes is the engine's own table: a call with others is an error, and a call
that the table has and that is not followed here is opaque.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from regauth.engine.cel import CelError, Duration, Timestamp
from regauth.engine.cel.library.functions import FUNCTIONS
from regauth.engine.cel.library.networks import read_network
from regauth.engine.cel.library.operators import EARLIEST, LATEST
from regauth.engine.cel.library.overloads import Function
from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.literals import INT_MAX, INT_MIN
from regauth.policytests.proofs.budget import spend
from regauth.policytests.proofs.languages import addresses
from regauth.policytests.proofs.languages import language as languages
from regauth.policytests.proofs.languages.images import TextFunction
from regauth.policytests.proofs.logic import atoms, formulas
from regauth.policytests.proofs.logic.atoms import (
    Applied,
    Joined,
    Linear,
    Literal_,
    OpaqueText,
    Quantity,
    Text,
    Variable,
    Wild,
)
from regauth.policytests.proofs.logic.formulas import FALSE, TRUE, Formula, both
from regauth.policytests.proofs.logic.patterns import fits
from regauth.policytests.proofs.logic.universe import MAX_TEXT, Kind

from .values import (
    ERROR,
    Bool,
    Case,
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
)

if TYPE_CHECKING:
    from .evaluator import Evaluator

_RANGES: Final = {
    "int": (INT_MIN, INT_MAX),
    "timestamp": (EARLIEST, LATEST),
    "duration": (INT_MIN, INT_MAX),
}
_CLASSES: Final[dict[str, type]] = {
    "int": int,
    "double": float,
    "timestamp": Timestamp,
    "duration": Duration,
}
_KINDS: Final = {"string", "bool", "int", "timestamp", "duration"}
_SECOND: Final = 1_000_000_000


def call(evaluator: "Evaluator", name: str, arguments: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a named function."""
    cases: list[Case] = []

    def choose(when: Formula, chosen: tuple[Value, ...]) -> None:
        if when is FALSE:
            return
        if len(chosen) == len(arguments):
            spend(1)
            found = _call(evaluator, name, chosen)
            cases.extend((both(when, own), value) for own, value in found.cases)
            return
        for own, value in arguments[len(chosen)].cases:
            choose(both(when, own), (*chosen, value))

    choose(TRUE, ())
    return outcome(cases)


def _call(evaluator: "Evaluator", name: str, values: tuple[Value, ...]) -> Outcome:
    if name == "inNetwork" and values[0] == Unclear(CLIENT):
        return _in_network(evaluator, values)
    if any(isinstance(value, Unclear) for value in values):
        if name == "dyn":
            return certain(values[0])
        return evaluator.opaque((name, *values), _RESULTS.get(name, ""))
    if name == "matches":
        return _matches(values)
    function = FUNCTIONS[name]
    if function.select(*map(_class, values)) is None:
        return ERROR
    known = _computed(function, values)
    if known is not None:
        return known
    found = _followed(evaluator, name, values)
    if found is None:
        return evaluator.opaque((name, *values), _result(function, values))
    return found


def arithmetic(
    evaluator: "Evaluator", function: Function, operator: str, values: tuple[Value, ...]
) -> Outcome:
    """Return the outcome of an arithmetic operator."""
    if any(isinstance(value, Unclear) for value in values):
        return evaluator.opaque((operator, *values))
    if function.select(*map(_class, values)) is None:
        return ERROR
    known = _computed(function, values)
    if known is not None:
        return known
    found = _summed(function, operator, values)
    if found is None:
        return evaluator.opaque((operator, *values), _result(function, values))
    return found


def _summed(function: Function, operator: str, values: tuple[Value, ...]) -> Outcome | None:
    """Return the outcome of an operator, or None when it is not followed."""
    match operator, values:
        case "+", (Str(text=left), Str(text=right)):
            return _short(atoms.joined((left, right)))
        case "+", (Elements(items=items), Elements(items=others)):
            return certain(Elements((*items, *others)))
        case "+" | "-", (Num() as left_number, Num() as right_number):
            kind = _result(function, values)
            if kind in _RANGES:
                factor = 1 if operator == "+" else -1
                return _in_range(kind, atoms.added(left_number.sum, right_number.sum, factor))
        case "*", (Num(kind="int", sum=number), Num(kind="int", sum=by)) if by.is_constant:
            return _in_range("int", atoms.added(atoms.constant(0), number, by.constant))
        case "-", (Num(kind="int", sum=number),):
            return _in_range("int", atoms.added(atoms.constant(0), number, -1))
        case _:
            pass
    return None


def _in_range(kind: str, number: Linear) -> Outcome:
    low, high = _RANGES[kind]
    there = both(
        atoms.compares(atoms.constant(low), "<=", number),
        atoms.compares(number, "<=", atoms.constant(high)),
    )
    return certain(Num(kind, number), there)  # type: ignore[arg-type]  # of the kinds that _RANGES has


def _short(text: Text) -> Outcome:
    """Return a text that an expression builds, where it is not longer than one may be."""
    if most(text) <= limits.STRING:
        return certain(Str(text))
    return certain(Str(text), formulas.atom(atoms.Opaque(("short", text))))


def most(text: Text) -> int:
    """Return the most characters that a text can have."""
    match text:
        case Literal_(text=known):
            return len(known)
        case Variable():
            return MAX_TEXT
        case OpaqueText():
            return limits.STRING
        case Joined(parts=parts):
            return sum(map(most, parts))
        case Applied(function=function, to=to):
            grown = len(str(function.arguments[1])) if function.name == "replace" else 1
            return most(to) * max(grown, 1)


# -- kinds


def _class(value: Value) -> type:
    match value:
        case Null():
            return type(None)
        case Bool():
            return bool
        case Str():
            return str
        case Num(kind=kind):
            return _CLASSES[kind]
        case MapAt() | ScopeMap():
            return dict
        case _:
            return list


_RESULTS: Final = {
    name: next(iter(results))
    for name, function in FUNCTIONS.items()
    if len(results := {str(one.result) for one in function.overloads}) == 1 and results <= _KINDS
} | {"matches": "bool"}
"""The kind of what a function gives, where all its overloads give one."""


def _result(function: Function, values: tuple[Value, ...]) -> str:
    """Return the kind that a function gives for arguments of these kinds, if it is followed."""
    classes = tuple(map(_class, values))
    apply = function.select(*classes)
    results = {str(one.result) for one in function.overloads if one.apply is apply}
    if len(results) == 1 and results <= _KINDS:
        return next(iter(results))
    return ""


# -- what is known altogether


def _computed(function: Function, values: tuple[Value, ...]) -> Outcome | None:
    """Return the outcome of a call with arguments that are known, as the engine computes it."""
    known = [_constant(value) for value in values]
    if None in known:
        return None
    plain = [one[0] for one in known if one is not None]
    apply = function.select(*map(type, plain))
    if apply is None:
        return ERROR
    try:
        value = apply(*plain)
    except CelError:
        return ERROR
    found = known_value(value)
    return None if found is None else certain(found)


def _constant(value: Value) -> tuple[Any] | None:
    match value:
        case Str(text=Literal_(text=text)):
            return (text,)
        case Bool(holds=holds) if holds in (TRUE, FALSE):
            return (holds is TRUE,)
        case Num(kind="int", sum=number) if number.is_constant:
            return (int(number.constant),)
        case Num(kind="double", sum=number) if number.is_constant:
            return (float(number.constant),)
        case Num(kind="timestamp", sum=number) if number.is_constant:
            return (Timestamp(int(number.constant)),)
        case Num(kind="duration", sum=number) if number.is_constant:
            return (Duration(int(number.constant)),)
    return None


def known_value(value: object) -> Value | None:
    """Return a value that is known; None for one that cannot be said exactly."""
    match value:
        case bool():
            return Bool(formulas.of(value))
        case str():
            return Str(Literal_(value))
        case int():
            return Num("int", atoms.constant(value))
        # The number for it would not tell -0.0 from 0.0, which differ as texts.
        case float() if math.isfinite(value) and (value or math.copysign(1, value) > 0):
            return Num("double", atoms.constant(Fraction(value)))
        case Timestamp():
            return Num("timestamp", atoms.constant(value.nanoseconds))
        case Duration():
            return Num("duration", atoms.constant(value.nanoseconds))
        case list() if all(type(one) is str for one in value):
            return Elements(tuple(certain(Str(Literal_(one))) for one in value))
    return None


# -- what is followed


CLIENT: Final = "the client's address"
"""The key of the client's address: all but its networks is opaque."""


def _in_network(evaluator: "Evaluator", values: tuple[Value, ...]) -> Outcome:
    """Return whether the client's address is in a network."""
    match values:
        case _, Str(text=Literal_(text=text)):
            try:
                beginning = addresses.beginning(read_network(text))
            except CelError:
                return ERROR
            return certain(Bool(atoms.is_in(atoms.CLIENT, languages.starts_with(beginning))))
        case _:
            return evaluator.opaque(("inNetwork", *values), Kind.BOOL)


def _matches(values: tuple[Value, ...]) -> Outcome:
    match values:
        case Str(text=text), Str(text=Literal_(text=pattern)):
            return certain(Bool(atoms.is_in(text, languages.matches(pattern))))
        case _:
            pass
    return ERROR


def _followed(evaluator: "Evaluator", name: str, values: tuple[Value, ...]) -> Outcome | None:
    """Return the outcome of a call, or None when the function is not followed."""
    match name, values:
        case (("startsWith" | "endsWith" | "contains"), (Str(text=text), Str(text=part))):
            return certain(Bool(_about(name, text, part)))
        case (("lowerAscii" | "upperAscii" | "trim"), (Str(text=text),)):
            return certain(Str(atoms.applied(TextFunction(name), text)))
        case "replace", (Str(text=text), Str(text=Literal_(old)), Str(text=Literal_(new))) if old:
            return _short(atoms.applied(TextFunction(name, (old, new)), text))
        case (("substring" | "charAt"), (Str(text=text), *bounds)):
            return _part(name, text, bounds)
        case "split", (Str(text=text), Str(text=Literal_(separator))) if separator:
            return certain(Pieces(text, separator)) if most(text) < limits.LIST else None
        case "size", (value,):
            return _size(evaluator, value)
        case "timestamp", (Num(kind="int", sum=number),):
            return _in_range("timestamp", atoms.added(atoms.constant(0), number, _SECOND))
        case (("dyn" | "string" | "bool" | "int" | "timestamp" | "duration" | "double"), (value,)):
            return certain(value) if name in ("dyn", _kind(value)) else None
        case _:
            pass
    return None


def _kind(value: Value) -> str:
    match value:
        case Str():
            return "string"
        case Bool():
            return "bool"
        case Num(kind=kind):
            return kind
        case _:
            pass
    return ""


def _about(name: str, text: Text, part: Text) -> Formula:
    """Return whether a text begins with, ends with or holds another."""
    if isinstance(part, Literal_):
        language = {
            "startsWith": languages.starts_with,
            "endsWith": languages.ends_with,
            "contains": languages.contains,
        }[name]
        return atoms.is_in(text, language(part.text))
    rest = Wild("tag*")
    parts: dict[str, tuple[atoms.Part, ...]] = {
        "startsWith": (part, rest),
        "endsWith": (rest, part),
        "contains": (rest, part, rest),
    }
    return fits(text, parts[name])


def _part(name: str, text: Text, bounds: Sequence[Value]) -> Outcome | None:
    numbers = [
        int(bound.sum.constant)
        for bound in bounds
        if isinstance(bound, Num) and bound.sum.is_constant
    ]
    if len(numbers) < len(bounds):
        return None
    size = length(text)
    start, end = numbers[0], numbers[-1] if len(numbers) > 1 else -1
    if start < 0 or (len(numbers) > 1 and end < start):
        return ERROR
    if name == "charAt":
        one = atoms.applied(TextFunction("part", (start, start + 1)), text)
        return outcome(
            [
                (atoms.compares(atoms.constant(start), "<", size), Str(one)),
                (atoms.compares(size, "==", atoms.constant(start)), Str(atoms.EMPTY_TEXT)),
            ]
        )
    there = atoms.compares(atoms.constant(max(start, end)), "<=", size)
    return certain(Str(atoms.applied(TextFunction("part", (start, end)), text)), there)


def length(text: Text) -> Linear:
    """Return the number of characters of a text."""
    match text:
        case Literal_(text=known):
            return atoms.constant(len(known))
        case Applied(function=TextFunction(name="lowerAscii" | "upperAscii"), to=to):
            return length(to)
        case _:
            pass
    return atoms.quantity(Quantity("length", text))


def number_of_pieces(text: Text, separator: str) -> Linear:
    """Return how many pieces `split` gives."""
    if isinstance(text, Literal_):
        return atoms.constant(len(text.text.split(separator)))
    return atoms.quantity(Quantity("pieces", (text, separator)))


def _size(evaluator: "Evaluator", value: Value) -> Outcome | None:
    match value:
        case Str(text=text):
            return certain(Num("int", length(text)))
        case Elements(items=items):
            return certain(Num("int", atoms.constant(len(items))))
        case Pieces(text=text, separator=separator):
            return certain(Num("int", number_of_pieces(text, separator)))
        case ListAt(path=path):
            evaluator.lists.sized.add(path)
            return certain(Num("int", atoms.quantity(Quantity("size", path))))
        case _:
            pass
    return None
