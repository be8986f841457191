"""
What a token can hold, as clauses: for each claim its kinds and the cells of its texts.

What lives here: the variables of a formula with their possible values, and the clauses that say
how atoms follow from them.  Not here: choosing values (`search`), cells (`languages.cells`).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from msgspec import Struct

from regauth.policytests.proofs.languages.cells import Cell, cut
from regauth.policytests.proofs.languages.language import ADDRESS, Language
from regauth.policytests.proofs.logic.atoms import (
    CLIENT,
    Compares,
    In,
    IsTrue,
    KindIs,
    OpaqueText,
    Path,
    SameText,
    Text,
    TooLong,
    Unclaimed,
    Variable,
    variables_of,
)
from regauth.policytests.proofs.logic.formulas import Formula
from regauth.policytests.proofs.logic.universe import Kind, Universe, universe_of

from .solver import Solver

Holder: TypeAlias = Variable | OpaqueText
"""What has one value: a claim, or a text that no claim holds."""

_FEW: Final = 6
"""Values of which each pair excludes the other by a clause of its own."""

MIN_SAMPLES: Final = 3


class Choice(Struct, frozen=True, cache_hash=True):
    """One value that a holder can have: a kind, of texts a cell, of bools which."""

    kind: Kind
    cell: Cell | None = None
    true: bool = False


Examples = Callable[[Path], Sequence[object]]
"""Gives values that a claim is known to have, for tokens that a person believes."""


class Theory:
    """The holders of a formula, their choices, and the literals of both."""

    def __init__(
        self,
        universe: Universe,
        formula: Formula,
        solver: Solver,
        examples: Examples,
        terms: Mapping[OpaqueText, Text] | None = None,
    ) -> None:
        self._universe = universe
        self.terms = terms or {}
        """What texts are made of that are compared as wholes (`compound`)."""
        self._solver = solver
        self._examples = examples
        self.atoms: dict[Hashable, int] = {}
        self.choices: dict[Holder, dict[Choice, int]] = {}
        self.groups: dict[Holder, Holder] = {}
        """By holder, the one that stands for all that it is compared with."""
        self.pairs: list[SameText] = []
        self.comparisons: list[Compares] = []
        self.undecided: dict[str, None] = {}
        self._languages: dict[Holder, dict[Language, None]] = {}
        self._bounds: dict[Holder, int] = {}
        self._collect(formula)
        self._divide()
        self._define(formula)

    # -- what there is

    def _collect(self, formula: Formula) -> None:
        holders: dict[Holder, None] = {}
        for about in formula.atoms:
            match about:
                case In(text=Variable() | OpaqueText() as text, language=language):
                    holders[text] = None
                    self._languages.setdefault(text, {})[language] = None
                case SameText(left=Variable() | OpaqueText() as left, right=right):
                    assert isinstance(right, (Variable, OpaqueText))  # noqa: S101 - by `expansion`
                    holders[left] = holders[right] = None
                    self.pairs.append(about)
                    self._join(left, right)
                case TooLong(text=text, bound=bound):
                    holders[text] = None
                    self._bounds[text] = min(self._bounds.get(text, bound), bound)
                case KindIs(path=path) | IsTrue(path=path):
                    holders[Variable(path)] = None
                case Compares():
                    self.comparisons.append(about)
                case _:
                    pass
        for term in self.terms.values():
            holders |= dict.fromkeys(variables_of(term))
        self._holders = list(holders)

    def group(self, holder: Holder) -> Holder:
        """Return the holder that stands for all that one is compared with."""
        while (above := self.groups.get(holder, holder)) != holder:
            holder = above
        return holder

    def _join(self, left: Holder, right: Holder) -> None:
        self.groups[self.group(left)] = self.group(right)

    def _divide(self) -> None:
        """Find the cells of each group of holders, and the choices of each holder."""
        groups: dict[Holder, list[Holder]] = {}
        for holder in self._holders:
            groups.setdefault(self.group(holder), []).append(holder)
        for holders in groups.values():
            cells, bound = self._cells(holders)
            for holder in holders:
                self._choose(holder, _short(cells, holder, bound))

    def asked(self, holder: Holder) -> list[Language]:
        """Return the languages that are asked of a holder's group."""
        group = self.group(holder)
        return [
            language
            for one, known in self._languages.items()
            if self.group(one) == group
            for language in known
        ]

    def _cells(self, holders: list[Holder]) -> tuple[list[Cell], int | None]:
        languages = {one: None for holder in holders for one in self._languages.get(holder, ())}
        bounds = {self._bounds[holder] for holder in holders if holder in self._bounds}
        bound = min(bounds) if bounds else None
        # Beyond the least bound a text is long for this bound and not for another: left open.
        for holder in holders:
            if self._bounds.get(holder, bound) != bound:
                del self._bounds[holder]
        wanted = max(MIN_SAMPLES, len(holders) + 1)
        examples = [
            value
            for holder in holders
            if isinstance(holder, Variable) and (holder.is_claim or holder == CLIENT)
            for value in self._examples(holder.path)
            if isinstance(value, str)
        ]
        cells = cut(sorted(languages), wanted, bound, examples)
        if holders == [CLIENT]:
            # An address that is known says more than one that is not.
            cells.sort(key=lambda cell: ADDRESS not in cell.languages)
        return cells, bound

    def _choose(self, holder: Holder, cells: list[Cell]) -> None:
        texts = [Choice(Kind.STRING, cell) for cell in cells]
        if isinstance(holder, OpaqueText) or not holder.is_claim:
            choices = texts
        else:
            choices = []
            for kind in self._ordered(holder.path):
                if kind is Kind.STRING:
                    choices += texts
                elif kind is Kind.BOOL:
                    choices += [Choice(kind, true=True), Choice(kind, true=False)]
                else:
                    choices.append(Choice(kind))
        self.choices[holder] = {
            choice: self._solver.variable(likely=not number)
            for number, choice in enumerate(choices)
        }

    def _ordered(self, path: Path) -> list[Kind]:
        """Return the kinds a claim can have, that which its schema gives it first."""
        declared = universe_of(self._universe.schema, anything=False).kinds(path)
        kinds = self._universe.kinds(path)
        first = [kind for kind in declared if kind in kinds]
        return [*first, *(kind for kind in kinds if kind not in first)]

    # -- clauses

    def _define(self, formula: Formula) -> None:
        for literals in self.choices.values():
            _one_of(self._solver, list(literals.values()))
        answers = {holder: _answers(choices) for holder, choices in self.choices.items()}
        for about in formula.atoms:
            literal = self.atoms[about] = self._solver.variable()
            holder = self._holder(about)
            if holder is None:
                continue
            good = answers[holder].get(_answer(about), [])
            self._solver.add([-literal, *good])
            for own in good:
                self._solver.add([literal, -own])
        for pair in self.pairs:
            self._define_pair(pair)
        self._define_bounds()
        self._assert(formula)

    def _define_bounds(self) -> None:
        """Say that what is too long for a name is too long for a tag: 255 and 128 characters."""
        found: dict[Hashable, list[tuple[int, int]]] = {}
        for about, literal in self.atoms.items():
            if isinstance(about, TooLong):
                found.setdefault(about.text, []).append((about.bound, literal))
        for bounds in found.values():
            bounds.sort()
            for (_, less), (_, more) in pairwise(bounds):
                self._solver.add([-more, less])

    def _holder(self, about: Hashable) -> Holder | None:
        match about:
            case In(text=Variable() | OpaqueText() as text):
                return text
            case KindIs(path=path) | IsTrue(path=path):
                return Variable(path)
            case TooLong(text=text, bound=bound) if self._bounds.get(text) == bound:
                return text  # by another bound, a text of its long cells may be short
        return None

    def alike(self, holder: Holder) -> list[list[Choice]]:
        """Return the choices of a holder, those together that no atom tells apart."""
        answers = _answers(self.choices[holder])
        asked = [
            frozenset(answers.get(_answer(about), ()))
            for about in self.atoms
            if self._holder(about) == holder
        ]
        found: dict[tuple[bool, ...], list[Choice]] = {}
        for choice, literal in self.choices[holder].items():
            found.setdefault(tuple(literal in good for good in asked), []).append(choice)
        return list(found.values())

    def _define_pair(self, pair: SameText) -> None:
        """Say what two texts being equal means for their cells."""
        literal = self.atoms[pair]
        left, right = self.choices[pair.left], self.choices[pair.right]  # type: ignore[index]  # by `expansion`, texts that have cells
        # Each holder has one choice: the right one is of the same cell, or is no text.
        others = [other for also, other in right.items() if also.kind is not Kind.STRING]
        for choice, own in left.items():
            if choice.kind is not Kind.STRING:
                continue
            same = right.get(choice)
            self._solver.add([-literal, -own, *others, *([same] if same else [])])
            cell = choice.cell
            if same and cell is not None and cell.complete and len(cell.samples) == 1:
                self._solver.add([literal, -own, -same])

    def _assert(self, formula: Formula) -> None:
        """
        Add the clauses of the formula itself, each part with a literal of its own (Tseitin).

        Only atoms are negated in a formula.  So it is enough to say what follows where a part
        holds (Plaisted and Greenbaum).
        """
        literals: dict[int, int] = {}

        def visit(one: Formula) -> int:
            known = literals.get(one.number)
            if known is not None:
                return known
            match one.operator:
                case "atom":
                    found = self.atoms[one.atom]
                case "not":
                    found = -self.atoms[one.parts[0].atom]
                case "and" | "or":
                    parts = [visit(part) for part in one.parts]
                    found = self._solver.variable()
                    for clause in [parts] if one.operator == "or" else [[part] for part in parts]:
                        self._solver.add([-found, *clause])
                case _:
                    found = self._solver.variable()
                    self._solver.add([found if one.operator == "true" else -found])
            literals[one.number] = found
            return found

        for part in formula.parts if formula.operator == "and" else (formula,):
            if part.operator == "or":
                self._solver.add([visit(option) for option in part.parts])
            else:
                self._solver.add([visit(part)])


_TRUE: Final = "true"
_LONG: Final = "long"


def _answer(about: Hashable) -> Hashable:
    """Return what an atom about one holder asks of a choice: one of its answers (`_answers`)."""
    match about:
        case KindIs(kind=kind):
            return Kind(kind)
        case IsTrue():
            return _TRUE
        case In(language=language):
            return language
        case _:
            return _LONG


def _answers(choices: Mapping[Choice, int]) -> dict[Hashable, list[int]]:
    """Return, by what can be asked of a choice, the literals of the choices of which it holds."""
    found: dict[Hashable, list[int]] = {}
    for choice, literal in choices.items():
        found.setdefault(choice.kind, []).append(literal)
        if choice.true:
            found.setdefault(_TRUE, []).append(literal)
        if choice.cell is not None:
            for language in choice.cell.languages:
                found.setdefault(language, []).append(literal)
            if choice.cell.long:
                found.setdefault(_LONG, []).append(literal)
    return found


def _short(cells: list[Cell], holder: Holder, bound: int | None) -> list[Cell]:
    """Leave out what is longer than a name or a tag, where a text is one or a part of one."""
    if bound is None or not isinstance(holder, Variable):
        return cells
    kind = holder.path[0] if holder.path else ""
    if not isinstance(kind, Unclaimed):
        return cells
    longest = next((most for start, most in _LONGEST.items() if kind.name.startswith(start)), None)
    if longest is None or bound < longest:
        return cells
    return [cell for cell in cells if not cell.long]


_LONGEST: Final = {"$name": 255, "$wildcard": 255, "$tag": 128, "$any": 128}
"""Characters of names, tags and parts of them (`regauth.engine.access`)."""


def _one_of(solver: Solver, literals: Sequence[int]) -> None:
    """Say that exactly one of some literals is true."""
    solver.add(literals)
    if len(literals) <= _FEW:
        for number, literal in enumerate(literals):
            for other in literals[number + 1 :]:
                solver.add([-literal, -other])
        return
    before = 0
    for literal in literals:
        reached = solver.variable()
        solver.add([-literal, reached])
        if before:
            solver.add([-before, reached])
            solver.add([-literal, -before])
        before = reached
