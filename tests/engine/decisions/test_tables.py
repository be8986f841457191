"""What grants and denials make of tables."""

from collections.abc import Callable
from datetime import datetime

import pytest

from regauth.engine import compile_policy
from regauth.engine.access.outcomes import Decision, Identity, Why
from regauth.engine.access.scope import accesses, parse_scopes
from regauth.engine.decisions.decide import decide
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import Claims

POLICY = """
version: 1
services: [registry.example.com]
definitions:
  teams:
    "1342004": payments
    "1342005": search
    "1342006": Search
  frozen: {payments: [payments/old], search: [search/x, search/y]}
  on_hold: {search: true, payments: false}
  team: defs.teams[claims.id]
providers:
  ci: {issuer: "https://ci.example.com", audience: me}
grants:
  - name: own
    when: claims.id in defs.teams
    repositories: ["${defs.team}/**"]
    actions: [pull, push]
denials:
  - name: frozen
    when: claims.id in defs.teams && defs.team in defs.frozen && scope.name in defs.frozen[defs.team]
    repositories: ["**"]
    actions: [push]
"""
Compile = Callable[..., Policy]


def why(policy: Policy, claims: dict[str, object], scope: str, now: datetime) -> Why:
    found = {
        one.verdicts[0].why
        for exhaustive in (False, True)
        if isinstance(
            one := decide(
                policy,
                Identity("ci", "s"),
                Claims(claims),
                "registry.example.com",
                accesses(parse_scopes([scope])),
                now,
                exhaustive=exhaustive,
            ),
            Decision,
        )
    }
    (only,) = found
    return only


CASES = [
    ("1342004", "payments/app:pull", Why.GRANTED),
    ("1342004", "payments/app:push", Why.GRANTED),
    ("1342004", "payments/old:push", Why.DENIED),
    ("1342004", "payments/old:pull", Why.GRANTED),
    ("1342004", "search/app:pull", Why.NO_GRANT),
    ("1342005", "search/x:push", Why.DENIED),
    ("1342005", "search/z:push", Why.GRANTED),
    ("1342006", "search/app:pull", Why.NO_GRANT),  # `Search` is no name of a repository
    ("1342007", "payments/app:pull", Why.NO_GRANT),
    ("", "payments/app:pull", Why.NO_GRANT),
    (None, "payments/app:pull", Why.NO_GRANT),
    (1342004, "payments/app:pull", Why.NO_GRANT),
    (["1342004"], "payments/app:pull", Why.NO_GRANT),
]


@pytest.mark.parametrize(("owner", "scope", "wanted"), CASES)
def test_a_token_gets_what_its_entry_says(
    compiled: Compile, now: datetime, owner: object, scope: str, wanted: Why
) -> None:
    assert why(compiled(POLICY), {"sub": "s", "id": owner}, f"repository:{scope}", now) is wanted


def test_a_token_without_the_claim_gets_nothing(compiled: Compile, now: datetime) -> None:
    found = why(compiled(POLICY), {"sub": "s"}, "repository:payments/app:pull", now)

    assert found is Why.NO_GRANT


@pytest.mark.slow
def test_a_large_table_decides_as_a_small_one_does(now: datetime) -> None:
    entries = "\n".join(f'    "{number}": team-{number}' for number in range(10_000))
    text = POLICY.replace('    "1342004": payments', f'    "1342004": payments\n{entries}', 1)
    assert compile_policy({"policy.yaml": text}).policy is None  # 10,003 entries are too many
    last = '    "9997": team-9997\n    "9998": team-9998\n    "9999": team-9999'
    compilation = compile_policy({"policy.yaml": text.replace(last, "")})
    assert compilation.policy is not None, compilation.problems

    claims: dict[str, object] = {"sub": "s", "id": "777"}
    policy = compilation.policy
    assert why(policy, claims, "repository:team-777/app:push", now) is Why.GRANTED
    assert why(policy, claims, "repository:team-778/app:push", now) is Why.NO_GRANT
