"""
Search: values for which a formula holds, or the proof that there are none.

What lives here: choosing values by the solver, and checking what clauses do not say: arithmetic,
and texts that must differ.  Not here: tokens made of the values (`tokens`), the engine's opinion
(`confirmation`).
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from regauth.policytests.proofs.budget import current, spend
from regauth.policytests.proofs.languages.automata import UndecidedError
from regauth.policytests.proofs.logic import atoms, formulas
from regauth.policytests.proofs.logic.atoms import (
    Compares,
    Opaque,
    Quantity,
)
from regauth.policytests.proofs.logic.formulas import FALSE, TRUE, Formula
from regauth.policytests.proofs.logic.universe import Universe

from .arithmetic import Arithmetic, arithmetic_of
from .components import components
from .compound import Compounds, is_rest
from .equalities import (
    UnprovedError,
    different_texts,
    pairs_of,
    samples_of,
    texts_of,
)
from .expansion import Expansion
from .solver import Solver
from .theory import Choice, Examples, Holder, Theory
from .wording import Wording

MAX_REFUSED: Final = 24
"""Models that may turn out to be none before a question is given up."""

COST_OF_ROUND: Final = 300
COST_OF_MODEL: Final = 500
COST_OF_WORDING: Final = 1_000
COST_OF_NUMBERS: Final = 2_000
"""Steps for work beside the solver's, so that a step takes about the same time everywhere."""

MAX_ROUNDS: Final = 2_000
"""Rounds between the clauses and what they do not say."""

VARIANTS: Final = 6
"""Ways in which the texts of the first model are chosen, where something is not decided."""

MORE_VARIANTS: Final = 2
"""Ways in which the texts of a model are chosen after one that was refused."""

SHORT: Final = (20, 3, 2)
"""Elements of a list that is short, shorter and shortest."""


@dataclass(frozen=True, slots=True)
class Model:
    """A value for each holder that a formula asks about, and for each number."""

    choices: Mapping[Holder, Choice]
    texts: Mapping[Holder, str]
    numbers: Mapping[Quantity, Fraction]


Solved = dict[Formula, Model | None]
"""By component, a model or that there is none."""

_solved: Final[dict[Universe, Solved]] = {}


def _known_of(universe: Universe) -> Solved:
    """
    Return what one question knows of components, in one universe.

    The examples of claims are those of the universe's schema, and a question has the same wishes
    everywhere.
    """
    return _solved.setdefault(universe, {})


def forget() -> None:
    """Forget solved components, between two questions."""
    _solved.clear()


Accept = Callable[[Model], bool]
"""Tells whether a model is taken; else the search goes on without it."""


@dataclass(slots=True)
class Search:
    """The search for a model of one formula."""

    universe: Universe
    examples: Examples
    wishes: Sequence[Compares] = ()
    """Comparisons that need not hold, and make a model easier to believe."""
    blamed: dict[str, None] = field(default_factory=dict)
    _known: dict[Hashable, dict[Quantity, Fraction]] = field(default_factory=dict)
    _expansion: Expansion = field(default_factory=Expansion)

    def find(self, formula: Formula, accept: Accept) -> Model | None:
        """
        Return a model that is accepted, or None: then no token fits the formula.

        Raises:
            UnprovedError: Neither was found.
            OutOfStepsError: The steps are spent.
        """
        expanded = self._expansion.expand(formula)
        self.blamed.update(self._expansion.blamed)
        # Where nothing opaque has a value and nothing is large, a model is likely to be real.
        plain = formulas.rewritten(expanded, _usual)
        if plain is not expanded and plain is not FALSE:
            try:
                model = self._find(plain, accept)
            except UnprovedError:
                model = None
            if model is not None:
                return model
        return self._find(expanded, accept)

    def _find(self, expanded: Formula, accept: Accept) -> Model | None:
        compounds = Compounds(self._expansion)
        resolved = compounds.resolve(expanded)
        if resolved is FALSE:
            return None
        if resolved is not TRUE:
            try:
                model = self._by_components(resolved, compounds)
            except UnprovedError:
                model = None
            else:
                if model is None:
                    return None
                spend(COST_OF_MODEL)
                if accept(model):
                    return model
        # Another model may be accepted, of which only the engine knows how its parts are related.
        return self._whole(resolved, compounds, accept)

    def _whole(self, resolved: Formula, compounds: Compounds, accept: Accept) -> Model | None:
        solver = Solver(current())
        try:
            theory = Theory(self.universe, resolved, solver, self.examples, compounds.terms)
        except UndecidedError as error:
            raise UnprovedError(str(error)) from error
        return self._solve(theory, solver, compounds, accept)

    def _by_components(self, resolved: Formula, compounds: Compounds) -> Model | None:
        """
        Return a model made of models of the formula's components, or None: there is none.

        Raises:
            UnprovedError: A component is not decided, and none is refuted.
        """
        known = _known_of(self.universe)
        found: list[Model] = []
        undecided: UnprovedError | None = None
        for component in components(resolved):
            if component not in known:
                within = compounds.within(component)
                try:
                    known[component] = self._whole(component, within, lambda _: True)
                except UnprovedError as error:
                    undecided = error
                    continue
            model = known[component]
            if model is None:
                return None
            found.append(model)
        if undecided is not None:
            raise undecided
        return Model(
            {holder: choice for one in found for holder, choice in one.choices.items()},
            {holder: text for one in found for holder, text in one.texts.items()},
            {number: value for one in found for number, value in one.numbers.items()},
        )

    def _solve(
        self, theory: Theory, solver: Solver, compounds: Compounds, accept: Accept
    ) -> Model | None:
        refused = 0
        arithmetic: Arithmetic | None = None
        for _ in range(MAX_ROUNDS):
            spend(COST_OF_ROUND)
            if not solver.solve():
                if refused:
                    raise UnprovedError(self._reason())
                return None
            if arithmetic is None:
                short = _short_lists(theory.comparisons)
                arithmetic = arithmetic_of((*theory.comparisons, *self.wishes, *short))
            chosen = _chosen(theory, solver)
            clause = _clash(theory, solver, arithmetic) or different_texts(theory, solver, chosen)
            if clause is not None:
                solver.add(clause)
                continue
            numbers = self._numbers_of(arithmetic, _literals(theory, solver))
            for variant in range(self._variants(refused)):
                spend(COST_OF_MODEL)
                texts = _model_texts(theory, solver, chosen, variant)
                if compounds.terms:
                    spend(COST_OF_WORDING)
                    texts.update(_worded(theory, solver, chosen, compounds, variant))
                model = Model(chosen, texts, numbers)
                if accept(model):
                    return model
            refused += 1
            if refused > MAX_REFUSED:
                break
            solver.add([-literal * solver.value(literal) for literal in theory.atoms.values()])
            # The next model is another one, and not the same but for what hardly matters.
            solver.scatter(refused)
        raise UnprovedError(self._reason())

    def _variants(self, refused: int) -> int:
        """Return in how many ways the texts of a model are chosen."""
        if refused:
            return MORE_VARIANTS
        return VARIANTS if self.blamed else 1

    def _numbers_of(
        self, arithmetic: Arithmetic, literals: dict[Compares, bool]
    ) -> dict[Quantity, Fraction]:
        """Return values for which comparisons hold; many models have the same."""
        key = frozenset(literals.items())
        found = self._known.get(key)
        if found is None:
            spend(COST_OF_NUMBERS)
            found = self._known[key] = _numbers(arithmetic, literals, self.wishes)
        return found

    def _reason(self) -> str:
        return "; ".join(sorted(self.blamed)) or "values that the engine sees otherwise"


def _usual(about: Hashable, one: Formula) -> Formula:
    """Take what is opaque for an error, and texts and lists for short."""
    key = about.key if isinstance(about, Opaque) else None
    if not isinstance(key, tuple) or not key:
        return one
    return {"defined": FALSE, "steps": TRUE, "short": TRUE}.get(key[0], one)


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


def _model_texts(
    theory: Theory, solver: Solver, chosen: Mapping[Holder, Choice], variant: int
) -> dict[Holder, str]:
    """Return a text for each holder that has one."""
    texts = {
        holder: samples_of(choice, variant)[0]
        for holder, choice in chosen.items()
        if choice.cell is not None
    }
    pairs = pairs_of(theory, solver, chosen)
    if pairs:
        texts.update(texts_of(pairs, chosen, variant) or texts_of(pairs, chosen, 0) or {})
    return texts


def _worded(
    theory: Theory,
    solver: Solver,
    chosen: Mapping[Holder, Choice],
    compounds: Compounds,
    variant: int,
) -> dict[Holder, str]:
    """Return texts of which compounds are what their parts make, or nothing."""
    # What wildcards stand for is not chosen: whether a text fits is seen from the others.
    own = {holder: choice for holder, choice in chosen.items() if not is_rest(holder)}
    same = [
        (left, right, equal)
        for _, left, right, equal in pairs_of(theory, solver, chosen)
        if left in own and right in own
    ]
    fitting = [
        (fits, solver.value(theory.atoms[about]) == 1) for about, fits in compounds.fits.items()
    ]
    return Wording(theory, own, same, fitting, variant).find() or {}


def _short_lists(comparisons: Iterable[Compares]) -> list[Compares]:
    """Return the wish that lists are short."""
    asked = dict.fromkeys(one for comparison in comparisons for one, _ in comparison.sum.terms)
    sizes = [one for one in asked if one.kind in ("size", "count")]
    return [
        Compares("<=", atoms.added(atoms.quantity(one), atoms.constant(most), -1))
        for most in SHORT
        for one in sizes
    ]


def _numbers(
    arithmetic: Arithmetic, literals: dict[Compares, bool], wishes: Sequence[Compares]
) -> dict[Quantity, Fraction]:
    """Return values for which comparisons hold, and as many wishes as can."""
    if not literals:
        return {}
    asked = {one for comparison in literals for one, _ in comparison.sum.terms}
    wishes = [*wishes, *_short_lists(literals)]
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
