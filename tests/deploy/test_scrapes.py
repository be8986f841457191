"""
What alerts and dashboard ask for is in real scrapes of servers that have worked.

Each server has met everything that the metrics tell of: logins that were issued, refused and kept
waiting by a provider or a store that is away, questions why, reloads, connections turned away, a
registry that fails.
"""

import http.client
import json
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from regauth.servers.configuration.settings import HostName
from regauth.servers.setup import sample
from tests.forkserver.programs import forked
from tests.servers.conftest import folder, initialized, provider, start
from tests.servers.desk import basic
from tests.servers.hosting import HOSTS
from tests.servers.local_http import Answer, Provider
from tests.servers.process import PATIENCE, Running
from tests.servers.proxy.standing import plain, registry

from .expressions import Scrape, asked

__all__ = ["folder", "initialized", "provider", "start"]

SERVICE = "registry.example.com"
SCOPE = "repository:acme/app:pull,push"
MORE_PROVIDERS = """\
  far:
    issuer: https://far.example.com
    audience: https://registry.example.com
    keys: {{jwksUri: "{far}/keys", allowHttp: true}}
    subject: claims.sub
  away:
    issuer: https://away.example.com
    audience: https://registry.example.com
    keys: {{jwksUri: "http://127.0.0.1:9/keys", allowHttp: true}}
    subject: claims.sub

grants:
"""
PROXY = forked("registry-auth-proxy")


class Client:
    """Asks a server as jobs, operators and strangers do."""

    def __init__(self, server: Running, site: Path) -> None:
        self._server, self._site = server, site

    def ask(self, method: str, target: str, body: str = "", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, PATIENCE)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body or None, named)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def token(self, username: str = "sample", **changes: object) -> tuple[int, str]:
        login = basic(username, self.jwt(**changes))
        return self.ask("GET", f"/auth/token?service={SERVICE}&scope={SCOPE}", **login)

    def jwt(self, **changes: object) -> str:
        claims = {**sample.sample_claims("acme/app", "refs/heads/main", "push"), **changes}
        return sample.sample_token(self._site, claims, datetime.now(UTC), timedelta(minutes=5))

    def garble(self) -> None:
        """Send what each host refuses itself."""
        for field in (b"Bad Field: x", b"X: \xff"):
            with socket.create_connection(("127.0.0.1", self._server.port), PATIENCE) as connection:
                request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%b\r\n\r\n"
                connection.sendall(request % field)
                while connection.recv(65536):
                    pass

    def scrape(self) -> Scrape:
        return Scrape(self.ask("GET", "/metrics")[1])

    def absent(self, monitoring: Path, prefix: str, *, waits: bool = False) -> list[str]:
        """Return what is asked for and not shown; perhaps wait until all of it is."""
        wanted = [one for one in asked(monitoring) if prefix in one.programs]
        pause, absent = threading.Event(), [""]
        for _ in range(100):  # with several workers, each adds up once a second
            shown = self.scrape()
            absent = [fault for one in wanted for fault in shown.lacks(one)]
            if not absent or not waits:
                break
            pause.wait(0.1)
        assert wanted
        return absent


def prepare(folder: Path, far: Provider) -> None:
    """Add providers, sessions and a decision log to the folder of `token-server init`."""
    far.answers["/keys"] = Answer(json.dumps({"keys": []}).encode())
    policy = folder / "policy" / "policy.yaml"
    text = policy.read_text().replace(
        "    claims: github-actions\n",
        "    claims: github-actions\n    refreshTokens: {maxSession: 1h}\n",
        1,
    )
    policy.write_text(text.replace("\ngrants:\n", "\n" + MORE_PROVIDERS.format(far=far.url), 1))


def work(client: Client, folder: Path) -> None:
    """Have a token server meet everything that its metrics tell of."""
    assert [client.token()[0] for _ in range(6)] == [200] * 6
    assert client.token(aud="https://other.example.com")[0] == 401
    assert client.token("away", iss="https://away.example.com")[0] == 503
    form = urlencode({"service": SERVICE, "scope": SCOPE})
    kind = {"Content_Type": "application/x-www-form-urlencoded"}
    assert client.ask("POST", "/auth/why", form, **kind, **basic("sample", client.jwt()))[0] == 200
    client.garble()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("host", HOSTS)
def test_a_token_server_shows_all_that_is_asked_for(
    repository: Path,
    folder: Path,
    provider: Provider,
    start: Callable[..., Running],
    monkeypatch: pytest.MonkeyPatch,
    host: HostName,
    workers: int,
) -> None:
    monkeypatch.setenv("TOKEN_SERVER_SERVER", host)
    prepare(folder, provider)
    with (folder / "server.yaml").open("a") as settings:
        settings.write(f"workers: {workers}\nrefreshTokens: {{file: sessions.db}}\n")
    server = start("--config", folder / "server.yaml")
    client = Client(server, folder)
    work(client, folder)
    session = client.ask(
        "GET",
        f"/auth/token?service={SERVICE}&offline_token=true",
        **basic("sample", client.jwt()),
    )
    with sqlite3.connect(folder / "sessions.db") as store:
        store.execute("ALTER TABLE sessions RENAME TO away")
    token = json.loads(session[1])["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token, "service": SERVICE}
    kind = {"Content_Type": "application/x-www-form-urlencoded"}
    assert client.ask("POST", "/auth/token", urlencode(form), **kind)[0] == 503
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(lambda event: event["event"] == "reloaded")

    assert client.absent(repository / "deploy" / "monitoring", "token_server", waits=True) == []
    assert server.end() == 0


@pytest.mark.parametrize("host", HOSTS)
def test_a_proxy_shows_all_that_is_asked_for(
    repository: Path,
    folder: Path,
    provider: Provider,
    start: Callable[..., Running],
    monkeypatch: pytest.MonkeyPatch,
    host: HostName,
) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_PROXY_SERVER", host)
    prepare(folder, provider)
    with registry(plain(200, b"{}")) as upstream:
        (folder / "proxy.yaml").write_text(
            f"upstream: {{url: '{upstream.url}'}}\nlisten: 127.0.0.1:0\nlogFormat: json\n"
            f"token: {{autoRedirect: true, service: {SERVICE}, issuer: registry-token-issuer}}\n"
            "embedded: true\npolicy: policy\nsigning: {keyFolder: keys}\n"
        )
        server = start("--config", folder / "proxy.yaml", command=PROXY)
        client = Client(server, folder)
        work(client, folder)
        token = json.loads(client.token()[1])["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        assert client.ask("GET", "/v2/acme/app/tags/list", **bearer)[0] == 200
        assert client.ask("GET", "/v2/acme/other/tags/list", **bearer)[0] == 401
        upstream.behaviour = lambda handler, _: handler.connection.shutdown(socket.SHUT_RDWR)
        assert client.ask("GET", "/v2/acme/app/tags/list", **bearer)[0] == 502
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda event: event["event"] == "reloaded")

        assert client.absent(repository / "deploy" / "monitoring", "registry_proxy") == []
        absent = client.absent(repository / "deploy" / "monitoring", "token_server")
    assert server.end() == 0
    # It gives no refresh tokens, and its connections count as the proxy's.
    assert {one.partition("{")[0] for one in absent} == {
        "token_server_refused_requests_total",
        "token_server_connections_turned_away_total",
    }
