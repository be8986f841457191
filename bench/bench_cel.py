"""
How fast conditions are: ours against cel-python's interpreter and against a hand-written lambda.

What lives here: six typical conditions and their measurement.  Not here: claims about other
machines; every number is a ratio of two times taken in turns in one run.
"""

import json
import re
import statistics
import sys
import timeit
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import celpy

from regauth.engine.cel import BOOL, DYN, Declarations, MapType, compile_expression

CLAIMS = {
    "iss": "https://token.actions.githubusercontent.com",
    "aud": ["https://registry.example.com"],
    "sub": "repo:acme/app:ref:refs/heads/main",
    "ref": "refs/heads/main",
    "repository": "acme/app",
    "repository_owner": "acme",
    "groups": [f"team-{number}" for number in range(9)] + ["registry-admins"],
    "kubernetes.io": {"namespace": "payments", "serviceaccount": {"name": "builder"}},
}
SCOPE = {"type": "repository", "class": "", "name": "acme/app", "action": "push"}
VARIABLES: Mapping[str, Any] = {"claims": CLAIMS, "scope": SCOPE}

_REF = re.compile(r"^refs/heads/(main|release-[0-9]+)$")
_NAMESPACES = frozenset({"payments", "billing"})


@dataclass(frozen=True)
class Case:
    """One condition and the same by hand."""

    name: str
    text: str
    by_hand: Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Row:
    """Medians of one case, in microseconds, and how they compare."""

    name: str
    text: str
    ours: float
    interpreter: float
    by_hand: float

    @property
    def times_faster(self) -> float:
        return self.interpreter / self.ours

    @property
    def times_slower_than_by_hand(self) -> float:
        return self.ours / self.by_hand


CASES = (
    Case(
        "a",
        'claims.repository_owner == "acme"',
        lambda v: v["claims"]["repository_owner"] == "acme",
    ),
    Case(
        "b",
        'claims.sub == "repo:acme/app:ref:refs/heads/main" && claims.ref.startsWith("refs/heads/")',
        lambda v: (
            v["claims"]["sub"] == "repo:acme/app:ref:refs/heads/main"
            and v["claims"]["ref"].startswith("refs/heads/")
        ),
    ),
    Case(
        "c",
        'scope.type == "repository" && scope.class == ""'
        ' && scope.name.startsWith(claims.repository_owner + "/")',
        lambda v: (
            v["scope"]["type"] == "repository"
            and v["scope"]["class"] == ""
            and v["scope"]["name"].startswith(v["claims"]["repository_owner"] + "/")
        ),
    ),
    Case(
        "d",
        'claims["kubernetes.io"].namespace in ["payments", "billing"] && has(claims.aud)',
        lambda v: v["claims"]["kubernetes.io"]["namespace"] in _NAMESPACES and "aud" in v["claims"],
    ),
    Case(
        "e",
        'claims.groups.exists(group, group == "registry-admins")',
        lambda v: any(group == "registry-admins" for group in v["claims"]["groups"]),
    ),
    Case(
        "f",
        'claims.ref.matches("^refs/heads/(main|release-[0-9]+)$")',
        lambda v: _REF.search(v["claims"]["ref"]) is not None,
    ),
)


def _microseconds(call: Callable[[], object], loops: int) -> float:
    return min(timeit.repeat(call, number=loops, repeat=3)) / loops * 1e6


def run(rounds: int = 7) -> list[Row]:
    """Measure every case `rounds` times, the three contestants in turns; give the medians."""
    environment = celpy.Environment()
    activation = {name: celpy.json_to_cel(value) for name, value in VARIABLES.items()}
    declarations = Declarations({name: MapType(DYN) for name in VARIABLES})
    return [_row(case, rounds, environment, activation, declarations) for case in CASES]


def _row(
    case: Case,
    rounds: int,
    environment: celpy.Environment,
    activation: Mapping[str, Any],
    declarations: Declarations,
) -> Row:
    program = compile_expression(case.text, declarations, BOOL).program
    oracle = environment.program(environment.compile(case.text))
    assert program is not None
    assert program.holds(VARIABLES) is True
    assert case.by_hand(VARIABLES) is True
    assert bool(oracle.evaluate(activation)) is True
    holds, by_hand = program.holds, case.by_hand
    ours, interpreter, hand = [], [], []
    for _ in range(rounds):
        ours.append(_microseconds(lambda: holds(VARIABLES), 5_000))
        interpreter.append(_microseconds(lambda: oracle.evaluate(activation), 20))
        hand.append(_microseconds(lambda: by_hand(VARIABLES), 5_000))
    medians = (statistics.median(times) for times in (ours, interpreter, hand))
    return Row(case.name, case.text, *medians)


def main() -> int:
    rows = run()
    if "--json" in sys.argv:
        print(json.dumps([vars(row) for row in rows], indent=2))
        return 0
    print("one condition: times faster than cel-python's interpreter, times a hand-written lambda")
    for row in rows:
        print(
            f"  {row.name}  {row.times_faster:7.0f}x faster"
            f"  {row.times_slower_than_by_hand:4.1f}x the lambda"
            f"  ({row.ours:.2f} us)  {row.text}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
