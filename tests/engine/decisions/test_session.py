"""Whether a session goes on: by the policy that holds now, to the microsecond."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from regauth.engine import Authenticated, Policy, Refusal
from regauth.engine.decisions.session import Begun, resume
from regauth.engine.tokens.jwt import Claims

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
T = int(NOW.timestamp())
CLAIMS: Mapping[str, object] = {
    "iss": "https://ci.example.com",
    "aud": ["registry"],
    "sub": "someone",
    "exp": T + 300,
    "iat": T,
    "nbf": T,
}
TEXT = """
version: 1
services: [registry.example.com, other.example.com]
providers:
  ci:
    issuer: https://ci.example.com
    audience: [registry, https://registry.example.com]
"""
Ask = Callable[..., Authenticated | Refusal]


def reason(answer: Authenticated | Refusal) -> str | None:
    return answer.reason if isinstance(answer, Refusal) else None


SESSION = "    refreshTokens: {maxSession: 8h}\n    clockSkew: 0s\n"


@pytest.fixture
def go_on(compiled: Callable[..., Policy]) -> Callable[..., Authenticated | Refusal]:
    """Ask whether a session that began at NOW goes on a time after it."""

    def resume_(
        after: timedelta = timedelta(0),
        more: str = SESSION,
        provider: str = "ci",
        service: str = "registry.example.com",
        **changed: object,
    ) -> Authenticated | Refusal:
        policy = compiled(TEXT + more)
        begun = Begun(provider, Claims({**CLAIMS, **changed}), "registry.example.com", NOW)
        return resume(policy, begun, service, NOW + after)

    return resume_


def test_a_session_outlasts_the_token_that_began_it(go_on: Ask) -> None:
    found = go_on(timedelta(hours=7))

    assert isinstance(found, Authenticated)
    assert found.identity.subject == "someone"


@pytest.mark.parametrize(
    ("after", "good"),
    [
        (timedelta(hours=8) - timedelta(microseconds=1), True),
        (timedelta(hours=8), False),
        (timedelta(days=9), False),
        (timedelta(0), True),
        (timedelta(microseconds=-1), False),
    ],
)
def test_it_lasts_as_long_as_the_policy_says(go_on: Ask, after: timedelta, *, good: bool) -> None:
    assert reason(go_on(after)) == (None if good else "unknown-session")


def test_clocks_of_servers_may_differ_as_those_of_issuers(go_on: Ask) -> None:
    more = "    refreshTokens: {maxSession: 8h}\n    clockSkew: 10s\n"

    assert reason(go_on(timedelta(seconds=-10), more)) is None
    assert reason(go_on(timedelta(seconds=-11), more)) == "unknown-session"


def test_a_provider_without_refresh_tokens_has_no_sessions(go_on: Ask) -> None:
    found = go_on(timedelta(minutes=1), "")

    assert isinstance(found, Refusal)
    assert found.reason == "unknown-session"
    assert found.detail == "the policy gives 'ci' no refresh tokens"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"provider": "gone"}, "unknown-session"),
        ({"service": "other.example.com"}, "unknown-session"),
        ({"service": "gone.example.com"}, "unknown-service"),
    ],
)
def test_it_is_of_one_provider_and_for_one_service(
    go_on: Ask, changed: Mapping[str, str], why: str
) -> None:
    assert reason(go_on(**changed)) == why


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"iss": "https://else.example.com"}, "wrong-issuer"),
        ({"aud": "else"}, "wrong-audience"),
        ({"exp": T}, "expired"),
        ({"iat": T + 1}, "not-yet-valid"),
    ],
)
def test_the_login_is_checked_again_as_of_its_time(
    go_on: Ask, changed: Mapping[str, object], why: str
) -> None:
    assert reason(go_on(timedelta(hours=1), **changed)) == why


def test_rules_see_the_time_that_it_is(go_on: Ask) -> None:
    rule = "    rules: [{name: until, check: 'now < timestamp(\"2026-11-01T14:00:00Z\")'}]\n"

    assert reason(go_on(timedelta(hours=1), SESSION + rule)) is None
    assert reason(go_on(timedelta(hours=2), SESSION + rule)) == "rule:until"
