"""`policytest who-can` without tokens: which grants give an access, and what a token must say."""

from dataclasses import replace

import pytest

from regauth.engine import compile_policy
from regauth.engine.access.scope import repository_accesses
from regauth.engine.cel import BOOL, Declarations, Program, compile_expression
from regauth.engine.files import read_policy_folder
from regauth.engine.policy.patterns.names import Pattern
from regauth.engine.policy.policy import Policy
from regauth.policytests.analysis import ways_in as module
from regauth.policytests.analysis.ways_in import WayIn, WaysIn, ways_in
from regauth.policytests.proofs import About, Question, more_access
from tests.conftest import REPOSITORY

HEAD = """
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    claims: github-actions
    rules:
      - {name: ours, check: claims.repository_owner_id == "1342004"}
      - {name: no-target, check: claims.event_name != "pull_request_target"}
"""
SERVICE = "registry.example.com"


def compiled(statements: str) -> Policy:
    """Compile a policy."""
    compilation = compile_policy({"policy.yaml": HEAD + statements})
    assert compilation.policy is not None, compilation.problems
    return compilation.policy


def found(policy: Policy, action: str, repository: str) -> WaysIn:
    """Return the ways to an access."""
    access = next(one for one in repository_accesses([repository]) if one.action == action)
    return ways_in(policy, access, SERVICE)


OURS = 'claims.repository_owner_id == "1342004"'


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        ("repositories: ['**']", [OURS, 'claims.event_name != "pull_request_target"']),
        # What the event is says already what it is not.
        ("when: claims.event_name == 'push', repositories: ['**']", [OURS, 'claims.event_name == "push"']),
        (
            "when: has(claims.environment) && claims.environment == 'release' && claims.event_name == 'push', repositories: ['**']",
            [OURS, 'claims.environment == "release"', 'claims.event_name == "push"'],
        ),
        (
            "when: claims.event_name == 'push' && !(claims.ref != 'refs/heads/main' || claims.actor == 'bot'), repositories: ['**']",
            [OURS, 'claims.event_name == "push"', 'claims.ref == "refs/heads/main"', 'claims.actor != "bot"'],
        ),
        # The request is known: what it decides is left out.
        (
            "when: scope.action == 'push' && scope.name.startsWith('acme/') && claims.event_name == 'push' && provider == 'github', repositories: ['**']",
            [OURS, 'claims.event_name == "push"'],
        ),
        (
            "when: claims.event_name == 'push', repositories: ['${claims.repository.lowerAscii()}', '${claims.repository.lowerAscii()}/**']",
            [OURS, 'claims.event_name == "push"', 'claims.repository.lowerAscii() == "acme/app"'],
        ),
        # An alternative that the rest excludes is left out.
        (
            "when: claims.event_name == 'push' && (claims.event_name == 'schedule' || claims.ref == 'refs/heads/main'), repositories: ['**']",
            [OURS, 'claims.event_name == "push"', 'claims.ref == "refs/heads/main"'],
        ),
        (
            "when: claims.event_name == 'push', repositories: ['acme/${claims.workflow}', '${claims.repository_owner}/${claims.workflow}']",
            None,
        ),
    ],
)  # fmt: skip
def test_conditions_are_as_short_as_a_proof_allows(grant: str, expected: list[str] | None) -> None:
    policy = compiled(_block(grant))
    [way] = found(policy, "push", "acme/app").ways
    if expected is not None:
        assert expected == list(way.conditions)
    assert_exact(policy, way)


def _block(grant: str) -> str:
    """Return a grant, with its condition as a block: it holds quotes and colons."""
    when, comma, rest = grant.partition(", repositories")
    if not comma:
        return f"grants:\n  - name: g\n    actions: [push]\n    {grant}\n"
    body = when.removeprefix("when: ")
    return (
        "grants:\n  - name: g\n    actions: [push]\n"
        f"    when: >-\n      {body}\n    repositories{rest}\n"
    )


def assert_exact(policy: Policy, way: WayIn) -> None:
    """Prove that what is shown of a way is when its grant gives the access, as it is written."""
    assert not way.names
    assert not way.tags
    provider = policy.providers[way.provider]
    shown = " && ".join(f"({one})" for one in way.conditions)
    access = way.example.access
    program: Program | None = None
    if shown:
        declarations = Declarations({"claims": provider.claims.type}, policy.definitions)
        program = compile_expression(shown, declarations, BOOL).program
        assert program is not None
    only = replace(
        way.grant,
        patterns=(Pattern(access.resource.name, (access.resource.name,)),),
        actions=frozenset({access.action}),
        when=program,
    )
    open_ = {way.provider: replace(provider, rules=())}
    as_shown = replace(policy, grants=(only,), denials=(), anonymous=None, providers=open_)
    whole = replace(policy, grants=(way.grant,), denials=(), anonymous=None)
    assert more_access(Question(as_shown, whole, (About.SCHEMA,))).proved
    narrowed = replace(whole, grants=(replace(way.grant, actions=only.actions),))
    # The grant may give other names too: only this one is compared.
    for witness in more_access(Question(narrowed, as_shown, (About.SCHEMA,))).witnesses:
        assert witness.access.resource.name != access.resource.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "action", "repository", "grants"),
    [
        ("github-actions", "push", "acme/app", ["push-own-repository"]),
        ("github-actions", "push", "release/acme/legacy", []),
        ("github-actions", "delete", "acme/app/x", ["clean-up"]),
        ("github-actions", "pull", "library/alpine", ["pull-base-images"]),
        ("gitlab-ci", "push", "release/acme/app", ["push-own-project", "publish-release"]),
        ("kubernetes", "push", "production/web", ["promote"]),
        ("circleci", "push", "acme/app", ["push-app"]),
        ("buildkite", "push", "acme/app", ["push-own-pipeline"]),
        ("tekton", "push", "acme/app", ["push-own-image"]),
        ("spiffe", "push", "acme/app", ["push-app"]),
    ],
)
def test_the_ways_of_the_reference_policies_are_exact(
    folder: str, action: str, repository: str, grants: list[str]
) -> None:
    policy = compile_policy(read_policy_folder(REPOSITORY / "policy" / folder)).policy
    assert policy is not None
    result = found(policy, action, repository)
    assert () == result.unknown
    assert grants == [way.grant.name for way in result.ways]
    for way in result.ways:
        assert way.example.access.resource.name == repository
        assert_exact(policy, way)


def test_a_denial_that_matters_is_an_exception() -> None:
    statements = """grants:
  - {name: g, repositories: [acme/**], actions: [push]}
denials:
  - {name: frozen, when: 'claims.ref_type == "tag"', repositories: [acme/**], actions: [push]}
  - {name: target, when: 'claims.event_name == "pull_request_target"', repositories: ['**'], actions: [push]}
  - {name: elsewhere, repositories: [other/**], actions: [push]}
"""
    [way] = found(compiled(statements), "push", "acme/app").ways
    assert (("frozen", ('claims.ref_type == "tag"',)),) == way.exceptions


def test_a_grant_that_others_contain_is_no_way() -> None:
    statements = """grants:
  - {name: main, when: 'claims.ref == "refs/heads/main"', repositories: [acme/**], actions: [push]}
  - {name: tags, when: 'claims.ref_type == "tag"', repositories: [acme/**], actions: [push]}
  - {name: branches, when: 'claims.ref.startsWith("refs/heads/")', repositories: [acme/app], actions: [push]}
"""
    ways = found(compiled(statements), "push", "acme/app").ways
    assert ["tags", "branches"] == [way.grant.name for way in ways]
    ways = found(compiled(statements), "push", "acme/lib").ways
    assert ["main", "tags"] == [way.grant.name for way in ways]


def test_requests_without_credentials_are_a_way() -> None:
    policy = compiled("anonymous: {repositories: [public/**]}\n")
    [way] = found(policy, "pull", "public/x").ways
    assert ("", ()) == (way.provider, way.conditions)
    assert () == found(policy, "pull", "private/x").ways


def test_what_is_not_decided_is_no_proof_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 1)
    statements = "grants: [{name: g, when: 'claims.ref.startsWith(\"refs/\")', repositories: ['**'], actions: [push]}]\n"
    result = found(compiled(statements), "push", "acme/app")
    assert () == result.ways
    assert "the bound on the solver's steps" in {one.construct for one in result.unknown}


TAGGED = """grants:
  - {name: main, when: 'claims.ref == "refs/heads/main"', repositories: [acme/**], tags: [main, 'sha-*'], actions: [push]}
  - name: version
    when: claims.ref.startsWith("refs/tags/")
    repositories: [acme/**]
    tags: ["${claims.ref.replace('refs/tags/', '')}"]
    newTagsOnly: true
    actions: [push]
denials:
  - {name: frozen, when: 'claims.event_name == "schedule"', repositories: [acme/**], tags: ['v1*'], actions: [push]}
"""


def who_pushes(tag: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """
    Return, by grant, the conditions to push a tag of acme/app, and the denials that matter.

    The first two conditions are the provider's rules.
    """
    [access] = [one for one in repository_accesses([f"acme/app:{tag}"]) if one.action == "push"]
    result = ways_in(compiled(TAGGED), access, "registry.example.com")
    assert () == result.unknown
    return {
        way.grant.name: (way.conditions[2:], tuple(name for name, _ in way.exceptions))
        for way in result.ways
    }


def test_a_tag_that_is_asked_for_is_a_condition() -> None:
    assert who_pushes("main") == {
        "main": (('claims.ref == "refs/heads/main"',), ()),
        "version": (
            (
                'claims.ref.startsWith("refs/tags/")',
                'claims.ref.replace("refs/tags/", "") == "main"',
            ),
            (),
        ),
    }


def test_a_denial_of_the_tag_is_an_exception() -> None:
    [conditions, exceptions] = who_pushes("v1.2=new")["version"]

    assert conditions[-1] == 'claims.ref.replace("refs/tags/", "") == "v1.2"'
    assert exceptions == ("frozen",)


def test_a_grant_of_new_tags_is_no_way_to_a_tag_that_exists() -> None:
    assert who_pushes("v1.2=existing") == {}
    assert list(who_pushes("main=existing")) == ["main"]
    assert list(who_pushes("main=new")) == ["main", "version"]


def test_a_tag_of_no_pattern_has_no_way() -> None:
    assert list(who_pushes("sha-abc")) == ["main", "version"]
    assert list(who_pushes("latest=existing")) == []
