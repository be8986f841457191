"""The hostile layer: every forgery and near miss is a case, and proves nothing by accident."""

from datetime import UTC, datetime
from typing import Final

import pytest

from regauth import schemas
from regauth.engine.issuers import claim_schema, coherent
from regauth.engine.source.problems import Location
from regauth.policytests.tokens.coherence import contradictions
from regauth.policytests.tokens.forgeries.known import FORGERIES, TABLES
from regauth.policytests.tokens.near_misses import near_misses
from regauth.policytests.tokens.profiles import known as profiles
from regauth.policytests.tokens.profiles.profile import Issuance, Profile
from regauth.policytests.tokens.spec import TokenSpec
from tests.policytests.conftest import TOKENS, Repository

HOSTILE = "hostile: {tokens: [main], repositories: [acme/app]}\n"


def profile_named(name: str) -> Profile:
    """Return a profile."""
    found = profiles.find(name)
    assert found is not None
    return found[0]


def bad(house: Repository, text: str = HOSTILE, tokens: str = TOKENS) -> dict[str, str]:
    """Return the hostile cases that did not pass."""
    outcomes = house.outcomes(text, tokens)
    return {name: outcome for name, outcome in outcomes.items() if outcome != "passed"}


def repair(house: Repository, *changes: tuple[str, str]) -> None:
    """Change the policy's text."""
    policy = house.root / "policy" / "policy.yaml"
    text = policy.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    policy.write_text(text)


PUSHES = (
    'when: claims.ref == "refs/heads/main"',
    'when: claims.ref == "refs/heads/main" && claims.event_name == "push"',
)


def test_a_careful_policy_passes_all_but_what_it_excepts(house: Repository) -> None:
    repair(house, PUSHES)
    assert {
        "hostile[main-repository-reused]": "failed",
        "hostile[main-repository-reused-other-sub]": "failed",
    } == bad(house)
    excepted = HOSTILE.replace("}", ", except: [repository-reused]}")
    assert {} == bad(house, excepted)


@pytest.mark.parametrize(
    ("before", "after", "near_miss"),
    [
        ('repository_owner_id == "1342004"', 'repository_owner == "acme"', "organisation-reused"),
        (
            'repository_owner_id == "1342004"',
            'repository_owner.startsWith("acme")',
            "organisation-suffix",
        ),
        ('ref == "refs/heads/main"', 'ref.startsWith("refs/heads/main")', "branch-suffix"),
        ('ref == "refs/heads/main"', 'ref.endsWith("/main")', "tag-for-branch"),
        ('claims.ref == "refs/heads/main" && ', "", "branch-folder"),
        (
            'claims.ref == "refs/heads/main" &&',
            'claims.base_ref == "main" ||',
            "pull-request",
        ),
        (' && claims.event_name == "push"', "", "pull-request-target"),
        ("${claims.repository.lowerAscii()}", "acme/*", "repository-suffix"),
    ],
)
def test_a_careless_condition_is_found_by_its_near_miss(
    house: Repository, before: str, after: str, near_miss: str
) -> None:
    repair(house, PUSHES)
    repair(house, (before, after))
    assert bad(house)[f"hostile[main-{near_miss}]"] == "failed"


def test_an_exception_that_lets_nobody_in_is_an_error(house: Repository) -> None:
    repair(house, PUSHES)
    text = HOSTILE.replace("}", ", except: [repository-reused, branch-suffix]}")
    assert {
        "hostile[main-branch-suffix]": "error",
        "hostile[main-branch-suffix-other-sub]": "error",
    } == bad(house, text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HOSTILE.replace("}", ", except: [alg-none]}"), "4:62 unknown-near-miss"),
        (HOSTILE.replace("[main]", "[mian]"), "4:20 unknown-token"),
    ],
)
def test_unknown_names_are_wrong(house: Repository, text: str, problem: str) -> None:
    assert problem in house.problems(text)


def test_a_token_that_gets_nothing_proves_nothing(house: Repository) -> None:
    assert "error" == bad(house, HOSTILE.replace("acme/app", "other/app"))["hostile[main]"]
    refused = bad(house, HOSTILE, TOKENS.replace("1342004", "999"))
    assert {"error"} == set(refused.values())


def test_every_forgery_has_a_group_and_says_what_it_finds() -> None:
    assert 4 == len(TABLES)
    assert sum(map(len, TABLES)) == len(FORGERIES), "two forgeries share a name"
    assert all(forgery.about and forgery.group for forgery in FORGERIES.values())


@pytest.mark.parametrize(
    "name",
    [
        *("alg-none", "alg-none-mixed", "hs256-public-key", "jwk-embedded", "jku", "x5u", "x5c"),
        *("kid-traversal", "crit", "b64-false", "duplicate-sub", "other-key", "huge"),
        *("signature-stripped", "iss-slash", "iss-case", "iss-port", "aud-list-other"),
        *("aud-substring", "aud-absent", "exp-string", "nbf-future", "iat-edge"),
        *("payload-deep", "payload-not-json"),
    ],
)
def test_every_kind_of_forgery_there_should_be_is_there(name: str) -> None:
    assert name in FORGERIES


ISSUE = Issuance("https://i.example.com", "a", datetime(2026, 11, 1, tzinfo=UTC))


@pytest.mark.parametrize("name", schemas.claims_names())
def test_every_issuer_has_near_misses_that_differ_from_the_token(name: str) -> None:
    profile = profile_named(name)
    for variant in profile.variants:
        spec = TokenSpec("x", Location(""), profile=f"{name}/{variant}".rstrip("/"))
        genuine = profile.claims({}, ISSUE, variant)
        found = list(near_misses(spec, genuine, profile.schema))
        assert found
        assert len({miss.name for miss in found}) == len(found)
        for miss in found:
            assert genuine != profile.claims(miss.spec.claims, ISSUE, variant), miss.name


@pytest.mark.parametrize("name", [name for name in schemas.claims_names() if name != "generic"])
def test_every_known_issuer_has_moves_of_its_own(name: str) -> None:
    """What a schema gives by itself cannot say which claims belong to one principal."""
    profile = profile_named(name)
    spec = TokenSpec("x", Location(""), profile=name)
    assert list(near_misses(spec, profile.claims({}, ISSUE)))


OWN: Final = {
    "name": "forge",
    "title": "Forge",
    "documentation": "https://forge.example.com/docs",
    "serves": "everybody",
    "claims": {
        "iss": {"type": "string", "presence": "always", "description": "The issuer."},
        "sub": {"type": "string", "presence": "always", "description": "The subject."},
        "aud": {"type": "list", "presence": "always", "description": "Who it is for."},
        "exp": {"type": "int", "presence": "always", "description": "The end."},
        "iat": {"type": "int", "presence": "always", "description": "The time."},
        "team": {
            "type": "string",
            "presence": "always",
            "mutable": True,
            "twin": "team_id",
            "narrows": True,
            "chosenBy": "owner",
            "description": "The team.",
            "examples": ["acme"],
        },
        "team_id": {"type": "string", "presence": "always", "description": "Its id."},
        "kind": {
            "type": "string",
            "presence": "always",
            "enum": ["push", "proposal"],
            "chosenBy": "anybody",
            "causedByStrangers": {"enum": ["proposal"], "because": "anybody may propose"},
            "description": "Why it runs.",
            "examples": ["push"],
        },
    },
    "relations": [
        {
            "then": {"sub": {"template": ["team:{team}"]}},
            "description": "The subject is made of the team.",
        }
    ],
}


def test_a_schema_of_ones_own_gives_near_misses() -> None:
    schema = claim_schema(OWN)
    claims = coherent(schema, {"aud": ["a"], "exp": 2, "iat": 1})
    spec = TokenSpec("x", Location(""), profile="forge", claims=claims)
    found = {miss.name: miss for miss in near_misses(spec, claims, schema)}
    assert set(found) == {
        *("team-suffix", "team-prefix", "team-longer", "team-reused", "kind-of-strangers")
    }
    assert found["team-suffix"].outsider
    assert found["team-reused"].outsider
    assert not found["kind-of-strangers"].outsider
    for miss in found.values():
        made = coherent(schema, miss.spec.claims)
        assert list(contradictions(schema, made)) == []
    assert coherent(schema, found["team-suffix"].spec.claims)["sub"] == "team:acme-evil"


def test_a_near_miss_moves_coherently() -> None:
    profile = profile_named("github-actions")
    issue = Issuance("https://i.example.com", "a", datetime(2026, 11, 1, tzinfo=UTC))
    spec = TokenSpec(
        "x", Location(""), profile="github-actions", claims={"repository_owner_id": "1342004"}
    )
    genuine = profile.claims(spec.claims, issue)
    moved = {miss.name: miss.spec for miss in near_misses(spec, genuine)}
    other = profile.claims(moved["organisation-suffix"].claims, issue)
    assert "acme-evil" == other["repository_owner"]
    assert "1342004" != other["repository_owner_id"]
    assert "repo:acme-evil/app:ref:refs/heads/main" == other["sub"]
