"""Replaying with other lifetimes: a token that is valid for longer is wider."""

import json
from datetime import UTC, datetime

import pytest

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.policytests.replay.deciding import LIFETIME, Change, Replay
from regauth.policytests.replay.records import Record, RecordError, read_record

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
POLICY = """
version: 1
services: [r]
providers:
  ci: {issuer: "https://ci.example.com", audience: me}
grants:
  - {name: g, repositories: [a/*], actions: [pull]LIFETIME}
"""


def policy(lifetime: str = "") -> Policy:
    more = f", tokenLifetime: {lifetime}" if lifetime else ""
    found = compile_policy({"p.yaml": POLICY.replace("LIFETIME", more)}).policy
    assert found is not None
    return found


def record(**more: object) -> Record:
    at = int(NOW.timestamp())
    claims = {"iss": "https://ci.example.com", "aud": "me", "sub": "s", "iat": at, "exp": at + 300}
    line = {
        "version": 1,
        "time": "2026-11-01T12:00:00.000Z",
        "requestId": "1",
        "client": "192.0.2.1",
        "policy": "sha256:x",
        "service": "r",
        "asked": ["repository:a/x:pull"],
        "outcome": "issued",
        "provider": "ci",
        "subject": "s",
        "accesses": [
            {
                "type": "repository",
                "name": "a/x",
                "action": "pull",
                "allowed": True,
                "why": "granted",
                "source": "g",
            }
        ],
        "claims": claims,
        **more,
    }
    return read_record(json.dumps(line).encode())


def changes(lifetime: str, then: Record) -> list[tuple[Change, str, str, str]]:
    found = Replay(policy(lifetime)).differences(then)
    assert isinstance(found, list)
    return [(one.change, one.access, str(one.before), str(one.after)) for one in found]


@pytest.mark.parametrize(
    ("then", "lifetime", "change"),
    [
        (300, "", None),
        (120, "2m", None),
        (300, "10m", None),
        (120, "", (Change.WIDER, 120, 300)),
        (120, "3m", (Change.WIDER, 120, 180)),
        (120, "1h", (Change.WIDER, 120, 300)),
        (300, "2m", (Change.NARROWER, 300, 120)),
    ],
)
def test_the_lifetime_is_compared(
    then: int, lifetime: str, change: tuple[Change, int, int] | None
) -> None:
    wanted = []
    if change is not None:
        kind, before, after = change
        told = (f"a token of {before} seconds", f"a token of {after} seconds")
        wanted = [(kind, LIFETIME, *told)]

    assert changes(lifetime, record(lifetime=then, maxLifetime=300)) == wanted


def test_a_record_that_does_not_say_it_says_nothing_of_lifetimes() -> None:
    """Its server knew no `tokenLifetime`, so a policy can only shorten its tokens."""
    assert changes("2m", record()) == []
    assert changes("", record()) == []


@pytest.mark.parametrize("value", ["300", 0, -1, True, 1.5, None])
def test_a_lifetime_is_a_number_of_seconds(value: object) -> None:
    if value is None:
        assert record(lifetime=None).lifetime is None
        return
    with pytest.raises(RecordError, match="lifetime"):
        record(lifetime=value)
