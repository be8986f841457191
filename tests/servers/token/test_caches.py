"""Caches: what is remembered, and everything that must end it."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from regauth.engine import Credentials, Refusal
from regauth.engine.tokens.jwks import jwks
from regauth.engine.tokens.keys import PrivateKey
from regauth.servers.bounded_cache import BoundedCache
from regauth.servers.configuration.settings import KeyFolder, SigningSettings
from regauth.servers.signing import key_folder
from regauth.servers.signing.signer import load_signer
from regauth.servers.token.answer_cache import AnswerCache, CacheQuestion, Granted
from regauth.servers.token.login_cache import LoginCache
from regauth.servers.token.request import TokenRequest
from regauth.servers.token.service import Issued, TokenAnswer, TokenService
from tests.servers.desk import (
    NOW,
    SERVICE,
    Desk,
    basic,
    compiled,
    make_desk,
    pem_keys,
    policy_text,
    reason_of,
)

pytestmark = pytest.mark.usefixtures("each_host")

SCOPE = "repository:acme/app:pull,push"


@pytest.fixture
def text(private_keys: dict[str, PrivateKey]) -> str:
    return policy_text(pem_keys(private_keys["rsa"]))


@pytest.fixture
def make(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Callable[..., Desk]:
    def desk(text: str, **settings: object) -> Desk:
        return make_desk(tmp_path, text, private_keys["rsa"], **settings)

    return desk


@pytest.fixture
def desk(make: Callable[..., Desk], text: str) -> Desk:
    return make(text)


def jti(desk: Desk, token: str, *scopes: str, **more: str) -> object:
    result = desk.ask(token, *(scopes or (SCOPE,)), **more)
    assert result.status_code == 200, result.text
    return desk.claims(result)["jti"]


def later(desk: Desk, seconds: float) -> None:
    desk.times.append(desk.times[-1] + timedelta(seconds=seconds))


def test_the_same_question_gets_the_same_token_for_some_seconds(desk: Desk) -> None:
    token = desk.token()
    first = desk.ask(token, SCOPE)
    later(desk, 4.9)
    second = desk.ask(token, SCOPE)
    later(desk, 0.2)
    third = desk.ask(token, SCOPE)

    assert first.json["token"] == second.json["token"] != third.json["token"]
    assert first.json["issued_at"] == second.json["issued_at"]
    assert (first.json["expires_in"], second.json["expires_in"]) == (300, 295)
    assert [one.get("reused") for one in desk.events()] == [None, True, None]


def test_a_clock_that_is_set_back_ends_what_was_remembered(desk: Desk) -> None:
    now = int(NOW.timestamp())
    token = desk.token(iat=now - 3600, nbf=now - 3600, exp=now + 3600)
    early = desk.token(iat=now, nbf=now, exp=now + 3600)
    first = desk.ask(token, SCOPE)
    assert desk.ask(early, SCOPE).status_code == 200
    later(desk, -600)
    second = desk.ask(token, SCOPE)

    assert desk.claims(second)["exp"] == now - 600 + 300
    assert (first.json["expires_in"], second.json["expires_in"]) == (300, 300)
    assert desk.ask(early, SCOPE).json["errors"][0]["detail"]["reason"] == "not-yet-valid"


def test_another_question_gets_another_token(desk: Desk) -> None:
    token = desk.token()
    asked = [
        jti(desk, token),
        jti(desk, token, "repository:acme/app:pull"),
        jti(desk, token, username="sample"),
        jti(desk, token, path="/token", account="x"),
        jti(desk, desk.token(jti="other")),
    ]

    assert len(set(asked)) == len(asked)


def test_a_question_that_does_not_name_the_token_is_never_answered_with_one(desk: Desk) -> None:
    desk.ask(desk.token(), SCOPE)

    assert desk.ask(None, SCOPE).status_code == 401
    assert desk.ask(desk.token()[:-4] + "AAAA", SCOPE).status_code == 401


def test_a_form_is_not_answered_as_the_query_of_the_same_words(desk: Desk) -> None:
    question = f"service={SERVICE}&scope=repository:acme/app:pull"
    headers = basic("github", desk.token())
    form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    first = desk.client.simulate_get("/token", query_string=question, headers=headers)
    second = desk.client.simulate_post("/token", body=question, headers=form)

    assert (first.status_code, second.status_code) == (200, 400)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"username": "other"}, "wrong-issuer"), ({"service": "else"}, "unknown-service")],
)
def test_a_login_is_remembered_for_its_own_user_name_and_service(
    make: Callable[..., Desk], text: str, change: dict[str, str], reason: str
) -> None:
    provider = text.partition("providers:\n")[2].partition("grants:\n")[0]
    other = provider.replace("  github:", "  other:").replace("sample-issuer", "other-issuer")
    desk = make(text.replace("grants:\n", f"{other}grants:\n"))
    token = desk.token()
    desk.ask(token, SCOPE)
    result = desk.client.simulate_get(
        "/token",
        params={"service": change.get("service", SERVICE)},
        headers=basic(change.get("username", "github"), token),
    )

    assert result.status_code == 401
    assert reason_of(result) == reason


def test_no_answer_is_given_again_beside_a_shadow_policy(desk: Desk, text: str) -> None:
    desk.service.state = replace(desk.service.state, shadow=compiled(text))
    token = desk.token()

    assert jti(desk, token) != jti(desk, token)


def test_a_denial_that_is_added_counts_at_once(desk: Desk, text: str) -> None:
    token = desk.token()
    before = desk.ask(token, SCOPE).json["scope"]
    denial = 'denials:\n  - name: frozen\n    repositories: ["acme/app"]\n    actions: [push]\n'
    desk.service.state = replace(desk.service.state, policy=compiled(text + denial))
    after = desk.ask(token, SCOPE).json["scope"]

    assert (before, after) == (SCOPE, "repository:acme/app:pull")


def test_a_rule_that_is_added_counts_at_once(desk: Desk, text: str) -> None:
    token = desk.token()
    before = desk.ask(token, SCOPE).status_code
    stricter = text.replace('claims.repository_owner_id == "1342004"', 'claims.actor == "nobody"')
    desk.service.state = replace(desk.service.state, policy=compiled(stricter))

    assert (before, desk.ask(token, SCOPE).status_code) == (200, 401)


def test_a_rotated_signing_key_signs_at_once(desk: Desk, tmp_path: Path) -> None:
    token = desk.token()
    before = jti(desk, token)
    key_folder.rotate(tmp_path / "keys", "ES256", NOW)
    signer = load_signer(SigningSettings(KeyFolder(tmp_path / "keys")), NOW)
    desk.service.state = replace(desk.service.state, signer=signer)

    assert jti(desk, token) != before


def test_an_expired_token_is_refused_however_often_it_was_accepted(desk: Desk) -> None:
    issued = int(NOW.timestamp())
    token = desk.token(exp=issued + 3)
    first = desk.ask(token, SCOPE).status_code
    later(desk, 34)  # past the expiry and its clock skew

    assert (first, desk.ask(token, SCOPE).status_code) == (200, 401)


def test_no_answer_outlives_the_login_s_own_token(desk: Desk) -> None:
    token = desk.token(exp=int(NOW.timestamp()) + 3)
    first = jti(desk, token)
    later(desk, 3.5)  # within the clock skew: still a login, but no old answer

    assert jti(desk, token) != first


def test_a_token_that_is_too_old_is_refused_although_it_was_verified(
    make: Callable[..., Desk], text: str
) -> None:
    desk = make(
        text.replace(
            "    claims: github", "    maxTokenAge: 20s\n    clockSkew: 0s\n    claims: github"
        )
    )
    token = desk.token()
    first = desk.ask(token, SCOPE).status_code
    later(desk, 21)

    assert (first, desk.ask(token, SCOPE).status_code) == (200, 401)


def test_no_answer_outlives_the_age_that_a_token_may_have(
    make: Callable[..., Desk], text: str
) -> None:
    limits = "    maxTokenAge: 20s\n    clockSkew: 0s\n"
    desk = make(text.replace("    claims: github", f"{limits}    claims: github"))
    token = desk.token()
    later(desk, 18)
    first = desk.ask(token, SCOPE).status_code
    later(desk, 3)

    assert (first, desk.ask(token, SCOPE).status_code) == (200, 401)


def test_a_grant_that_ends_ends_answers_with_it(make: Callable[..., Desk], text: str) -> None:
    desk = make(
        text.replace(
            "  - name: push-own-repository\n",
            "  - name: push-own-repository\n    expires: 2026-11-01T12:00:02Z\n",
        )
    )
    token = desk.token()
    before = desk.ask(token, SCOPE).json["scope"]
    later(desk, 2)

    assert (before, desk.ask(token, SCOPE).json["scope"]) == (SCOPE, "repository:acme/app:pull")


@pytest.mark.parametrize(
    "change",
    [
        ('when: claims.ref == "refs/heads/main"', 'when: now < timestamp("2026-11-01T12:00:02Z")'),
        (
            'check: claims.repository_owner_id == "1342004"',
            'check: now < timestamp("2026-11-01T12:00:02Z")',
        ),
        (
            'repositories: ["${claims.repository}"]',
            "repositories: [\"${now < timestamp(\\\"2026-11-01T12:00:02Z\\\") ? 'acme/app' : 'acme/x'}\"]",
        ),
    ],
)
def test_a_condition_that_asks_for_the_time_is_asked_every_time(
    make: Callable[..., Desk], text: str, change: tuple[str, str]
) -> None:
    desk = make(text.replace(*change))
    token = desk.token()
    before = desk.ask(token, SCOPE)
    later(desk, 2)
    after = desk.ask(token, SCOPE)

    assert before.json["scope"] == SCOPE
    assert after.status_code == 401 or after.json["scope"] == "repository:acme/app:pull"


def test_refusals_are_never_remembered(desk: Desk, text: str) -> None:
    token = desk.token(repository_owner_id="7")
    before = desk.ask(token, SCOPE).status_code
    desk.service.state = replace(
        desk.service.state, policy=compiled(text.replace('"1342004"', '"7"'))
    )

    assert (before, desk.ask(token, SCOPE).status_code) == (401, 200)


def test_caches_can_be_switched_off(make: Callable[..., Desk], text: str) -> None:
    desk = make(text, answer_cache=0.0)
    token = desk.token()

    assert jti(desk, token) != jti(desk, token)


def test_a_token_of_the_shortest_life_is_never_given_again(
    make: Callable[..., Desk], text: str
) -> None:
    desk = make(text, lifetime=timedelta(seconds=60))
    token = desk.token()

    assert jti(desk, token) != jti(desk, token)
    assert desk.ask(token, SCOPE).json["expires_in"] == 60


def test_a_cache_holds_no_more_than_its_bound_and_keeps_the_newest() -> None:
    cache: BoundedCache[int, int] = BoundedCache(100)
    for number in range(1000):
        cache.put(number, number)

    assert len(cache) <= 100
    assert cache.get(999) == 999
    assert cache.get(0) is None


def test_a_cache_of_no_size_holds_nothing() -> None:
    cache: BoundedCache[int, int] = BoundedCache(0)
    cache.put(1, 1)

    assert cache.get(1) is None


def test_many_threads_may_use_a_cache_at_once() -> None:
    cache: BoundedCache[int, int] = BoundedCache(50)
    wrong: list[int] = []

    def work(offset: int) -> None:
        for number in range(2000):
            cache.put(number + offset, number + offset)
            found = cache.get(number)
            if found not in (None, number):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 7, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert wrong == []
    assert len(cache) <= 50


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_s12_a_key_that_is_taken_back_while_a_token_is_signed_ends_the_answer(
    tmp_path: Path, private_keys: dict[str, PrivateKey], seconds: float
) -> None:
    """The keys that verified the login count, not those there are when the answer is kept."""
    file = tmp_path / "issuer.json"

    def publish(name: str) -> None:
        file.write_text(json.dumps(jwks([(private_keys[name].public_key(), "sample", "RS256")])))

    publish("rsa")
    desk = make_desk(tmp_path, policy_text("{jwksFile: issuer.json}"), private_keys["rsa"])
    logins = LoginCache(desk.keys, seconds=seconds)
    service = TokenService(
        desk.service.state,
        logins,
        issuer="registry-token-issuer",
        lifetime=timedelta(minutes=5),
        now=lambda: NOW,
    )
    for name, kept in (("rsa", True), ("rsa-other", False)):

        def take_back(_answer: TokenAnswer, _issued: Issued, name: str = name) -> None:
            """Between the login and what is kept of it."""
            if name != "rsa":
                publish(name)

        cache = AnswerCache(service, desk.keys, take_back)
        asked = TokenRequest(Credentials("github", desk.token()), SERVICE, ())
        question = CacheQuestion(b"the same", lambda asked=asked: asked)
        first, second = cache.answer(question), cache.answer(question)

        assert isinstance(first, Granted)
        assert not first.reused
        if kept:
            assert isinstance(second, Granted)
            assert second.reused
        else:
            assert isinstance(second, TokenAnswer)
            assert isinstance(second.outcome, Refusal)
            assert second.outcome.reason == "bad-signature"
