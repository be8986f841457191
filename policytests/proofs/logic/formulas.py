"""
Formulas: what must hold, as a tree of and, or and not over atoms.

What lives here: formulas that are made once, so that two of one meaning are often one object, and
simplified as they are made.  Not here: what atoms mean (`atoms`), and solving (`solver`).
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

Operator: TypeAlias = Literal["true", "false", "atom", "not", "and", "or"]

MAX_REMEMBERED: Final = 400_000
"""Formulas that are kept to be found again; more are forgotten between two questions."""


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
        """The formula that holds when this one does not."""
        if self._negation is None:
            if self.operator == "not":
                return self.parts[0]
            self._negation = _make("not", (self,))
        return self._negation

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


_known: dict[Hashable, Formula] = {}
_numbers: Iterator[int] = iter(range(1 << 62))


def _make(operator: Operator, parts: tuple[Formula, ...], atom: Hashable = None) -> Formula:
    key = (operator, atom) if operator == "atom" else (operator, *[one.number for one in parts])
    found = _known.get(key)
    if found is None:
        found = _known[key] = Formula(operator, parts, atom, next(_numbers))
    return found


TRUE: Final = _make("true", ())
FALSE: Final = _make("false", ())
TRUE._negation, FALSE._negation = FALSE, TRUE  # noqa: SLF001 - own module


def forget_many() -> None:
    """Forget formulas when there are many; those in use stay good, and are only not found again."""
    if len(_known) > MAX_REMEMBERED:
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
    found: dict[int, Formula] = {}
    pending = list(formulas)
    while pending:
        formula = pending.pop()
        if formula is zero:
            return zero
        if formula is one:
            continue
        if formula.operator == operator:
            pending.extend(formula.parts)
        else:
            found[formula.number] = formula
    if not found:
        return one
    if len(found) == 1:
        return next(iter(found.values()))
    for formula in found.values():
        if formula.negation.number in found:
            return zero
    _absorb(operator, found)
    parts = tuple(found[number] for number in sorted(found))
    return parts[0] if len(parts) == 1 else _make(operator, parts)


def _absorb(operator: str, found: dict[int, Formula]) -> None:
    """Leave out what another part says already: `a && (a || b)` is `a`."""
    dual = "or" if operator == "and" else "and"
    for number, formula in list(found.items()):
        if formula.operator == dual and any(part.number in found for part in formula.parts):
            del found[number]


def rewritten(formula: Formula, rewrite: Callable[[Hashable, Formula], Formula]) -> Formula:
    """Return a formula with each atom replaced by what `rewrite` makes of it."""
    known: dict[int, Formula] = {}

    def visit(one: Formula) -> Formula:
        found = known.get(one.number)
        if found is not None:
            return found
        match one.operator:
            case "atom":
                found = rewrite(one.atom, one)
            case "not":
                found = visit(one.parts[0]).negation
            case "and":
                found = every([visit(part) for part in one.parts])
            case "or":
                found = some([visit(part) for part in one.parts])
            case _:
                found = one
        known[one.number] = found
        return found

    return visit(formula)
