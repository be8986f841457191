"""An explanation tells each step that led to a decision, and the same decision."""

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from regauth.engine import (
    Credentials,
    Decision,
    Explanation,
    KeySet,
    KeysUnavailable,
    NeedKeys,
    Policy,
    Refusal,
    SigningKey,
    accesses,
    exchange,
    explain,
    narrate,
    parse_scopes,
    run,
)
from regauth.engine.tokens import jwt
from regauth.engine.tokens.jwks import parse_jwks, public_jwk
from regauth.engine.tokens.keys import PrivateKey

POLICY = """
version: 1
services: [registry.example.com]
definitions:
  on_main: claims.ref == "refs/heads/main"
providers:
  ci:
    issuer: https://ci.example.com
    audience: https://registry.example.com
    claims: github-actions
    rules:
      - {name: ours, check: 'claims.repository_owner_id == "1"', message: only acme may log in}
grants:
  - name: push
    when: defs.on_main && claims.event_name == "push"
    repositories: ["${claims.repository}/**", "acme/app"]
    actions: [pull, push]
  - {name: elsewhere, repositories: ["other/**"], actions: [pull]}
denials:
  - {name: frozen, repositories: ["acme/old"], actions: [push]}
anonymous: {repositories: [public]}
"""
CLAIMS = {
    "iss": "https://ci.example.com",
    "aud": "https://registry.example.com",
    "sub": "repo:acme/app",
    "repository": "acme/app",
    "repository_owner_id": "1",
    "ref": "refs/heads/main",
    "event_name": "push",
}


@pytest.fixture
def told(
    compiled: Callable[..., Policy], private_keys: dict[str, PrivateKey], now: datetime
) -> Callable[..., Explanation]:
    """Explain a login, and prove that the exchange itself answers the same."""
    key = private_keys["p256"]
    keys = parse_jwks({"keys": [{**public_jwk(key.public_key()), "kid": "one"}]})

    def explain_(
        *scopes: str,
        service: str = "registry.example.com",
        token: str | None = None,
        available: bool = True,
        anonymous: bool = False,
        text: str = POLICY,
        **claims: object,
    ) -> Explanation:
        policy = compiled(text)
        expires = int((now + timedelta(minutes=5)).timestamp())
        merged = {
            name: v for name, v in {**CLAIMS, "exp": expires, **claims}.items() if v is not None
        }
        password = token or jwt.sign(merged, SigningKey(key, "ES256", "one"))
        credentials = None if anonymous else Credentials("ci", password)
        asked = accesses(parse_scopes(scopes))

        def keys_for(_: NeedKeys) -> KeySet | KeysUnavailable:
            return keys if available else KeysUnavailable("connection refused")

        explanation = run(explain(policy, credentials, service, asked, now), keys_for)

        assert explanation.outcome == run(
            exchange(policy, credentials, service, asked, now), keys_for
        )
        assert password not in narrate(explanation)
        return explanation

    return explain_


def steps(explanation: Explanation) -> dict[str, bool | None]:
    return {step.name: step.passed for step in explanation.steps}


def test_an_allowed_access_tells_every_check_and_the_grant(
    told: Callable[..., Explanation],
) -> None:
    explanation = told("repository:acme/app:push")
    text = narrate(explanation)

    assert set(steps(explanation).values()) == {True}
    assert list(steps(explanation)) == [
        *("service", "form", "provider", "algorithm", "key", "signature"),
        *("issuer", "audience", "times", "expiry", "not-before", "age", "subject", "rule:ours"),
    ]
    assert "repository:acme/app:push: ALLOWED by push" in text
    assert 'claims.ref == "refs/heads/main"  =>  true' in text
    assert "acme/app: matches" in text


def test_a_refused_access_tells_which_part_was_false(told: Callable[..., Explanation]) -> None:
    text = narrate(told("repository:acme/app:push", event_name="pull_request"))

    assert "REFUSED, no grant allows it [no-grant]" in text
    assert "grant push (0.yaml:14:11): does not match" in text
    assert "claims.event_name  =>  'pull_request'" in text


def test_an_error_is_told_as_an_error(told: Callable[..., Explanation]) -> None:
    text = narrate(told("repository:acme/app:push", event_name=None))

    assert "cannot be evaluated, so it does not match" in text
    assert "error: " in text


def test_a_denial_is_told_first(told: Callable[..., Explanation]) -> None:
    explanation = told("repository:acme/old:push")

    assert "REFUSED by the denial frozen" in narrate(explanation)
    assert explanation.accesses[0].statements[0].denial


def test_what_the_index_rules_out_is_counted(told: Callable[..., Explanation]) -> None:
    (access,) = told("repository:acme/app:pull").accesses

    assert [step.name for step in access.statements] == ["push"]
    assert access.ruled_out == 2


def test_a_grant_that_the_claims_rule_out_is_told_where_no_other_allows(
    told: Callable[..., Explanation],
) -> None:
    """The index leaves it out by its literal, and it is the one that is missed."""
    explanation = told("repository:acme/app:push repository:acme/x:push", ref="refs/heads/x")
    text = narrate(explanation)
    first, second = explanation.accesses

    assert [step.name for step in first.statements] == ["push"]
    assert first.ruled_out == 2
    assert "grant push (0.yaml:14:11): does not match" in text
    assert "claims.ref  =>  'refs/heads/x'" in text
    assert [step.name for step in second.statements] == []
    assert second.ruled_out == 3


def test_of_many_grants_that_the_claims_rule_out_the_nearest_are_told(
    told: Callable[..., Explanation],
) -> None:
    far = "".join(
        f"  - {{name: far-{number}, repositories: [acme/app], actions: [push],\n"
        f"     when: claims.ref == 'refs/heads/{number}' && claims.actor == 'nobody'}}\n"
        for number in range(20)
    )
    text = POLICY.replace("grants:\n", f"grants:\n{far}", 1)
    [access] = told("repository:acme/app:push", text=text, ref="refs/heads/x").accesses

    found = [step.name for step in access.statements]
    assert found == ["push", *(f"far-{number}" for number in range(9))]
    assert len(found) + access.ruled_out == 23


@pytest.mark.parametrize(
    ("case", "reason", "failed"),
    [
        ({"service": "other"}, "unknown-service", "service"),
        ({"token": "no token"}, "malformed-token", "form"),
        ({"available": False}, "provider-unavailable", "key"),
        ({"iss": "https://evil.example.com"}, "wrong-issuer", "issuer"),
        ({"aud": "https://other.example.com"}, "wrong-audience", "audience"),
        ({"exp": "soon"}, "malformed-token", "times"),
        ({"exp": 1}, "expired", "expiry"),
        ({"nbf": 9999999999}, "not-yet-valid", "not-before"),
        ({"sub": None}, "no-subject", "subject"),
        ({"repository_owner_id": "2"}, "rule:ours", "rule:ours"),
        ({"repository_owner_id": None}, "rule:ours", "rule:ours"),
    ],
)
def test_a_refusal_tells_the_step_that_failed(
    told: Callable[..., Explanation], case: dict[str, object], reason: str, failed: str
) -> None:
    explanation = told("repository:acme/app:pull", **case)
    refusal = explanation.outcome

    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason
    assert [name for name, passed in steps(explanation).items() if passed is False] == [failed]
    assert f"REFUSED {reason}" in narrate(explanation)


def test_claims_that_were_not_verified_are_not_shown(told: Callable[..., Explanation]) -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"ES256","kid":"one"}').rstrip(b"=").decode()
    payload = base64.urlsafe_b64encode(json.dumps({**CLAIMS, "ref": "forged"}).encode())
    token = f"{header}.{payload.rstrip(b'=').decode()}.AAAA"
    explanation = told("repository:acme/app:pull", token=token)

    assert isinstance(explanation.outcome, Refusal)
    assert explanation.outcome.reason == "bad-signature"
    assert "forged" not in narrate(explanation)


def test_anonymous_access_is_told(told: Callable[..., Explanation]) -> None:
    explanation = told("repository:public:pull", anonymous=True)

    assert isinstance(explanation.outcome, Decision)
    assert "repository:public:pull: ALLOWED by anonymous" in narrate(explanation)
