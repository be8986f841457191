"""
The macros that walk a list: `exists`, `all`, `in`, over the elements that matter.

What lives here: quantifiers over lists of the token, with the meaning of the engine's
`comprehensions`.  Not here: equality of elements (`operations`).

A list of a token has any number of elements.  A quantifier over it is true, false or an error:
true and the error need one element that makes them so, false needs that no element does.  So of
any list, one element for each quantifier can be kept and the rest left out, without any quantifier
becoming another: a list is looked at through as many slots as quantifiers walk it.  A quantifier
inside another counts once for each slot of the outer one.  Where that has no end (a list walked
within a walk of itself) the question is undecided (`question`).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from regauth.engine.cel import Program
from regauth.engine.cel.syntax.nodes import Comprehension
from regauth.policytests.proofs.logic import atoms, formulas
from regauth.policytests.proofs.logic.atoms import KindIs, Path, Quantity, Slot
from regauth.policytests.proofs.logic.formulas import FALSE, TRUE, Formula, both
from regauth.policytests.proofs.logic.universe import Kind, Universe

from .closed_text import read_from
from .values import (
    LISTS,
    Case,
    Elements,
    ListAt,
    MapAt,
    Num,
    Outcome,
    ScopeMap,
    Unclear,
    Value,
    outcome,
    truth,
)

if TYPE_CHECKING:
    from .evaluator import Environment, Evaluator


@dataclass(slots=True)
class Lists:
    """
    What the evaluations of one question ask of the token's lists.

    Of each list the first `ahead` elements are looked at by their positions, and `slots` others; of
    one that is not there, none and one.
    `quantified` collects the quantifiers over each, `sized` the lists whose size matters,
    `positions` the positions that are asked for, and `floored` the times whose whole seconds are.
    """

    slots: Mapping[Path, int] = field(default_factory=dict)
    ahead: Mapping[Path, int] = field(default_factory=dict)
    quantified: dict[Path, set[Hashable]] = field(default_factory=dict)
    sized: set[Path] = field(default_factory=set)
    positions: dict[Path, set[int]] = field(default_factory=dict)
    floored: set[Path] = field(default_factory=set)
    counted: set[Quantity] = field(default_factory=set)
    """How many elements filters keep that keep two or more."""
    walking: list[Path] = field(default_factory=list)
    """The lists of the quantifiers around what is evaluated just now."""

    def elements(self, path: Path) -> list[Slot]:
        """Return the elements of a list that are looked at."""
        return [
            *(Slot(number, position=True) for number in range(self.ahead.get(path, 0))),
            *(Slot(number) for number in range(self.slots.get(path, 1))),
        ]

    def grown(self) -> "Lists | None":
        """Return lists with as many slots and positions as are needed, or None: these have them."""
        ahead = {path: max(numbers) + 1 for path, numbers in self.positions.items()}
        if all(self.slots.get(path, 1) >= count for path, count in self.needed.items()) and all(
            self.ahead.get(path, 0) >= count for path, count in ahead.items()
        ):
            return None
        return Lists(self.needed, ahead)

    def anew(self) -> "Lists":
        """Return lists with the same slots and positions, of which nothing is asked yet."""
        return Lists(self.slots, self.ahead)

    @property
    def shape(self) -> Hashable:
        """What an evaluation sees of the lists: equal where the outcomes are the same."""
        return frozenset(self.slots.items()), frozenset(self.ahead.items())

    @property
    def is_asked(self) -> bool:
        """Whether anything was asked of a list."""
        return self != self.anew()

    def note(self, others: "Lists") -> None:
        """Ask all that was asked of others, too."""
        for path, keys in others.quantified.items():
            self.quantified.setdefault(path, set()).update(keys)
        for path, numbers in others.positions.items():
            self.positions.setdefault(path, set()).update(numbers)
        self.sized |= others.sized
        self.floored |= others.floored
        self.counted |= others.counted

    @property
    def needed(self) -> dict[Path, int]:
        """The slots that are needed: one for each quantifier."""
        return {path: len(keys) for path, keys in self.quantified.items()}

    def facts(self, universe: Universe) -> Formula:
        """
        Return what holds of every token's lists, of which sizes, positions and slots say parts.

        A list fills its slots as far as it goes, after the elements that are looked at by their
        positions: one more element that nothing needs changes no quantifier.
        """
        found: list[Formula] = list(map(_floor, sorted(self.floored, key=repr)))
        found += [
            atoms.compares(atoms.constant(2), "<=", atoms.quantity(one))
            for one in sorted(self.counted, key=repr)
        ]
        for path in sorted(self.sized, key=repr):
            size = atoms.quantity(atoms.Quantity("size", path))
            found.append(atoms.compares(atoms.constant(0), "<=", size))
            ahead = self.ahead.get(path, 0)
            asked = set(range(ahead)) | self.positions.get(path, set())
            places = {Slot(number, position=True): number for number in sorted(asked)}
            if path in self.quantified:
                others = range(self.slots.get(path, 1))
                places |= {Slot(number): ahead + number for number in others}
            for element, number in places.items():
                below = (*path, element)
                reached = atoms.compares(atoms.constant(number), "<", size)
                if Kind.ABSENT in universe.kinds(below):
                    absent = formulas.atom(KindIs(below, Kind.ABSENT))
                    found.append(formulas.same(absent.negation, reached))
        return formulas.every(found)


def _floor(path: Path) -> Formula:
    """Return what the whole seconds of a time are, where it has a fraction."""
    whole = atoms.quantity(atoms.Quantity("floor", path))
    time = atoms.quantity(atoms.Quantity("double", path))
    return formulas.some(
        (
            formulas.atom(KindIs(path, Kind.DOUBLE)).negation,
            both(
                atoms.compares(whole, "<=", time),
                atoms.compares(time, "<", atoms.added(whole, atoms.constant(1))),
            ),
        )
    )


def exists(
    evaluator: "Evaluator",
    path: Path,
    key: Hashable,
    body: Callable[[Outcome], Outcome],
) -> Outcome:
    """
    Return whether a condition holds for an element of the list at a path.

    Args:
        evaluator: What evaluates.
        path: Where the list is.
        key: What tells this quantifier from the others over the list.
        body: The condition, for what an element can be.
    """
    evaluator.lists.quantified.setdefault(path, set()).add(key)
    true, failed = [], []
    for element in evaluator.lists.elements(path):
        below = (*path, element)
        here = evaluator.is_there(below)
        evaluator.lists.walking.append(path)
        found = evaluator.condition(body(evaluator.read(below)))
        evaluator.lists.walking.pop()
        true.append(both(here, found.true))
        failed.append(both(here, found.defined.negation))
    holds = formulas.some(true)
    return truth(holds, both(holds.negation, formulas.some(failed).negation))


def exists_one(
    evaluator: "Evaluator",
    path: Path,
    key: Hashable,
    body: Callable[[Outcome], Outcome],
) -> Outcome:
    """
    Return whether a condition holds for exactly one element of the list at a path.

    Two elements that make it true are enough to make it false, and one that fails is enough for an
    error: it takes two slots.
    """
    evaluator.lists.quantified.setdefault(path, set()).update(((key, 1), (key, 2)))
    found = []
    for element in evaluator.lists.elements(path):
        below = (*path, element)
        evaluator.lists.walking.append(path)
        inner = evaluator.condition(body(evaluator.read(below)))
        evaluator.lists.walking.pop()
        found.append((evaluator.is_there(below), inner))
    return _exactly_one(found)


def filtered_size(
    evaluator: "Evaluator",
    node: Comprehension,
    environment: "Environment",
    definitions: Mapping[str, Program],
) -> Outcome:
    """Return how many elements a filter keeps."""
    walk = _Walk(evaluator, node, environment, definitions)
    cases: list[Case] = []
    for when, source in evaluator.node(node.source, environment, definitions).cases:
        cases += [(both(when, own), value) for own, value in walk.kept(source)]
    return outcome(cases)


def _exactly_one(elements: Sequence[tuple[Formula, Outcome]]) -> Outcome:
    """Return whether exactly one of some elements, each with when it is there, is true."""
    defined = formulas.every(
        formulas.some((here.negation, found.defined)) for here, found in elements
    )
    none, one = TRUE, FALSE
    for here, found in elements:
        true = both(here, found.true)
        one = formulas.some((both(one, true.negation), both(none, true)))
        none = both(none, true.negation)
    return truth(both(defined, one), both(defined, one.negation))


FOLLOWED: Final = frozenset({"exists", "all", "exists_one"})
"""The macros whose meaning is followed; any other is opaque."""


def comprehension(
    evaluator: "Evaluator",
    node: Comprehension,
    environment: "Environment",
    definitions: Mapping[str, Program],
) -> Outcome:
    """Return the outcome of a macro."""
    walk = _Walk(evaluator, node, environment, definitions)
    cases: list[Case] = []
    for when, source in evaluator.node(node.source, environment, definitions).cases:
        cases += [(both(when, own), value) for own, value in walk.over(source)]
    return outcome(cases)


class _Walk:
    """One macro, where it stands."""

    def __init__(
        self,
        evaluator: "Evaluator",
        node: Comprehension,
        environment: "Environment",
        definitions: Mapping[str, Program],
    ) -> None:
        self._evaluator = evaluator
        self._node = node
        self._environment = environment
        self._definitions = definitions

    def over(self, source: Value) -> tuple[Case, ...]:
        """Return the cases of the macro over a value."""
        match source:
            case ListAt(path=path) if self._node.kind in FOLLOWED:
                if not self._is_endless(path):
                    return self._over_list(path).cases
            case Elements(items=items) if self._node.kind in FOLLOWED:
                return self._over_elements(items).cases
        if isinstance(source, (*LISTS, MapAt, ScopeMap, Unclear)):
            kind = Kind.BOOL if self._node.kind in ("exists", "all", "exists_one") else ""
            return self._evaluator.opaque((self._node.kind, source, self._key), kind).cases
        return ()

    def kept(self, source: Value) -> tuple[Case, ...]:
        """Return how many elements of a value the condition holds for."""
        if isinstance(source, ListAt) and not self._is_endless(source.path):
            return self._kept_of(source.path).cases
        if isinstance(source, (*LISTS, MapAt, ScopeMap, Unclear)):
            key = ("size", self._node.kind, source, self._key)
            return self._evaluator.opaque(key, Kind.INT).cases
        return ()

    def _kept_of(self, path: Path) -> Outcome:
        """
        Return how many elements of the list at a path the condition holds for.

        None, one and an error are told apart by two slots; two or more are a number that is not
        known, at least two.
        """
        key = ("filter", self._key)
        lists = self._evaluator.lists
        lists.quantified.setdefault(path, set()).update(((key, 1), (key, 2)))
        found = []
        for element in lists.elements(path):
            below = (*path, element)
            lists.walking.append(path)
            inner = self._body(self._evaluator.read(below))
            lists.walking.pop()
            found.append((self._evaluator.is_there(below), inner))
        defined = formulas.every(formulas.some((here.negation, one.defined)) for here, one in found)
        none = formulas.every(both(here, one.true).negation for here, one in found)
        single = both(_exactly_one(found).true, none.negation)
        many = atoms.quantity(Quantity("count", (path, key)))
        lists.counted.add(Quantity("count", (path, key)))
        cases: list[Case] = [
            (both(defined, none), Num("int", atoms.constant(0))),
            (both(defined, single), Num("int", atoms.constant(1))),
            (formulas.every((defined, none.negation, single.negation)), Num("int", many)),
        ]
        return outcome(cases)

    def _is_endless(self, path: Path) -> bool:
        """Tell whether a list is walked anew for each element of a walk of itself."""
        around = read_from(self._node, self._environment)
        return path in self._evaluator.lists.walking and bool(around)

    @property
    def _key(self) -> Hashable:
        node = self._evaluator.key_of_node(self._node, self._environment, self._definitions)
        return (node, self._node.variable)

    def _body(self, element: Outcome) -> Outcome:
        inner = {**self._environment, self._node.variable: element}
        return self._evaluator.condition(
            self._evaluator.node(self._node.body, inner, self._definitions)
        )

    def _over_list(self, path: Path) -> Outcome:
        if self._node.kind == "exists_one":
            return exists_one(self._evaluator, path, self._key, self._body)
        if self._node.kind == "exists":
            return exists(self._evaluator, path, self._key, self._body)
        # All elements hold unless one does not: `all` is `exists` of the opposite, negated.
        return _opposite(
            exists(self._evaluator, path, self._key, lambda element: _opposite(self._body(element)))
        )

    def _over_elements(self, items: tuple[Outcome, ...]) -> Outcome:
        found = [self._body(item) for item in items]
        if self._node.kind == "exists_one":
            return _exactly_one([(TRUE, one) for one in found])
        true, false = [one.true for one in found], [one.false for one in found]
        if self._node.kind == "exists":
            return truth(formulas.some(true), formulas.every(false))
        return truth(formulas.every(true), formulas.some(false))


def _opposite(found: Outcome) -> Outcome:
    return truth(found.false, found.true)
