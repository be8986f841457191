"""`policytest usage`: what nobody used, and who is near a refusal."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from regauth.engine import Authenticated, Policy
from regauth.engine.decisions.exchange import login_verified
from regauth.engine.tokens.jwt import recalled
from regauth.policytests.cli import main
from regauth.policytests.usage import counting
from tests.servers.desk import NOW

from .test_tighten import SERVICE, compiled, line_of, record_of

POLICY = """\
version: 1
services: [registry.example.com]
definitions:
  on_main: claims.ref == "refs/heads/main"
  inner: claims.actor == "carol"
  by_carol: defs.inner && claims.event_name == "push"
providers:
  ci:
    issuer: https://ci.example.com
    audience: https://registry.example.com
    claims: github-actions
    clockSkew: 60s
    maxTokenAge: 10m
  idle:
    issuer: https://idle.example.com
    audience: https://registry.example.com
    claims: github-actions
grants:
  - name: build
    when: defs.on_main
    repositories: ["acme/*", "acme/lib/**"]
    actions: [pull, push]
  - name: carol
    when: defs.by_carol
    repositories: ["carol/**"]
    actions: [pull]
  - name: trial
    repositories: ["trial/*"]
    actions: [pull]
    expires: 2026-11-20T00:00:00Z
  - name: next-year
    repositories: ["later/*"]
    actions: [pull]
    expires: 2027-11-20T00:00:00Z
"""

Tool = Callable[..., dict[str, Any]]


def record(policy: Policy, scope: str, *, at: datetime = NOW, **times: int) -> bytes:
    """Return a record of a job whose token's times differ from `at` by seconds."""
    moment = int(at.timestamp())
    given = {"iat": moment, "exp": moment + 300}
    given |= {name: moment + seconds for name, seconds in times.items()}
    claims = {
        "iss": "https://ci.example.com",
        "aud": "https://registry.example.com",
        "sub": "job",
        "ref": "refs/heads/main",
        "actor": "alice",
        "event_name": "push",
    }
    login = login_verified(policy, "ci", recalled({**claims, **given}), SERVICE, at)
    assert isinstance(login, Authenticated), login
    return line_of(record_of(policy, login, SERVICE, [scope], at, 1))


@pytest.fixture
def usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tool:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.yaml").write_text(POLICY)

    def run(*lines: bytes) -> dict[str, Any]:
        (tmp_path / "log").write_bytes(b"".join(lines))
        assert main(["usage", "log", "-f", "json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run


def test_what_nobody_used_is_named_with_its_place(usage: Tool) -> None:
    policy = compiled(POLICY)
    report = usage(record(policy, "repository:acme/app:pull"))

    assert report["grants"]["build"]["actions"] == {"pull": 1}
    assert report["grants"]["build"]["patterns"] == {"acme/*": 1}
    assert report["unused"] == {
        "grant": [
            f"{name} (policy/policy.yaml:{line}:11)"
            for name, line in (("carol", 23), ("trial", 27), ("next-year", 31))
        ],
        "action": ["push of build (policy/policy.yaml:19:11)"],
        "pattern": ["acme/lib/** of build (policy/policy.yaml:19:11)"],
        "provider": ["idle"],
        "definition": ["inner", "by_carol"],
    }


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({"iat": -300, "exp": -30}, "its token had expired"),
        ({"iat": -630}, "older than maxTokenAge"),
        ({"iat": 20}, "the clocks differ"),
        ({"iat": -500}, ""),
    ],
)
def test_a_login_that_only_the_clock_skew_let_in_is_near_a_refusal(
    usage: Tool, times: dict[str, int], said: str
) -> None:
    report = usage(record(compiled(POLICY), "repository:acme/app:pull", **times))
    near = report["nearRefusal"]

    assert [one["who"] for one in near] == (["ci:job"] if said else [])
    assert all(said in one["why"] for one in near)


def test_users_of_a_grant_that_ends_soon_are_near_a_refusal(usage: Tool) -> None:
    policy = compiled(POLICY)
    report = usage(
        record(policy, "repository:trial/a:pull"), record(policy, "repository:later/a:pull")
    )

    assert report["nearRefusal"] == [
        {"who": "users of trial", "why": "1 times; it ends 2026-11-20T00:00:00Z"}
    ]


def test_what_waits_for_a_tag_counts_as_used(usage: Tool, tmp_path: Path) -> None:
    text = POLICY.replace(
        '    repositories: ["trial/*"]\n', '    repositories: ["trial/*"]\n    tags: ["v*"]\n'
    )
    (tmp_path / "policy" / "policy.yaml").write_text(text)
    report = usage(record(compiled(text), "repository:trial/a:pull"))

    assert report["grants"]["trial"]["uses"] == 1


def test_more_kinds_of_requests_than_are_remembered_are_counted_alike(
    usage: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = compiled(POLICY)
    names = ("acme/a", "acme/b", "trial/a", "other/a", "acme/a", "acme/b")
    lines = [
        record(policy, f"repository:{name}:pull", at=NOW + timedelta(seconds=number))
        for number, name in enumerate(names)
    ]
    full = usage(*lines)
    monkeypatch.setattr(counting, "MAX_REMEMBERED", 1)

    assert full["grants"]["build"]["uses"] == 4
    assert usage(*lines) == full
