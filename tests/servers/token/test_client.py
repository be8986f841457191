"""A policy that asks from where: each answer is of one client."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from regauth.engine.tokens.keys import PrivateKey
from regauth.servers.configuration.settings import SqliteSettings
from regauth.servers.sessions.opening import open_store
from regauth.servers.sessions.sessions import Sessions
from regauth.servers.telemetry.decision_log import DecisionLog
from tests.servers.desk import SERVICE, Desk, basic, make_desk, pem_keys, policy_text

SCOPE = "repository:acme/app:pull,push"
OFFICE = 'client.inNetwork("10.0.0.0/8")'
PULL, PUSH = ["pull"], ["pull", "push"]


@pytest.fixture
def make(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Callable[..., Desk]:
    def desk(*changes: tuple[str, str]) -> Desk:
        text = policy_text(pem_keys(private_keys["rsa"])).replace(
            'when: claims.ref == "refs/heads/main"',
            f'when: claims.ref == "refs/heads/main" && {OFFICE}',
        )
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return make_desk(tmp_path, text, private_keys["rsa"])

    return desk


def actions(desk: Desk, token: str, peer: str, **headers: str) -> list[str]:
    result = desk.client.simulate_get(
        "/auth/token",
        params={"service": SERVICE, "scope": SCOPE},
        headers={**basic("github", token), **headers},
        remote_addr=peer,
    )
    assert result.status_code == 200, result.text
    access = desk.claims(result)["access"]
    return [] if not access else list(access[0]["actions"])


def test_the_address_decides(make: Callable[..., Desk]) -> None:
    desk = make()
    token = desk.token()

    assert actions(desk, token, "10.1.2.3") == PUSH
    assert actions(desk, token, "::ffff:10.1.2.3") == PUSH
    assert actions(desk, token, "192.0.2.1") == PULL
    assert actions(desk, token, "2001:db8::1") == PULL


def test_an_answer_is_never_given_to_another_client(make: Callable[..., Desk]) -> None:
    """The very same request within the cache's seconds, from other addresses."""
    desk = make()
    token = desk.token()
    asked = ["10.1.2.3", "192.0.2.1", "10.1.2.3", "10.1.2.4", "192.0.2.1", "::ffff:10.1.2.3"]

    assert [actions(desk, token, peer) for peer in asked] == [PUSH, PULL, PUSH, PUSH, PULL, PUSH]
    assert [one.get("reused") for one in desk.events()] == [None, None, True, None, True, True]


def test_an_unknown_client_is_an_error_and_never_allows(make: Callable[..., Desk]) -> None:
    desk = make()
    token = desk.token()

    assert actions(desk, token, "10.1.2.3") == PUSH
    assert actions(desk, token, "10.1.2.3", **{"X-Forwarded-For": "10.1.2.3"}) == PULL
    assert actions(desk, token, "") == PULL
    assert actions(desk, token, "10.1.2.3") == PUSH


def test_a_denial_refuses_an_unknown_client(make: Callable[..., Desk]) -> None:
    denial = f"denials:\n  - {{name: far, when: '!{OFFICE}', repositories: ['**'], actions: [pull, push]}}\n"
    desk = make(("grants:\n", f"{denial}grants:\n"))
    token = desk.token()

    assert actions(desk, token, "10.1.2.3") == PUSH
    assert actions(desk, token, "192.0.2.1") == []
    assert actions(desk, token, "10.1.2.3", Forwarded="for=10.1.2.3") == []


def test_a_refresh_asks_anew_from_where(make: Callable[..., Desk], tmp_path: Path) -> None:
    claims = "    claims: github-actions\n"
    desk = make((claims, f"{claims}    refreshTokens: {{maxSession: 8h}}\n"))
    sessions = Sessions(open_store(SqliteSettings(tmp_path / "sessions.db")))
    desk.service._sessions = sessions
    begun = desk.client.simulate_get(
        "/auth/token",
        params={"service": SERVICE, "scope": SCOPE, "offline_token": "true"},
        headers=basic("github", desk.token()),
        remote_addr="10.1.2.3",
    )
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": begun.json["refresh_token"],
        "service": SERVICE,
        "scope": SCOPE,
    }

    def refreshed(peer: str, **headers: str) -> list[str]:
        result = desk.client.simulate_post(
            "/auth/token",
            body=urlencode(fields),
            headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
            remote_addr=peer,
        )
        return list(desk.claims(result)["access"][0]["actions"])

    found = [refreshed(peer) for peer in ("10.1.2.3", "192.0.2.1", "10.1.2.3")]
    hidden = refreshed("10.1.2.3", Forwarded="for=10.1.2.3")
    sessions.close()

    assert found == [PUSH, PULL, PUSH]
    assert hidden == PULL


def test_the_record_says_what_conditions_could_read(
    make: Callable[..., Desk], tmp_path: Path
) -> None:
    desk = make()
    desk.observer.decisions = DecisionLog(tmp_path / "decisions.jsonl")
    token = desk.token()
    actions(desk, token, "::ffff:10.1.2.3")
    actions(desk, token, "10.1.2.3", Forwarded="for=10.1.2.3")
    desk.observer.decisions.close()
    lines = (tmp_path / "decisions.jsonl").read_text().splitlines()

    assert [json.loads(line)["address"] for line in lines] == ["10.1.2.3", ""]
