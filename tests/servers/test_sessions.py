"""Refresh tokens: begun by a login, held to the current policy at every use, ended in time."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import falcon.testing
import pytest
from click.testing import CliRunner

from regauth.engine.keys import PrivateKey
from regauth.servers.sessions import PREFIX, Sessions
from regauth.servers.settings import RefreshSettings
from regauth.servers.token_server import main
from regauth.servers.token_service import Refresh

from .desk import SERVICE, Desk, basic, compiled, make_desk, pem_keys, policy_text

SCOPE = "repository:acme/app:pull,push"
EIGHT_HOURS = timedelta(hours=8)


@pytest.fixture
def text(private_keys: dict[str, PrivateKey]) -> str:
    return policy_text(pem_keys(private_keys["rsa"])).replace(
        "services: [registry.example.com]", "services: [registry.example.com, other.example.com]"
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def desk(
    tmp_path: Path, text: str, file: Path, private_keys: dict[str, PrivateKey]
) -> Iterator[Desk]:
    made = make_desk(tmp_path, text, private_keys["rsa"])
    sessions = Sessions(file)
    settings = RefreshSettings(file, EIGHT_HOURS, frozenset({"github"}))
    made.service._refresh = Refresh(sessions, settings)
    yield made
    sessions.close()


@pytest.fixture
def refresh_token(desk: Desk) -> str:
    """The refresh token of a `docker login`."""
    return str(desk.ask(desk.token(), offline_token="true").json["refresh_token"])


def refresh(desk: Desk, token: str, service: str = SERVICE) -> falcon.testing.Result:
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "service": service,
        "client_id": "docker",
        "scope": SCOPE,
    }
    return desk.client.simulate_post(
        "/auth/token",
        body=urlencode(fields),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )


def later(desk: Desk, by: timedelta) -> None:
    desk.times.append(desk.times[-1] + by)


def test_a_session_outlasts_the_token_that_began_it(desk: Desk, refresh_token: str) -> None:
    later(desk, EIGHT_HOURS - timedelta(seconds=1))
    result = refresh(desk, refresh_token)

    assert (result.status_code, result.json["scope"]) == (200, SCOPE)
    assert desk.claims(result)["sub"] == "repo:acme/app:ref:refs/heads/main"
    assert "refresh_token" not in result.json


def test_a_session_ends(desk: Desk, refresh_token: str) -> None:
    later(desk, EIGHT_HOURS)
    result = refresh(desk, refresh_token)

    assert result.status_code == 401
    assert result.json["errors"][0]["detail"] == {"reason": "unknown-session"}


def test_a_post_that_asks_for_offline_access_gets_one_too(desk: Desk) -> None:
    fields = {
        "grant_type": "password",
        "username": "github",
        "password": desk.token(),
        "service": SERVICE,
        "access_type": "offline",
    }
    result = desk.client.simulate_post(
        "/auth/token",
        body=urlencode(fields),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert result.json["refresh_token"].startswith(PREFIX)


@pytest.mark.parametrize("more", [{}, {"offline_token": "false"}])
def test_nobody_gets_one_unasked(desk: Desk, more: dict[str, str]) -> None:
    assert "refresh_token" not in desk.ask(desk.token(), **more).json


def test_a_provider_that_is_not_configured_for_it_gets_none(desk: Desk) -> None:
    assert desk.service._refresh is not None
    settings = replace(desk.service._refresh.settings, providers=frozenset({"other"}))
    desk.service._refresh = replace(desk.service._refresh, settings=settings)

    assert "refresh_token" not in desk.ask(desk.token(), offline_token="true").json


def test_the_current_policy_is_applied_at_every_use(
    desk: Desk, refresh_token: str, text: str
) -> None:
    denial = 'denials:\n  - name: frozen\n    repositories: ["acme/app"]\n    actions: [push]\n'
    desk.service.state = replace(desk.service.state, policy=compiled(text + denial))
    denied = refresh(desk, refresh_token)
    stricter = text.replace('"1342004"', '"7"')
    desk.service.state = replace(desk.service.state, policy=compiled(stricter))
    refused = refresh(desk, refresh_token)
    renamed = text.replace("  github:\n", "  hub:\n")
    desk.service.state = replace(desk.service.state, policy=compiled(renamed))
    gone = refresh(desk, refresh_token)

    assert denied.json["scope"] == "repository:acme/app:pull"
    assert refused.json["errors"][0]["detail"] == {"reason": "rule:our-organisation"}
    assert gone.json["errors"][0]["detail"] == {"reason": "unknown-session"}


def test_a_shorter_longest_session_counts_for_sessions_that_there_are(
    desk: Desk, refresh_token: str
) -> None:
    assert desk.service._refresh is not None
    settings = replace(desk.service._refresh.settings, max_session=timedelta(hours=1))
    desk.service._refresh = replace(desk.service._refresh, settings=settings)
    later(desk, timedelta(hours=1))

    assert refresh(desk, refresh_token).status_code == 401


def test_a_refresh_token_is_good_for_one_service(desk: Desk, refresh_token: str) -> None:
    assert refresh(desk, refresh_token, "other.example.com").status_code == 401


@pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: t + "A", lambda _: PREFIX])
def test_a_made_up_refresh_token_is_refused(
    desk: Desk, refresh_token: str, spoil: Callable[[str], str]
) -> None:
    assert refresh(desk, spoil(refresh_token)).status_code == 401


def test_a_refresh_token_is_no_password(desk: Desk, refresh_token: str) -> None:
    result = desk.client.simulate_get(
        "/auth/token", params={"service": SERVICE}, headers=basic("github", refresh_token)
    )

    assert result.status_code == 401


def test_without_a_store_refresh_tokens_are_refused(desk: Desk, refresh_token: str) -> None:
    desk.service._refresh = None

    assert refresh(desk, refresh_token).status_code == 401
    assert "refresh_token" not in desk.ask(desk.token(run_id="2"), offline_token="true").json


def test_the_file_holds_no_token_and_is_its_owner_s_alone(
    desk: Desk, file: Path, refresh_token: str
) -> None:
    stored = b"".join(path.read_bytes() for path in file.parent.glob("sessions.db*"))

    assert refresh_token.encode() not in stored
    assert refresh_token.removeprefix(PREFIX).encode() not in stored
    assert file.stat().st_mode & 0o077 == 0
    assert refresh_token not in desk.log.read_text()


def test_sessions_are_shown_and_revoked_by_command(
    desk: Desk, file: Path, refresh_token: str
) -> None:
    shown = CliRunner().invoke(main, ["sessions", "list", str(file)])
    revoke = ["sessions", "revoke", str(file), "--provider", "github", "--subject"]
    other = CliRunner().invoke(main, [*revoke, "somebody"])
    before = refresh(desk, refresh_token).status_code
    ended = CliRunner().invoke(main, [*revoke, "repo:acme/app:ref:refs/heads/main"])
    after = refresh(desk, refresh_token).status_code

    assert "github  repo:acme/app:ref:refs/heads/main  registry.example.com" in shown.output
    assert refresh_token not in shown.output
    assert (other.output, ended.output) == ("0 sessions ended\n", "1 session ended\n")
    assert (before, after) == (200, 401)


@pytest.mark.parametrize("options", [[], ["--subject", "x"], ["--all", "--provider", "x"]])
def test_revoking_needs_to_be_told_what(desk: Desk, file: Path, options: list[str]) -> None:
    desk.ask(desk.token(), offline_token="true")

    assert CliRunner().invoke(main, ["sessions", "revoke", str(file), *options]).exit_code == 2


def test_ended_sessions_are_removed(desk: Desk, file: Path, refresh_token: str) -> None:
    later(desk, EIGHT_HOURS)
    desk.ask(desk.token(), offline_token="true")
    with sqlite3.connect(file) as connection:
        count = connection.execute("SELECT count(*) FROM sessions").fetchone()
    connection.close()

    assert count == (1,)


def test_a_store_that_is_broken_stops_no_login_and_says_503_to_sessions(
    desk: Desk, file: Path, refresh_token: str
) -> None:
    assert desk.service._refresh is not None
    broken = file.with_name("broken.db")
    broken.write_bytes(b"this is no database at all, nor was it ever one" * 100)
    sessions = Sessions(broken)
    desk.service._refresh = replace(desk.service._refresh, sessions=sessions)
    login = desk.ask(desk.token(run_id="2"), offline_token="true")
    resumed = refresh(desk, refresh_token)
    sessions.close()

    assert login.status_code == 200
    assert "refresh_token" not in login.json
    assert resumed.status_code == 503
