"""Refresh tokens of real server processes: one, several on one machine, several that share a database."""

import http.client
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from regauth.servers.configuration.settings import (
    PostgresqlSettings,
    SessionSettings,
    SqliteSettings,
)
from tests.servers.desk import basic
from tests.servers.postgresql import PASSWORD, Cluster
from tests.servers.process import OWN_PROCESS, PATIENCE, Running, run, sample_jwt

SERVICE = "registry.example.com"


@dataclass
class Client:
    """A client of one server."""

    port: int

    def ask(
        self, method: str, path: str, body: str = "", **headers: str
    ) -> tuple[int, dict[str, str], dict[str, object]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, names, json.loads(answer.read())
        finally:
            connection.close()

    def login(self, jwt: str) -> dict[str, object]:
        query = urlencode({"service": SERVICE, "offline_token": "true"})
        status, _, content = self.ask("GET", f"/auth/token?{query}", **basic("sample", jwt))
        assert status == 200, content
        return content

    def refresh(self, token: object) -> tuple[int, dict[str, str]]:
        form = {"grant_type": "refresh_token", "refresh_token": str(token), "service": SERVICE}
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        status, headers, _ = self.ask("POST", "/auth/token", urlencode(form), **kind)
        return status, headers


@pytest.fixture
def jwt(folder: Path) -> str:
    return sample_jwt(folder)


@pytest.fixture
def policy(folder: Path) -> Path:
    """The policy's file, which allows refresh tokens."""
    file = folder / "policy" / "policy.yaml"
    text = file.read_text()
    allowed = "    refreshTokens: {maxSession: 8h}\n    claims: github-actions\n"
    file.write_text(text.replace("    claims: github-actions\n", allowed))
    return file


def configure(folder: Path, kept: SessionSettings, more: str = "") -> Path:
    where = (
        {"file": "sessions.db"}
        if isinstance(kept, SqliteSettings)
        else {"postgresql": kept.conninfo, "passwordFile": str(kept.password_file)}
    )
    file = folder / "server.yaml"
    file.write_text(file.read_text() + f"refreshTokens: {json.dumps(where)}\n{more}")
    return file


def test_workers_share_sessions_and_one_that_is_killed_takes_none_with_it(
    folder: Path, policy: Path, jwt: str, kept: SessionSettings, start: Callable[..., Running]
) -> None:
    server = start("--config", configure(folder, kept, "workers: 2\n"))
    client = Client(server.port)
    tokens = [client.login(jwt)["refresh_token"] for _ in range(6)]
    started = [event for event in server.events if event["event"] == "worker-started"]
    os.kill(int(str(started[0]["pid"])), signal.SIGKILL)
    server.wait_for(lambda event: event["event"] == "worker-died")
    statuses = [client.refresh(token)[0] for token in tokens * 2]

    assert statuses == [200] * 12
    assert server.end() == 0


def test_servers_that_share_a_database_share_sessions_and_their_end(
    folder: Path,
    policy: Path,
    jwt: str,
    database: PostgresqlSettings,
    start: Callable[..., Running],
) -> None:
    configuration = configure(folder, database)
    first = start("--config", configuration)
    second = start("--config", configuration, command=OWN_PROCESS)
    one, two = Client(first.port), Client(second.port)
    token = one.login(jwt)["refresh_token"]
    first.process.kill()
    before = two.refresh(token)[0]
    command = ("--config", configuration, "--provider", "sample")
    revoked = run("sessions", "revoke", *command)
    after = two.refresh(token)[0]
    shown = Path(f"/proc/{second.process.pid}/cmdline").read_text()

    assert (before, after) == (200, 401)
    assert revoked.stdout == "1 session ended\n"
    assert second.end() == 0
    assert PASSWORD not in shown + json.dumps([first.events, second.events])
    assert str(token) not in json.dumps([first.events, second.events])


def test_a_server_starts_and_serves_while_the_database_is_away_and_says_so(
    folder: Path,
    policy: Path,
    jwt: str,
    cluster: Cluster,
    database: PostgresqlSettings,
    start: Callable[..., Running],
) -> None:
    cluster.stop()
    try:
        server = start("--config", configure(folder, database))
        client = Client(server.port)
        login = client.login(jwt)
        status, headers = client.refresh("regauth-session-x")
        said = server.wait_for(lambda event: event["event"] == "sessions-unavailable")
    finally:
        cluster.start()

    assert "refresh_token" not in login
    assert (status, headers["retry-after"]) == (503, "5")
    assert "the sessions' database is away" in str(said["reason"])
    assert server.end() == 0


def test_withdrawn_permission_ends_sessions_when_the_policy_is_read(
    folder: Path, policy: Path, jwt: str, start: Callable[..., Running]
) -> None:
    server = start("--config", configure(folder, SqliteSettings(Path())))
    client = Client(server.port)
    token = client.login(jwt)["refresh_token"]
    before = client.refresh(token)[0]
    policy.write_text(policy.read_text().replace("    refreshTokens: {maxSession: 8h}\n", ""))
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(lambda event: event["event"] == "reloaded")

    assert (before, client.refresh(token)[0]) == (200, 401)
    assert "refresh_token" not in client.login(jwt)


def test_a_policy_that_allows_what_the_server_cannot_keep_is_said_once(
    folder: Path, policy: Path, jwt: str, start: Callable[..., Running]
) -> None:
    configuration = folder / "server.yaml"
    configuration.write_text(configuration.read_text() + "workers: 2\n")
    server = start("--config", configuration)
    login = Client(server.port).login(jwt)
    assert server.end() == 0
    said = [event for event in server.events if event["event"] == "no-refresh-tokens"]

    assert "refresh_token" not in login
    assert len(said) == 1
    assert (said[0]["level"], said[0]["providers"]) == ("warning", ["sample"])


def test_a_server_that_keeps_what_no_policy_allows_says_so(
    folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", configure(folder, SqliteSettings(Path())))
    said = server.wait_for(lambda event: event["event"] == "no-refresh-tokens")

    assert said["reason"] == "no provider of the policy allows them"


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("{file: none/sessions.db}", "whose folder is not there"),
        ("{postgresql: host=db.example.com}", "no `sslmode`"),
        ("{postgresql: host=localhost password=x}", "a password does not belong in this file"),
        ("{maxSession: 8h}", "unknown key `maxSession`"),
    ],
)
def test_sessions_that_cannot_be_kept_as_configured_are_said_before_anything_is_served(
    folder: Path, where: str, words: str
) -> None:
    file = folder / "server.yaml"
    file.write_text(file.read_text() + f"refreshTokens: {where}\n")
    done = run("--config", file)

    assert done.returncode == 2
    assert words in done.stderr
    assert "server.yaml" in done.stderr
    assert "Traceback" not in done.stderr
