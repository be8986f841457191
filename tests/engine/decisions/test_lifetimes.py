"""How long a token is valid: by the grants that match, whatever their order."""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from regauth.engine import compile_policy
from regauth.engine.access.outcomes import Decision, Identity, Why
from regauth.engine.access.scope import accesses, parse_scopes
from regauth.engine.decisions.decide import decide
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import Claims

HEAD = """
version: 1
services: [registry.example.com]
providers:
  ci: {issuer: "https://ci.example.com", audience: me}
"""
GRANTS = [
    "  - {name: five, repositories: [a/*], actions: [pull, push], tokenLifetime: 5m}\n",
    "  - {name: ten, repositories: [a/x, b/*], actions: [pull], tokenLifetime: 10m}\n",
    "  - {name: other, when: 'claims.team == \"red\"', repositories: [a/*], actions: [pull]}\n",
    "  - {name: failing, when: 'claims.none == \"x\"', repositories: [a/*], actions: [pull]}\n",
    "  - {name: free, repositories: [c/*], actions: [pull]}\n",
]
Compile = Callable[..., Policy]


def decided(policy: Policy, now: datetime, *scopes: str, team: str = "blue") -> Decision:
    found = [
        decide(
            policy,
            Identity("ci", "s"),
            Claims({"sub": "s", "team": team}),
            "registry.example.com",
            accesses(parse_scopes(scopes)),
            now,
            exhaustive=exhaustive,
        )
        for exhaustive in (False, True)
    ]
    assert all(isinstance(one, Decision) for one in found)
    first, second = found
    assert isinstance(first, Decision)
    assert isinstance(second, Decision)
    assert first.lifetime == second.lifetime
    return first


def minutes(number: int | None) -> timedelta | None:
    return None if number is None else timedelta(minutes=number)


CASES = [
    (["repository:a/y:pull"], 5),
    (["repository:a/x:pull"], 10),
    (["repository:a/x:push"], 5),
    (["repository:a/x:pull,push"], 5),
    (["repository:b/y:pull"], 10),
    (["repository:c/y:pull"], None),
    (["repository:c/y:pull", "repository:b/y:pull"], 10),
    (["repository:c/y:pull", "repository:a/y:pull", "repository:b/y:pull"], 5),
    (["repository:d/y:pull"], None),
    (["repository:c/y:pull", "repository:a/y:delete"], None),
    ([], None),
]


@pytest.mark.slow
@pytest.mark.parametrize(("scopes", "limit"), CASES)
def test_the_longest_grant_of_an_access_and_the_shortest_access_of_a_token_hold(
    compiled: Compile, now: datetime, scopes: list[str], limit: int | None
) -> None:
    for order in itertools.permutations(GRANTS):
        policy = compiled(f"{HEAD}grants:\n{''.join(order)}")

        assert decided(policy, now, *scopes).lifetime == minutes(limit), order


def test_a_grant_without_a_lifetime_does_not_shorten(compiled: Compile, now: datetime) -> None:
    policy = compiled(f"{HEAD}grants:\n{''.join(GRANTS)}")

    assert decided(policy, now, "repository:a/x:pull", team="red").lifetime is None
    assert decided(policy, now, "repository:a/x:push", team="red").lifetime == minutes(5)


def test_a_grant_that_fails_does_not_lengthen(compiled: Compile, now: datetime) -> None:
    """Not even when it comes after the one that allows."""
    policy = compiled(f"{HEAD}grants:\n{GRANTS[0]}{GRANTS[3]}")
    decision = decided(policy, now, "repository:a/x:pull")

    assert decision.lifetime == minutes(5)
    assert decision.verdicts[0].why is Why.GRANTED


def test_while_the_tag_is_unknown_the_shortest_holds(compiled: Compile, now: datetime) -> None:
    grants = """grants:
  - {name: any, repositories: [a/*], tags: [v*], actions: [push], tokenLifetime: 10m}
  - {name: one, repositories: [a/*], tags: [v1], actions: [push], tokenLifetime: 2m}
  - {name: all, repositories: [b/*], actions: [push], tokenLifetime: 3m}
denials:
  - {name: kept, repositories: [b/*], tags: [v1], actions: [push]}
"""
    policy = compiled(HEAD + grants)
    decision = decided(policy, now, "repository:a/x:push")

    assert decision.verdicts[0].why is Why.DEPENDS_ON_REFERENCE
    assert decision.lifetime == minutes(2)
    assert decided(policy, now, "repository:b/x:push").lifetime == minutes(3)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("59s", "wrong-value"),
        ("0s", "wrong-value"),
        ("5", "wrong-type"),
        ("five minutes", "wrong-value"),
        ("-5m", "wrong-value"),
    ],
)
def test_a_lifetime_is_a_duration_of_at_least_a_minute(written: str, code: str) -> None:
    grant = GRANTS[0].replace("tokenLifetime: 5m", f"tokenLifetime: {written}")
    compilation = compile_policy({"policy.yaml": f"{HEAD}grants:\n{grant}"})

    assert [one.code for one in compilation.problems] == [code]


def test_a_denial_has_none() -> None:
    text = f"{HEAD}grants:\n{GRANTS[0]}denials:\n{GRANTS[1]}"
    (problem,) = compile_policy({"policy.yaml": text}).problems

    assert (problem.code, problem.location.line) == ("unknown-key", 9)
