"""`policytest profiles` and `policytest token`: every claim of a sample token, and its origin."""

import json
from pathlib import Path

import pytest

from regauth import schemas
from regauth.engine.compiler.compiler import compile_policy
from regauth.policytests.commands import samples
from regauth.policytests.commands.questions import Options, QuestionError
from regauth.policytests.execution.run import SuiteError
from regauth.policytests.tokens.profiles import known
from tests.policytests.conftest import Repository

TOKENS = """
at: 2026-11-01T12:00:00Z
tokens:
  main:
    profile: github-actions/environment
    claims: {repository: acme/lib, repository_owner_id: "1342004"}
  bare: {from: main, without: [environment, environment_node_id]}
  forged: {from: main, forge: alg-none}
  odd: {from: main, claims: {ref_type: tag, ref: refs/heads/x}, impossible: what does the policy do}
"""


@pytest.fixture
def asked(house: Repository, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with a suite, which is the current folder."""
    used = "".join(
        f"  - {{name: {name}, token: {name}, expect: {{granted: []}}}}\n"
        for name in ("main", "bare", "forged", "odd")
    )
    house.suite("tests:\n" + used, TOKENS)
    monkeypatch.chdir(house.root)
    return house


def told(name: str) -> dict[str, tuple[object, str]]:
    """Return what is said of each claim: its value, and where that comes from."""
    lines = list(samples.show_token(Options(), name))
    found = {}
    for line in lines[lines.index("") + 1 :]:
        claim, _, rest = line.partition("  ")
        try:
            value, end = json.JSONDecoder().raw_decode(rest.strip())
        except ValueError:
            continue  # a remark below the claims
        found[claim] = (value, rest.strip()[end:].strip())
    return found


def test_every_profile_is_listed_with_what_it_is() -> None:
    text = "\n".join(samples.list_profiles(None))
    for name in known.names():
        assert f"\n{name} " in f"\n{text}"
    assert "a push of a tag" in text


def test_each_claim_says_where_its_value_comes_from(asked: Repository) -> None:
    claims = told("main")
    assert claims["repository"] == ("acme/lib", "the suite")
    assert claims["environment"] == ("production", "the profile github-actions/environment")
    assert claims["iss"] == ("https://token.actions.githubusercontent.com", "the policy")
    assert claims["iat"] == (1793534400, "the time of its issue")
    assert claims["run_attempt"] == ("1", "the usual value")
    value, origin = claims["sub"]
    assert value == "repo:acme/lib:environment:production"
    assert origin.startswith("follows: The subject is made of")
    assert claims["repository_id"][1] == 'an id made up for "acme/lib"'


def test_what_is_shown_is_what_is_signed(asked: Repository, house: Repository) -> None:
    loaded = house.load(
        "tests:\n"
        + "".join(
            f"  - {{name: {name}, token: {name}, expect: {{granted: []}}}}\n"
            for name in ("main", "bare", "forged", "odd")
        ),
        TOKENS,
    )
    for name, sample in loaded.evaluation.linked.samples.items():
        assert {claim: value for claim, (value, _) in told(name).items()} == dict(sample.claims)


def test_what_was_left_out_forged_or_excused_is_said(asked: Repository) -> None:
    assert "left out: environment, environment_node_id" in list(
        samples.show_token(Options(), "bare")
    )
    forged = "\n".join(samples.show_token(Options(), "forged"))
    assert "forged, alg-none: " in forged
    assert '"alg": "none"' in forged
    odd = "\n".join(samples.show_token(Options(), "odd"))
    assert "may contradict its issuer: what does the policy do" in odd


def test_a_profile_is_shown_without_a_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    claims = told("gitlab-ci/tag")
    assert claims["ref"] == ("v1.0.0", "the profile gitlab-ci/tag")
    assert claims["ref_path"][0] == "refs/tags/v1.0.0"
    for name in known.names():
        assert told(name)


def test_an_unknown_name_is_an_error_with_the_nearest(asked: Repository) -> None:
    with pytest.raises(QuestionError, match="did you mean `main`"):
        list(samples.show_token(Options(), "mian"))
    with pytest.raises(QuestionError, match="did you mean `github-actions/tag`"):
        list(samples.show_token(Options(), "github-actions/tga"))


OWN = {
    "name": "build-farm",
    "title": "build farm",
    "sampleTokens": {
        "about": "a job of the farm",
        "variants": {"tag": {"about": "a tag", "claims": {"trigger": "tag"}, "with": ["tag"]}},
    },
    "claims": {
        "iss": {"type": "string", "presence": "always", "description": "The farm."},
        "sub": {"type": "string", "presence": "always", "description": "x", "examples": ["job"]},
        "aud": {"type": "list", "presence": "always", "description": "x"},
        "exp": {"type": "int", "presence": "always", "description": "x"},
        "trigger": {
            "type": "string",
            "enum": ["branch", "tag"],
            "presence": "always",
            "description": "x",
        },
        "tag": {"type": "string", "presence": "sometimes", "description": "x", "examples": ["v1"]},
    },
}
FARM = """
version: 1
services: [registry.example.com]
providers:
  farm:
    issuer: https://farm.example.com
    audience: https://registry.example.com
    claims: farm.json
grants:
  - {name: tags, when: claims.trigger == "tag", repositories: ["**"], actions: [pull]}
"""


def test_a_claim_schema_of_ones_own_has_profiles_too(
    house: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.write("policy/farm.json", json.dumps(OWN))
    house.write("policy/policy.yaml", FARM)
    tokens = """
    at: 2026-11-01T12:00:00Z
    tokens:
      x: {profile: build-farm/tag}
    """
    allowed = "expect: {granted: ['repository:a/b:pull']}"
    text = f"tests:\n  - {{name: t, token: x, scopes: [repository:a/b:pull], {allowed}}}\n"
    assert {"t": "passed"} == house.outcomes(text, tokens)
    monkeypatch.chdir(house.root)
    assert told("build-farm/tag")["tag"] == ("v1", "the usual value")
    assert any(line.startswith("build-farm/tag ") for line in samples.list_profiles(Path("policy")))
    with pytest.raises(SuiteError) as caught:
        house.load(text, tokens.replace("farm/tag", "farm/tga"))
    assert "did you mean `build-farm/tag`" in caught.value.render()


@pytest.mark.parametrize(
    ("samples_", "message"),
    [
        ({"about": "x", "with": ["tga"]}, "there is no claim `tga`"),
        ({"about": "x", "claims": {"trigger": "tags"}}, "`trigger` is never `tags`"),
        ({"about": "x", "lifetime": 0}, "`lifetime` is a number of seconds"),
        ({"about": "x", "algorithm": "HS256"}, "`algorithm` is one of"),
        ({"about": "x", "variants": {"A": {"about": "x"}}}, "the name of a variant"),
    ],
)
def test_what_is_wrong_with_sample_tokens_of_ones_own_is_told(
    samples_: dict[str, object], message: str
) -> None:
    own = json.dumps({**OWN, "sampleTokens": samples_})
    problems = compile_policy({"policy.yaml": FARM, "farm.json": own}).problems
    assert any(one.code == "bad-claims" and message in one.message for one in problems)


def test_no_schema_is_without_profiles() -> None:
    assert {name.partition("/")[0] for name in known.names()} == {*schemas.claims_names(), "plain"}
