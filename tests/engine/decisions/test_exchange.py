"""The exchange of a really signed token for a decision: its steps, its questions, its refusals."""

import base64
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import pytest

from regauth.engine import (
    Credentials,
    Decision,
    Keys,
    KeySet,
    KeysUnavailable,
    NeedKeys,
    Policy,
    Reason,
    Refusal,
    SigningKey,
    Verdict,
    accesses,
    exchange,
    login,
    login_verified,
    parse_scopes,
    run,
)
from regauth.engine.tokens.jwt import MAX_TOKEN_LENGTH, Claims, sign
from regauth.engine.tokens.keys import Key, PrivateKey, algorithms_of

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
T = int(NOW.timestamp())
CLAIMS: Mapping[str, object] = {
    "iss": "https://ci.example.com",
    "aud": "registry",
    "sub": "someone",
    "exp": T + 300,
    "iat": T,
}
POLICY = """
version: 1
services: [registry.example.com]
providers:
  ci:
    issuer: https://ci.example.com
    audience: registry
    rules: [{name: not-mallory, check: claims.sub != "mallory"}]
  twin-a: {issuer: "https://twin.example.com", audience: registry}
  twin-b: {issuer: "https://twin.example.com", audience: registry}
  narrow: {issuer: "https://narrow.example.com", audience: registry, algorithms: [ES256]}
grants:
  - {name: pull, repositories: ["acme/**"], actions: [pull]}
"""
ANONYMOUS = POLICY + 'anonymous: {repositories: ["public/**"]}\n'
SCOPE = "repository:acme/app:pull,push"


class Host:
    """Answers questions with keys, and remembers the questions."""

    def __init__(self, *answers: Keys) -> None:
        self.answers = answers
        self.questions: list[NeedKeys] = []

    def __call__(self, question: NeedKeys) -> Keys:
        self.questions.append(question)
        return self.answers[min(len(self.questions), len(self.answers)) - 1]

    @property
    def asked(self) -> list[tuple[str, str | None]]:
        return [(question.provider.name, question.unknown_kid) for question in self.questions]


@pytest.fixture
def policy(compiled: Callable[..., Policy]) -> Policy:
    return compiled(POLICY)


@pytest.fixture
def key(private_keys: Mapping[str, PrivateKey]) -> SigningKey:
    return SigningKey(private_keys["rsa"], "RS256", "k1")


def public(*keys: SigningKey) -> KeySet:
    return KeySet(
        tuple(Key(key.public_key, algorithms_of(key.public_key), key.key_id) for key in keys)
    )


def ask(
    policy: Policy,
    password: str | None,
    host: Host,
    username: str = "ci",
    service: str = "registry.example.com",
    scopes: Sequence[str] = (SCOPE,),
) -> Decision | Refusal:
    credentials = None if password is None else Credentials(username, password)
    asked = accesses(parse_scopes(scopes))
    return run(exchange(policy, credentials, service, asked, NOW), host)


def token(key: SigningKey, **changed: object) -> str:
    return sign({**CLAIMS, **changed}, key)


def reason(answer: Decision | Refusal) -> str:
    return answer.reason if isinstance(answer, Refusal) else "granted"


def forged(part: int, value: object, good: str) -> str:
    """A token with one part written anew and the signature of another."""
    parts = good.split(".")
    parts[part] = base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    return ".".join(parts)


class TestGood:
    def test_a_login_gets_what_is_granted(self, policy: Policy, key: SigningKey) -> None:
        host = Host(public(key))
        decision = ask(policy, token(key), host)

        assert isinstance(decision, Decision)
        assert str(decision.identity) == "ci:someone"
        assert decision.service == "registry.example.com"
        assert [str(scope) for scope in decision.granted] == ["repository:acme/app:pull"]
        assert host.asked == [("ci", None)]

    def test_a_login_can_ask_for_nothing(self, policy: Policy, key: SigningKey) -> None:
        decision = ask(policy, token(key), Host(public(key)), scopes=())

        assert isinstance(decision, Decision)
        assert decision.verdicts == ()
        assert decision.granted == ()

    @pytest.mark.parametrize(
        ("name", "algorithm"),
        [
            ("rsa", "RS256"),
            ("rsa", "RS384"),
            ("rsa", "RS512"),
            ("rsa", "PS256"),
            ("rsa", "PS384"),
            ("rsa", "PS512"),
            ("p256", "ES256"),
            ("p384", "ES384"),
            ("p521", "ES512"),
            ("ed25519", "EdDSA"),
        ],
    )
    def test_every_algorithm_there_is(
        self, policy: Policy, private_keys: Mapping[str, PrivateKey], name: str, algorithm: str
    ) -> None:
        key = SigningKey(private_keys[name], algorithm, "k")

        assert reason(ask(policy, token(key), Host(public(key)))) == "granted"


class TestRouting:
    @pytest.mark.parametrize(
        "username", ["oauth2", "_token", "<token>", "", "CI", "ci ", "x" * 999]
    )
    def test_another_user_name_routes_by_issuer(
        self, policy: Policy, key: SigningKey, username: str
    ) -> None:
        host = Host(public(key))

        assert reason(ask(policy, token(key), host, username)) == "granted"
        assert host.asked == [("ci", None)]

    def test_the_user_name_goes_before_the_issuer(self, policy: Policy, key: SigningKey) -> None:
        host = Host(public(key))

        assert reason(ask(policy, token(key), host, "twin-a")) == "wrong-issuer"
        assert host.asked == [("twin-a", None)]

    def test_two_providers_of_one_issuer_need_the_user_name(
        self, policy: Policy, key: SigningKey
    ) -> None:
        twin = token(key, iss="https://twin.example.com")
        host = Host(public(key))

        assert reason(ask(policy, twin, host, "oauth2")) == "ambiguous-provider"
        assert host.asked == []
        assert reason(ask(policy, twin, host, "twin-b")) == "granted"
        assert host.asked == [("twin-b", None)]

    @pytest.mark.parametrize("issuer", ["https://other.example.com", "", None, 7, ["x"], {}])
    def test_an_issuer_of_none_is_refused(
        self, policy: Policy, key: SigningKey, issuer: object
    ) -> None:
        host = Host(public(key))

        assert reason(ask(policy, token(key, iss=issuer), host, "oauth2")) == "unknown-provider"
        assert host.asked == []


class TestKeys:
    def test_an_unknown_key_id_asks_exactly_twice(self, policy: Policy, key: SigningKey) -> None:
        stale = public(dataclasses.replace(key, key_id="k0"))
        host = Host(stale, stale)

        assert reason(ask(policy, token(key), host)) == "unknown-key"
        assert host.asked == [("ci", None), ("ci", "k1")]

    def test_the_second_answer_may_have_the_key(self, policy: Policy, key: SigningKey) -> None:
        host = Host(public(dataclasses.replace(key, key_id="k0")), public(key))

        assert reason(ask(policy, token(key), host)) == "granted"
        assert host.asked == [("ci", None), ("ci", "k1")]

    def test_the_second_answer_may_be_that_there_are_none(
        self, policy: Policy, key: SigningKey
    ) -> None:
        host = Host(public(dataclasses.replace(key, key_id="k0")), KeysUnavailable("down"))

        assert reason(ask(policy, token(key), host)) == "provider-unavailable"

    def test_without_keys_the_login_may_succeed_later(
        self, policy: Policy, key: SigningKey
    ) -> None:
        host = Host(KeysUnavailable("the issuer does not answer"))
        refused = ask(policy, token(key), host)

        assert isinstance(refused, Refusal)
        assert refused.reason == "provider-unavailable"
        assert refused.upstream
        assert refused.detail == "the issuer does not answer"
        assert "does not answer" not in refused.message
        assert host.asked == [("ci", None)]

    def test_an_empty_set_verifies_nothing(self, policy: Policy, key: SigningKey) -> None:
        assert reason(ask(policy, token(key), Host(KeySet()))) == "unknown-key"

    def test_a_token_without_key_id_is_tried_with_each(
        self, policy: Policy, key: SigningKey, private_keys: Mapping[str, PrivateKey]
    ) -> None:
        other = SigningKey(private_keys["rsa-other"], "RS256", "k0")
        unnamed = dataclasses.replace(key, key_id=None)
        host = Host(public(other, key))

        assert reason(ask(policy, token(unnamed), host)) == "granted"
        assert host.asked == [("ci", None)]

    def test_a_key_of_the_same_id_is_not_enough(
        self, policy: Policy, key: SigningKey, private_keys: Mapping[str, PrivateKey]
    ) -> None:
        other = SigningKey(private_keys["rsa-other"], "RS256", "k1")
        host = Host(public(other))

        assert reason(ask(policy, token(key), host)) == "bad-signature"
        assert host.asked == [("ci", None)]


class TestRefused:
    def test_an_algorithm_that_the_policy_does_not_name(
        self, policy: Policy, key: SigningKey
    ) -> None:
        host = Host(public(key))
        narrow = token(key, iss="https://narrow.example.com")

        assert reason(ask(policy, narrow, host, "narrow")) == "algorithm-not-allowed"
        assert host.asked == []

    @pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "HS512", "", "RS257"])
    def test_an_algorithm_that_is_none(
        self, policy: Policy, key: SigningKey, algorithm: str
    ) -> None:
        changed = forged(0, {"typ": "JWT", "alg": algorithm, "kid": "k1"}, token(key))
        host = Host(public(key))

        assert reason(ask(policy, changed, host)) == "algorithm-not-allowed"
        assert (
            reason(ask(policy, changed.rpartition(".")[0] + ".", host)) == "algorithm-not-allowed"
        )
        assert host.asked == []

    def test_an_algorithm_that_does_not_fit_the_key(self, policy: Policy, key: SigningKey) -> None:
        changed = forged(0, {"typ": "JWT", "alg": "ES256", "kid": "k1"}, token(key))

        assert reason(ask(policy, changed, Host(public(key)))) == "algorithm-not-allowed"

    @pytest.mark.parametrize("claim", [{"sub": "root"}, {"exp": T + 9999}, {"aud": "other"}, {}])
    def test_changed_claims(
        self, policy: Policy, key: SigningKey, claim: Mapping[str, object]
    ) -> None:
        changed = forged(1, {**CLAIMS, **claim, "x": 1}, token(key))

        assert reason(ask(policy, changed, Host(public(key)))) == "bad-signature"

    @pytest.mark.parametrize(
        "password",
        ["", "x", "a.b", "a.b.c.d", "....", "e30.e30.", "é.é.é", "null", "Bearer x", "\x00"],
    )
    def test_what_is_no_token(self, policy: Policy, key: SigningKey, password: str) -> None:
        host = Host(public(key))

        assert reason(ask(policy, password, host)) == "malformed-token"
        assert host.asked == []

    def test_a_token_that_is_too_long(self, policy: Policy, key: SigningKey) -> None:
        long = token(key, filler="x" * MAX_TOKEN_LENGTH)

        assert reason(ask(policy, long, Host(public(key)))) == "token-too-large"

    @pytest.mark.parametrize(
        ("changed", "expected"),
        [
            ({"iss": "https://other.example.com"}, "wrong-issuer"),
            ({"aud": "other"}, "wrong-audience"),
            ({"exp": T - 30}, "expired"),
            ({"nbf": T + 31}, "not-yet-valid"),
            ({"iat": "now"}, "malformed-token"),
            ({"sub": ""}, "no-subject"),
            ({"sub": "mallory"}, "rule:not-mallory"),
        ],
    )
    def test_a_signed_token_that_the_provider_does_not_want(
        self, policy: Policy, key: SigningKey, changed: Mapping[str, object], expected: str
    ) -> None:
        assert reason(ask(policy, token(key, **changed), Host(public(key)))) == expected

    def test_a_service_that_is_not_the_policys(self, policy: Policy, key: SigningKey) -> None:
        host = Host(public(key))
        for service in ("", "other.example.com", "registry.example.com ", "REGISTRY.example.com"):
            assert reason(ask(policy, token(key), host, service=service)) == "unknown-service"
            assert reason(ask(policy, None, host, service=service)) == "unknown-service"
        assert host.asked == []


class TestAnonymous:
    def test_without_credentials_there_must_be_anonymous_access(self, policy: Policy) -> None:
        assert reason(ask(policy, None, Host())) == "no-credentials"

    def test_it_gets_what_is_public(self, compiled: Callable[..., Policy]) -> None:
        scopes = ["repository:public/a:pull,push", "repository:acme/app:pull"]
        decision = ask(compiled(ANONYMOUS), None, Host(), scopes=scopes)

        assert isinstance(decision, Decision)
        assert decision.identity.anonymous
        assert [str(scope) for scope in decision.granted] == ["repository:public/a:pull"]

    def test_bad_credentials_are_not_taken_for_none(self, compiled: Callable[..., Policy]) -> None:
        answer = ask(compiled(ANONYMOUS), "", Host(), scopes=["repository:public/a:pull"])

        assert reason(answer) == "malformed-token"


def refusals(policy: Policy, key: SigningKey, other: SigningKey) -> list[tuple[str, Refusal]]:
    """Every way to be refused with a token, as the token and the refusal."""
    keys = Host(public(key))
    narrow = token(key, iss="https://narrow.example.com")
    twin = token(key, iss="https://twin.example.com")
    asked: list[tuple[str, str, Host, str]] = [
        ("x." * 9, "ci", keys, "registry.example.com"),
        (token(key, filler="x" * MAX_TOKEN_LENGTH), "ci", keys, "registry.example.com"),
        (token(key, iss="https://other.example.com"), "x", keys, "registry.example.com"),
        (twin, "x", keys, "registry.example.com"),
        (narrow, "narrow", keys, "registry.example.com"),
        (token(key), "ci", Host(KeySet()), "registry.example.com"),
        (token(other), "ci", keys, "registry.example.com"),
        (token(key), "twin-a", keys, "registry.example.com"),
        (token(key, aud="other"), "ci", keys, "registry.example.com"),
        (token(key, exp=1), "ci", keys, "registry.example.com"),
        (token(key, nbf=T + 99), "ci", keys, "registry.example.com"),
        (token(key, sub=""), "ci", keys, "registry.example.com"),
        (token(key, sub="mallory"), "ci", keys, "registry.example.com"),
        (token(key), "ci", Host(KeysUnavailable("down")), "registry.example.com"),
        (token(key), "ci", keys, "other.example.com"),
    ]
    found = []
    for password, username, host, service in asked:
        answer = ask(policy, password, host, username, service)
        assert isinstance(answer, Refusal)
        found.append((password, answer))
    return found


def test_no_refusal_holds_the_token(
    policy: Policy, key: SigningKey, private_keys: Mapping[str, PrivateKey]
) -> None:
    other = SigningKey(private_keys["rsa-other"], "RS256", "k1")
    for password, refusal in refusals(policy, key, other):
        told = repr(refusal) + str(refusal)

        assert password not in told
        # The signature is what makes a token a secret.
        assert password.rpartition(".")[2][:20] not in told or password.endswith(".")


@pytest.mark.slow
def test_every_reason_of_a_login_comes_from_an_exchange(
    policy: Policy, key: SigningKey, private_keys: Mapping[str, PrivateKey]
) -> None:
    other = SigningKey(private_keys["rsa-other"], "RS256", "k1")
    seen = {refusal.reason for _, refusal in refusals(policy, key, other)}
    seen.add(reason(ask(policy, None, Host())))

    # Ages are in test_authentication, sessions in test_session, costs in test_request_budget.
    assert set(Reason) - seen == {Reason.TOO_OLD, Reason.UNKNOWN_SESSION, Reason.TOO_COSTLY}


def test_what_clients_are_told_holds_no_value(
    policy: Policy, key: SigningKey, private_keys: Mapping[str, PrivateKey]
) -> None:
    other = SigningKey(private_keys["rsa-other"], "RS256", "k1")
    for _, refusal in refusals(policy, key, other):
        for secret in ("someone", 'mallory"', "example.com", "ES256"):
            assert secret not in refusal.message


def test_credentials_do_not_show_the_token(key: SigningKey) -> None:
    secret = token(key)

    assert secret not in repr(Credentials("ci", secret))


def test_verdicts_are_in_the_order_of_the_request(policy: Policy, key: SigningKey) -> None:
    scopes = ["repository:b:pull", "repository:acme/a:push,pull"]
    decision = ask(policy, token(key), Host(public(key)), scopes=scopes)

    assert isinstance(decision, Decision)
    told: list[Verdict] = list(decision.verdicts)
    assert [str(verdict.access) for verdict in told] == [
        "repository:b:pull",
        "repository:acme/a:push",
        "repository:acme/a:pull",
    ]


@pytest.mark.parametrize("username", ["ci", "narrow", "<token>"])
@pytest.mark.parametrize("service", ["registry.example.com", "other.example.com"])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"sub": "mallory"},
        {"aud": "elsewhere"},
        {"exp": T - 300},
        {"iss": "https://twin.example.com"},
        {"iss": "https://nobody.example.com"},
        {"sub": ""},
    ],
    ids=str,
)
def test_a_login_that_was_verified_before_is_judged_like_any(
    policy: Policy, key: SigningKey, username: str, service: str, changed: Mapping[str, object]
) -> None:
    everywhere = dataclasses.replace(policy.providers["narrow"], algorithms=("RS256",))
    policy = dataclasses.replace(policy, providers={**policy.providers, "narrow": everywhere})
    claims = Claims({**CLAIMS, **changed})
    credentials = Credentials(username, sign(claims, key))
    host = Host(public(key))
    before = run(login(policy, credentials, service, NOW), host)

    assert login_verified(policy, username, claims, service, NOW) == before
    verified = bool(host.questions)
    if isinstance(before, Refusal):
        assert (before.claims, before.at) == ((claims, NOW) if verified else (None, None))


def test_s1_a_provider_whose_key_set_is_empty_is_asked_once_more_and_lets_nobody_in(
    policy: Policy, key: SigningKey
) -> None:
    host = Host(KeySet())

    assert reason(ask(policy, token(key), host)) == "unknown-key"
    assert host.asked == [("ci", None), ("ci", "k1")]
    assert reason(ask(policy, token(SigningKey(key.material, "RS256")), host)) == "unknown-key"


def test_where_a_bound_ends_the_search_for_a_key_the_refusal_says_so(
    policy: Policy, key: SigningKey, private_keys: Mapping[str, PrivateKey]
) -> None:
    """Fault `jwks-17-keys-no-kid`."""
    nameless = SigningKey(key.material, "RS256")
    others = [SigningKey(private_keys["rsa-other"], "RS256", f"o{one}") for one in range(16)]
    bounded = ask(policy, token(nameless), Host(public(*others, key)))
    whole = ask(policy, token(nameless), Host(public(*others)))

    assert isinstance(bounded, Refusal)
    assert isinstance(whole, Refusal)
    assert (bounded.reason, whole.reason) == ("bad-signature", "bad-signature")
    assert "tried the first 16 of 17 keys that fit" in bounded.detail
    assert "tried" not in whole.detail
