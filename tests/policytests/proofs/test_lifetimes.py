"""Longer tokens are more access: proofs and witnesses."""

import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest

from regauth.engine.access.outcomes import Identity
from regauth.engine.access.scope import REPOSITORY, Access, Resource
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.decisions.decide import Request
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import Claims
from regauth.policytests.proofs import Question, Status, more_access

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TEAMS = ("x", "y", "z")


def compiled(grants: list[dict[str, object]]) -> Policy:
    document = {
        "version": 1,
        "services": ["r"],
        "providers": {"ci": {"issuer": "https://ci.example.com", "audience": "me"}},
        "grants": grants,
    }
    compilation = compile_policy({"p.yaml": json.dumps(document)})
    assert compilation.policy is not None, compilation.problems
    return compilation.policy


def policy(*grants: tuple[str, str, str]) -> Policy:
    """Make a policy of grants: team, pattern, lifetime."""
    listed: list[dict[str, object]] = [
        {
            "name": f"g{number}",
            "repositories": [pattern],
            "actions": ["pull"],
            **({"when": f'claims.team == "{team}"'} if team else {}),
            **({"tokenLifetime": lifetime} if lifetime else {}),
        }
        for number, (team, pattern, lifetime) in enumerate(grants)
    ]
    return compiled(listed)


def test_a_longer_lifetime_is_gained_and_a_shorter_one_is_not() -> None:
    short, long, free = (policy(("x", "a/*", one)) for one in ("2m", "5m", ""))
    for new, bound, status in (
        (long, short, Status.WITNESS),
        (free, short, Status.WITNESS),
        (free, long, Status.WITNESS),
        (short, long, Status.PROVED),
        (short, free, Status.PROVED),
        (long, free, Status.PROVED),
        (short, short, Status.PROVED),
    ):
        answer = more_access(Question(new, bound, at=NOW))
        assert answer.status is status
        assert answer.witnesses == ()
    (longer,) = more_access(Question(long, short, at=NOW)).longer
    assert longer.witness is not None
    assert longer.witness.claims["team"] == "x"
    assert "by the grant `g0`, of ci: 0:02:00 before, 0:05:00 after" in str(longer)


def test_a_longer_grant_for_some_is_found_beside_a_shorter_for_all() -> None:
    base = policy(("", "a/*", "2m"), ("x", "a/*", "5m"))
    wider = policy(("", "a/*", "2m"), ("y", "a/*", "5m"), ("x", "a/*", "5m"))
    other = policy(("x", "a/*", "5m"), ("", "a/**", "2m"))

    (longer,) = more_access(Question(wider, base, at=NOW)).longer
    assert longer.witness is not None
    assert longer.witness.claims["team"] == "y"
    assert more_access(Question(base, wider, at=NOW)).status is Status.PROVED
    answer = more_access(Question(other, base, at=NOW))
    assert answer.witnesses
    assert not answer.longer


def lifetime(one: Policy, team: str, name: str) -> timedelta | None:
    """Return the engine's own lifetime; zero for what is refused."""
    request = Request(one, Identity("ci", "s"), Claims({"team": team}), "r", NOW, exhaustive=True)
    verdict = request.verdict(Access(Resource(REPOSITORY, name), "pull"))
    if not verdict.allowed:
        return timedelta(0)
    return verdict.lifetime or timedelta(days=999)


GRANTS = [("x", "a/*", "2m"), ("", "a/x", "5m"), ("y", "a/**", ""), ("", "b/x", "2m")]
POLICIES = [chosen for size in (1, 2, 3) for chosen in itertools.combinations(GRANTS, size)]
PAIRS = [
    pair for number, pair in enumerate(itertools.product(POLICIES, POLICIES)) if number % 7 == 0
]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_the_prover_says_what_the_engine_says(
    pair: tuple[tuple[tuple[str, str, str], ...], ...],
) -> None:
    new, bound = (policy(*grants) for grants in pair)
    answer = more_access(Question(new, bound, at=NOW))
    gained = any(
        (lifetime(new, team, name) or timedelta(0)) > (lifetime(bound, team, name) or timedelta(0))
        for team in TEAMS
        for name in ("a/x", "a/y", "a/x/y", "b/x")
    )

    assert answer.status is (Status.WITNESS if gained else Status.PROVED)


def tagged(*grants: tuple[str, str, str, str]) -> Policy:
    """Make a policy of grants that let push: tag, lifetime, team, condition on the tag."""
    listed: list[dict[str, object]] = []
    for number, (tag, lasting, team, condition) in enumerate(grants):
        conditions = [f'claims.team == "{team}"'] if team else []
        conditions += [condition] if condition else []
        listed.append(
            {
                "name": f"g{number}",
                "repositories": ["a/*"],
                "actions": ["push"],
                **({"tags": [tag]} if tag else {}),
                **({"when": " && ".join(conditions)} if conditions else {}),
                **({"tokenLifetime": lasting} if lasting else {}),
            }
        )
    return compiled(listed)


def waiting(one: Policy, team: str) -> timedelta:
    """Return for how long the engine lets a token be valid whose tag nobody knows yet."""
    request = Request(one, Identity("ci", "s"), Claims({"team": team}), "r", NOW, exhaustive=True)
    verdict = request.verdict(Access(Resource(REPOSITORY, "a/x"), "push"))
    if not verdict.allowed and not verdict.why.is_open:
        return timedelta(0)
    return verdict.lifetime or timedelta(days=999)


X = 'scope.reference == "x"'
TAGGED = [
    *(("x*", "5m", "", ""), ("v*", "1m", "", ""), ("v*", "1m", "x", ""), ("", "1m", "y", "")),
    *(("x*", "", "x", ""), ("*", "2m", "", X), ("*", "1m", "z", 'scope.reference == "y"')),
]
TAGGED_POLICIES = [
    tuple(TAGGED[number] for number in chosen)
    for size in (1, 2, 3)
    for chosen in itertools.combinations(range(len(TAGGED)), size)
]


@pytest.mark.parametrize("part", range(5))
def test_no_token_whose_tag_is_not_known_is_longer_than_is_proved(part: int) -> None:
    pairs = list(itertools.product(TAGGED_POLICIES, TAGGED_POLICIES))
    longer = 0
    for one, other in pairs[part::60]:
        new, bound = tagged(*one), tagged(*other)
        answer = more_access(Question(new, bound, at=NOW, first=True))
        gained = [team for team in TEAMS if waiting(new, team) > waiting(bound, team)]
        longer += bool(gained)
        assert not gained or answer.status is not Status.PROVED, (one, other, gained)

    assert longer


def test_a_token_is_longer_when_a_shorter_grant_beside_tags_is_gone() -> None:
    long, short, other = ("x*", "5m", "", ""), ("v*", "1m", "", ""), ("v*", "1m", "x", "")
    both = tagged(long, short)

    [open_] = more_access(Question(tagged(long), both, at=NOW)).unknown
    assert str(open_) == "g0: not excluded because of a shorter token while the tag is not known"
    assert more_access(Question(tagged(long, other), both, at=NOW)).status is Status.UNKNOWN
    assert more_access(Question(tagged(short), both, at=NOW)).proved
    assert more_access(Question(tagged(short, long), both, at=NOW)).proved
    more = tagged(long, short, ("z", "5m", "", ""))
    assert more_access(Question(both, more, at=NOW)).proved
    apart = tagged(("x*", "5m", "y", ""), other)
    assert more_access(Question(tagged(("x*", "5m", "y", "")), apart, at=NOW)).proved
