"""Longer tokens are more access: proofs and witnesses."""

import itertools
import json
from datetime import timedelta

import pytest

from regauth.engine.access.outcomes import Identity
from regauth.engine.access.scope import REPOSITORY, Access, Resource
from regauth.engine.decisions.decide import Request
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import Claims
from regauth.policytests.proofs import Question, Status, more_access
from regauth.policytests.proofs.longer import USELESS
from tests.generated import seeds
from tests.policytests.proofs.lasting import (
    AS_LONG,
    LONGER,
    NOW,
    check_as_long,
    check_longer,
    check_random,
    compiled,
    tagged,
)

TEAMS = ("x", "y", "z")


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


@pytest.mark.fuzz
@pytest.mark.parametrize("part", seeds(6))
def test_the_prover_says_what_the_engine_says_of_tokens_that_wait_for_a_tag(part: int) -> None:
    check_random(part, 45)


@pytest.mark.parametrize("name", list(LONGER))
def test_a_longer_token_is_seen_though_no_access_is_gained(name: str) -> None:
    check_longer(name)


@pytest.mark.parametrize("name", list(AS_LONG))
def test_no_token_is_longer_where_a_shorter_grant_still_limits_it(name: str) -> None:
    check_as_long(name)


def test_a_longer_token_says_how_long_it_was_and_what_it_is_for() -> None:
    new, bound = LONGER["shorter-one-is-longer"]
    [longer] = more_access(Question(new, bound, at=NOW)).longer
    assert str(longer) == (
        "the token for repository:a/0:x:push, by the grants `g0`, `g1`, of ci: "
        "0:01:00 before, 0:02:00 after"
    )


def test_a_token_is_told_once_and_another_one_by_itself() -> None:
    """Three grants wait for the tag: two give one token, and the third one to another team."""
    bound = tagged(("x", "1m", "", ""), ("y", "1m", "", ""), ("v*", "3m", "z", ""))
    new = tagged(("x", "4m", "", ""), ("y", "4m", "", ""), ("v*", "3m", "z", ""))
    answer = more_access(Question(new, bound, at=NOW))
    told = [str(one) for one in answer.longer]
    assert sum("`g0`" in one for one in told) == 1
    assert sum("`g1`" in one for one in told) == 1
    tokens = [
        json.dumps([one.witness.claims, str(one.witness.access.resource)], sort_keys=True)
        for one in answer.longer
        if one.witness is not None
    ]
    assert len(tokens) == len(set(tokens))


def test_a_token_that_nobody_can_use_is_no_longer_token() -> None:
    new = tagged(("*", "5m", "", 'scope.reference == "x"'), denied="*")
    answer = more_access(Question(new, tagged(("", "1m", "", ""), denied="*"), at=NOW))
    assert answer.status is Status.UNKNOWN
    assert [one.construct for one in answer.unknown] == [USELESS]
