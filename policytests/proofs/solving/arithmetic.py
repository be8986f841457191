"""
Arithmetic: whether some comparisons of sums can hold together.

What lives here: differences of two quantities and bounds of one, decided by shortest paths.  Not
here: sums of more; they are left out, which only allows more.

Quantities are taken as numbers with fractions, but a comparison of whole quantities alone is drawn
to the whole numbers it means: `2 < n < 3` has no solution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Final

from regauth.policytests.proofs.logic.atoms import Compares, Linear, Quantity

Literals = Mapping[Compares, bool]
"""Comparisons, and whether each holds."""

_ZERO: Final = Quantity("opaque", "zero")
MAX_SPLITS: Final = 12
"""Inequalities (`a != 1`) that are looked at; what is beyond is left out."""


@dataclass(frozen=True, slots=True)
class Edge:
    """`second - first` is at most a number, or below it, because of a comparison."""

    first: Quantity
    second: Quantity
    bound: Fraction
    strict: bool
    because: Compares


Values = dict[Quantity, Fraction]


def is_followed(comparison: Compares) -> bool:
    """Tell whether a comparison is decided here."""
    return _edge(comparison.sum, comparison, strict=False) is not None


def conflict(literals: Literals) -> list[Compares] | None:
    """Return some comparisons that cannot hold together, or None when all can."""
    edges, splits = _read(literals)
    ring = _shortest(edges, whole=False)
    if isinstance(ring, list):
        return list(dict.fromkeys(edge.because for edge in ring))
    if not splits or solve(literals) is not None:
        return None
    core = dict(literals)
    for comparison in list(core):
        kept = core.pop(comparison)
        if solve(core) is not None:
            core[comparison] = kept
    return list(core)


def solve(literals: Literals, *, whole: bool = False) -> Values | None:
    """
    Return values for which comparisons hold as they should, or None when there are none.

    With `whole` every quantity is a whole number; where there is none so, there may be others.
    """
    edges, splits = _read(literals)
    return _split(edges, splits[:MAX_SPLITS], whole=whole)


def _read(literals: Literals) -> tuple[list[Edge], list[Compares]]:
    """Return what must hold as edges, and the sums that must not be zero."""
    edges: list[Edge | None] = []
    splits: list[Compares] = []
    for one, holds in literals.items():
        if one.operator == "==":
            if holds:
                edges.append(_edge(one.sum, one, strict=False))
                edges.append(_edge(_negated(one.sum), one, strict=False))
            else:
                splits.append(one)
        elif holds:
            edges.append(_edge(one.sum, one, strict=one.operator == "<"))
        else:
            edges.append(_edge(_negated(one.sum), one, strict=one.operator == "<="))
    return [edge for edge in edges if edge is not None], splits


def _split(edges: list[Edge], splits: Sequence[Compares], *, whole: bool) -> Values | None:
    """Solve, with each of some sums other than zero: below it or above."""
    if not splits:
        found = _shortest(edges, whole=whole)
        return found if isinstance(found, dict) else None
    first, *rest = splits
    for side in (first.sum, _negated(first.sum)):
        edge = _edge(side, first, strict=True)
        if edge is None:
            return _split(edges, rest, whole=whole)
        found = _split([*edges, edge], rest, whole=whole)
        if found is not None:
            return found
    return None


def _negated(total: Linear) -> Linear:
    return Linear(tuple((one, -by) for one, by in total.terms), -total.constant)


def _edge(total: Linear, because: Compares, *, strict: bool) -> Edge | None:
    """Return `total <= 0`, or `< 0`, as an edge."""
    match total.terms:
        case ((one, by),):
            places = (_ZERO, one) if by > 0 else (one, _ZERO)
        case ((one, by), (other, also)) if by == -also:
            places = (other, one) if by > 0 else (one, other)
        case _:
            return None
    return Edge(*places, -Fraction(total.constant) / abs(Fraction(by)), strict, because)


def _is_whole(one: Quantity) -> bool:
    return one is _ZERO or one.is_whole


def _shortest(edges: list[Edge], *, whole: bool) -> Values | list[Edge] | None:
    """
    Return values by shortest paths from zero (Bellman and Ford), or a ring of negative length.

    Lengths are whole numbers: all bounds times `scale`, which is more than there are edges, less
    one for each bound that may not be reached itself.
    """
    scale = lcm(*(edge.bound.denominator for edge in edges)) * (len(edges) + 1)
    places: dict[Quantity, int] = {_ZERO: 0}
    arcs = []
    for edge in edges:
        first = places.setdefault(edge.first, len(places))
        second = places.setdefault(edge.second, len(places))
        arcs.append((first, second, _length(edge, scale, whole=whole)))
    distance, before = [0] * len(places), [-1] * len(places)
    changed = -1
    for _ in range(len(places) + 1):
        changed = -1
        for number, (first, second, length) in enumerate(arcs):
            reached = distance[first] + length
            if reached < distance[second]:
                distance[second], before[second] = reached, number
                changed = second
        if changed < 0:
            zero = distance[0]
            return {
                one: Fraction(distance[at] - zero, scale)
                for one, at in places.items()
                if one is not _ZERO
            }
    return _ring(edges, arcs, before, changed)


def _length(edge: Edge, scale: int, *, whole: bool) -> int:
    if whole or (_is_whole(edge.first) and _is_whole(edge.second)):
        floor = edge.bound.numerator // edge.bound.denominator
        return (floor - 1 if edge.strict and floor == edge.bound else floor) * scale
    return int(edge.bound * scale) - edge.strict


def _ring(
    edges: list[Edge], arcs: list[tuple[int, int, int]], before: list[int], place: int
) -> list[Edge]:
    """Return the edges of the ring that a place was reached by again."""
    for _ in range(len(before)):
        place = arcs[before[place]][0]
    found, at = [], place
    while True:
        found.append(edges[before[at]])
        at = arcs[before[at]][0]
        if at == place:
            return found
