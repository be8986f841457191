"""
Longer tokens: policies whose tokens the engine compares, and checks of what the prover says.

A token is asked for without a tag.  So what the engine says of such a request is what counts: how
long the token is valid, be the access allowed or still open.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from random import Random

from regauth.engine.access.outcomes import Identity
from regauth.engine.access.scope import REPOSITORY, Access, Resource
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.decisions.decide import Request
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import Claims
from regauth.policytests.proofs import Question, Status, more_access

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TEAMS = ("x", "y", "z", "q")
REFERENCES = ("", "x", "x1", "v123", "v1", "y", "q", "*", "@upload", f"sha256:{'0' * 64}")
NONE, SERVERS = timedelta(0), timedelta.max

Row = tuple[str, str, str, str]
"""A grant that lets push: its tag, its lifetime, its team, and its condition on the tag."""


def compiled(grants: list[dict[str, object]], **more: object) -> Policy:
    """Compile a policy of grants."""
    document = {
        "version": 1,
        "services": ["r"],
        "providers": {"ci": {"issuer": "https://ci.example.com", "audience": "me"}},
        "grants": grants,
        **more,
    }
    compilation = compile_policy({"p.yaml": json.dumps(document)})
    assert compilation.policy is not None, compilation.problems
    return compilation.policy


def tagged(*rows: Row, denied: str = "") -> Policy:
    """Make a policy of such grants, and of a denial by a tag."""
    listed: list[dict[str, object]] = []
    for number, (tag, lifetime, team, condition) in enumerate(rows):
        conditions = [f'claims.team == "{team}"'] if team else []
        conditions += [condition] if condition else []
        listed.append(
            {
                **_about(f"g{number}", tag),
                **({"when": " && ".join(conditions)} if conditions else {}),
                **({"tokenLifetime": lifetime} if lifetime else {}),
            }
        )
    return compiled(listed, **({"denials": [_about("d", denied)]} if denied else {}))


def _about(name: str, tag: str) -> dict[str, object]:
    about: dict[str, object] = {"name": name, "repositories": ["a/*"], "actions": ["push"]}
    return {**about, "tags": [tag]} if tag else about


# -- what the engine says


def _request(policy: Policy, team: str) -> Request:
    claims = Claims({"team": team})
    return Request(policy, Identity("ci", "s"), claims, "r", NOW, exhaustive=True)


def allows(policy: Policy, team: str, reference: str) -> bool:
    """Tell whether the engine allows a push."""
    access = Access(Resource(REPOSITORY, "a/x"), "push", reference)
    return _request(policy, team).verdict(access).allowed


def valid_for(policy: Policy, team: str) -> timedelta:
    """Return how long the engine lets a token be valid that is asked for; nothing if there is none."""
    verdict = _request(policy, team).verdict(Access(Resource(REPOSITORY, "a/x"), "push"))
    if not verdict.allowed and not verdict.why.is_open:
        return NONE
    return SERVERS if verdict.lifetime is None else verdict.lifetime


def is_longer(new: Policy, bound: Policy, team: str) -> bool:
    """Tell whether a team's token is valid for longer, and of use."""
    used = any(allows(new, team, one) for one in REFERENCES)
    return used and valid_for(new, team) > valid_for(bound, team) > NONE


def gains(new: Policy, bound: Policy, team: str) -> bool:
    """Tell whether a team gets access that it did not get."""
    return any(allows(new, team, one) and not allows(bound, team, one) for one in REFERENCES)


# -- what the prover says


def check(new: Policy, bound: Policy) -> Status:
    """Check what the prover says of two policies, and that each longer token is one."""
    answer = more_access(Question(new, bound, at=NOW))
    more = any(gains(new, bound, team) or is_longer(new, bound, team) for team in TEAMS)
    said = (answer, [str(one) for one in (*new.grants, *bound.grants)])
    if more:
        assert answer.status is Status.WITNESS, said
    else:
        assert answer.status is not Status.WITNESS, said
    for one in answer.longer:
        assert one.witness is not None
        team = str(one.witness.claims.get("team"))
        assert valid_for(new, team) > valid_for(bound, team) > NONE, said
        assert all(allows(each, team, one.witness.access.reference) for each in (new, bound)), said
    return answer.status


X, Y = 'scope.reference == "x"', 'scope.reference == "y"'
ROWS: list[Row] = [
    *(("x*", "5m", "", ""), ("v*", "1m", "", ""), ("v*", "1m", "x", ""), ("", "1m", "y", "")),
    *(("x*", "", "x", ""), ("*", "2m", "", X), ("*", "1m", "z", Y), ("", "5m", "", "")),
    *(("", "", "x", ""), ("*", "5m", "", "")),
]
CHOICES = [chosen for size in (1, 2, 3) for chosen in combinations(ROWS, size)]


def random_pairs(seed: int, count: int) -> Iterator[tuple[Policy, Policy]]:
    """Yield random pairs of policies, some of which are alike."""
    choose = Random(seed)
    for _ in range(count):
        one, other = choose.choice(CHOICES), choose.choice(CHOICES)
        if choose.random() < 0.5:
            edited = [choose.choice(ROWS) if choose.random() < 0.3 else row for row in one]
            other = tuple(dict.fromkeys(edited))
        denied = choose.choice(["", "v*", "*"])
        yield (
            tagged(*one, denied=denied),
            tagged(*other, denied=choose.choice([denied, denied, ""])),
        )


def check_random(seed: int, count: int) -> None:
    """Check random pairs; nearly all are decided."""
    statuses = [check(new, bound) for new, bound in random_pairs(seed, count)]
    assert len(set(statuses)) > 1
    assert statuses.count(Status.UNKNOWN) <= count / 20, statuses


WIDE: Row = ("*", "5m", "", "")
PLAIN: Row = ("", "1m", "", "")
LONG: Row = ("", "5m", "", "")
KEPT: Row = ("v*", "1m", "x", "")
RELEASE: Row = ("v*", "1m", "", "")
LATER: Row = ("x*", "5m", "x", "")
LATEST: Row = ("x*", "10m", "x", "")

LONGER: dict[str, tuple[Policy, Policy]] = {
    "denial-that-waits": (tagged(LONG, denied="bad"), tagged(PLAIN, WIDE, denied="bad")),
    "denial-that-waits-and-both": (
        tagged(PLAIN, WIDE, ("", "", "", ""), denied="bad"),
        tagged(PLAIN, WIDE, denied="bad"),
    ),
    "matches-instead-of-waiting": (tagged(LONG, denied="bad"), tagged(RELEASE, WIDE, denied="bad")),
    "waits-instead-of-matching": (tagged(WIDE), tagged(PLAIN, WIDE)),
    "shorter-one-is-gone": (tagged(WIDE), tagged(WIDE, RELEASE)),
    "shorter-one-for-a-team-is-gone": (tagged(WIDE), tagged(WIDE, ("v*", "1m", "y", ""))),
    "shorter-one-of-another-tag-is-gone": (
        tagged(("*", "5m", "", X)),
        tagged(("*", "5m", "", X), ("*", "1m", "", Y)),
    ),
    "longer-by-a-condition-that-waits": (
        tagged(("*", "5m", "", X)),
        tagged(("*", "1m", "", X)),
    ),
    "denial-that-waits-is-gone": (
        tagged(WIDE, denied="b*"),
        tagged(WIDE, ("v*", "1m", "y", ""), denied="bad"),
    ),
    "longer-for-a-tag-of-a-pattern": (
        tagged(("v*", "5m", "", 'scope.reference.matches("^v[0-9]{3}$")'), denied="bad"),
        tagged(("v*", "1m", "", 'scope.reference.matches("^v[0-9]{3}$")'), denied="bad"),
    ),
    "shorter-one-for-fewer": (tagged(WIDE, KEPT), tagged(WIDE, RELEASE)),
    "shorter-one-is-longer": (tagged(WIDE, ("v*", "2m", "", "")), tagged(WIDE, RELEASE)),
    "shorter-one-of-other-tags-by-condition": (
        tagged(WIDE),
        tagged(WIDE, ("*", "1m", "", Y)),
    ),
    "condition-that-rules-out": (
        tagged(WIDE, ("*", "1m", "z", Y)),
        tagged(WIDE, ("*", "1m", "", Y)),
    ),
    "shorter-one-of-others-is-kept": (tagged(LATEST, ("v*", "1m", "y", "")), tagged(LATER, ("v*", "1m", "y", ""))),
    "shortest-of-two-is-gone": (tagged(WIDE, ("v*", "2m", "", "")), tagged(WIDE, ("v*", "2m", "", ""), RELEASE)),
}  # fmt: skip
"""Pairs of policies by whose first a token is valid for longer."""

AS_LONG: dict[str, tuple[Policy, Policy]] = {
    "shorter-one-is-kept": (tagged(LATEST, RELEASE), tagged(LATER, RELEASE)),
    "shorter-one-without-tags-is-kept": (tagged(LATEST, PLAIN), tagged(LATER, PLAIN)),
    "shorter-one-by-condition-is-kept": (
        tagged(LATEST, ("*", "1m", "x", Y)),
        tagged(LATER, ("*", "1m", "x", Y)),
    ),
    "shorter-one-of-two-is-kept": (tagged(WIDE, RELEASE), tagged(WIDE, ("v*", "2m", "", ""), RELEASE)),
    "shorter-one-is-named-anew": (tagged(RELEASE, WIDE), tagged(WIDE, RELEASE)),
    "shorter-one-that-a-claim-rules-out-is-gone": (
        tagged(("x*", "5m", "y", "")),
        tagged(("x*", "5m", "y", ""), ("*", "1m", "z", Y)),
    ),
    "shorter-one-of-others-is-gone": (
        tagged(("x*", "5m", "y", "")),
        tagged(("x*", "5m", "y", ""), KEPT),
    ),
}  # fmt: skip
"""Pairs of policies by whose first no token is valid for longer, though a grant is."""


def check_longer(name: str) -> None:
    """Check that a longer token is seen."""
    new, bound = LONGER[name]
    assert any(is_longer(new, bound, team) for team in TEAMS), name
    assert check(new, bound) is Status.WITNESS, name


def check_as_long(name: str) -> None:
    """Check that it is proved that no token is longer."""
    new, bound = AS_LONG[name]
    assert check(new, bound) is Status.PROVED, name
