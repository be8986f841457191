"""Refresh tokens: begun by a login, held to the current policy at every use, ended in time."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode

import falcon.testing
import pytest
from click.testing import CliRunner

from regauth.engine.tokens.keys import PrivateKey
from regauth.servers.commands.token_server import main
from regauth.servers.configuration.settings import Rate, Rates, SessionSettings, SqliteSettings
from regauth.servers.sessions.opening import open_store
from regauth.servers.sessions.sessions import PREFIX, Sessions
from tests.servers.desk import SERVICE, Desk, basic, compiled, make_desk, pem_keys, policy_text
from tests.servers.postgresql import Cluster

SCOPE = "repository:acme/app:pull,push"
EIGHT_HOURS = timedelta(hours=8)
ALLOWED = "    refreshTokens: {maxSession: 8h}\n"


@pytest.fixture
def text(private_keys: dict[str, PrivateKey]) -> str:
    plain = policy_text(pem_keys(private_keys["rsa"])).replace(
        "services: [registry.example.com]", "services: [registry.example.com, other.example.com]"
    )
    return plain.replace("    claims: github-actions\n", f"    claims: github-actions\n{ALLOWED}")


@pytest.fixture
def desk(
    tmp_path: Path, text: str, kept: SessionSettings, private_keys: dict[str, PrivateKey]
) -> Iterator[Desk]:
    made = make_desk(tmp_path, text, private_keys["rsa"])
    made.service._sessions = Sessions(open_store(kept))
    yield made
    if made.service._sessions is not None:
        made.service._sessions.close()


@pytest.fixture
def configuration(tmp_path: Path, kept: SessionSettings) -> Path:
    """A server's file, for the commands."""
    where = (
        {"file": str(kept.file)}
        if isinstance(kept, SqliteSettings)
        else {"postgresql": kept.conninfo, "passwordFile": str(kept.password_file)}
    )
    file = tmp_path / "server.yaml"
    file.write_text(
        f"policy: policy\nissuer: auth\nsigning: {{keyFolder: keys}}\nrefreshTokens: {json.dumps(where)}\n"
    )
    return file


def change(desk: Desk, text: str) -> None:
    """Let the server have another policy."""
    desk.service.state = replace(desk.service.state, policy=compiled(text))


@pytest.fixture
def refresh_token(desk: Desk) -> str:
    """The refresh token of a `docker login`."""
    return str(desk.ask(desk.token(), offline_token="true").json["refresh_token"])


def refresh(desk: Desk, token: str, service: str = SERVICE, **more: str) -> falcon.testing.Result:
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "service": service,
        "client_id": "docker",
        "scope": SCOPE,
        **more,
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


def test_each_login_begins_a_session_of_its_own(desk: Desk) -> None:
    token = desk.token()
    begun = {desk.ask(token, offline_token="true").json["refresh_token"] for _ in range(2)}

    assert len(begun) == 2


def test_a_session_gives_no_other_session(desk: Desk, refresh_token: str) -> None:
    result = refresh(desk, refresh_token, access_type="offline")

    assert result.status_code == 200
    assert "refresh_token" not in result.json


def test_a_session_ends(desk: Desk, refresh_token: str) -> None:
    later(desk, EIGHT_HOURS)
    result = refresh(desk, refresh_token)

    assert result.status_code == 401
    assert result.json["errors"][0]["detail"]["reason"] == "unknown-session"


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


def test_whoever_asks_too_often_leaves_no_session_behind(
    tmp_path: Path, text: str, kept: SessionSettings, private_keys: dict[str, PrivateKey]
) -> None:
    rates = Rates(identity=Rate(0.1, 1))
    desk = make_desk(tmp_path, text, private_keys["rsa"], rates=rates)
    store = open_store(kept)
    desk.service._sessions = Sessions(store)
    answers = [desk.ask(desk.token(), offline_token="true", account=str(n)) for n in range(3)]

    assert [one.status_code for one in answers] == [200, 429, 429]
    assert len(store.all()) == 1
    store.close()


@pytest.mark.parametrize(("owner", "given"), [("1342004", True), ("7", False)])
def test_whom_no_grant_is_about_gets_a_token_and_no_session(
    desk: Desk, text: str, owner: str, given: bool
) -> None:
    """Of GitHub anybody has a token, and each session would take a row for hours."""
    head, _, rest = text.partition("    rules:\n")
    assert rest
    desk.service.state = replace(
        desk.service.state,
        policy=compiled(
            head + "grants:\n  - name: ours\n    when: claims.repository_owner_id == '1342004'\n"
            "    repositories: [acme/app]\n    actions: [pull]\n"
        ),
    )
    result = desk.ask(desk.token(repository_owner_id=owner), offline_token="true")

    assert result.status_code == 200
    assert result.json["token"]
    assert ("refresh_token" in result.json) is given


@pytest.mark.parametrize("more", [{}, {"offline_token": "false"}])
def test_nobody_gets_one_unasked(desk: Desk, more: dict[str, str]) -> None:
    assert "refresh_token" not in desk.ask(desk.token(), **more).json


def test_a_provider_that_the_policy_gives_none_gets_none(desk: Desk, text: str) -> None:
    change(desk, text.replace(ALLOWED, ""))

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
    assert refused.json["errors"][0]["detail"]["reason"] == "rule:our-organisation"
    assert gone.json["errors"][0]["detail"]["reason"] == "unknown-session"


def test_a_policy_that_takes_the_permission_back_ends_sessions_at_once(
    desk: Desk, refresh_token: str, text: str
) -> None:
    before = refresh(desk, refresh_token)
    change(desk, text.replace(ALLOWED, ""))
    without = refresh(desk, refresh_token)
    change(desk, text)
    again = refresh(desk, refresh_token)

    assert (before.status_code, without.status_code, again.status_code) == (200, 401, 200)
    assert without.json["errors"][0]["detail"]["reason"] == "unknown-session"
    assert desk.events()[-2]["detail"] == "the policy gives 'github' no refresh tokens"


def test_a_shorter_longest_session_counts_for_sessions_that_there_are(
    desk: Desk, refresh_token: str, text: str
) -> None:
    change(desk, text.replace("maxSession: 8h", "maxSession: 1h"))
    later(desk, timedelta(hours=1) - timedelta(seconds=1))
    before = refresh(desk, refresh_token)
    later(desk, timedelta(seconds=1))

    assert (before.status_code, refresh(desk, refresh_token).status_code) == (200, 401)


def test_a_longer_longest_session_is_for_sessions_to_come(
    desk: Desk, refresh_token: str, text: str
) -> None:
    change(desk, text.replace("maxSession: 8h", "maxSession: 24h"))
    later(desk, EIGHT_HOURS)

    assert refresh(desk, refresh_token).status_code == 401


def test_a_service_that_the_policy_no_longer_has_is_refused(
    desk: Desk, refresh_token: str, text: str
) -> None:
    change(desk, text.replace("registry.example.com, other", "new.example.com, other"))
    result = refresh(desk, refresh_token)

    assert result.json["errors"][0]["detail"]["reason"] == "unknown-service"


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
    sessions, desk.service._sessions = desk.service._sessions, None
    refused = refresh(desk, refresh_token)
    login = desk.ask(desk.token(run_id="2"), offline_token="true")
    desk.service._sessions = sessions

    assert refused.status_code == 401
    assert (login.status_code, "refresh_token" in login.json) == (200, False)


def test_a_store_holds_no_token(
    kept: SessionSettings, refresh_token: str, request: pytest.FixtureRequest
) -> None:
    if isinstance(kept, SqliteSettings):
        files = list(kept.file.parent.glob("sessions.db*"))
        stored = "".join(path.read_bytes().decode("latin-1") for path in files)
    else:
        cluster: Cluster = request.getfixturevalue("cluster")
        name = kept.conninfo.rpartition("dbname=")[2]
        stored = cluster.sql("SELECT * FROM regauth_sessions", name)

    assert "repo:acme/app" in stored
    assert refresh_token not in stored
    assert refresh_token.removeprefix(PREFIX) not in stored


def test_a_store_that_is_broken_stops_no_login_and_says_503_to_sessions(
    desk: Desk, refresh_token: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"this is no database at all, nor was it ever one" * 100)
    sessions = desk.service._sessions
    desk.service._sessions = Sessions(open_store(SqliteSettings(broken)))
    login = desk.ask(desk.token(run_id="2"), offline_token="true")
    resumed = refresh(desk, refresh_token)
    desk.service._sessions = sessions

    assert (login.status_code, "refresh_token" in login.json) == (200, False)
    assert (resumed.status_code, resumed.headers["retry-after"]) == (503, "5")


def test_no_log_has_the_token(desk: Desk, refresh_token: str) -> None:
    refresh(desk, refresh_token)
    refresh(desk, refresh_token + "A")

    assert refresh_token.removeprefix(PREFIX) not in desk.log.read_text()


def test_sessions_are_shown_and_revoked_by_command(
    desk: Desk, configuration: Path, refresh_token: str
) -> None:
    shown = CliRunner().invoke(main, ["sessions", "list", "--config", str(configuration)])
    revoke = ["sessions", "revoke", "--config", str(configuration), "--provider", "github"]
    other = CliRunner().invoke(main, [*revoke, "--subject", "somebody"])
    before = refresh(desk, refresh_token).status_code
    ended = CliRunner().invoke(main, [*revoke, "--subject", "repo:acme/app:ref:refs/heads/main"])
    after = refresh(desk, refresh_token).status_code

    session_id, _, rest = shown.output.partition("  ")
    assert session_id == sha256(refresh_token.encode()).hexdigest()[:16]
    assert rest == (
        "github  repo:acme/app:ref:refs/heads/main  registry.example.com  "
        "began 2026-11-01T12:00:00Z  ends 2026-11-01T20:00:00Z\n"
    )
    assert (other.output, ended.output) == ("0 sessions ended\n", "1 session ended\n")
    assert (before, after) == (200, 401)


def test_o12_one_session_is_ended_by_the_id_that_is_shown(
    desk: Desk, configuration: Path, refresh_token: str
) -> None:
    other = desk.ask(desk.token(run_id="2"), offline_token="true").json["refresh_token"]
    command = ["sessions", "revoke", "--config", str(configuration), "--id"]
    session_id = sha256(refresh_token.encode()).hexdigest()[:16]
    ended = [CliRunner().invoke(main, [*command, session_id]).output for _ in range(2)]
    wrong = [CliRunner().invoke(main, [*command, one]) for one in ("", "ab", "zz" * 8)]

    assert ended == ["1 session ended\n", "0 sessions ended\n"]
    assert (refresh(desk, refresh_token).status_code, refresh(desk, other).status_code) == (
        401,
        200,
    )
    assert [one.exit_code for one in wrong] == [2, 2, 2]
    assert all("is not an id" in one.output for one in wrong)


def test_every_session_can_be_ended_at_once(desk: Desk, configuration: Path) -> None:
    for number in range(3):
        desk.ask(desk.token(run_id=str(number)), offline_token="true")
    command = ["sessions", "revoke", "--config", str(configuration), "--all"]

    assert CliRunner().invoke(main, command).output == "3 sessions ended\n"


def test_ended_sessions_are_removed_by_command_and_by_new_ones(
    desk: Desk, configuration: Path, refresh_token: str
) -> None:
    """Their times are of the past, as the desk's are."""
    later(desk, EIGHT_HOURS)
    desk.ask(desk.token(), offline_token="true")
    shown = CliRunner().invoke(main, ["sessions", "list", "--config", str(configuration)])
    pruned = CliRunner().invoke(main, ["sessions", "prune", "--config", str(configuration)])

    assert shown.output.count("\n") == 1
    assert pruned.output == "1 session removed\n"


@pytest.mark.parametrize(
    "options", [[], ["--subject", "x"], ["--all", "--provider", "x"], ["--id", "a", "--all"]]
)
def test_revoking_needs_to_be_told_what(tmp_path: Path, options: list[str]) -> None:
    command = ["sessions", "revoke", "--config", str(tmp_path / "server.yaml"), *options]

    assert CliRunner().invoke(main, command).exit_code == 2


def test_a_server_without_sessions_has_none_to_show(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text("policy: policy\nissuer: auth\nsigning: {keyFolder: keys}\n")
    done = CliRunner().invoke(main, ["sessions", "list", "--config", str(file)])

    assert done.exit_code == 2
    assert "has no `refreshTokens`" in done.output


def test_two_servers_take_the_same_refresh_token(
    desk: Desk, kept: SessionSettings, refresh_token: str
) -> None:
    """On several machines with PostgreSQL: nothing of a session is in a server's memory."""
    other = Sessions(open_store(kept))
    ready, subjects = threading.Barrier(2), []

    def redeem(sessions: Sessions) -> None:
        ready.wait(10)
        for _ in range(20):
            found = sessions.resume(
                refresh_token, desk.service.state.policy, SERVICE, desk.times[-1]
            )
            subjects.append(getattr(found, "identity", None))
        sessions.close()

    assert desk.service._sessions is not None
    threads = [
        threading.Thread(target=redeem, args=(one,)) for one in (desk.service._sessions, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(subjects) == 40
    assert {str(one) for one in subjects} == {"github:repo:acme/app:ref:refs/heads/main"}


def test_after_it_was_revoked_nobody_redeems_it_any_more(
    desk: Desk, kept: SessionSettings, refresh_token: str
) -> None:
    """Four clients redeem it again and again while it is revoked by somebody else."""
    revoked, ended = threading.Event(), threading.Event()
    wrong: list[int] = []
    used = threading.Semaphore(0)

    def redeem() -> None:
        while not ended.is_set():
            afterwards = revoked.is_set()
            status = refresh(desk, refresh_token).status_code
            used.release()
            if status not in ({401} if afterwards else {200, 401}):
                wrong.append(status)
            if afterwards:
                return

    threads = [threading.Thread(target=redeem) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert all(used.acquire(timeout=20) for _ in range(20))
        store = open_store(kept)
        assert store.revoke("github", None) == 1
        revoked.set()
        store.close()
        for thread in threads:
            thread.join(20)
    finally:
        ended.set()

    assert wrong == []
    assert refresh(desk, refresh_token).status_code == 401
