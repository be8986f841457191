"""
Atoms: the questions about one token and one access that formulas are made of.

What lives here: texts and numbers as terms over what is not known yet, and the atoms about them,
simplified where their answer is known.  Not here: how conditions become atoms
(`evaluation.evaluator`), and which atoms can hold together (`solving.theory`).

An `Opaque` atom stands for what is not understood.  It may hold or not, so that what is proved
holds whichever it is.  Its key says all that it depends on, in terms of the token alone: two atoms
of one key are one atom, so a key that left something out would prove too much.
"""

from collections.abc import Hashable, Iterable
from fractions import Fraction
from functools import lru_cache
from typing import Final, Literal, TypeAlias, cast

from msgspec import Struct

from regauth.policytests.proofs.languages import language as languages
from regauth.policytests.proofs.languages.automata import UndecidedError
from regauth.policytests.proofs.languages.images import TextFunction
from regauth.policytests.proofs.languages.language import Language

from . import formulas
from .formulas import FALSE, Formula

Path = tuple["str | Slot | Unclaimed", ...]
"""
The names that lead from the claims to a value in them; a slot is an element of a list.

What no token holds has a path of its own kind: a claim may have any name.
"""


class Slot(Struct, frozen=True, cache_hash=True):
    """
    An element of a list.

    Of a list that quantifiers walk, `number` counts the elements that are looked at, in no order
    (`position` False); else it is the element's position.
    """

    number: int
    position: bool = False


class Unclaimed(Struct, frozen=True, cache_hash=True):
    """A text that is not known and that no token holds, such as the repository's name."""

    name: str


# -- texts


class Variable(Struct, frozen=True, cache_hash=True):
    """The text at a path of the claims, or another text that is not known (`Unclaimed`)."""

    path: Path

    @property
    def is_claim(self) -> bool:
        """Whether a token holds it."""
        return not (self.path and isinstance(self.path[0], Unclaimed))


class Literal_(Struct, frozen=True, cache_hash=True):  # noqa: N801 - `Literal` is typing's
    """A text that is known."""

    text: str


class Applied(Struct, frozen=True, cache_hash=True):
    """The value of a function of a text."""

    function: TextFunction
    to: "Text"


class Joined(Struct, frozen=True, cache_hash=True):
    """Texts one after another; no two literals side by side, none joined itself."""

    parts: tuple["Text", ...]


class OpaqueText(Struct, frozen=True, cache_hash=True):
    """A text of which only its key is known."""

    key: Hashable


CLIENT: Final = Variable((Unclaimed("$client"),))
"""The client's address, written as a text (`languages.addresses`)."""

Text: TypeAlias = Variable | Literal_ | Applied | Joined | OpaqueText

EMPTY_TEXT: Final = Literal_("")


def joined(texts: Iterable[Text]) -> Text:
    """Return texts one after another."""
    found: list[Text] = []
    for text in texts:
        for part in text.parts if isinstance(text, Joined) else (text,):
            if isinstance(part, Literal_):
                if not part.text:
                    continue
                if found and isinstance(found[-1], Literal_):
                    found[-1] = Literal_(found[-1].text + part.text)
                    continue
            found.append(part)
    if not found:
        return EMPTY_TEXT
    return found[0] if len(found) == 1 else Joined(tuple(found))


def applied(function: TextFunction, to: Text) -> Text:
    """Return the value of a function that has one for every text, or of one known to have one."""
    if isinstance(to, Literal_):
        value = function.apply(to.text)
        if value is not None:
            return Literal_(value)
    if function.name in _CASES:
        if isinstance(to, Joined):
            return joined(applied(function, part) for part in to.parts)
        if isinstance(to, Applied) and to.function.name in _CASES:
            return Applied(function, to.to)
    return Applied(function, to)


_CASES: Final = frozenset({"lowerAscii", "upperAscii"})


def variables_of(text: Text) -> tuple[Variable | OpaqueText, ...]:
    """Return what a text is made of and is not known."""
    match text:
        case Literal_():
            return ()
        case Joined(parts=parts):
            return tuple(one for part in parts for one in variables_of(part))
        case Applied(to=to):
            return variables_of(to)
        case _:
            return (text,)


# -- numbers


class Quantity(Struct, frozen=True, cache_hash=True):
    """
    A number that is not known.

    `kind`: `int` and `double` of a path; `now` and `at` in seconds; `rounded`, the double at a path
    as a time in seconds with microseconds; `floor`, the whole seconds of such a time; `length` of a
    text; `pieces` of a text and a separator; `size` of the list or map at a path; `count` of the
    elements that a filter keeps of a list; `opaque` by a key.
    """

    kind: Literal[
        "int",
        "double",
        "now",
        "at",
        "rounded",
        "floor",
        "length",
        "pieces",
        "size",
        "count",
        "opaque",
    ]
    about: Hashable = None

    @property
    def is_whole(self) -> bool:
        """Whether it has no fraction."""
        return self.kind in ("int", "floor", "length", "pieces", "size", "count")


NOW: Final = Quantity("now")
AT: Final = Quantity("at")

Number: TypeAlias = int | Fraction


class Linear(Struct, frozen=True, cache_hash=True):
    """A sum of quantities, each times a number, and a constant."""

    terms: tuple[tuple[Quantity, Number], ...]
    constant: Number

    @property
    def is_constant(self) -> bool:
        """Whether it is known."""
        return not self.terms


def constant(value: Number) -> Linear:
    """Return a number that is known."""
    return Linear((), _plain(value))


def _plain(value: Number) -> Number:
    """Return a number as an int where it is whole: its hash is cheaper than a fraction's."""
    return value.numerator if value.denominator == 1 else value


def quantity(of: Quantity, times: Number = 1) -> Linear:
    """Return a quantity times a number."""
    return Linear(((of, times),), 0)


@lru_cache(maxsize=4096)
def added(left: Linear, right: Linear, times: Number = 1) -> Linear:
    """Return `left + times * right`."""
    found: dict[Quantity, Number] = dict(left.terms)
    for one, factor in right.terms:
        found[one] = _plain(found.get(one, 0) + times * factor)
    kept = [(one, by) for one, by in found.items() if by]
    if len(kept) > 1:
        kept.sort(key=lambda term: _order.setdefault(term[0], len(_order)))
    terms = tuple(kept)
    return Linear(terms, _plain(left.constant + times * right.constant))


_order: Final[dict[Quantity, int]] = {}
"""The order in which quantities stand in sums: that in which they were first added."""


def forget() -> None:
    """Forget the order of quantities, between two questions."""
    _order.clear()
    added.cache_clear()


Comparison = Literal["<", "<=", "=="]


# -- atoms


class In(Struct, frozen=True, cache_hash=True):
    """Whether a text is in a language."""

    text: Text
    language: Language


class KindIs(Struct, frozen=True, cache_hash=True):
    """Whether the value at a path is of a kind (`tokens.Kind`)."""

    path: Path
    kind: str


class IsTrue(Struct, frozen=True, cache_hash=True):
    """Whether the bool at a path is true."""

    path: Path


class SameText(Struct, frozen=True, cache_hash=True):
    """Whether two texts are equal."""

    left: Text
    right: Text


class Fits(Struct, frozen=True, cache_hash=True):
    """Whether a text fits a pattern with texts in it that are not known."""

    text: Text
    parts: tuple["Part", ...]


class Wild(Struct, frozen=True, cache_hash=True):
    """A wildcard of a pattern, by how it is written (`language.wildcard`)."""

    written: str


Part: TypeAlias = Text | Wild


class TooLong(Struct, frozen=True, cache_hash=True):
    """Whether a text has more characters than a bound."""

    text: Variable | OpaqueText
    bound: int


class Compares(Struct, frozen=True, cache_hash=True):
    """Whether a sum compares so with zero."""

    operator: Comparison
    sum: Linear


class Opaque(Struct, frozen=True, cache_hash=True):
    """Something that may hold or not."""

    key: Hashable


Atom: TypeAlias = In | KindIs | IsTrue | SameText | Fits | TooLong | Compares | Opaque


def is_in(text: Text, language: Language) -> Formula:
    """Return whether a text is in a language."""
    if isinstance(text, Literal_):
        try:
            return formulas.of(language.holds(text.text))
        except UndecidedError:
            return formulas.atom(In(text, language))
    if language.kind in ("startsWith", "endsWith", "contains") and language.about == ("",):
        return formulas.TRUE
    if language.texts is not None and not language.texts:
        return FALSE
    return formulas.atom(In(text, language))


def is_text(text: Text, *wanted: str) -> Formula:
    """Return whether a text is one of some."""
    return is_in(text, languages.one_of(wanted))


def same_text(left: Text, right: Text) -> Formula:
    """Return whether two texts are equal."""
    if left == right:
        return formulas.TRUE
    if isinstance(left, Literal_):
        left, right = right, left
    if isinstance(right, Literal_):
        return is_text(left, right.text)
    if isinstance(left, Joined) or isinstance(right, Joined):
        left, right = _without_ends(left, right)
        if isinstance(left, Literal_) or isinstance(right, Literal_) or left == right:
            return same_text(left, right)
    fixed = _fixed_points(left, right) or _fixed_points(right, left)
    if fixed is not None:
        return fixed
    if repr(right) < repr(left):
        left, right = right, left
    return formulas.atom(SameText(left, right))


def _without_ends(left: Text, right: Text) -> tuple[Text, Text]:
    """Return two texts without the same parts that both begin or end with."""
    first, second = _parts(left), _parts(right)
    while first and second and first[0] == second[0]:
        first, second = first[1:], second[1:]
    while first and second and first[-1] == second[-1]:
        first, second = first[:-1], second[:-1]
    return joined(first), joined(second)


def _parts(text: Text) -> tuple[Text, ...]:
    return text.parts if isinstance(text, Joined) else (text,)


def _fixed_points(value: Text, of: Text) -> Formula | None:
    """Return when a function leaves a text as it is, for those where that is known."""
    if not isinstance(value, Applied) or value.to != of:
        return None
    match value.function.name, value.function.arguments:
        case "lowerAscii", ():
            return is_in(of, languages.matches("[A-Z]")).negation
        case "upperAscii", ():
            return is_in(of, languages.matches("[a-z]")).negation
        case "replace", (str(old), str(new)) if old and old != new:
            return is_in(of, languages.contains(old)).negation
    return None


def compares(left: Linear, operator: Comparison, right: Linear) -> Formula:
    """Return whether two numbers compare so."""
    difference = added(left, right, -1)
    if difference.is_constant:
        value = difference.constant
        return formulas.of({"<": value < 0, "<=": value <= 0, "==": value == 0}[operator])
    measured = _measured(operator, difference)
    return formulas.atom(Compares(operator, difference)) if measured is None else measured


_MIRRORED: Final[dict[str, tuple[str, bool]]] = {
    # -x + c < 0 is x > c: not x <= c.
    "<": ("<=", True),
    "<=": ("<", True),
    "==": ("==", False),
}


def _measured(operator: Comparison, difference: Linear) -> Formula | None:
    """Return a comparison of one length with a number as a language, or None."""
    if len(difference.terms) != 1:
        return None
    (of, factor), *_ = difference.terms
    if of.kind not in ("length", "pieces") or factor not in (1, -1):
        return None
    bound = -difference.constant * factor
    if bound != int(bound) or bound > languages.MAX_COUNTED:
        return None
    negated = False
    kind: str = operator
    if factor == -1:
        kind, negated = _MIRRORED[operator]
    if of.kind == "length":
        text = cast("Text", of.about)
        found = is_in(text, languages.length(kind, int(bound)))
    else:
        text, separator = cast("tuple[Text, str]", of.about)
        found = is_in(text, languages.pieces(separator, kind, int(bound)))
    return found.negation if negated else found
