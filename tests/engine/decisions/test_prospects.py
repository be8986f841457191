"""Whether a policy can give an identity anything at all."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from regauth.engine.access.outcomes import Identity
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.prospects import is_out_of_reach, may_be_granted
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import Claims

HEAD = """
version: 1
services: [registry.example.com, other.example.com]
providers:
  ci: {issuer: "https://ci.example.com", audience: me}
  dev: {issuer: "https://dev.example.com", audience: me}
"""


def login(policy: Policy, now: datetime) -> Authenticated:
    claims = Claims({"sub": "s", "team": "blue", "Bad": "Upper"})
    provider = policy.providers["ci"]
    return Authenticated(Identity("ci", "s"), provider, claims, now + timedelta(hours=1), now)


@pytest.mark.parametrize(
    ("statements", "may"),
    [
        ("", False),
        ("grants: [{name: g, repositories: [acme/app], actions: [pull]}]", True),
        ("grants: [{name: g, repositories: ['v*/**/x/**'], actions: [push]}]", True),
        ("grants: [{name: g, catalog: true}]", True),
        ("grants: [{name: g, providers: [dev], repositories: ['**'], actions: [pull]}]", False),
        ("grants: [{name: g, services: [other.example.com], repositories: ['**'], actions: [pull]}]", False),
        ("grants: [{name: g, expires: 2026-10-01, repositories: ['**'], actions: [pull]}]", False),
        ("grants: [{name: g, when: claims.team == \"blue\", repositories: ['**'], actions: [pull]}]", True),
        ("grants: [{name: g, when: claims.team == \"red\", repositories: ['**'], actions: [pull]}]", False),
        ("grants: [{name: g, when: claims.absent == \"x\", repositories: ['**'], actions: [pull]}]", False),
        ("grants: [{name: g, repositories: ['${claims.team}/**'], actions: [pull]}]", True),
        ("grants: [{name: g, repositories: ['${claims.absent}/**'], actions: [pull]}]", False),
        ("grants: [{name: g, repositories: ['${claims.Bad}/**'], actions: [pull]}]", False),
        ("grants: [{name: g, repositories: ['${claims.absent}/**', library/x], actions: [pull]}]", True),
        ("grants: [{name: g, when: 'scope.name.startsWith(claims.team)', repositories: ['**'], actions: [pull]}]", True),
        ("grants: [{name: g, when: 'scope.name == \"a\"', providers: [dev], repositories: ['**'], actions: [pull]}]", False),
        ("grants: [{name: g, repositories: ['${scope.action}/**'], actions: [pull]}]", True),
        ("grants: [{name: g, repositories: ['a/**'], actions: [pull]}]\ndenials: [{name: d, repositories: ['**'], actions: [pull]}]", False),
        ("grants: [{name: g, repositories: ['a/**'], actions: [pull, push]}]\ndenials: [{name: d, repositories: ['**'], actions: [push]}]", True),
        ("grants: [{name: g, repositories: ['a/**'], actions: [pull]}]\ndenials: [{name: d, repositories: ['a/x/**'], actions: [pull]}]", True),
        ("anonymous: {repositories: ['**']}", False),
    ],
)  # fmt: skip
def test_it_may_where_some_access_can_be_granted(
    compiled: Callable[..., Policy], now: datetime, statements: str, may: bool
) -> None:
    policy = compiled(HEAD + statements)

    assert may == may_be_granted(policy, login(policy, now), "registry.example.com", now)


@pytest.mark.parametrize(
    ("statements", "out"),
    [
        ("grants: [{name: g, when: claims.team == \"red\", repositories: ['**'], actions: [pull]}]", True),
        ("grants: [{name: g, when: claims.absent == \"red\", repositories: ['**'], actions: [pull]}]", True),
        ('grants: [{name: g, when: claims.team == "blue", repositories: [a], actions: [pull]}]', False),
        ('grants: [{name: g, when: claims.team == "red", catalog: true}]', True),
        ('grants: [{name: g, when: claims.team == "blue", catalog: true}]', False),
        ('grants: [{name: g, when: claims.team != "blue", repositories: [a], actions: [pull]}]', False),
        ("grants: [{name: g, providers: [dev], repositories: ['**'], actions: [pull]}]", True),
        ('grants: [{name: g, when: claims.team == "red", repositories: [a], actions: [pull]}, {name: h, repositories: [a], actions: [pull]}]', False),
        ("anonymous: {repositories: ['**']}", True),
    ],
)  # fmt: skip
def test_who_has_the_wrong_claims_for_every_grant_is_out_of_reach(
    compiled: Callable[..., Policy], now: datetime, statements: str, out: bool
) -> None:
    policy = compiled(HEAD + statements)

    assert out == is_out_of_reach(policy, login(policy, now))
