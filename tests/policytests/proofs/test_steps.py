"""The most steps that the prover computes for an expression are never exceeded by the engine."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

import pytest

from regauth.engine.cel import CelError, Program
from regauth.engine.cel.evaluation.budget import STEPS, request_budget
from regauth.engine.cel.library.values import timestamp
from regauth.engine.cel.syntax import limits
from regauth.policytests.proofs.evaluation.steps import may_run_out, most_steps
from regauth.policytests.proofs.logic.universe import Universe
from tests.generated import seeds
from tests.policytests.proofs.conditions import compiled_condition
from tests.policytests.proofs.directed import any_policy
from tests.policytests.proofs.random_policies import NOW, Random

MANY = 10**9
TEXT = "x/y" * 700
CONDITIONS = [
    "claims.l.exists(g, g.contains('a'))",
    "claims.l.all(g, g != claims.a && !g.contains(claims.d))",
    "claims.l.exists(g, g.replace('x', 'xyz').contains('zz'))",
    "claims.l.exists(g, claims.y.exists(h, h == g))",
    "claims.l.exists(g, g in claims.y)",
    "claims.y.exists(g, g.exists(h, h == claims.m))",
    "claims.l.exists(g, (g + claims.a).matches('b$'))",
    "claims.l.exists(g, [g, claims.a].exists(h, h.lowerAscii() == 'b'))",
    "claims.a.split('/').exists(g, g == 'z') || claims.l.all(g, g != 'z')",
    "claims.l.exists(g, claims.b ? g == claims.y : g in [claims.y, claims.m])",
    "size(claims.l) > 0 && claims.l.filter(g, g.trim() != '').size() > 3",
    "claims.l.map(g, g + claims.a).exists(g, g.upperAscii() == '')",
    "claims.l.exists(g, scope.name.contains(g) || g.startsWith(scope.name))",
]
TOKENS: list[dict[str, object]] = [
    {"l": ["x"] * 400, "y": ["z"] * 300, "a": TEXT, "d": TEXT, "m": {"k": ["u"] * 200}},
    {"l": [TEXT] * 4, "y": [["v"] * 50] * 8, "a": "x", "d": "", "m": {}},
    {"l": [["x"] * 300, "x"], "y": {"x": 1, "y": [1] * 200}, "a": ["x"] * 100, "d": 1, "m": "x"},
    {"l": [], "y": TEXT, "a": "", "d": None, "m": TEXT},
]


def taken(text: str, tokens: Iterable[dict[str, object]]) -> Iterator[tuple[int, int]]:
    """
    Yield the steps that the evaluation for each token takes, and the most by the prover.

    Nothing where it takes none of its own: an expression without macros has no bound.
    """
    program = compiled_condition(text)
    if program is None or not program.has_macros:
        return
    universe = Universe(any_policy().providers["o"].claims, anything=True)
    most = most_steps(program, universe)
    assert may_run_out(program, universe) == (most > limits.STEPS)
    for claims in tokens:
        yield evaluated(program, claims), most


def evaluated(program: Program, claims: dict[str, object]) -> int:
    """Return the steps that an evaluation takes."""
    budget = request_budget(MANY)
    scope = {"type": "repository", "class": "", "name": "acme/x", "action": "pull", "reference": ""}
    variables = {
        "claims": claims,
        "scope": scope,
        "provider": "o",
        "service": "r",
        "now": timestamp(NOW),
        STEPS: budget,
    }
    with suppress(CelError):
        program.evaluate(variables)
    return MANY - budget[0]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_no_evaluation_takes_more_steps_than_are_computed(condition: str) -> None:
    found = list(taken(condition, ({"b": True, "n": 1, "aud": ["r"], **one} for one in TOKENS)))

    assert len(found) == len(TOKENS)
    for steps, most in found:
        assert steps <= most, (condition, steps, most)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", seeds(3))
def test_no_random_condition_takes_more_steps_than_are_computed(seed: int) -> None:
    choose = Random(seed)
    counted = 0
    for _ in range(150):
        text = choose.condition(2)
        for steps, most in taken(text, [{**choose.token(anything=True), **one} for one in TOKENS]):
            counted += steps > 0
            assert steps <= most, (text, steps, most)
    assert counted > 50
