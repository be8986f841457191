"""
Policies that ask from where, on servers that run: the token server, and a proxy with a policy.

Addresses of loopback stand for everybody who connects: `DIRECT` and `STRANGER` for clients, `FRONT`
for the one trusted proxy.
"""

import http.client
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from regauth.engine.tokens import jwt
from tests.forkserver.programs import forked
from tests.servers.desk import SERVICE, basic
from tests.servers.process import COMMAND, PATIENCE, Running, sample_jwt
from tests.servers.proxy.standing import registry
from tests.servers.proxy.test_policy import make_folder

DIRECT, FRONT, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.3"
OFFICE, BANNED = "203.0.113.9", "198.51.100.7"
GRANTS = """
grants:
  - {name: any, repositories: [acme/any, acme/guarded], actions: [pull]TAGS}
  - {name: near, when: 'client.inNetwork("127.0.0.0/8")', repositories: [acme/near], actions: [pull]TAGS}
  - {name: office, when: 'client.inNetwork("203.0.113.0/24")', repositories: [acme/office], actions: [pull]TAGS}
denials:
  - {name: banned, when: 'client.inNetwork("198.51.100.0/24")', repositories: [acme/guarded], actions: [pull]}
"""
REPOSITORIES = ("any", "guarded", "near", "office")
SCOPES = [f"repository:acme/{name}:pull" for name in REPOSITORIES]

FROM_NEAR, FROM_OFFICE = {"any", "guarded", "near"}, {"any", "guarded", "office"}
FROM_BANNED = UNKNOWN = {"any"}
"""What is left where no grant that reads the client matches, and the denial does."""

XFF = "X-Forwarded-For"
ASKED: dict[str, tuple[str, dict[str, str], set[str]]] = {
    "a plain peer": (DIRECT, {}, FROM_NEAR),
    "behind the trusted proxy": (FRONT, {XFF: OFFICE}, FROM_OFFICE),
    "an IPv4-mapped hop": (FRONT, {XFF: f"::ffff:{OFFICE}"}, FROM_OFFICE),
    "a denied network": (FRONT, {XFF: BANNED}, FROM_BANNED),
    "an IPv4-mapped hop of a denied network": (FRONT, {XFF: f"::ffff:{BANNED}"}, FROM_BANNED),
    "a hop that the client wrote": (FRONT, {XFF: f"{OFFICE}, {DIRECT}"}, FROM_NEAR),
    "an unreadable hop": (FRONT, {XFF: f"{OFFICE}, unknown"}, UNKNOWN),
    "only trusted hops": (FRONT, {XFF: FRONT}, UNKNOWN),
    "a trusted proxy that names nobody": (FRONT, {}, UNKNOWN),
    "fields of an untrusted peer": (STRANGER, {XFF: OFFICE}, UNKNOWN),
    "the other field of an untrusted peer": (STRANGER, {"Forwarded": f"for={OFFICE}"}, UNKNOWN),
}
asked = pytest.mark.parametrize(("peer", "headers", "allowed"), ASKED.values(), ids=ASKED)


def ask(
    port: int, method: str, target: str, peer: str, headers: dict[str, str], body: str = ""
) -> tuple[int, bytes]:
    """Send a request from an address of loopback."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, PATIENCE, (peer, 0))) as connection:
        connection.request(method, target, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def pulls(answer: dict[str, str]) -> set[str]:
    """Return the repositories that a registry token opens."""
    return {
        one["name"].removeprefix("acme/") for one in jwt.parse(answer["token"]).claims["access"]
    }


@contextmanager
def running(*arguments: str | Path, command: Iterable[str]) -> Iterator[Running]:
    server = Running(arguments, tuple(command))
    try:
        yield server
    finally:
        code = server.end()
        assert server.process.stderr is not None
        server.process.stderr.close()
    assert code == 0


class TokenServer:
    """A token server, and one job that logs in to it."""

    def __init__(self, server: Running, token: str) -> None:
        self.server = server
        self._login = basic("sample", token)

    def token(self, peer: str, headers: dict[str, str], **more: str) -> dict[str, str]:
        query = urlencode({"service": SERVICE, "scope": SCOPES, **more}, doseq=True)
        target = f"/auth/token?{query}"
        status, body = ask(self.server.port, "GET", target, peer, {**self._login, **headers})
        assert status == 200, body
        return dict(json.loads(body))

    def refresh(self, token: str, peer: str, headers: dict[str, str]) -> dict[str, str]:
        form = {"grant_type": "refresh_token", "refresh_token": token, "service": SERVICE}
        body = urlencode({**form, "scope": " ".join(SCOPES)})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        status, answer = ask(
            self.server.port, "POST", "/auth/token", peer, {**kind, **headers}, body
        )
        assert status == 200, answer
        return dict(json.loads(answer))


@pytest.fixture(scope="module")
def token_server(
    initialized: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TokenServer]:
    """A token server with sessions, whose answers are kept as long as they may be."""
    folder = shutil.copytree(initialized, tmp_path_factory.mktemp("token") / "site", symlinks=True)
    policy, configuration = folder / "policy" / "policy.yaml", folder / "server.yaml"
    claims = "    claims: github-actions\n"
    head, _, _ = policy.read_text().partition("\ngrants:")
    sessions = head.replace(claims, f"{claims}    refreshTokens: {{maxSession: 8h}}\n")
    policy.write_text(sessions + GRANTS.replace("TAGS", ""))
    more = f"trustedProxies: ['{FRONT}']\nrefreshTokens: {{file: sessions.db}}\n"
    more += "caches: {answers: 30s}\n"
    configuration.write_text(configuration.read_text() + more)
    with running("--config", configuration, command=COMMAND) as server:
        yield TokenServer(server, sample_jwt(folder))


@asked
def test_the_token_server_decides_by_the_client(
    token_server: TokenServer, peer: str, headers: dict[str, str], allowed: set[str]
) -> None:
    assert pulls(token_server.token(peer, headers)) == allowed


def test_the_token_server_gives_no_kept_answer_to_another_client(token_server: TokenServer) -> None:
    """One login with one question, so that only the client differs; a kept answer is the same token."""
    hidden = (STRANGER, {XFF: STRANGER}, UNKNOWN)
    clients = [*ASKED.values(), (STRANGER, {}, FROM_NEAR), hidden]
    rounds = [
        [token_server.token(peer, headers, account="cached") for peer, headers, _ in clients]
        for _ in range(2)
    ]

    for answers in rounds:
        assert [pulls(one) for one in answers] == [allowed for _, _, allowed in clients]
    first, again = ([one["token"] for one in answers] for answers in rounds)
    assert first == again
    assert len(set(first)) == len({DIRECT, STRANGER, OFFICE, BANNED, "unknown"})


def test_a_refresh_is_decided_anew_by_its_own_client(token_server: TokenServer) -> None:
    begun = token_server.token(DIRECT, {}, offline_token="true")
    found = [
        pulls(token_server.refresh(begun["refresh_token"], peer, headers))
        for peer, headers, _ in ASKED.values()
    ]

    assert pulls(begun) == FROM_NEAR
    assert found == [allowed for _, _, allowed in ASKED.values()]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A proxy with a policy about tags before a registry; and a login of one job."""
    folder = tmp_path_factory.mktemp("proxy") / "site"
    make_folder(folder, GRANTS.replace("TAGS", ", tags: ['v*']"))
    file = folder / "proxy.yaml"
    with registry() as upstream:
        text = file.read_text().replace("http://127.0.0.1:1", upstream.url)
        file.write_text(
            f"{text}listen: 127.0.0.1:0\nlogFormat: json\ntrustedProxies: ['{FRONT}']\n"
        )
        with running("--config", file, command=forked("registry-auth-proxy")) as server:
            yield server, sample_jwt(folder)


def bearer(port: int, login: str, peer: str, headers: dict[str, str]) -> dict[str, str]:
    """Return the header with the token that the proxy gives a client."""
    query = urlencode({"service": SERVICE, "scope": SCOPES}, doseq=True)
    given = {**basic("sample", login), **headers}
    status, body = ask(port, "GET", f"/auth/token?{query}", peer, given)
    assert status == 200, body
    return {"Authorization": f"Bearer {json.loads(body)['token']}"}


def opened(
    port: int, peer: str, headers: dict[str, str], token: dict[str, str]
) -> tuple[set[str], set[str]]:
    """Return what the proxy forwards, and what its decision endpoint allows."""
    forwarded, decided = set(), set()
    for name in REPOSITORIES:
        target = f"/v2/acme/{name}/manifests/v1"
        given = {**token, **headers}
        if ask(port, "GET", target, peer, given)[0] == 200:
            forwarded.add(name)
        original = {"X-Original-Method": "GET", "X-Original-URI": target}
        if ask(port, "GET", "/authorize", peer, {**given, **original})[0] < 300:
            decided.add(name)
    return forwarded, decided


@asked
def test_the_proxy_decides_by_the_client(
    proxy: tuple[Running, str], peer: str, headers: dict[str, str], allowed: set[str]
) -> None:
    server, login = proxy
    token = bearer(server.port, login, peer, headers)

    assert opened(server.port, peer, headers, token) == (allowed, allowed)
