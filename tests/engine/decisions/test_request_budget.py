"""S4: one request takes no more than its steps, and over them it is refused as a whole."""

import random
from collections.abc import Callable
from datetime import datetime

import pytest

from regauth.engine import Access, Decision, Identity, Reason, Refusal, Resource, decide
from regauth.engine.cel.syntax import limits
from regauth.engine.decisions.authentication import authenticate
from regauth.engine.decisions.decide import Request
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import Claims

pytestmark = pytest.mark.slow

SERVICE = "registry.example.com"
HEAD = """
version: 1
services: [registry.example.com]
providers:
  ci: {issuer: "https://ci.example.com", audience: meRULES}
"""
TWO_LISTS = (
    "grants:\n"
    "  - name: pairs\n"
    "    when: claims.a.exists(x, claims.b.exists(y, x + y == scope.name))\n"
    "    repositories: ['**']\n"
    "    actions: [pull, push, delete]\n"
)


def lists() -> dict[str, list[str]]:
    """Return two lists so long that their pairs nearly take the steps of one evaluation."""
    return {name: [f"{name}{number}" for number in range(170)] for name in ("a", "b")}


CLAIMS = Claims({**lists()})


def made(compiled: Callable[..., Policy], statements: str, rules: str = "") -> Policy:
    return compiled(HEAD.replace("RULES", f", rules: [{rules}]" if rules else "") + statements)


def asked(names: int) -> list[Access]:
    return [
        Access(Resource("repository", f"acme/app-{number}"), action)
        for number in range(names)
        for action in ("pull", "push", "delete")
    ]


def outcome(
    policy: Policy,
    now: datetime,
    accesses: list[Access],
    claims: Claims = CLAIMS,
    *,
    exhaustive: bool = False,
) -> Decision | Refusal:
    return decide(
        policy, Identity("ci", "s"), claims, SERVICE, accesses, now, exhaustive=exhaustive
    )


def test_s4_many_scopes_on_one_long_login_are_refused_as_a_whole(
    compiled: Callable[..., Policy], now: datetime
) -> None:
    policy = made(compiled, TWO_LISTS)

    refused = outcome(policy, now, asked(100))

    assert isinstance(refused, Refusal)
    assert refused.reason == Reason.TOO_COSTLY == "too-costly"
    assert "pairs" in refused.detail
    assert refused.claims == CLAIMS  # so that a log can tell what it was about
    assert isinstance(outcome(policy, now, asked(1)), Decision)


def test_s4_no_access_is_allowed_or_refused_by_the_steps_that_others_took(
    compiled: Callable[..., Policy], now: datetime
) -> None:
    """Wherever the budget ends, every access is answered as it is alone, or none is."""
    policy = made(
        compiled,
        TWO_LISTS
        + "  - {name: some, repositories: ['acme/app-*'], actions: [pull]}\n"
        + "denials:\n"
        + "  - name: none\n"
        + "    when: claims.a.all(x, scope.name.endsWith(x) || !(scope.action in claims.b))\n"
        + "    repositories: ['acme/app-7*']\n"
        + "    actions: [pull, push, delete]\n",
    )
    claims = Claims({name: listed[:60] for name, listed in lists().items()})
    alone = {}
    for access in asked(80):
        decision = outcome(policy, now, [access], claims)
        assert isinstance(decision, Decision)
        [alone[access]] = decision.verdicts
    chosen = random.Random(7)
    decided = refused = 0
    for number in (20, 50, 80, 150):
        accesses = chosen.sample(asked(80), number)
        found = outcome(policy, now, accesses, claims)
        if isinstance(found, Refusal):
            refused += 1
            assert found.reason == Reason.TOO_COSTLY
        else:
            decided += 1
            assert list(found.verdicts) == [alone[access] for access in accesses]
        assert outcome(policy, now, accesses, claims, exhaustive=True) == found

    assert decided
    assert refused


def test_s4_statements_count_although_their_conditions_are_cheap(
    compiled: Callable[..., Policy], now: datetime
) -> None:
    grants = "".join(
        f"  - {{name: g{number}, repositories: ['**/x{number}-*'], actions: [pull]}}\n"
        for number in range(500)
    )
    policy = made(compiled, f"grants:\n{grants}")

    assert isinstance(outcome(policy, now, asked(1)), Decision)
    refused = outcome(policy, now, asked(100))
    assert isinstance(refused, Refusal)
    assert refused.reason == Reason.TOO_COSTLY


@pytest.mark.parametrize("denied", [False, True])
def test_s4_a_last_condition_that_runs_out_decides_nothing(
    compiled: Callable[..., Policy], now: datetime, denied: bool
) -> None:
    """Without a macro the request's own steps are taken; their end is no error of a condition."""
    text = '"x" in [claims.long.replace("a", "b"), claims.long]'
    many = " || ".join([text] * 12)
    kind = "denials" if denied else "grants"
    statements = "".join(
        f"  - {{name: s{number}, when: '{many} || scope.name == \"{number}\"',"
        " repositories: ['**'], actions: [pull]}\n"
        for number in range(60)
    )
    policy = made(compiled, f"{kind}:\n{statements}")
    claims = Claims({"long": "a" * 15_000})
    accesses = [access for access in asked(20) if access.action == "pull"]

    found = outcome(policy, now, accesses, claims)

    assert isinstance(found, Refusal)
    assert found.reason == Reason.TOO_COSTLY
    alone = outcome(policy, now, accesses[:1], claims)
    assert isinstance(alone, Decision)
    assert not any(verdict.errors for verdict in alone.verdicts)


def test_s4_rules_share_the_steps_of_a_login(
    compiled: Callable[..., Policy], now: datetime
) -> None:
    check = "claims.a.all(x, claims.b.all(y, x + y != service))"
    rules = ", ".join(f'{{name: r{number}, check: "{check}"}}' for number in range(30))
    policy = made(compiled, "", rules)
    provider = policy.providers["ci"]
    whole = Claims(
        {
            **CLAIMS,
            "iss": "https://ci.example.com",
            "aud": "me",
            "sub": "s",
            "exp": int(now.timestamp()) + 60,
        }
    )

    refused = authenticate(provider, whole, SERVICE, now)

    assert isinstance(refused, Refusal)
    assert refused.reason == Reason.TOO_COSTLY
    assert refused.claims == whole
    short = authenticate(provider, Claims({**whole, "a": ["a"], "b": ["b"]}), SERVICE, now)
    assert not isinstance(short, Refusal)


@pytest.mark.parametrize(
    "body",
    [
        'claims.long.replace("a", "bb") == "x"',
        'claims.long.lowerAscii() == "x"',
        'claims.long.contains("zz")',
        "claims.long.contains(claims.other)",
        'claims.long.matches("z+y$")',
        'claims.long.split("").size() == 1',
        'claims.long.split("a").join("") == "x"',
        'claims.long + claims.long == "x"',
        'claims.long + "y" == "x"',
        "claims.long.trim().size() == x",
        'claims.long.indexOf("z") == x',
        'claims.long.reverse() == "x"',
        'claims.long.upperAscii() == "x"',
        'claims.long.lastIndexOf("z") == x',
    ],
)
def test_s4_string_functions_inside_macros_take_steps_by_length(
    compiled: Callable[..., Policy], now: datetime, body: str
) -> None:
    grants = (
        "grants:\n  - name: g\n"
        f"    when: 'claims.a.exists(x, {body})'\n"
        "    repositories: ['**']\n    actions: [pull]\n"
    )
    policy = made(compiled, grants)
    elements = limits.STEPS // 200

    def errors(length: int) -> list[str]:
        text = "a" * length
        claims = Claims({"a": list(range(elements)), "long": text, "other": f"{text}z"})
        decision = outcome(policy, now, asked(1)[:1], claims)
        assert isinstance(decision, Decision)
        return [error.code for error in decision.verdicts[0].errors]

    assert errors(30) == []
    assert errors(15_000) == ["limit-exceeded"]


@pytest.mark.parametrize(("read", "answer"), [("claims.a[0]", Decision), ("scope.name", Refusal)])
def test_s4_a_pattern_is_evaluated_once_for_a_name_unless_it_reads_the_scope(
    compiled: Callable[..., Policy], now: datetime, read: str, answer: type
) -> None:
    """For three actions, five patterns take the steps of five evaluations, or of fifteen."""
    walk = f"claims.a.exists(x, claims.b.exists(y, x + y == {read}))"
    grant = (
        f"repositories: [\"${{{walk} ? 'acme/app-0' : 'acme/other'}}\"], "
        "actions: [pull, push, delete]"
    )
    grants = "".join(f"  - {{name: g{number}, {grant}}}\n" for number in range(5))
    policy = made(compiled, f"grants:\n{grants}")

    assert isinstance(outcome(policy, now, asked(1)[:1]), Decision)
    assert isinstance(outcome(policy, now, asked(1)), answer)


def test_s4_a_request_that_counts_anew_has_its_steps_for_any_number_of_names(
    compiled: Callable[..., Policy], now: datetime
) -> None:
    walk = "claims.a.exists(x, claims.b.exists(y, x + y == claims.a[0]))"
    pattern = f"${{{walk} ? 'acme/app-0' : 'acme/other'}}"
    policy = made(
        compiled, f'grants: [{{name: one, repositories: ["{pattern}"], actions: [pull]}}]\n'
    )
    request = Request(policy, Identity("ci", "s"), CLAIMS, SERVICE, now, bounded=True)

    for access in asked(15)[::3]:
        request.count_anew()
        assert not request.verdict(access).allowed
        request.check_steps("the last access")
