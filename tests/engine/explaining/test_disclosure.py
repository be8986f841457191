"""What a caller is told of the grants that refuse it: which claims keep them from matching."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from regauth.engine import Decision, Identity, Policy, accesses, decide, parse_scopes
from regauth.engine.access.outcomes import Why
from regauth.engine.explaining.disclosure import AccessAnswer, Disclosure, Level
from regauth.engine.tokens.jwt import recalled

POLICY = """
version: 1
services: [registry.example.com]
definitions:
  on_main: claims.ref == "refs/heads/main"
providers:
  ci: {{issuer: https://ci.example.com, audience: x}}
grants:
  - name: own
    when: {when}
    repositories: ["${{claims.repository}}"]
    actions: [push]
"""
TAGS = """
  - {name: releases, repositories: ["${claims.repository}"], tags: ["v*"], actions: [delete]}
denials:
  - {name: closed, repositories: ["acme/**"], actions: [delete]}
"""
CLAIMS: dict[str, object] = {
    "repository": "acme/app",
    "ref": "refs/heads/x",
    "event": "push",
    "labels": {"team": "a"},
    "groups": ["one", "two"],
}


def told(
    compiled: Callable[..., Policy], now: datetime, text: str, scope: str, level: Level
) -> AccessAnswer:
    policy, given = compiled(text), recalled(CLAIMS)
    asked = accesses(parse_scopes([scope]))
    decision = decide(policy, Identity("ci", "job"), given, "registry.example.com", asked, now)
    assert isinstance(decision, Decision)
    answers = Disclosure(policy, level).tell(decision, given, now)
    assert isinstance(answers, tuple)
    return answers[0]


@pytest.mark.parametrize(
    ("when", "missed"),
    [
        ("defs.on_main && claims.event == 'push'", {"ref"}),
        ("defs.on_main || claims.event == 'tag'", {"ref", "event"}),
        ("!(claims.event == 'push') && claims.ref != ''", {"event"}),
        ("!(claims.event == 'push' && claims.ref != '')", {"event", "ref"}),
        ("claims.event == 'push' ? claims.ref == 'm' : claims.repository == ''", {"event", "ref"}),
        ("claims.environment == 'prod' && claims.event == 'push'", {"environment"}),
        ("has(claims.environment) && claims.event == 'push'", {"environment"}),
        ("claims.labels.secret == 'b' && claims.labels.team == 'a'", {"labels"}),
        ("claims.labels.team == 'b'", {"labels.team"}),
        ("claims.groups.exists(g, g == 'three') && claims.ref != ''", {"groups"}),
        ("now < timestamp('2020-01-01T00:00:00Z') && claims.event == 'push'", set()),
    ],
)
def test_the_claims_that_keep_a_grant_from_matching_are_told(
    compiled: Callable[..., Policy], now: datetime, when: str, missed: set[str]
) -> None:
    text = POLICY.format(when=f'"{when}"')
    answer = told(compiled, now, text, "repository:acme/app:push", Level.REASONS)
    [near] = answer.nearest

    assert {one.claim for one in near.read if not one.satisfied} == missed
    assert ("repository", True) in {(one.claim, one.satisfied) for one in near.read} or (
        "repository" in when
    )
    assert near.parts == ()


def test_a_key_that_only_the_policy_knows_is_not_told(
    compiled: Callable[..., Policy], now: datetime
) -> None:
    text = POLICY.format(when="\"claims.labels.secret == 'b'\"")
    answer = told(compiled, now, text, "repository:acme/app:push", Level.REASONS)

    assert "secret" not in repr(answer)
    assert answer.nearest[0].read[0].value == {"team": "a"}


def test_conditions_tell_each_part(compiled: Callable[..., Policy], now: datetime) -> None:
    text = POLICY.format(when="\"defs.on_main && claims.event == 'push'\"")
    answer = told(compiled, now, text, "repository:acme/app:push", Level.CONDITIONS)
    parts: list[Any] = [(one.text, one.satisfied) for one in answer.nearest[0].parts]

    assert parts == [('claims.ref == "refs/heads/main"', False), ("claims.event == 'push'", True)]


def test_a_denial_of_what_a_tag_would_open_is_told_as_one(
    compiled: Callable[..., Policy], now: datetime
) -> None:
    text = POLICY.format(when="\"claims.event == 'push'\"") + TAGS
    answer = told(compiled, now, text, "repository:acme/app:delete", Level.REASONS)
    elsewhere = told(compiled, now, text, "repository:acme/other:delete", Level.REASONS)

    assert (answer.why, answer.denial) == (Why.DENIED, "")
    assert elsewhere.why is Why.NO_GRANT


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ("claims.event == 'push' && scope.reference == 'v1'", Why.DEPENDS_ON_REFERENCE),
        ("claims.event == 'tag' && scope.reference == 'v1'", Why.NO_GRANT),
        ("claims.event.startsWith('t') && scope.reference == 'v1'", Why.NO_GRANT),
        ("claims.missing == 'x' && scope.reference == 'v1'", Why.NO_GRANT),
        ("claims.event.startsWith('t') || scope.reference == 'v1'", Why.DEPENDS_ON_REFERENCE),
        ("defs.on_main && scope.reference == 'v1'", Why.NO_GRANT),
        ("scope.name == 'acme/other' && scope.reference == 'v1'", Why.NO_GRANT),
        ("scope.name == 'acme/app' && scope.reference == 'v1'", Why.DEPENDS_ON_REFERENCE),
    ],
)
def test_what_no_tag_can_open_does_not_depend_on_the_tag(
    compiled: Callable[..., Policy], now: datetime, when: str, why: Why
) -> None:
    fields = 'repositories: ["**"], tags: ["v*"], actions: [pull]'
    more = f'  - {{name: tagged, when: "{when}", {fields}}}\n'
    text = POLICY.format(when="claims.event == 'push'") + more
    denial = 'denials:\n  - {name: closed, repositories: ["**"], actions: [pull]}\n'
    opened = told(compiled, now, text, "repository:acme/app:pull", Level.REASONS)
    denied = told(compiled, now, text + denial, "repository:acme/app:pull", Level.REASONS)

    assert opened.why is why
    assert denied.why is (Why.DENIED if why is Why.DEPENDS_ON_REFERENCE else why)


@pytest.mark.parametrize(
    ("tag", "when", "why"),
    [
        ("${claims.missing}", "scope.reference.startsWith('v')", Why.NO_GRANT),
        ("${claims.event}", "scope.reference.startsWith('v')", Why.DEPENDS_ON_REFERENCE),
        ("${claims.missing}", "scope.reference.contains(':')", Why.DEPENDS_ON_REFERENCE),
        ("${claims.missing}", "scope.reference == ''", Why.DEPENDS_ON_REFERENCE),
        ("${scope.name.replace('/', '-')}", "scope.reference == 'v1'", Why.DEPENDS_ON_REFERENCE),
        ("${claims.missing}", "true", Why.DEPENDS_ON_REFERENCE),
    ],
)
def test_whose_claims_make_no_tag_hears_nothing_of_what_asks_for_one(
    compiled: Callable[..., Policy], now: datetime, tag: str, when: str, why: Why
) -> None:
    """By a digest or an upload the grant may still match, as it does where it asks for nothing."""
    fields = f'repositories: ["**"], tags: ["{tag}"], actions: [pull]'
    more = f'  - {{name: tagged, when: "{when}", {fields}}}\n'
    text = POLICY.format(when="claims.event == 'push'") + more

    assert told(compiled, now, text, "repository:acme/app:pull", Level.REASONS).why is why
