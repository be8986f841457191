"""What one client may take of a process's connections, over real sockets and by a clock of ours."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from regauth.engine.source.addresses import parse_network
from regauth.servers.configuration.settings import Address
from regauth.servers.http_server import server as hosting
from regauth.servers.http_server.connections import ClientBounds, Clients, ConnectionCounts
from regauth.servers.protocol.request_info import client_of
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.metrics import Metrics
from regauth.servers.telemetry.turned_away import RejectionLog, Why
from tests.servers.clock import Clock
from tests.servers.process import PATIENCE, Running

HALF = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "
END = b"1\r\n\r\n"
BODY = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


class Book(RejectionLog):
    """Writes down who was turned away."""

    def __init__(self) -> None:
        self.entries: list[tuple[Why, str]] = []
        self.ids: list[str] = []

    def turned_away(self, why: Why, client: str, request_id: str = "") -> None:
        self.entries.append((why, client))
        self.ids.append(request_id)


@dataclass
class Host:
    """A server whose clock a test moves on."""

    port: int
    clock: Clock
    book: Book
    stack: ExitStack
    hold: threading.Event = field(default_factory=threading.Event)

    def connect(self, address: str = "127.0.0.2") -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), PATIENCE, (address, 0))
        return self.stack.enter_context(made)

    def later(self, seconds: float) -> None:
        """Have what was sent arrive, let time pass, and have the server look at its connections."""
        self.answered("127.0.0.9")
        self.clock.now += seconds
        self.answered("127.0.0.9")

    def answered(self, address: str) -> None:
        """Have a request of somebody answered."""
        with self.connect(address) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert everything(connection).startswith(b"HTTP/1.1 200")


@pytest.fixture
def host() -> Iterator[Callable[..., Host]]:
    """Serve with bounds until the test ends."""
    with ExitStack() as stack:

        def serve(bounds: ClientBounds | None = None, limit: int = 1000) -> Host:
            [listener] = hosting.bind([Address("127.0.0.1", 0)])
            stack.callback(listener.close)
            made = Host(listener.getsockname()[1], Clock(), Book(), stack)

            def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - WSGI's callable
                if environ["PATH_INFO"] == "/held":
                    made.hold.wait(PATIENCE)
                start_response("200 OK", [("Content-Length", "2")])
                return [b"ok"]

            server = hosting.Server(
                application,
                [listener],
                threads=2,
                drain=0.2,
                adjustments={"connection_limit": limit},
                clients=Clients(bounds, made.book, made.clock),
            )
            thread = threading.Thread(target=server.run)
            thread.start()

            def end() -> None:
                server.stop()
                thread.join(PATIENCE)

            stack.callback(end)
            return made

        yield serve


def everything(connection: socket.socket) -> bytes:
    """Return all that comes until the server hangs up."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def answer(connection: socket.socket) -> int:
    """Return the status of the answer, and leave the connection open."""
    with closing(http.client.HTTPResponse(connection)) as reply:
        reply.begin()
        reply.read()
        return reply.status


def test_headers_that_are_whole_in_time_are_answered(host: Callable[..., Host]) -> None:
    here = host()
    slow = here.connect()
    slow.sendall(HALF)
    here.later(19)
    slow.sendall(END)

    assert answer(slow) == 200
    assert here.book.entries == []


def test_headers_that_drip_are_cut_after_twenty_seconds_altogether(
    host: Callable[..., Host],
) -> None:
    here = host()
    slow = here.connect()
    slow.sendall(HALF)
    for _ in range(3):
        here.later(6)
        slow.sendall(b"x")
    here.later(2)

    assert everything(slow).startswith(b"HTTP/1.1 408 ")
    assert here.book.entries == [("slow-headers", "127.0.0.2")]


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"\r\n\r\n"])
def test_a_connection_without_a_request_is_closed_as_soon(
    host: Callable[..., Host], sent: bytes
) -> None:
    here = host()
    idle = here.connect()
    for _ in range(4):
        idle.sendall(sent)
        here.later(5)

    assert everything(idle).partition(b"\r\n")[0] in (b"", b"HTTP/1.1 408 Request Timeout")
    assert here.book.entries == [("slow-headers", "127.0.0.2")]


def test_a_later_request_has_its_own_time_from_its_first_byte(host: Callable[..., Host]) -> None:
    here = host()
    kept = here.connect()
    kept.sendall(HALF + END)
    first = answer(kept)
    here.later(25)
    kept.sendall(HALF)
    here.later(19)
    kept.sendall(END)
    second = answer(kept)
    kept.sendall(HALF)
    # The thread that answered may still have the connection; then the byte is read only afterwards.
    for _ in range(2):
        here.later(20)

    assert (first, second) == (200, 200)
    assert everything(kept).startswith(b"HTTP/1.1 408 ")


def test_a_body_has_thirty_seconds(host: Callable[..., Host]) -> None:
    here = host()
    one, two = here.connect(), here.connect()
    for slow in (one, two):
        slow.sendall(BODY + b"x" * 50)
    here.later(29)
    one.sendall(b"x" * 50)
    status = answer(one)
    two.sendall(b"x" * 49)
    here.later(1)

    assert status == 200
    assert everything(two).startswith(b"HTTP/1.1 408 ")
    assert here.book.entries == [("slow-body", "127.0.0.2")]


def test_an_upload_has_more_time_for_each_byte_that_came(host: Callable[..., Host]) -> None:
    here = host(ClientBounds(body_rate=10))
    slow = here.connect()
    slow.sendall(BODY + b"x" * 50)
    here.later(34)
    slow.sendall(b"x" * 20)
    here.later(2)
    open_still = here.book.entries == []
    here.later(1)

    assert open_still
    assert everything(slow).startswith(b"HTTP/1.1 408 ")


def test_time_in_which_the_server_works_is_not_the_client_s(host: Callable[..., Host]) -> None:
    here = host()
    client = here.connect()
    client.sendall(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n" + HALF)
    here.later(1000)
    here.hold.set()
    first = answer(client)
    here.later(19)
    client.sendall(END)

    assert (first, answer(client)) == (200, 200)
    assert here.book.entries == []


def test_a_client_has_so_many_connections_and_others_have_theirs(host: Callable[..., Host]) -> None:
    here = host(ClientBounds(connections=3))
    held = [here.connect() for _ in range(3)]
    refused = everything(here.connect())
    here.answered("127.0.0.3")
    held[0].sendall(HALF + END)
    status = answer(held[0])
    held[1].close()
    here.later(0)
    here.answered("127.0.0.2")

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"too many connections of this client" in refused
    assert b"Retry-After: 5" in refused
    assert status == 200
    assert here.book.entries == [("too-many", "127.0.0.2")]


def test_one_client_cannot_take_all_connections(host: Callable[..., Host]) -> None:
    here = host(ClientBounds(connections=5), limit=20)
    held = [here.connect() for _ in range(40)]
    for one in held:
        one.sendall(b"G") if one.fileno() >= 0 else None
    for other in range(3, 8):
        here.answered(f"127.0.0.{other}")

    assert here.book.entries == [("too-many", "127.0.0.2")] * 35


def test_connections_come_back_when_slow_ones_are_cut(host: Callable[..., Host]) -> None:
    """Many clients together may take all there are, but none keeps them."""
    here = host(limit=12)
    for number in range(1, 30):
        here.connect(f"127.0.1.{number}")
    waiting = here.connect("127.0.0.3")
    waiting.sendall(HALF + END)
    waiting.settimeout(0.1)
    for _ in range(300):
        here.clock.now += 20
        try:
            status = answer(waiting)
            break
        except TimeoutError:
            status = None

    assert status == 200


@pytest.mark.parametrize(
    "bounds", [ClientBounds(2, (ip_network("127.0.0.2/32"),)), ClientBounds(None)]
)
def test_a_trusted_proxy_may_have_any_number_and_so_may_all_without_a_bound(
    host: Callable[..., Host], bounds: ClientBounds
) -> None:
    here = host(bounds)
    held = [here.connect() for _ in range(20)]
    for one in held:
        one.sendall(HALF + END)

    assert [answer(one) for one in held] == [200] * 20
    assert here.book.entries == []


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("unix:a", "unix:a", True),
    ],
)
def test_a_network_of_ipv6_is_one_client(one: str, two: str, *, same: bool) -> None:
    assert (client_of(one) == client_of(two)) is same
    counts = ConnectionCounts(ClientBounds(connections=1))
    counts.admit(one)

    assert counts.admit(two) is not same


def test_those_who_left_are_forgotten() -> None:
    counts = ConnectionCounts(ClientBounds(connections=1))
    for number in range(1000):
        assert counts.admit(f"10.0.{number // 250}.{number % 250}")
        counts.leave(f"10.0.{number // 250}.{number % 250}")

    assert len(counts._counts) == 0


def test_o12_exempt_clients_may_have_any_number() -> None:
    exempt = (parse_network("192.0.2.0/24"),)
    counts = ConnectionCounts(ClientBounds(connections=1, exempt=exempt))

    assert [counts.admit("192.0.2.1") for _ in range(3)] == [True, True, True]
    assert [counts.admit("::ffff:192.0.2.1") for _ in range(3)] == [True, True, True]
    assert [counts.admit("198.51.100.1") for _ in range(2)] == [True, False]


def test_each_is_counted_and_few_are_logged(tmp_path: Path) -> None:
    clock, metrics = Clock(), Metrics()
    with (tmp_path / "log").open("ab") as log:
        rejections = RejectionLog(EventLog("text", "info", log.fileno()), metrics, clock)
        for _ in range(100):
            rejections.turned_away("too-many", "192.0.2.1")
        rejections.turned_away("slow-headers", "192.0.2.2")
        clock.now += 10
        rejections.turned_away("too-many", "192.0.2.3")
    lines = [line.split(" ", 1)[1] for line in (tmp_path / "log").read_text().splitlines()]

    assert lines == [
        "WARNING connection-turned-away why=too-many client=192.0.2.1",
        "WARNING connection-turned-away why=slow-headers client=192.0.2.2",
        "WARNING connection-turned-away why=too-many client=192.0.2.3 more=99",
    ]
    page = metrics.page().decode()
    assert 'token_server_connections_turned_away_total{why="too-many"} 101.0' in page


@pytest.mark.usefixtures("each_server")
def test_the_command_serves_by_the_configured_bound(
    folder: Path, start: Callable[..., Running]
) -> None:
    configuration = folder / "server.yaml"
    text = configuration.read_text()
    configuration.write_text(text + "limits: {connectionsPerClient: 2}\n")
    server = start("--config", configuration)
    with ExitStack() as stack:

        def connect(address: str) -> socket.socket:
            made = socket.create_connection(("127.0.0.1", server.port), PATIENCE, (address, 0))
            return stack.enter_context(made)

        for _ in range(2):
            connect("127.0.0.2")
        refused = everything(connect("127.0.0.2"))
        other = connect("127.0.0.3")
        other.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        page = everything(other).decode()
    said = server.wait_for(lambda event: event["event"] == "connection-turned-away")

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert 'token_server_connections_turned_away_total{why="too-many"} 1.0' in page
    assert (said["why"], said["client"]) == ("too-many", "127.0.0.2")
