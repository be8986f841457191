"""What real clients send, byte for byte, over a socket to the real server."""

import base64
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from regauth.engine.tokens.keys import PrivateKey
from tests.servers.desk import Desk, make_desk, pem_keys, policy_text
from tests.servers.hosting import HOSTS, serving
from tests.servers.recorded import FALLBACKS, RECORDED, Recorded

PATIENCE = 20.0


@pytest.fixture
def desk(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Desk:
    return make_desk(tmp_path, policy_text(pem_keys(private_keys["rsa"])), private_keys["rsa"])


@pytest.fixture(params=HOSTS)
def port(desk: Desk, request: pytest.FixtureRequest) -> Iterator[int]:
    """The desk's application, served as the command serves it."""
    with serving(request.param, desk.client.app) as port:
        yield port


def send(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes and read one answer."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()


def filled(recorded: Recorded, desk: Desk) -> bytes:
    token = desk.token(**({"aud": "https://else.example.com"} if recorded.bad else {}))
    head, _, body = recorded.request.partition("\r\n\r\n")
    pair = base64.b64encode(f"{recorded.username}:{token}".encode()).decode()
    body = body.replace("{form}", quote_plus(token))
    chunk = body.partition("\r\n")[2].partition("\r\n")[0]
    body = body.replace("{size}", f"{len(chunk):x}")
    head = head.replace("{basic}", pair).replace("{length}", str(len(body)))
    return f"{head}\r\n\r\n{body}".encode()


def assert_answered(desk: Desk, port: int, recorded: Recorded) -> None:
    """The client gets what it needs."""
    status, headers, body = send(port, filled(recorded, desk))
    content = json.loads(body)

    assert status == recorded.status
    assert headers["content-type"].partition(";")[0] == "application/json"
    assert headers["cache-control"] == "no-store"
    if status == 200:
        assert set(content["scope"].split()) == set(recorded.scope.split())
        assert content["access_token"] == content["token"]
        assert content["expires_in"] >= 60
        assert content["issued_at"].endswith("Z")
    else:
        assert headers["www-authenticate"].startswith("Basic ")
        assert content["errors"][0]["code"] == "UNAUTHORIZED"
        assert content["errors"][0]["message"]


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda one: one.client)
def test_a_client_gets_what_it_needs(desk: Desk, port: int, recorded: Recorded) -> None:
    assert_answered(desk, port, recorded)


@pytest.mark.parametrize("steps", FALLBACKS.values(), ids=FALLBACKS)
def test_a_client_that_is_refused_can_go_on_as_it_does(
    desk: Desk, port: int, steps: tuple[Recorded, ...]
) -> None:
    for recorded in steps:
        assert_answered(desk, port, recorded)
    reasons = [
        one["reason"] for one in desk.events() if one["event"] == "token" and "reason" in one
    ]

    assert reasons == ["wrong-audience"] * sum(one.bad for one in steps)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /auth/token?service=" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /auth/token HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (
            b"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + b"x" * 70_000,
            413,
        ),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /auth/token?service=%zz HTTP/1.1\r\nHost: x\r\n\r\n", 401),
        (b"GET /%2e%2e/auth/token HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    ],
)
def test_what_is_too_large_or_malformed_is_turned_away(
    port: int, request_: bytes, status: int
) -> None:
    assert send(port, request_)[0] == status


def test_clients_that_send_their_headers_slowly_do_not_hold_others_up(
    desk: Desk, port: int
) -> None:
    slow = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(50)]
    for one in slow:
        one.sendall(b"GET /auth/token?service=registry.example.com HTTP/1.1\r\nHost:")
    status, _, _ = send(port, filled(RECORDED[0], desk))
    for one in slow:
        one.close()

    assert status == 200


def test_a_chunked_form_over_the_bound_is_turned_away(port: int) -> None:
    head = (
        b"POST /auth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    chunk = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"

    assert send(port, head + chunk * 10 + b"0\r\n\r\n")[0] == 413
