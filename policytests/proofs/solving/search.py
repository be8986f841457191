"""
Search: values for which a formula holds, or the proof that there are none.

What lives here: choosing values by the solver, and checking what clauses do not say: arithmetic,
and texts that must differ.  Not here: tokens made of the values (`tokens`), the engine's opinion
(`confirmation`).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from regauth.policytests.proofs.languages.automata import UndecidedError
from regauth.policytests.proofs.logic import formulas
from regauth.policytests.proofs.logic.atoms import (
    Compares,
    Opaque,
    OpaqueText,
    Quantity,
    SameText,
    Variable,
)
from regauth.policytests.proofs.logic.formulas import FALSE, Formula
from regauth.policytests.proofs.logic.universe import Kind, Universe

from .arithmetic import Arithmetic
from .expansion import Expansion
from .solver import Solver, Steps
from .theory import Choice, Examples, Holder, Theory

MAX_REFUSED: Final = 16
"""Models that may turn out to be none before a question is given up."""

COST_OF_ROUND: Final = 300
COST_OF_MODEL: Final = 500
COST_OF_NUMBERS: Final = 2_000
"""Steps for work beside the solver's, so that a step takes about the same time everywhere."""

MAX_ROUNDS: Final = 2_000
"""Rounds between the clauses and what they do not say."""

VARIANTS: Final = 6
"""Ways in which the texts of one model are chosen, where something is not decided."""

MAX_ASSIGNED: Final = 5_000
"""Texts that are tried for values that must differ."""


@dataclass(frozen=True, slots=True)
class Model:
    """A value for each holder that a formula asks about, and for each number."""

    choices: Mapping[Holder, Choice]
    texts: Mapping[Holder, str]
    numbers: Mapping[Quantity, Fraction]


class UnprovedError(Exception):
    """A question is not decided; the message says what it hangs on."""


Accept = Callable[[Model], bool]
"""Tells whether a model is taken; else the search goes on without it."""


@dataclass(slots=True)
class Search:
    """The search for a model of one formula."""

    universe: Universe
    steps: Steps
    examples: Examples
    wishes: Sequence[Compares] = ()
    """Comparisons that need not hold, and make a model easier to believe."""
    blamed: dict[str, None] = field(default_factory=dict)
    _known: dict[Hashable, dict[Quantity, Fraction]] = field(default_factory=dict)

    def find(self, formula: Formula, accept: Accept) -> Model | None:
        """
        Return a model that is accepted, or None: then no token fits the formula.

        Raises:
            UnprovedError: Neither was found.
            OutOfStepsError: The steps are spent.
        """
        expansion = Expansion()
        expanded = expansion.expand(formula)
        self.blamed.update(expansion.blamed)
        # Models in which nothing opaque has a value are the likeliest to be real.
        plain = formulas.rewritten(expanded, _undefined)
        if plain is not expanded and plain is not FALSE:
            try:
                model = self._find(plain, accept)
            except UnprovedError:
                model = None
            if model is not None:
                return model
        return self._find(expanded, accept)

    def _find(self, expanded: Formula, accept: Accept) -> Model | None:
        if expanded is FALSE:
            return None
        solver = Solver(self.steps)
        try:
            theory = Theory(self.universe, expanded, solver, self.examples)
        except UndecidedError as error:
            raise UnprovedError(str(error)) from error
        return self._solve(theory, solver, accept)

    def _solve(self, theory: Theory, solver: Solver, accept: Accept) -> Model | None:
        refused = 0
        arithmetic: Arithmetic | None = None
        for _ in range(MAX_ROUNDS):
            self.steps.take(COST_OF_ROUND)
            if not solver.solve():
                if refused:
                    raise UnprovedError(self._reason())
                return None
            arithmetic = arithmetic or Arithmetic([*theory.comparisons, *self.wishes])
            chosen = _chosen(theory, solver)
            clause = _clash(theory, solver, arithmetic) or _different_texts(theory, solver, chosen)
            if clause is not None:
                solver.add(clause)
                continue
            numbers = self._numbers_of(arithmetic, _literals(theory, solver))
            for variant in range(VARIANTS if self.blamed or refused else 1):
                self.steps.take(COST_OF_MODEL)
                model = Model(chosen, _model_texts(theory, solver, chosen, variant), numbers)
                if accept(model):
                    return model
            refused += 1
            if refused > MAX_REFUSED:
                break
            solver.add([-literal * solver.value(literal) for literal in theory.atoms.values()])
        raise UnprovedError(self._reason())

    def _numbers_of(
        self, arithmetic: Arithmetic, literals: dict[Compares, bool]
    ) -> dict[Quantity, Fraction]:
        """Return values for which comparisons hold; many models have the same."""
        key = frozenset(literals.items())
        found = self._known.get(key)
        if found is None:
            self.steps.take(COST_OF_NUMBERS)
            found = self._known[key] = _numbers(arithmetic, literals, self.wishes)
        return found

    def _reason(self) -> str:
        return "; ".join(sorted(self.blamed)) or "values that the engine sees otherwise"


def _undefined(about: Hashable, one: Formula) -> Formula:
    """Take what is opaque for an error."""
    key = about.key if isinstance(about, Opaque) else None
    return FALSE if isinstance(key, tuple) and key[:1] == ("defined",) else one


def _chosen(theory: Theory, solver: Solver) -> dict[Holder, Choice]:
    return {
        holder: next(one for one, literal in choices.items() if solver.value(literal) == 1)
        for holder, choices in theory.choices.items()
    }


def _literals(theory: Theory, solver: Solver) -> dict[Compares, bool]:
    return {one: solver.value(theory.atoms[one]) == 1 for one in theory.comparisons}


def _clash(theory: Theory, solver: Solver, arithmetic: Arithmetic) -> list[int] | None:
    """Return the clause of comparisons that cannot hold together, if some do not."""
    literals = _literals(theory, solver)
    core = arithmetic.conflict(literals) if literals else None
    if core is None:
        return None
    return [-theory.atoms[one] * solver.value(theory.atoms[one]) for one in core]


# -- texts that are equal or differ


def _pairs(
    theory: Theory, solver: Solver, chosen: Mapping[Holder, Choice]
) -> list[tuple[SameText, Holder, Holder, bool]]:
    """Return the comparisons of two texts that are both texts, and whether they are equal."""
    found = []
    for pair in theory.pairs:
        left, right = pair.left, pair.right
        assert isinstance(left, (Variable, OpaqueText))  # noqa: S101 - by `expansion`
        assert isinstance(right, (Variable, OpaqueText))  # noqa: S101
        if chosen[left].kind is Kind.STRING and chosen[right].kind is Kind.STRING:
            found.append((pair, left, right, solver.value(theory.atoms[pair]) == 1))
    return found


def _different_texts(
    theory: Theory, solver: Solver, chosen: Mapping[Holder, Choice]
) -> list[int] | None:
    """Return a clause that rules a choice out in which equal and different texts do not go."""
    pairs = _pairs(theory, solver, chosen)
    if not pairs or _texts(pairs, chosen, 0) is not None:
        return None
    clause = [-theory.atoms[pair] * solver.value(theory.atoms[pair]) for pair, *_ in pairs]
    holders = {holder for _, left, right, _ in pairs for holder in (left, right)}
    return [*clause, *(-theory.choices[holder][chosen[holder]] for holder in holders)]


def _texts(
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
    roots.sort(key=lambda holder: len(_samples(chosen[holder], variant)))
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
        for text in _samples(chosen[holder], variant):
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


def _samples(choice: Choice, variant: int) -> list[str]:
    """Return the samples of a choice's cell; a text that is not empty first, where there is one."""
    samples = list(choice.cell.samples) if choice.cell is not None else []
    samples.sort(key=lambda text: not text)
    turn = variant % len(samples) if samples else 0
    return samples[turn:] + samples[:turn]


def _model_texts(
    theory: Theory, solver: Solver, chosen: Mapping[Holder, Choice], variant: int
) -> dict[Holder, str]:
    """Return a text for each holder that has one."""
    texts = {
        holder: _samples(choice, variant)[0]
        for holder, choice in chosen.items()
        if choice.cell is not None
    }
    pairs = _pairs(theory, solver, chosen)
    if pairs:
        texts.update(_texts(pairs, chosen, variant) or _texts(pairs, chosen, 0) or {})
    return texts


def _numbers(
    arithmetic: Arithmetic, literals: dict[Compares, bool], wishes: Sequence[Compares]
) -> dict[Quantity, Fraction]:
    """Return values for which comparisons hold, and as many wishes as can."""
    if not literals:
        return {}
    asked = {one for comparison in literals for one, _ in comparison.sum.terms}
    wished = dict(literals)
    possible = [
        one
        for one in wishes
        if one not in literals and all(quantity in asked for quantity, _ in one.sum.terms)
    ]
    every = arithmetic.solve({**literals, **dict.fromkeys(possible, True)}, whole=True)
    if every is not None:
        return {one: value for one, value in every.items() if one in asked}
    found = arithmetic.solve(literals, whole=True)
    whole = found is not None
    for wish in possible:
        wished[wish] = True
        better = arithmetic.solve(wished, whole=whole)
        if better is None:
            del wished[wish]
        else:
            found = better
    found = found or arithmetic.solve(literals) or {}
    return {one: value for one, value in found.items() if one in asked}
