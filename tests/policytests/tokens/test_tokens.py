"""Sample tokens: what profiles fill in, what a suite can say of a token, and what is wrong."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from regauth import schemas
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.issuers import check_token, faulty_samples
from regauth.engine.tokens.jwks import jwks
from regauth.engine.tokens.jwt import sign
from regauth.engine.tokens.keys import SigningKey
from regauth.policytests.execution.run import SuiteError
from regauth.policytests.tokens.forgeries.known import FORGERIES
from regauth.policytests.tokens.issuing import IssuerKeys, generate_key
from regauth.policytests.tokens.profiles import known as profiles
from regauth.policytests.tokens.profiles.profile import Issuance
from tests.policytests.conftest import Repository

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
NOTHING = "tests:\n  - {name: t, token: x, expect: {granted: []}}\n"


def claims(profile: str, given: dict[str, object], *, immutable: bool = False) -> dict[str, object]:
    """Return the claims of a profile's token."""
    found = profiles.find(profile)
    assert found is not None
    issue = Issuance("https://issuer.example.com", "https://registry.example.com", AT, immutable)
    return found[0].claims(given, issue, found[1])


@pytest.mark.parametrize(
    ("profile", "given", "sub"),
    [
        ("github-actions", {}, "repo:acme/app:ref:refs/heads/main"),
        ("github-actions/tag", {}, "repo:acme/app:ref:refs/tags/v1.0.0"),
        ("github-actions/pull-request", {}, "repo:acme/app:pull_request"),
        ("github-actions/environment", {}, "repo:acme/app:environment:production"),
        ("github-actions", {"environment": "a:b"}, "repo:acme/app:environment:a%3Ab"),
        ("github-actions/pull-request-target", {}, "repo:acme/app:ref:refs/heads/main"),
        ("gitlab-ci", {}, "project_path:acme/app:ref_type:branch:ref:main"),
        ("gitlab-ci/tag", {}, "project_path:acme/app:ref_type:tag:ref:v1.0.0"),
        ("kubernetes", {}, "system:serviceaccount:team-a:builder"),
        ("spiffe", {}, "spiffe://example.com/ns/team-a/sa/builder"),
        ("github-actions", {"sub": "mine"}, "mine"),
    ],
)
def test_the_subject_follows_the_other_claims(
    profile: str, given: dict[str, object], sub: str
) -> None:
    assert sub == claims(profile, given)["sub"]


def test_githubs_immutable_subject_holds_the_ids() -> None:
    given: dict[str, object] = {"repository_owner_id": "1342004", "repository_id": "456789"}
    assert (
        "repo:acme@1342004/app@456789:ref:refs/heads/main"
        == claims("github-actions", given, immutable=True)["sub"]
    )


@pytest.mark.parametrize("name", [name for name in profiles.names() if name[:5] != "plain"])
def test_no_token_of_a_profile_contradicts_its_issuer(name: str) -> None:
    found = profiles.find(name)
    assert found is not None
    schema = found[0].schema
    assert schema is not None
    issuers = [str(one) for one in schema.claims[("iss",)].examples]
    if name.startswith("azure/"):  # the address of Entra's issuer goes with the version
        issuers = issuers[int(name in {"azure/version-1", "azure/managed-identity"}) :][:1]
    for issuer in issuers:
        for immutable in (False, True):
            issue = Issuance(issuer, "https://registry.example.com", AT, immutable)
            made = found[0].claims({}, issue, found[1])
            assert [one.message for one in check_token(schema, made)] == []


@pytest.mark.parametrize("name", schemas.claims_names())
def test_the_sample_tokens_of_a_known_schema_are_faultless(name: str) -> None:
    document = schemas.load_claims(name)
    assert "sampleTokens" in document
    assert list(faulty_samples(document, known_schema(name))) == []


def test_an_id_differs_where_the_name_is_within_another(house: Repository) -> None:
    def account(namespace: str) -> object:
        made = claims("kubernetes", {"kubernetes.io": {"namespace": namespace}})["kubernetes.io"]
        assert isinstance(made, dict)
        return made["serviceaccount"]

    assert account("team-a") != account("team-b")
    assert account("team-b") == account("team-b")


def test_ids_follow_names_and_differ_for_other_names() -> None:
    one = claims("github-actions", {"repository": "acme/app"})
    same = claims("github-actions", {"repository": "acme/app"})
    other = claims("github-actions", {"repository": "acme/lib"})
    assert one == same
    assert one["repository_owner_id"] == other["repository_owner_id"]
    assert one["repository_id"] != other["repository_id"]


@pytest.mark.parametrize("name", [name for name in profiles.names() if name[:5] != "plain"])
def test_a_profile_has_every_claim_that_its_issuer_always_sends(name: str) -> None:
    made = claims(name, {})
    schema = schemas.load_claims(name.partition("/")[0])
    missing = [
        claim
        for claim, about in schema["claims"].items()
        if about.get("presence") == "always" and claim not in made
    ]
    assert [] == missing


@pytest.mark.parametrize("name", profiles.names())
def test_a_profile_invents_no_claim(name: str) -> None:
    if name == "plain":
        return
    schema = schemas.load_claims(name.partition("/")[0])
    unknown = [claim for claim in claims(name, {}) if claim not in schema["claims"]]
    assert [] == (unknown if not schema.get("open") else [])


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("{profile: github-action}", "3:16 unknown-profile"),
        ("{profile: github-actions/pull}", "3:16 unknown-profile"),
        ("{from: y}", "3:13 unknown-token"),
        ("{from: x}", "3:13 token-cycle"),
        ("{profile: github-actions, forge: alg-non}", "3:39 unknown-forgery"),
        ("{profile: github-actions, at: +2x}", "3:36 wrong-value"),
        ("{profile: kubernetes}", "3:3 unknown-provider"),
        ("{profile: github-actions, provider: gitlab}", "3:3 unknown-provider"),
        ("{profile: github-actions, keys: x}", "3:38 wrong-value"),
        ("{jwt: a.jwt}", "3:3 missing-key"),
        ("{jwt: a.jwt, keys: b.json}", "3:3 captured-token"),
        ("{jwt: ../../a.jwt, keys: b.json}", "3:3 captured-token"),
        ("{claims: {sub: x}}", "3:3 wrong-value"),
    ],
)
def test_what_is_wrong_with_a_token_is_told(house: Repository, token: str, problem: str) -> None:
    tokens = f"at: 2026-11-01T12:00:00Z\ntokens:\n  x: {token}\n"
    assert problem in house.problems(NOTHING, tokens)


def test_an_unused_token_is_wrong_unless_a_used_one_is_made_from_it(house: Repository) -> None:
    tokens = """
    at: 2026-11-01T12:00:00Z
    tokens:
      base: {profile: github-actions, claims: {repository_owner_id: "1342004"}}
      x: {from: base}
      y: {from: base}
    """
    assert ["5:3 unused-token"] == house.problems(NOTHING, tokens)


@pytest.mark.slow
def test_every_forgery_is_refused_by_the_login(house: Repository) -> None:
    lines = [f"  f{number}: {{from: x, forge: {name}}}" for number, name in enumerate(FORGERIES)]
    tests = [
        f"  - {{name: t{number}, token: f{number}, expect: {{granted: []}}}}"
        for number in range(len(lines))
    ]
    tokens = (
        "at: 2026-11-01T12:00:00Z\ntokens:\n"
        "  x: {profile: github-actions, "
        'claims: {repository: acme/app, repository_owner_id: "1342004"}}\n' + "\n".join(lines)
    )
    loaded = house.load(NOTHING + "\n".join(tests), tokens)
    accepted = [
        spec.forge
        for name, spec in loaded.suite.tokens.items()
        if loaded.evaluation.session(name, "registry.example.com").request is not None
    ]
    assert [None] == accepted


@pytest.mark.parametrize(
    ("at", "reason"),
    [("+2h", "expired"), ("-2h", "not-yet-valid"), ("+5m", None), ("2027-01-01T00:00:00Z", None)],
)
def test_a_token_is_used_at_its_time(house: Repository, at: str, reason: str | None) -> None:
    tokens = f"""
    at: 2026-11-01T12:00:00Z
    tokens:
      x: {{profile: github-actions, claims: {{repository_owner_id: "1342004"}}, at: {at}}}
    """
    expect = f"refused: {reason}" if reason else "granted: []"
    text = f"tests:\n  - {{name: t, token: x, expect: {{{expect}}}}}\n"
    assert {"t": "passed"} == house.outcomes(text, tokens)


def test_a_token_can_lack_a_claim_and_a_part_of_one(house: Repository) -> None:
    tokens = """
    at: 2026-11-01T12:00:00Z
    tokens:
      base:
        profile: plain
        claims: {actor: a, deep: {a: 1, b: 2}}
      x: {from: base, without: [actor, deep/a]}
    """
    made = house.load(NOTHING, tokens).evaluation.linked.samples["x"].claims
    assert "actor" not in made
    assert {"b": 2} == made["deep"]


KUBERNETES = """
version: 1
services: [registry.example.com]
providers:
  cluster:
    issuer: https://kubernetes.default.svc.cluster.local
    audience: https://registry.example.com
    claims: kubernetes
grants:
  - {name: pull, repositories: [acme/**], actions: [pull]}
"""


@pytest.mark.parametrize(
    ("policy", "x", "problem"),
    [
        ("", "{claims: {even_name: pull_request}}", "4:28 even_name did you mean `event_name`?"),
        ("", "{without: [environmnt]}", "4:29 environmnt did you mean `environment`?"),
        (
            KUBERNETES,
            "{claims: {namespace: ci}}",
            "4:28 namespace it is a part of `kubernetes.io`",
        ),
        (
            KUBERNETES,
            "{claims: {kubernetes.io: {namespce: ci}}}",
            "4:44 kubernetes.io/namespce did you mean `namespace`?",
        ),
        (
            KUBERNETES,
            "{claims: {kubernetes: {namespace: ci}}}",
            "4:28 kubernetes did you mean `kubernetes.io`?",
        ),
        (
            KUBERNETES,
            "{without: [kubernetes.io/pdo]}",
            "4:29 kubernetes.io/pdo did you mean `pod`?",
        ),
        (KUBERNETES, "{without: [kubernetes.io/pod/uid, kubernetes.io/node]}", ""),
    ],
)
def test_a_claim_that_such_tokens_cannot_have_is_an_error_and_not_passed_over(
    house: Repository, policy: str, x: str, problem: str
) -> None:
    if policy:
        house.write("policy/policy.yaml", policy)
    profile = "kubernetes" if policy else "github-actions"
    tokens = f"""
    at: 2026-11-01T12:00:00Z
    tokens:
      base: {{profile: {profile}, claims: {{jti: 0f7a3f0c-3c0a-4a7e-8f0e-6f3f1f0f6a01}}}}
      x: {{from: base, {x.removeprefix("{")}
    """
    if not problem:
        house.load(NOTHING, tokens)
        return
    with pytest.raises(SuiteError) as caught:
        house.load(NOTHING, tokens)
    (found,) = caught.value.problems
    place, name, hint = problem.split(" ", 2)
    assert "unknown-claim" == found.code
    assert place == f"{found.location.line}:{found.location.column}"
    assert f"`{name}`" in found.message
    assert hint == found.hint


def test_no_two_keys_of_a_run_are_the_same_and_the_next_run_has_the_same_keys() -> None:
    runs = []
    for _ in range(2):
        keys = IssuerKeys()
        taken = [keys.stranger("RS256")]
        taken += [
            keys.signing_key(issuer, algorithm).material
            for issuer in ("https://one.example.com", "https://two.example.com")
            for algorithm in ("RS256", "ES256", "EdDSA")
        ]
        taken += [keys.stranger("ES256"), keys.stranger("EdDSA")]
        runs.append(taken)

    assert len({id(key) for key in runs[0]}) == len(runs[0])
    assert [*map(id, runs[0])] == [*map(id, runs[1])]


def capture(house: Repository, expires: datetime) -> None:
    """Write a captured token and its keys."""
    key = SigningKey(generate_key("ES256"), "ES256", "k1")
    issue = Issuance("https://issuer.example.com", "https://registry.example.com", AT)
    captured = profiles.PLAIN.claims({"sub": "a"}, issue)
    captured |= {"iat": int(expires.timestamp()) - 300, "exp": int(expires.timestamp())}
    captured["nbf"] = captured["iat"]
    house.write("a.jwt", sign(captured, key))
    house.write("a.json", json.dumps(jwks([(key.public_key, "k1", "ES256")])))
    house.write(
        "policy/policy.yaml",
        """
        version: 1
        services: [registry.example.com]
        providers:
          own:
            issuer: https://issuer.example.com
            audience: https://registry.example.com
            claims: generic
        grants:
          - {name: all, repositories: ["**"], actions: [pull]}
        """,
    )


def test_a_captured_token_is_replayed_at_its_time_with_its_keys(house: Repository) -> None:
    capture(house, datetime(2025, 2, 1, tzinfo=UTC))
    tokens = """
    at: 2026-11-01T12:00:00Z
    tokens:
      x: {jwt: a.jwt, keys: a.json, at: 2025-01-31T23:59:00Z}
      y: {jwt: a.jwt, keys: a.json}
    """
    text = """
    tests:
      - {name: then, token: x, scopes: ["repository:a/b:pull"], expect: {granted: ["repository:a/b:pull"]}}
      - {name: now, token: y, expect: {refused: expired}}
    """
    assert {"then": "passed", "now": "passed"} == house.outcomes(text, tokens)


def test_a_real_token_that_has_not_expired_is_a_leaked_secret(house: Repository) -> None:
    capture(house, datetime.now(UTC) + timedelta(days=1))
    tokens = "at: 2026-11-01T12:00:00Z\ntokens:\n  x: {jwt: a.jwt, keys: a.json}\n"
    assert ["3:3 leaked-token"] == house.problems(NOTHING, tokens)


def test_a_key_set_that_is_not_json_is_told_with_its_place(house: Repository) -> None:
    capture(house, datetime(2025, 2, 1, tzinfo=UTC))
    house.write("a.json", '{"keys": [],}')
    tokens = "at: 2026-11-01T12:00:00Z\ntokens:\n  x: {jwt: a.jwt, keys: a.json}\n"
    with pytest.raises(SuiteError) as caught:
        house.load(NOTHING, tokens)
    (problem,) = caught.value.problems
    assert problem.message == "a.json:1:12: not JSON: a comma cannot stand before `}`; remove it"


def test_a_captured_token_cannot_be_forged(house: Repository) -> None:
    capture(house, datetime(2025, 2, 1, tzinfo=UTC))
    tokens = "at: 2026-11-01T12:00:00Z\ntokens:\n  x: {jwt: a.jwt, keys: a.json}\n"
    text = "hostile: {tokens: [x], repositories: [acme/app]}\n"
    assert ["4:10 captured-token"] == house.problems(text, tokens)
