"""
Values of expressions for a token that is not known: what they can be, and when.

What lives here: symbolic values, and outcomes, which say when an expression has which.  Not here:
how an expression comes to its outcome (`evaluator`).
"""

from collections.abc import Hashable, Iterable
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from regauth.policytests.proofs.logic import formulas
from regauth.policytests.proofs.logic.atoms import Linear, Path, Text
from regauth.policytests.proofs.logic.formulas import FALSE, TRUE, Formula


class Null(Struct, frozen=True):
    """The value `null`."""


class Bool(Struct, frozen=True):
    """True when a formula holds."""

    holds: Formula


class Str(Struct, frozen=True):
    """A string."""

    text: Text


class Num(Struct, frozen=True):
    """A number, or a time in nanoseconds."""

    kind: Literal["int", "double", "timestamp", "duration"]
    sum: Linear


class ListAt(Struct, frozen=True):
    """The list at a path of the claims."""

    path: Path


class MapAt(Struct, frozen=True):
    """The map at a path of the claims; the claims themselves at the empty path."""

    path: Path


class Elements(Struct, frozen=True):
    """A list that the expression spells out; each element has one of its values."""

    items: tuple["Outcome", ...]


class Pieces(Struct, frozen=True):
    """What `split` gives of a text, with a separator that is not empty."""

    text: Text
    separator: str


class ScopeMap(Struct, frozen=True):
    """The variable `scope`."""


class Unclear(Struct, frozen=True):
    """A value of which only its key is known, not even its kind (`atoms.Opaque`)."""

    key: Hashable


Value: TypeAlias = Null | Bool | Str | Num | ListAt | MapAt | Elements | Pieces | ScopeMap | Unclear

LISTS: Final = (ListAt, Elements, Pieces)
"""The values that are certainly lists."""

Case: TypeAlias = tuple[Formula, Value]
"""When a value is had, and the value."""


class Outcome(Struct, frozen=True):
    """
    The values that an expression can have, each with when it has it.

    No two hold at once.  Where none holds the expression is an error.
    """

    cases: tuple[Case, ...]

    @property
    def true(self) -> Formula:
        """When it is true."""
        return formulas.some(
            formulas.both(when, value.holds)
            for when, value in self.cases
            if isinstance(value, Bool) and value.holds is not FALSE
        )

    @property
    def false(self) -> Formula:
        """When it is false."""
        return formulas.some(
            formulas.both(when, value.holds.negation)
            for when, value in self.cases
            if isinstance(value, Bool) and value.holds is not TRUE
        )

    @property
    def defined(self) -> Formula:
        """When it has a value."""
        return formulas.some(when for when, _ in self.cases)


ERROR: Final = Outcome(())
"""The outcome of what is always an error."""


def outcome(cases: Iterable[Case]) -> Outcome:
    """Return the outcome of some cases, without those that never hold."""
    return Outcome(tuple([case for case in cases if case[0] is not FALSE]))


def certain(value: Value, when: Formula = TRUE) -> Outcome:
    """Return the outcome of one value."""
    return ERROR if when is FALSE else Outcome(((when, value),))


def truth(true: Formula, false: Formula) -> Outcome:
    """Return the outcome that is true and false when two formulas, never at once, hold."""
    if false is true.negation:
        return certain(Bool(true))
    return outcome([(true, Bool(TRUE)), (false, Bool(FALSE))])
