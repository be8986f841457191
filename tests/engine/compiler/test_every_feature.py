"""A policy that uses every feature decides as it reads; the first version's conditions still can."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regauth.engine import (
    Authenticated,
    Identity,
    Policy,
    Refusal,
    accesses,
    compile_policy,
    decide,
    parse_scopes,
)
from regauth.engine.cel import (
    BOOL,
    DYN,
    STRING,
    CelError,
    Declarations,
    MapType,
    Program,
    compile_expression,
)
from regauth.engine.decisions.authentication import authenticate
from regauth.engine.policy.policy import Discovery, JwksFile, JwksUri, StaticKeys
from regauth.engine.tokens.jwt import NO_CLAIMS, Claims

FOLDER = Path(__file__).parent / "cases" / "valid-every-feature"
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
TIMES = {
    "iat": int(NOW.timestamp()),
    "nbf": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 300,
}

GITHUB = TIMES | {
    "iss": "https://token.actions.githubusercontent.com",
    "aud": "https://registry.example.com",
    "sub": "repo:acme/App:ref:refs/heads/main",
    "repository": "acme/App",
    "repository_id": "456789",
    "repository_owner": "acme",
    "repository_owner_id": "1342004",
    "ref": "refs/heads/main",
    "ref_type": "branch",
    "event_name": "push",
    "actor": "alice",
}
CLUSTER = TIMES | {
    "iss": "https://kubernetes.default.svc.cluster.local",
    "aud": ["registry"],
    "sub": "system:serviceaccount:team-a:builder",
    "kubernetes.io": {"namespace": "team-a", "serviceaccount": {"name": "builder", "uid": "u"}},
}
DEPLOYER = CLUSTER | {
    "kubernetes.io": {"namespace": "production", "serviceaccount": {"name": "deployer", "uid": "v"}}
}
BUILD = TIMES | {"iss": "our-build-system", "aud": "registry", "team": "blue", "roles": ["reader"]}
ROBOT = TIMES | {"iss": "our-robots", "aud": "registry", "sub": "mirror-1"}
LAB = TIMES | {"iss": "http://lab.example.com", "aud": "registry", "sub": "someone"}


@pytest.fixture(scope="module")
def policy() -> Policy:
    paths = [path for path in FOLDER.rglob("*") if path.is_file()]
    files = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in paths}
    compilation = compile_policy(files, now=NOW)

    assert [str(problem) for problem in compilation.problems] == []
    assert compilation.policy is not None
    return compilation.policy


def granted(
    policy: Policy,
    provider: str,
    claims: Mapping[str, object],
    *scopes: str,
    service: str = "registry.example.com",
    now: datetime = NOW,
) -> list[str] | str:
    login = authenticate(policy.providers[provider], Claims(dict(claims)), service, now)
    if isinstance(login, Refusal):
        return login.reason
    asked = accesses(parse_scopes(scopes))
    decision = decide(policy, login.identity, login.claims, service, asked, now)
    return [str(scope) for scope in decision.granted]


class TestEveryFeature:
    @pytest.mark.parametrize(
        ("provider", "claims", "asked", "expected"),
        [
            ("github", {}, "repository:acme/app:*", "repository:acme/app:pull,push"),
            ("github", {}, "repository:acme/app/cache:push", "repository:acme/app/cache:push"),
            ("github", {}, "repository:acme/other:pull,push", "repository:acme/other:pull"),
            ("github", {}, "repository:other/app:pull", ""),
            ("github", {"ref": "refs/heads/dev"}, "repository:acme/app:push", ""),
            ("github", {"event_name": "schedule"}, "repository:acme/app:push", ""),
            (
                "github",
                {"ref": "refs/tags/v1.2", "ref_type": "tag", "event_name": "release"},
                "repository:acme/app:push",
                "repository:acme/app:push",
            ),
            ("github", {"repository_id": "4711"}, "repository:acme/app:pull", ""),
            ("github", {}, "repository:acme/app/archive:pull,push", "repository:acme/app/archive:pull"),
            ("github", {}, "registry:catalog:*", "registry:catalog:*"),
            ("github", {"actor": "helper[bot]"}, "registry:catalog:*", ""),
            ("github", {"actor": 7}, "registry:catalog:*", ""),
            ("cluster-a", {}, "repository:team-a/x/y:pull,push", "repository:team-a/x/y:pull"),
            ("cluster-a", {}, "repository:team-b/x:pull", ""),
            ("cluster-a", {}, "repository:library/alpine:pull", "repository:library/alpine:pull"),
            ("cluster-a", {}, "repository:library/a/b:pull", ""),
            ("cluster-a", {}, "repository:team-b/tools/shared:pull", "repository:team-b/tools/shared:pull"),
            ("cluster-a", {}, "repository:release-2/app:pull", ""),
            ("cluster-a", DEPLOYER, "repository:release-2/app:pull", "repository:release-2/app:pull"),
            ("build", {}, "repository:teams/blue/a:pull,push", "repository:teams/blue/a:pull"),
            ("build", {"roles": ["maintainer"]}, "repository:teams/blue/a:*", "repository:teams/blue/a:pull,push,delete"),
            ("build", {"roles": ["maintainer"]}, "repository:teams/red/a:*", ""),
            ("build", {"roles": "maintainer"}, "repository:teams/blue/a:push", ""),
            ("build", {}, "repository(plugin):plugins/a:pull", "repository(plugin):plugins/a:pull"),
            ("build", {}, "repository:plugins/a:pull", ""),
            ("lab", {}, "repository:localhost:5000/lab/a:pull", "repository:localhost:5000/lab/a:pull"),
            ("robot", {}, "repository:mirror/a:pull", ""),
        ],
    )  # fmt: skip
    def test_each_grant_and_denial_does_what_it_says(
        self,
        policy: Policy,
        provider: str,
        claims: Mapping[str, object],
        asked: str,
        expected: str,
    ) -> None:
        base = {
            "github": GITHUB,
            "cluster-a": CLUSTER,
            "build": BUILD,
            "robot": ROBOT,
            "lab": LAB,
        }[provider]

        assert granted(policy, provider, {**base, **claims}, asked) == (
            [expected] if expected else []
        )

    @pytest.mark.parametrize(
        ("claims", "reason"),
        [
            ({"repository_owner_id": "1"}, "rule:our-organisation"),
            ({"event_name": "pull_request_target"}, "rule:no-strangers"),
            ({"aud": "https://github.com/acme"}, "wrong-audience"),
            ({"iat": int(NOW.timestamp()) - 1000}, "too-old"),
            ({"iss": "https://token.actions.githubusercontent.com/"}, "wrong-issuer"),
        ],
    )
    def test_a_login_that_breaks_a_rule_is_refused(
        self, policy: Policy, claims: Mapping[str, object], reason: str
    ) -> None:
        assert granted(policy, "github", {**GITHUB, **claims}) == reason

    def test_a_grant_is_for_its_service_and_ends(self, policy: Policy) -> None:
        def ask(service: str, now: datetime) -> list[str] | str:
            claims = ROBOT | {"exp": int(now.timestamp()) + 60, "iat": int(now.timestamp())}
            claims |= {"nbf": int(now.timestamp())}
            scope = "repository:mirror/a:push"
            return granted(policy, "robot", claims, scope, service=service, now=now)

        end = datetime(2027, 6, 1, 0, 0, tzinfo=UTC)
        assert ask("mirror.example.com", NOW) == ["repository:mirror/a:push"]
        assert ask("registry.example.com", NOW) == []
        assert ask("mirror.example.com", end - timedelta(seconds=1)) == ["repository:mirror/a:push"]
        assert ask("mirror.example.com", end) == []

    def test_the_subject_is_what_the_policy_says(self, policy: Policy) -> None:
        def subject(provider: str, claims: Mapping[str, object]) -> str:
            found = authenticate(
                policy.providers[provider], Claims(dict(claims)), "registry.example.com", NOW
            )
            assert isinstance(found, Authenticated)
            return str(found.identity)

        assert subject("github", GITHUB) == "github:acme/App@refs/heads/main"
        assert subject("build", BUILD) == "build:blue"
        assert subject("build", {**BUILD, "member": "bob"}) == "build:blue/bob"
        assert subject("cluster-a", CLUSTER) == "cluster-a:system:serviceaccount:team-a:builder"

    def test_a_request_without_credentials_pulls_what_is_public(self, policy: Policy) -> None:
        asked = accesses(parse_scopes(["repository:public/a:pull,push", "repository:acme/a:pull"]))

        def ask(service: str) -> list[str]:
            decision = decide(policy, Identity(), NO_CLAIMS, service, asked, NOW)
            return [str(scope) for scope in decision.granted]

        assert ask("registry.example.com") == ["repository:public/a:pull"]
        assert ask("mirror.example.com") == []

    def test_every_key_source_is_known(self, policy: Policy) -> None:
        kinds = {name: type(provider.keys) for name, provider in policy.providers.items()}

        assert kinds == {
            "github": Discovery,
            "cluster-a": JwksUri,
            "cluster-b": JwksFile,
            "lab": Discovery,
            "build": StaticKeys,
            "robot": StaticKeys,
        }
        robot = policy.providers["robot"].keys
        assert isinstance(robot, StaticKeys)
        assert [key.algorithms[0] for key in robot.key_set.keys] == ["EdDSA", "ES256", "RS256"]
        assert policy.providers["build"].algorithms == ("EdDSA",)
        assert policy.providers["github"].clock_skew == timedelta(seconds=90)
        assert policy.providers["github"].max_token_age == timedelta(minutes=15)
        assert policy.providers["github"].max_session == timedelta(hours=8)
        assert policy.providers["cluster-a"].max_session is None


# The first version of this product had one provider with two CEL conditions over `service`,
# `claims` and `scope`: `authn.condition` for the login, `authz.condition` for each access.
AUTHN = 'claims.repository_owner == "acme" && service == "registry.example.com"'
AUTHZ = """
scope.type == "repository" && scope.class == ""
  && (scope.name == claims.repository || scope.name.startsWith(claims.repository + "/"))
  && (scope.action == "pull"
      || scope.action == "push" && claims.ref == "refs/heads/main")
"""
HEAD = """
version: 1
services: [registry.example.com, other.example.com]
providers:
  ci:
    issuer: https://ci.example.com
    audience: registry
    rules:
      - {name: authn, check: 'claims.repository_owner == "acme" && service == "registry.example.com"'}
"""
AS_CONDITION = (
    HEAD
    + """
grants:
  - name: authz
    when: |
"""
    + "".join(f"      {line}\n" for line in AUTHZ.strip().splitlines())
    + """
    repositories: ["**"]
    actions: [pull, push, delete]
"""
)
AS_PATTERNS = (
    HEAD
    + """
grants:
  - name: pull
    repositories: ["${claims.repository}", "${claims.repository}/**"]
    actions: [pull]
  - name: push
    when: claims.ref == "refs/heads/main"
    repositories: ["${claims.repository}", "${claims.repository}/**"]
    actions: [push]
"""
)

SCOPES = [
    f"{kind}:{name}:{action}"
    for kind in ("repository", "repository(plugin)", "registry", "artifact")
    for name in ("acme/app", "acme/app/cache", "acme/application", "acme", "other/app", "catalog")
    for action in ("pull", "push", "delete", "admin")
]
ABSENT = object()
VALUES: Mapping[str, tuple[object, ...]] = {
    "repository_owner": ("acme", "other", 7, ABSENT),
    "repository": ("acme/app", "acme", "other/app", "acme/app/", "", 7, ABSENT),
    "ref": ("refs/heads/main", "refs/heads/dev", None, ABSENT),
}


def tokens() -> Iterator[dict[str, object]]:
    base: Mapping[str, object] = TIMES | {
        "iss": "https://ci.example.com",
        "aud": ["registry"],
        "sub": "s",
    }
    for values in itertools.product(*VALUES.values()):
        chosen = dict(zip(VALUES, values, strict=True))
        yield {**base, **{name: value for name, value in chosen.items() if value is not ABSENT}}


def original(text: str, **variables: object) -> Callable[[Mapping[str, object]], bool]:
    """Evaluate a condition as the first version declared it: everything of any type."""
    types = {"service": STRING, "claims": MapType(DYN), "scope": MapType(STRING)}
    program = compile_expression(text, Declarations(types), BOOL).program
    assert isinstance(program, Program)

    def holds(more: Mapping[str, object]) -> bool:
        try:
            return program.holds({**variables, **more})
        except CelError:
            return False

    return holds


@pytest.mark.parametrize("text", [AS_CONDITION, AS_PATTERNS], ids=["condition", "patterns"])
@pytest.mark.parametrize("service", ["registry.example.com", "other.example.com"])
def test_the_first_versions_conditions_decide_alike(
    text: str, service: str, compiled: Callable[..., Policy]
) -> None:
    policy = compiled(text)
    authn, authz = original(AUTHN, service=service), original(AUTHZ, service=service)
    asked = accesses(parse_scopes(SCOPES))
    logins = 0
    for claims in tokens():
        login = authenticate(policy.providers["ci"], Claims(claims), service, NOW)

        assert authn({"claims": claims}) is isinstance(login, Authenticated)
        if isinstance(login, Refusal):
            continue
        logins += 1
        decision = decide(policy, login.identity, login.claims, service, asked, NOW)
        expected = [
            authz(
                {
                    "claims": claims,
                    "scope": {
                        "type": access.resource.type,
                        "class": access.resource.class_,
                        "name": access.resource.name,
                        "action": access.action,
                    },
                }
            )
            for access in asked
        ]

        assert expected == [verdict.allowed for verdict in decision.verdicts]
    assert bool(logins) is (service == "registry.example.com")
