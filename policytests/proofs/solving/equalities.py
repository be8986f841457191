"""
Texts that are equal or differ, of cells that are chosen.

What lives here: whether the comparisons of a model can hold for texts of its cells, and a text for
each.  Not here: choosing cells (`theory`), texts that are made of others (`wording`).
"""

from collections.abc import Mapping
from typing import Final

from regauth.policytests.proofs.logic.atoms import OpaqueText, SameText, Variable
from regauth.policytests.proofs.logic.universe import Kind

from .solver import Solver
from .theory import Choice, Holder, Theory

MAX_ASSIGNED: Final = 5_000
"""Texts that are tried for values that must differ."""


class UnprovedError(Exception):
    """A question is not decided; the message says what it hangs on."""


def pairs_of(
    theory: Theory, solver: Solver, chosen: Mapping[Holder, Choice]
) -> list[tuple[SameText, Holder, Holder, bool]]:
    """Return the comparisons of two texts that are both texts, and whether they are equal."""
    found = []
    for pair in theory.pairs:
        left, right = pair.left, pair.right
        assert isinstance(left, (Variable, OpaqueText))  # noqa: S101 - by `expansion`
        assert isinstance(right, (Variable, OpaqueText))  # noqa: S101 - by `expansion`
        if chosen[left].kind is Kind.STRING and chosen[right].kind is Kind.STRING:
            found.append((pair, left, right, solver.value(theory.atoms[pair]) == 1))
    return found


def different_texts(
    theory: Theory, solver: Solver, chosen: Mapping[Holder, Choice]
) -> list[int] | None:
    """Return a clause that rules a choice out in which equal and different texts do not go."""
    pairs = pairs_of(theory, solver, chosen)
    if not pairs or texts_of(pairs, chosen, 0) is not None:
        return None
    clause = [-theory.atoms[pair] * solver.value(theory.atoms[pair]) for pair, *_ in pairs]
    holders = {holder for _, left, right, _ in pairs for holder in (left, right)}
    return [*clause, *(-theory.choices[holder][chosen[holder]] for holder in holders)]


def texts_of(
    pairs: list[tuple[SameText, Holder, Holder, bool]],
    chosen: Mapping[Holder, Choice],
    variant: int,
) -> dict[Holder, str] | None:
    """
    Return a text for each holder that is compared, or None when there are none.

    Each cell has more samples than holders can differ, or all of its texts, so that texts are
    found where there are any.

    Raises:
        UnprovedError: A cell has fewer samples than it would need.
    """
    above: dict[Holder, Holder] = {}

    def root(holder: Holder) -> Holder:
        while holder in above:
            holder = above[holder]
        return holder

    for _, left, right, equal in pairs:
        one, other = root(left), root(right)
        if equal and one != other:
            if chosen[one].cell != chosen[other].cell:
                return None
            above[one] = other
    differ = [(root(left), root(right)) for _, left, right, equal in pairs if not equal]
    if any(one == other for one, other in differ):
        return None
    roots = list(
        dict.fromkeys(root(holder) for _, left, right, _ in pairs for holder in (left, right))
    )
    roots.sort(key=lambda holder: len(samples_of(chosen[holder], variant)))
    found = _assigned(roots, differ, chosen, variant)
    if found is None:
        cells = [chosen[holder].cell for holder in roots]
        if any(cell and not cell.complete and len(cell.samples) < len(roots) for cell in cells):
            raise UnprovedError("texts that are longer than names, and differ")
        return None
    return {holder: found[root(holder)] for _, left, right, _ in pairs for holder in (left, right)}


def _assigned(
    roots: list[Holder],
    differ: list[tuple[Holder, Holder]],
    chosen: Mapping[Holder, Choice],
    variant: int,
) -> dict[Holder, str] | None:
    found: dict[Holder, str] = {}
    tried = 0

    def assign(number: int) -> bool:
        nonlocal tried
        if number == len(roots):
            return True
        holder = roots[number]
        near = {other for pair in differ if holder in pair for other in pair if other != holder}
        taken = {found[other] for other in near if other in found}
        for text in samples_of(chosen[holder], variant):
            tried += 1
            if tried > MAX_ASSIGNED:
                raise UnprovedError("many texts that differ")
            if text in taken:
                continue
            found[holder] = text
            if assign(number + 1):
                return True
            del found[holder]
        return False

    return found if assign(0) else None


def samples_of(choice: Choice, variant: int) -> list[str]:
    """Return the samples of a choice's cell; a text that is not empty first, where there is one."""
    samples = list(choice.cell.samples) if choice.cell is not None else []
    samples.sort(key=lambda text: not text)
    turn = variant % len(samples) if samples else 0
    return samples[turn:] + samples[:turn]
