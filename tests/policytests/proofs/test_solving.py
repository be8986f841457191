"""The solver of clauses and arithmetic, against trying everything."""

import itertools
import random
from fractions import Fraction

import pytest

from regauth.policytests.proofs.budget import OutOfStepsError, Steps
from regauth.policytests.proofs.logic.atoms import (
    Compares,
    Linear,
    Quantity,
    added,
    constant,
    quantity,
)
from regauth.policytests.proofs.solving.arithmetic import Arithmetic
from regauth.policytests.proofs.solving.solver import Solver
from tests.policytests.proofs.directed import check_long_clauses, check_solutions


@pytest.mark.parametrize("seed", range(8))
def test_clauses_have_a_solution_when_one_is_found_by_trying(seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(150):
        solver = Solver(Steps(10**9))
        variables = [
            solver.variable(likely=choose.random() < 0.5) for _ in range(choose.randrange(1, 9))
        ]
        clauses: list[list[int]] = []
        for _ in range(2):
            for _ in range(choose.randrange(1, 40)):
                clause = [
                    choose.choice([1, -1]) * choose.choice(variables)
                    for _ in range(choose.randrange(1, 4))
                ]
                solver.add(clause)
                clauses.append(clause)
            found = solver.solve()
            assert found == any(
                all(any(values[abs(one) - 1] == (one > 0) for one in clause) for clause in clauses)
                for values in itertools.product([False, True], repeat=len(variables))
            )
            if not found:
                break
            assert all(any(solver.value(one) == 1 for one in clause) for clause in clauses)


def test_every_solution_is_found_when_each_is_refused() -> None:
    check_solutions()


def test_of_many_values_each_is_found() -> None:
    check_long_clauses()


def pigeons(solver: Solver, holes: int) -> None:
    places = [[solver.variable() for _ in range(holes)] for _ in range(holes + 1)]
    for place in places:
        solver.add(place)
    for hole in range(holes):
        for one, other in itertools.combinations(range(holes + 1), 2):
            solver.add([-places[one][hole], -places[other][hole]])


def test_a_hard_question_is_decided() -> None:
    solver = Solver(Steps(10**9))
    pigeons(solver, 6)

    assert not solver.solve()


def test_the_steps_are_bounded() -> None:
    solver = Solver(Steps(1_000))
    pigeons(solver, 9)

    with pytest.raises(OutOfStepsError):
        solver.solve()


QUANTITIES = [
    Quantity("int", ("a",)),
    Quantity("int", ("b",)),
    Quantity("double", ("c",)),
    Quantity("now"),
]


def random_sum(choose: random.Random) -> Linear:
    number = constant(Fraction(choose.randrange(-6, 7), choose.choice([1, 2, 3])))
    if choose.random() < 0.3:
        return added(quantity(choose.choice(QUANTITIES), choose.choice([1, -1, 2])), number)
    one, other = choose.sample(QUANTITIES, 2)
    by = choose.choice([1, -1, 3])
    return added(added(quantity(one, by), quantity(other, by), -1), number)


def holds(comparison: Compares, values: dict[Quantity, Fraction]) -> bool:
    total = sum(
        (values[one] * Fraction(by) for one, by in comparison.sum.terms), Fraction(0)
    ) + Fraction(comparison.sum.constant)
    return {"<": total < 0, "<=": total <= 0, "==": total == 0}[comparison.operator]


@pytest.mark.parametrize("seed", range(6))
def test_comparisons_that_clash_have_no_solution_and_others_have_one(seed: int) -> None:
    choose = random.Random(seed)
    grids = [[Fraction(one) for one in range(-7, 8)]] * 2
    grids += [[Fraction(one, 2) for one in range(-14, 15)]] * 2
    outcomes = set()
    for _ in range(300):
        literals = {
            Compares(choose.choice(["<", "<=", "=="]), random_sum(choose)): choose.random() < 0.6
            for _ in range(choose.randrange(1, 8))
        }
        arithmetic = Arithmetic(literals)
        clash = arithmetic.conflict(literals)
        outcomes.add(clash is None)
        if clash is None:
            found = arithmetic.solve(literals)
            assert found is not None
            values = {one: found.get(one, Fraction(0)) for one in QUANTITIES}
            if all(values[one].denominator == 1 for one in QUANTITIES[:2]):
                assert all(holds(one, values) == wanted for one, wanted in literals.items())
            continue
        for _ in range(200):
            values = {one: choose.choice(grid) for one, grid in zip(QUANTITIES, grids, strict=True)}
            assert not all(holds(one, values) == literals[one] for one in clash)
    assert outcomes == {True, False}
