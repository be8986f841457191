"""
Formulas: what must hold, as a tree of and, or and not over atoms.

What lives here: formulas that are made once, so that two of one meaning are often one object, and
simplified as they are made.  Not here: what atoms mean (`atoms`), and solving (`solving.search`).
"""

from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

from regauth.policytests.proofs.budget import spend

Operator: TypeAlias = Literal["true", "false", "atom", "not", "and", "or"]

_COST: Final = 20
"""
Steps of joining formulas, which may make one that is kept.

So the budget bounds the memory of formulas, too: a few million of them.
"""


class Formula:
    """One formula; equal formulas are one object, compare with `is`."""

    __slots__ = ("_atoms", "_negation", "atom", "number", "operator", "parts")

    def __init__(
        self,
        operator: Operator,
        parts: tuple["Formula", ...],
        atom: Hashable,
        number: int,
    ) -> None:
        self.operator = operator
        self.parts = parts
        self.atom = atom
        self.number = number
        self._negation: Formula | None = None
        self._atoms: Mapping[Hashable, Formula] | None = None

    def __repr__(self) -> str:
        if self.operator == "atom":
            return repr(self.atom)
        return f"({self.operator} {' '.join(map(repr, self.parts))})"

    @property
    def negation(self) -> "Formula":
        """
        The formula that holds when this one does not.

        Only atoms stand below a "not": of other formulas the parts are negated (De Morgan), so
        that both ways to write one thing are one formula.
        """
        if self._negation is None:
            if self.operator == "atom":
                found = _make("not", (self,))
            else:
                parts = [one.negation for one in self.parts]
                found = _make(_DUAL[self.operator], _sorted(parts))
            self._negation, found._negation = found, self  # noqa: SLF001 - of its own class
        return self._negation

    def contradicts(self, numbers: Container[int]) -> bool:
        """Tell whether the opposite of this formula is one of some, by their numbers."""
        return self._negation is not None and self._negation.number in numbers

    @property
    def atoms(self) -> Mapping[Hashable, "Formula"]:
        """The atoms in it, each once."""
        if self._atoms is None:
            found: dict[Hashable, Formula] = {}
            seen: set[int] = set()
            pending = [self]
            while pending:
                formula = pending.pop()
                if formula.number in seen:
                    continue
                seen.add(formula.number)
                if formula.operator == "atom":
                    found[formula.atom] = formula
                else:
                    pending.extend(formula.parts)
            self._atoms = found
        return self._atoms


_DUAL: Final[dict[str, Operator]] = {"and": "or", "or": "and"}

_known: dict[Hashable, Formula] = {}
_numbers: Iterator[int] = iter(range(1 << 62))


def _sorted(parts: Iterable[Formula]) -> tuple[Formula, ...]:
    return tuple(sorted(parts, key=lambda one: one.number))


def _make(operator: Operator, parts: tuple[Formula, ...], atom: Hashable = None) -> Formula:
    key = (operator, atom) if operator == "atom" else (operator, *[one.number for one in parts])
    found = _known.get(key)
    if found is None:
        found = _known[key] = Formula(operator, parts, atom, next(_numbers))
    return found


TRUE: Final = _make("true", ())
FALSE: Final = _make("false", ())
TRUE._negation, FALSE._negation = FALSE, TRUE  # noqa: SLF001 - own module


def forget() -> None:
    """
    Forget all formulas: the next question makes its own, in its own order.

    Those in use stay good, and are only not found again.
    """
    _known.clear()


def of(value: bool) -> Formula:  # noqa: FBT001 - the value itself
    """Return the formula that always or never holds."""
    return TRUE if value else FALSE


def atom(about: Hashable) -> Formula:
    """Return the formula of one atom."""
    return _make("atom", (), about)


def negate(formula: Formula) -> Formula:
    """Return the formula that holds when another does not."""
    return formula.negation


def every(formulas: Iterable[Formula]) -> Formula:
    """Return the formula that holds when all of some do."""
    return _joined("and", FALSE, TRUE, formulas)


def some(formulas: Iterable[Formula]) -> Formula:
    """Return the formula that holds when one of some does."""
    return _joined("or", TRUE, FALSE, formulas)


def both(left: Formula, right: Formula) -> Formula:
    """Return the formula that holds when two do."""
    if left is TRUE:
        return right
    if right is TRUE or left is right:
        return left
    return every((left, right))


def same(left: Formula, right: Formula) -> Formula:
    """Return the formula that holds when two do or neither does."""
    return some((both(left, right), both(left.negation, right.negation)))


def _joined(
    operator: Literal["and", "or"], zero: Formula, one: Formula, formulas: Iterable[Formula]
) -> Formula:
    pending = list(formulas)
    if len(pending) == 1:
        return pending[0]
    found: dict[int, Formula] = {}
    dual, compound = _DUAL[operator], False
    while pending:
        while pending:
            formula = pending.pop()
            if formula is zero or formula.contradicts(found):
                return zero
            if formula is one:
                continue
            if formula.operator == operator:
                pending.extend(formula.parts)
            else:
                found[formula.number] = formula
                compound = compound or formula.operator == dual
        pending = _resolved(operator, found) if compound else []
        spend(_COST + len(found))
    if not found:
        return one
    if len(found) == 1:
        return next(iter(found.values()))
    return _make(operator, tuple(found[number] for number in sorted(found)))


def _resolved(operator: str, found: dict[int, Formula]) -> list[Formula]:
    """
    Leave out what other parts decide; return what is left of the parts that became smaller.

    `a && (a || b)` is `a`, and `a && (!a || b)` is `a && b`.
    """
    dual = _DUAL[operator]
    smaller = []
    for number, formula in list(found.items()):
        if formula.operator != dual:
            continue
        if any(part.number in found for part in formula.parts):
            del found[number]
            continue
        kept = [part for part in formula.parts if not part.contradicts(found)]
        if len(kept) < len(formula.parts):
            del found[number]
            smaller.append(some(kept) if operator == "and" else every(kept))
    return smaller


def rewritten(formula: Formula, rewrite: Callable[[Hashable, Formula], Formula]) -> Formula:
    """Return a formula with each atom replaced by what `rewrite` makes of it."""
    known = {one.number: rewrite(about, one) for about, one in formula.atoms.items()}
    if all(found.number == number for number, found in known.items()):
        return formula

    def visit(one: Formula) -> Formula:
        found = known.get(one.number)
        if found is not None:
            return found
        if one.operator == "atom":
            # A formula that was kept may hold an atom that was made anew since (`forget_many`).
            found = known[one.number] = rewrite(one.atom, one)
            return found
        parts = [visit(part) for part in one.parts]
        if all(new is old for new, old in zip(parts, one.parts, strict=True)):
            found = one
        elif one.operator == "not":
            found = parts[0].negation
        else:
            found = every(parts) if one.operator == "and" else some(parts)
        known[one.number] = found
        return found

    return visit(formula)
