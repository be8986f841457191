"""
Arithmetic: whether some comparisons of sums can hold together.

What lives here: differences of two quantities and bounds of one, decided by shortest paths.
Not here: sums of more.  They are left out, which only allows more.

Quantities are taken as numbers with fractions, but a comparison of whole quantities alone is drawn
to the whole numbers it means: `2 < n < 3` has no solution.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Final

from msgspec import Struct

from regauth.policytests.proofs.budget import spend
from regauth.policytests.proofs.logic.atoms import Compares, Linear, Quantity

Literals = Mapping[Compares, bool]
"""Comparisons, and whether each holds."""

Values = dict[Quantity, Fraction]

MAX_SPLITS: Final = 60
"""How often values on either side of an inequality (`a != 1`) are sought; the rest is left out."""

_ZERO: Final = Quantity("opaque", "zero")


class _DifferenceBound(Struct, frozen=True):
    """
    `second - first` is at most a number, or below it.

    The number is a fraction in lowest terms.
    """

    first: Quantity
    second: Quantity
    numerator: int
    denominator: int
    strict: bool


Arc = tuple[int, int, int, int, int]
"""Two places, the length between them, the one in whole numbers, and the comparison's number."""


def is_followed(comparison: Compares) -> bool:
    """Tell whether a comparison is decided here."""
    return _bound(comparison.sum, strict=False) is not None


class Arithmetic:
    """
    Some comparisons, any of which may hold or not.

    Lengths are whole numbers: all bounds times `_scale`, which is more than there are arcs, less
    one for each bound that may not be reached itself.
    """

    def __init__(self, comparisons: Iterable[Compares]) -> None:
        self._comparisons = list(dict.fromkeys(comparisons))
        self._numbers = {one: number for number, one in enumerate(self._comparisons)}
        bounds = [_bounds(one) for one in self._comparisons]
        every = [bound for sides in bounds for side in sides for bound in side]
        self._scale = lcm(*(one.denominator for one in every)) * (len(every) + 1)
        self._places: dict[Quantity, int] = {_ZERO: 0}
        self._arcs = [
            tuple(tuple(self._arc(bound, number) for bound in side) for side in sides)
            for number, sides in enumerate(bounds)
        ]

    def _arc(self, bound: _DifferenceBound, number: int) -> Arc:
        first = self._places.setdefault(bound.first, len(self._places))
        second = self._places.setdefault(bound.second, len(self._places))
        floor, rest = divmod(bound.numerator, bound.denominator)
        tight = (floor - 1 if bound.strict and not rest else floor) * self._scale
        length = bound.numerator * (self._scale // bound.denominator) - bound.strict
        if all(one is _ZERO or one.is_whole for one in (bound.first, bound.second)):
            length = tight
        return first, second, length, tight, number

    def conflict(self, literals: Literals) -> list[Compares] | None:
        """Return some comparisons that cannot hold together, or None when all can."""
        arcs, splits = self._read(literals)
        found = self._shortest(arcs, whole=False)
        if isinstance(found, set):
            return [self._comparisons[number] for number in sorted(found)]
        if not splits or self.solve(literals) is not None:
            return None
        core = dict(literals)
        for comparison in list(core):
            kept = core.pop(comparison)
            if self.solve(core) is not None:
                core[comparison] = kept
        return list(core)

    def solve(self, literals: Literals, *, whole: bool = False) -> Values | None:
        """
        Return values for which comparisons hold as they should, or None when there are none.

        With `whole` every quantity is a whole number; where there is none so, there may be others.
        """
        arcs, splits = self._read(literals)
        return self._split(arcs, splits, [MAX_SPLITS], whole=whole)

    def _read(self, literals: Literals) -> tuple[list[Arc], list[int]]:
        """Return what must hold as arcs, and the sums that must not be zero."""
        arcs: list[Arc] = []
        splits: list[int] = []
        for one, holds in literals.items():
            number = self._numbers[one]
            if holds:
                arcs += self._arcs[number][0]
            elif one.operator == "==":
                splits.append(number)
            else:
                arcs += self._arcs[number][1]
        return arcs, splits

    def _split(
        self, arcs: list[Arc], splits: Sequence[int], left: list[int], *, whole: bool
    ) -> Values | None:
        """Solve, with each of some sums other than zero: where one is zero, below it or above."""
        distance = self._shortest(arcs, whole=whole)
        if isinstance(distance, set):
            return None
        zero = next((one for one in splits if self._is_zero(one, distance)), None)
        if zero is None or not left[0]:
            return {
                one: Fraction(distance[at] - distance[0], self._scale)
                for one, at in self._places.items()
                if at
            }
        left[0] -= 1
        for arc in self._arcs[zero][1]:
            found = self._split([*arcs, arc], splits, left, whole=whole)
            if found is not None:
                return found
        return None

    def _is_zero(self, number: int, distance: Sequence[int]) -> bool:
        total = self._comparisons[number].sum
        if not self._arcs[number][1]:
            return False
        values = ((distance[self._places[one]] - distance[0], by) for one, by in total.terms)
        return not sum((value * by for value, by in values), total.constant * self._scale)

    def _shortest(self, arcs: Sequence[Arc], *, whole: bool) -> list[int] | set[int]:
        """
        Return each place's distance by shortest paths (Bellman and Ford).

        Where there is a ring of negative length, return the comparisons on it.
        """
        lengths = [
            (first, second, tight if whole else length) for first, second, length, tight, _ in arcs
        ]
        distance, before = [0] * len(self._places), [-1] * len(self._places)
        changed = -1
        for _ in range(len(self._places) + 1):
            changed = -1
            spend(1 + len(lengths) // 16)
            for at, (first, second, length) in enumerate(lengths):
                reached = distance[first] + length
                if reached < distance[second]:
                    distance[second], before[second] = reached, at
                    changed = second
            if changed < 0:
                return distance
        return _ring(arcs, before, changed)


# Most formulas compare the same numbers: the times of a token.  It takes no steps to make one.
@lru_cache(maxsize=256)
def arithmetic_of(comparisons: tuple[Compares, ...]) -> Arithmetic:
    """Return the arithmetic of some comparisons."""
    return Arithmetic(comparisons)


def _ring(arcs: Sequence[Arc], before: list[int], place: int) -> set[int]:
    """Return the comparisons on the ring that a place was reached by again."""
    for _ in range(len(before)):
        place = arcs[before[place]][0]
    found: set[int] = set()
    at = place
    while True:
        arc = arcs[before[at]]
        found.add(arc[4])
        at = arc[0]
        if at == place:
            return found


# The times of every token are compared the same in every formula.
@lru_cache(maxsize=4096)
def _bounds(one: Compares) -> tuple[list[_DifferenceBound], list[_DifferenceBound]]:
    """
    Return what a comparison says when it holds, and when it does not.

    An equality that does not hold says one of two things.
    """
    opposite = _negated(one.sum)
    if one.operator == "==":
        holds = [_bound(one.sum, strict=False), _bound(opposite, strict=False)]
        fails = [_bound(one.sum, strict=True), _bound(opposite, strict=True)]
    else:
        holds = [_bound(one.sum, strict=one.operator == "<")]
        fails = [_bound(opposite, strict=one.operator == "<=")]
    return [each for each in holds if each is not None], [
        each for each in fails if each is not None
    ]


def _negated(total: Linear) -> Linear:
    return Linear(tuple((one, -by) for one, by in total.terms), -total.constant)


def _bound(total: Linear, *, strict: bool) -> _DifferenceBound | None:
    """Return `total <= 0`, or `< 0`, as a bound."""
    match total.terms:
        case ((one, by),):
            places = (_ZERO, one) if by > 0 else (one, _ZERO)
        case ((one, by), (other, also)) if by == -also:
            places = (other, one) if by > 0 else (one, other)
        case _:
            return None
    most = -Fraction(total.constant) / abs(Fraction(by))
    return _DifferenceBound(*places, most.numerator, most.denominator, strict)
