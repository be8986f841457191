"""Formulas: one object for one meaning, and components that share nothing."""

import itertools
import random
from collections.abc import Mapping

import pytest

from regauth.policytests.proofs.languages import language as languages
from regauth.policytests.proofs.logic import atoms, formulas
from regauth.policytests.proofs.logic.atoms import Opaque, Variable
from regauth.policytests.proofs.logic.formulas import FALSE, TRUE, Formula
from regauth.policytests.proofs.solving.components import components

ATOMS = [formulas.atom(Opaque(("test", number))) for number in range(5)]


def holds(formula: Formula, values: Mapping[int, bool]) -> bool:
    """Evaluate a formula for values of the atoms."""
    match formula.operator:
        case "true" | "false":
            return formula is TRUE
        case "atom":
            return values[formula.number]
        case "not":
            return not holds(formula.parts[0], values)
        case "and":
            return all(holds(part, values) for part in formula.parts)
        case "or":
            return any(holds(part, values) for part in formula.parts)


Value = tuple[bool, ...]


def random_formula(choose: random.Random, depth: int) -> tuple[Formula, frozenset[Value]]:
    """Return a formula, and the values of the atoms for which it must hold."""
    every = set(itertools.product([False, True], repeat=len(ATOMS)))
    if not depth:
        number = choose.randrange(len(ATOMS))
        return ATOMS[number], frozenset(one for one in every if one[number])
    parts = [random_formula(choose, depth - 1) for _ in range(choose.randrange(1, 4))]
    match choose.randrange(3):
        case 0:
            return formulas.every(one for one, _ in parts), frozenset(
                every.intersection(*(good for _, good in parts))
            )
        case 1:
            return formulas.some(one for one, _ in parts), frozenset().union(
                *(good for _, good in parts)
            )
        case _:
            formula, good = parts[0]
            return formula.negation, frozenset(every - good)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_simplified_means_the_same(seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(60):
        formula, good = random_formula(choose, 4)
        for values in itertools.product([False, True], repeat=len(ATOMS)):
            known = {one.number: value for one, value in zip(ATOMS, values, strict=True)}
            assert holds(formula, known) == (values in good)
        assert formula.negation.negation is formula


def test_only_atoms_are_negated() -> None:
    a, b, c, *_ = ATOMS
    formula = formulas.some((formulas.both(a, b.negation), c))

    assert formula.negation is formulas.both(formulas.some((a.negation, b)), c.negation)


def test_what_other_parts_decide_is_left_out() -> None:
    a, b, c, *_ = ATOMS

    assert formulas.both(a, formulas.some((a, b))) is a
    assert formulas.both(a, formulas.some((a.negation, b))) is formulas.both(a, b)
    assert formulas.every((a, b, formulas.some((a.negation, b.negation)))) is FALSE
    assert formulas.some((a, b, formulas.both(a.negation, b.negation))) is TRUE
    assert formulas.every((a, formulas.some((a.negation, b)), formulas.some((b.negation, c)))) is (
        formulas.every((a, b, c))
    )


def test_components_share_nothing() -> None:
    main, other = (atoms.is_text(Variable((name,)), "refs/heads/main") for name in ("ref", "other"))
    tag = atoms.is_in(Variable(("ref",)), languages.starts_with("refs/tags/"))
    same = atoms.same_text(Variable(("a",)), Variable(("b",)))
    seen = atoms.is_text(Variable(("b",)), "x")
    parts = [formulas.some((main, tag)), other, same, seen]

    found = components(formulas.every(parts))

    assert formulas.every(found) is formulas.every(parts)
    assert {one.number for one in found} == {
        parts[0].number,
        other.number,
        formulas.both(same, seen).number,
    }


def test_a_compound_is_of_the_component_of_its_parts() -> None:
    name = atoms.OpaqueText(
        ("whole", atoms.joined([Variable(("a",)), atoms.Literal_("/"), Variable(("b",))]))
    )
    parts = [atoms.is_text(name, "x/y"), atoms.is_text(Variable(("b",)), "y")]

    assert components(formulas.every(parts)) == [formulas.every(parts)]
