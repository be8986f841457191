"""Granian as a host, over real sockets: bounds of clients, the end of a request, and of the server."""

import contextlib
import http.client
import json
import os
import resource
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import granian
import pytest

from regauth.servers.configuration.settings import Address
from regauth.servers.http_server import connection_watch, granian_server
from regauth.servers.http_server import server as hosting
from regauth.servers.http_server.connections import ClientBounds, Clients
from regauth.servers.http_server.granian_server import GranianError, GranianServer, check_granian
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.turned_away import RejectionLog, Why
from tests.servers.process import PATIENCE

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
LARGE = 16_000_000
"""Bytes of an answer that no socket takes at once."""
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

if not connection_watch.WORKS:
    pytest.skip("connections are counted by Linux's /proc", allow_module_level=True)


class Book(RejectionLog):
    """Writes down who was turned away."""

    def __init__(self) -> None:
        super().__init__(EventLog())
        self.entries: list[tuple[Why, str]] = []
        self.ids: list[str] = []
        self.told = threading.Event()

    def turned_away(self, why: Why, client: str, request_id: str = "") -> None:
        assert request_id
        self.entries.append((why, client))
        self.ids.append(request_id)
        self.told.set()


@dataclass
class Host:
    """A granian that a test asks."""

    port: int
    stack: ExitStack
    book: Book
    server: GranianServer
    thread: threading.Thread
    seen: list[dict[str, Any]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)

    def connect(self, address: str = "127.0.0.2") -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), PATIENCE, (address, 0))
        return self.stack.enter_context(made)

    def send(self, request: bytes, address: str = "127.0.0.2") -> bytes:
        """Send bytes on a new connection; return all that comes until the server hangs up."""
        connection = self.connect(address)
        connection.sendall(request)
        return everything(connection)


@pytest.fixture
def host() -> Iterator[Callable[..., Host]]:
    """Serve with bounds until the test ends."""
    with ExitStack() as stack:

        def serve(bounds: ClientBounds | None = None, drain: float = 0.5) -> Host:
            [listener] = hosting.bind([Address("127.0.0.1", 0)])
            port, book = int(listener.getsockname()[1]), Book()

            def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - WSGI's callable
                body = environ["wsgi.input"].read()
                made.seen.append({**environ, "body": body})
                if environ["PATH_INFO"] == "/held":
                    made.held.set()
                    made.hold.wait(PATIENCE)
                if environ["PATH_INFO"] == "/fails":
                    raise ValueError("Authorization: Basic c2VjcmV0")
                start_response("200 OK", [])
                return [b"x" * LARGE] if environ["PATH_INFO"] == "/large" else [b"ok"]

            clients = Clients(bounds, book)
            server = GranianServer(application, [listener], threads=2, drain=drain, clients=clients)
            made = Host(port, stack, book, server, threading.Thread(target=server.run))
            made.thread.start()

            def end() -> None:
                made.hold.set()
                server.stop()
                made.thread.join(PATIENCE)
                assert not made.thread.is_alive()

            stack.callback(end)
            return made

        yield serve


def everything(connection: socket.socket) -> bytes:
    """Return all that comes until the server hangs up."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return bytes(received)


def id_of(received: bytes) -> str:
    """Return the id of an error, which its header says as its body does."""
    head, _, body = received.partition(b"\r\n\r\n")
    [error] = json.loads(body)["errors"]
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert fields[b"x-request-id"].decode() == error["detail"]["requestId"]
    return str(error["detail"]["requestId"])


def answer(connection: socket.socket) -> int:
    """Return the status of the answer, and leave the connection open."""
    with closing(http.client.HTTPResponse(connection)) as reply:
        reply.begin()
        reply.read()
        return reply.status


@pytest.mark.parametrize("sent", [b"", b"\r\n", GET, GET + b"X-Slow: "])
def test_headers_that_do_not_come_end_the_connection(
    host: Callable[..., Host], sent: bytes
) -> None:
    """Without 408 and without a count: granian tells nobody."""
    here = host(ClientBounds(header_seconds=0.5))

    assert here.send(sent) == b""
    assert here.seen == []


def test_a_kept_connection_without_a_request_is_closed(host: Callable[..., Host]) -> None:
    here = host(ClientBounds(header_seconds=0.5))

    assert here.send(GET + b"\r\n").endswith(b"ok")


@pytest.mark.parametrize(
    "begun", [POST + b"Content-Length: 100\r\n\r\nabc", CHUNKED + b"3\r\nabc\r\n"]
)
def test_bodies_that_do_not_come_are_answered_408_and_hold_no_thread(
    host: Callable[..., Host], begun: bytes
) -> None:
    here = host(ClientBounds(body_seconds=1.5))
    slow = [here.connect() for _ in range(20)]
    for one in slow:
        one.sendall(begun)
    meanwhile = here.send(GET + b"Connection: close\r\n\r\n", "127.0.0.3")

    late = [everything(one) for one in slow]
    assert meanwhile.startswith(b"HTTP/1.1 200 ")
    assert [one.partition(b"\r\n")[0] for one in late] == [b"HTTP/1.1 408 Request Timeout"] * 20
    assert here.book.entries == [("slow-body", "127.0.0.2")] * 20
    assert {id_of(one) for one in late} == {*here.book.ids}


def test_a_client_has_so_many_connections_and_others_have_theirs(host: Callable[..., Host]) -> None:
    here = host(ClientBounds(connections=3))
    kept = [here.connect() for _ in range(3)]
    for one in kept:
        one.sendall(GET + b"\r\n")
        assert answer(one) == 200
    others = [here.connect() for _ in range(2)]
    refused = [everything(one) for one in others]
    for one in kept:
        one.sendall(GET + b"\r\n")

    assert [answer(one) for one in kept] == [200] * 3
    assert here.send(GET + b"Connection: close\r\n\r\n", "127.0.0.3").endswith(b"ok")
    for one in refused:
        assert one.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5" in one
        assert b"too many connections of this client" in one
    assert here.book.entries == [("too-many", "127.0.0.2")] * 2
    assert {id_of(one) for one in refused} == {*here.book.ids}


@pytest.mark.parametrize(
    "bounds", [ClientBounds(2, (ip_network("127.0.0.2/32"),)), ClientBounds(None)]
)
def test_a_trusted_proxy_may_have_any_number_and_so_may_all_without_a_bound(
    host: Callable[..., Host], bounds: ClientBounds
) -> None:
    here = host(bounds)
    held = [here.connect() for _ in range(20)]
    here.server._watch.look()
    for one in held:
        one.sendall(GET + b"\r\n")

    assert [answer(one) for one in held] == [200] * 20
    assert here.book.entries == []


def test_a_client_that_reads_nothing_is_hung_up_on(host: Callable[..., Host]) -> None:
    here = host(ClientBounds(stall_seconds=1.0))
    stalled, reading = here.connect(), here.connect()
    for one in (stalled, reading):
        one.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    whole = everything(reading)
    pause, watch = threading.Event(), here.server._watch
    watch.look()
    for _ in range(int(PATIENCE / 0.05)):
        if not any(watch._known.values()):
            break
        pause.wait(0.05)
    rest = everything(stalled)

    assert len(whole) > LARGE
    assert len(rest) < LARGE


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b"3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n",
        b"Transfer-Encoding: identity\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"Content-Length: 3, 3\r\n\r\n",
        b"Content-Length: +3\r\n\r\n",
        b"Content-Length: 0x3\r\n\r\n",
        b"Content-Length: 3\r\n x\r\n\r\n",
        b"Content-Length : 3\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n\r\n",
    ],
)
def test_nothing_after_a_body_with_two_ends_is_a_request(
    host: Callable[..., Host], head: bytes
) -> None:
    """RFC 9112, sections 6.1 and 6.3: the connection ends, whatever was answered."""
    here = host()
    received = here.send(POST + head + BODY + SMUGGLED)

    assert received.count(b"HTTP/1.1 ") == 1
    assert [one["PATH_INFO"] for one in here.seen] in ([], ["/"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", 200),
        (b"3;a=b\r\nabc\r\n0\r\n\r\n", 200),
        (b"3\r\nabc\r\n0\r\nX: y\r\n\r\n", 400),
        (b"3\r\nabc\r\nzz\r\n\r\n", 400),
        (b"3\r\nabcd\r\n0\r\n\r\n", 400),
        (b"-1\r\nabc\r\n0\r\n\r\n", 400),
        (b"2000\r\n" + b"x" * 0x2000 + b"\r\n", None),
        ((b"2000\r\n" + b"x" * 0x2000 + b"\r\n") * 10, 413),
    ],
)
def test_chunks_that_break_off_or_are_malformed_are_no_form(
    host: Callable[..., Host], body: bytes, status: int | None
) -> None:
    here = host()
    connection = here.connect()
    connection.sendall(CHUNKED + body)
    if status is None:
        connection.shutdown(socket.SHUT_WR)
    received = everything(connection)

    told = [(one["body"], one["CONTENT_LENGTH"]) for one in here.seen]
    assert told == ([(b"abc", "3")] if status == 200 else [])
    assert status is None or received.startswith(b"HTTP/1.1 %d " % status)


def test_a_body_that_breaks_off_is_no_form(host: Callable[..., Host]) -> None:
    here = host()
    connection = here.connect()
    connection.sendall(POST + b"Content-Length: 100\r\n\r\nservice=x")
    connection.shutdown(socket.SHUT_WR)
    everything(connection)

    assert here.seen == []


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"GET v2/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (GET + b"X: a\r\n b\r\n\r\n", 400),
        (GET + b"X: \xff\r\n\r\n", 400),
        (GET + b"X: y\x00\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00" + b"\0" * 100, 400),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET http://user@auth.example.com/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"CONNECT auth.example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 120 + b"\r\n", 431),
        (GET + b"X: " + b"y" * 66_000 + b"\r\n\r\n", 431),
        (b"GET /?" + b"y" * 66_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (POST + b"Content-Length: 70000\r\n\r\n", 413),
    ],
)
def test_what_is_malformed_or_too_large_is_turned_away(
    host: Callable[..., Host], request_: bytes, status: int
) -> None:
    here = host()
    received = here.send(request_)
    body = received.partition(b"\r\n\r\n")[2]

    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert here.seen == []
    # What hyper refuses has no body, and nobody is told of it (the table in docs/token-server.md).
    assert here.book.entries == ([("request-refused", "127.0.0.2")] if body else [])
    assert not body or [id_of(received)] == here.book.ids


def test_a_header_that_is_too_large_has_an_id_however_it_comes(host: Callable[..., Host]) -> None:
    """hyper's own bound, whose answer is bare, is met when more bytes are to be read."""
    here = host()
    connection = here.connect()
    connection.sendall(GET + b"X: " + b"y" * 90_000)
    by_itself, _, _ = select.select([connection], [], [], 0.5)
    connection.sendall(b"y\r\n\r\n")
    received = everything(connection)

    assert by_itself == []
    assert received.startswith(b"HTTP/1.1 431 ")
    assert [id_of(received)] == here.book.ids
    assert here.book.entries == [("request-refused", "127.0.0.2")]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\nHost: x\nConnection: close\n\n",
        b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        POST + b"Content-Length: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
    ],
    ids=["bare line feeds", "another scheme", "the same length twice"],
)
def test_what_waitress_refuses_and_granian_answers(
    host: Callable[..., Host], request_: bytes
) -> None:
    """Pinned, because the documentation tells of it: none of them has two readings here."""
    here = host()

    assert here.send(request_).startswith(b"HTTP/1.1 200 ")
    assert len(here.seen) == 1


def test_a_failure_of_ours_is_answered_500_and_the_server_goes_on(
    host: Callable[..., Host], caplog: pytest.LogCaptureFixture
) -> None:
    here = host()
    failed = here.send(b"GET /fails HTTP/1.1\r\nHost: x\r\n\r\n")

    assert failed.startswith(b"HTTP/1.1 500 ")
    assert json.loads(failed.partition(b"\r\n\r\n")[2])["errors"][0]["message"].startswith("the se")
    assert b"c2VjcmV0" not in failed
    assert here.send(GET + b"Connection: close\r\n\r\n").endswith(b"ok")
    error = json.loads(failed.partition(b"\r\n\r\n")[2])["errors"][0]
    assert f"the request {error['detail']['requestId']} failed" in caplog.text


def test_a_request_under_way_at_the_end_is_answered(host: Callable[..., Host]) -> None:
    here = host(drain=PATIENCE)
    held, half = here.connect(), here.connect()
    held.sendall(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
    assert here.held.wait(PATIENCE)
    half.sendall(GET)
    idle = here.connect()
    idle.sendall(GET + b"\r\n")
    assert answer(idle) == 200
    here.server.stop()

    assert everything(idle) == b""
    here.hold.set()
    half.sendall(b"\r\n")
    assert everything(held).endswith(b"ok")
    assert everything(half).endswith(b"ok")
    here.thread.join(PATIENCE)
    assert not here.thread.is_alive()


def test_the_end_does_not_wait_for_a_client_longer_than_the_drain(
    host: Callable[..., Host],
) -> None:
    here = host(drain=0.3)
    half = here.connect()
    half.sendall(POST + b"Content-Length: 100\r\n\r\nabc")
    here.send(GET + b"Connection: close\r\n\r\n")
    here.server.stop()
    here.thread.join(PATIENCE)

    assert not here.thread.is_alive()
    assert here.seen[-1]["PATH_INFO"] == "/"


def test_a_worker_is_scheduled_for_throughput() -> None:
    code = "from regauth.servers.http_server.hosts import prepare\nimport os\n"
    shown = "print(os.sched_getscheduler(0) == os.SCHED_BATCH)"
    for name, wanted in (("granian", "True"), ("waitress", "False")):
        with os.popen(f"{sys.executable} -c '{code}prepare(\"{name}\")\n{shown}'") as said:
            assert said.read().strip() == wanted


def test_a_low_limit_of_open_files_leaves_room(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[int] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (300, 300))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)

    def serve(_self: object, _listener: object, connections: int) -> None:
        shares.append(connections)
        raise InterruptedError

    monkeypatch.setattr(GranianServer, "_serve", serve)
    [listener] = hosting.bind([Address("127.0.0.1", 0)])
    server = GranianServer(lambda *_: [], [listener], threads=4)
    with pytest.raises(InterruptedError):
        server.run()
    listener.close()

    assert shares == [300 - 64 - 2 * 4]


def test_a_granian_that_is_missing_or_unknown_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(granian, "__version__", "3.0.0")
    with pytest.raises(GranianError, match="granian 3.0.0 is not 2.8.x"):
        check_granian(100)
    monkeypatch.setitem(sys.modules, "granian", None)
    with pytest.raises(GranianError, match=r"pip install 'jwt-registry-auth\[granian\]'"):
        check_granian(100)


def test_a_bound_that_cannot_be_kept_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(granian_server, "WORKS", False)
    with pytest.raises(GranianError, match="connectionsPerClient: false"):
        check_granian(100)
    check_granian(None)
