"""Answers before an application sees a request: Distribution's form, and the id that the log says."""

import http.client
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from regauth.servers.configuration.settings import Address
from regauth.servers.http_server import server as hosting
from regauth.servers.http_server.connections import ClientBounds, Clients
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.turned_away import RejectionLog
from tests.servers.clock import Clock
from tests.servers.process import PATIENCE

Asked = tuple[int, dict[str, str], bytes]


class Front:
    """A server on loopback, its clock, and its log."""

    def __init__(self, port: int, clock: Clock, log: Callable[[], list[dict[str, Any]]]) -> None:
        self.port, self.clock, self.log = port, clock, log

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def ask(self, sent: bytes) -> Asked:
        with self.connect() as connection:
            connection.sendall(sent)
            return received(connection)


def received(connection: socket.socket) -> Asked:
    with closing(http.client.HTTPResponse(connection)) as reply:
        reply.begin()
        return reply.status, dict(reply.getheaders()), reply.read()


@pytest.fixture
def front() -> Iterator[Front]:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - WSGI's callable
        if environ["PATH_INFO"] == "/fails":
            raise RuntimeError("as it happens")
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with ExitStack() as stack:
        [listener] = hosting.bind([Address("127.0.0.1", 0)])
        port = listener.getsockname()[1]
        read, write = os.pipe()
        stack.callback(os.close, write)
        lines = stack.enter_context(os.fdopen(read, "rb", buffering=0))
        os.set_blocking(read, False)
        clock = Clock()
        rejections = RejectionLog(EventLog(descriptor=write), None, clock)
        clients = Clients(ClientBounds(connections=2), rejections, clock)
        server = hosting.Server(application, [listener], threads=2, drain=0.2, clients=clients)
        thread = threading.Thread(target=server.run)
        thread.start()
        stack.callback(thread.join, PATIENCE)
        stack.callback(server.stop)

        def log() -> list[dict[str, Any]]:
            return [json.loads(one) for one in (lines.read() or b"").splitlines()]

        yield Front(port, clock, log)


TOO_LONG = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n"
TOO_LARGE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000
SECRET = b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer abcdefsecret\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"NONSENSE\r\n\r\n", 400, "BAD_REQUEST"),
        (SECRET, 400, "BAD_REQUEST"),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400, "BAD_REQUEST"),
        (TOO_LONG, 431, "SIZE_INVALID"),
        (TOO_LARGE, 413, "SIZE_INVALID"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br\r\n\r\n", 501, "UNKNOWN"),
    ],
)
def test_a_request_that_the_parser_refuses_has_an_id(
    front: Front, sent: bytes, status: int, code: str
) -> None:
    answered, headers, body = front.ask(sent)
    [error] = json.loads(body)["errors"]
    [line] = front.log()

    assert (answered, error["code"]) == (status, code)
    assert error["detail"]["reason"] == "request-refused"
    assert error["detail"]["requestId"] == headers["X-Request-Id"] == line["requestId"]
    assert line["why"] == "request-refused"
    assert error["message"]
    assert b"secret" not in body


def test_ids_are_our_own_and_differ(front: Front) -> None:
    sent = b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: chosen\r\nbad header\r\n\r\n"
    ids = [front.ask(sent)[1]["X-Request-Id"] for _ in range(3)]

    assert len({*ids}) == 3
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in ids)


def test_one_that_is_late_and_one_too_many_have_ids(front: Front) -> None:
    with front.connect() as slow, front.connect() as second:
        slow.sendall(b"GET / HTTP/1.1\r\nHost:")
        second.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert received(second)[0] == 200
        refused, late = front.ask(b""), None
        front.clock.now += 25
        second.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        late = received(slow)
    found = {line["why"]: line["requestId"] for line in front.log()}
    told = []
    for status, headers, body in (late, refused):
        [error] = json.loads(body)["errors"]
        told.append((status, error["code"], error["detail"]["reason"]))
        assert error["detail"]["requestId"] == headers["X-Request-Id"] in found.values()

    assert told == [(408, "BAD_REQUEST", "slow"), (503, "UNAVAILABLE", "connections")]
    assert found.keys() == {"slow-headers", "too-many"}


def test_a_failure_of_the_application_has_an_id(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    status, headers, body = front.ask(b"GET /fails HTTP/1.1\r\nHost: x\r\n\r\n")
    [error] = json.loads(body)["errors"]

    assert (status, error["detail"]["reason"]) == (500, "failed")
    assert error["detail"]["requestId"] == headers["X-Request-Id"]
    assert headers["X-Request-Id"] in caplog.text
    assert b"as it happens" not in body
