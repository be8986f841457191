"""More requests than can be answered, over real sockets on both hosts."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import pytest

from regauth.servers.configuration.settings import HostName
from regauth.servers.fair_queue import WaitBounds
from regauth.servers.http_server.connections import LINGER, ClientBounds, Clients
from regauth.servers.http_server.forwarded import ForwardedFields
from regauth.servers.http_server.shedding import (
    RETRY_SECONDS,
    Shedding,
    Turns,
    is_privileged,
    is_whole,
)
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.turned_away import RejectionLog
from tests.servers.clock import Clock
from tests.servers.hosting import HOSTS, PATIENCE, serving

THREADS = 2
WAITING = 3
FOREVER = 3600.0
"""Seconds that a place in the queue lasts: however slow the machine, a test decides when it ends."""

ME, OTHER = "127.0.0.2", "127.0.0.3"


class Book(RejectionLog):
    """Writes down how many were turned away."""

    def __init__(self) -> None:
        super().__init__(EventLog())
        self.shed_ones = 0
        self.others: list[str] = []

    def shed(self, number: int, waiting: int, oldest: float) -> None:
        assert number
        assert waiting >= 0
        assert oldest >= 0
        self.shed_ones += number

    def turned_away(self, why: Any, client: str, request_id: str = "") -> None:  # noqa: ANN401 - as the log takes it
        self.others.append(why)


def until(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if what():
            return
        pause.wait(0.01)
    raise AssertionError("it never came to be")


@dataclass
class Busy:
    """A server whose threads are busy until they are let go."""

    port: int
    shedding: Shedding[Any]
    clients: Clients
    book: Book
    stack: ExitStack
    go_on: threading.Event
    asked: list[str] = field(default_factory=list)

    def send(self, request: bytes, address: str = ME) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), PATIENCE, (address, 0))
        self.stack.enter_context(made)
        made.sendall(request)
        return made

    def get(self, path: str, address: str = ME, more: bytes = b"") -> socket.socket:
        return self.send(b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (path.encode(), more), address)

    def fill(self, address: str = ME) -> list[socket.socket]:
        """Keep all threads busy and all places taken."""
        waiting = len(self.shedding.queue)
        found = []
        for number in range(THREADS):
            # One after another: granian starts its threads when one that works has another come.
            found.append(self.get(f"/held/{number}", address))
            self.wait_for_asked(number + 1)
        for number in range(WAITING):
            found.append(self.get(f"/waits/{number}", address))
            self.wait_for_queue(waiting + number + 1)
        return found

    def wait_for_asked(self, number: int) -> None:
        until(lambda: len(self.asked) >= number)

    def wait_for_queue(self, length: int) -> None:
        until(lambda: len(self.shedding.queue) >= length)


@pytest.fixture(params=HOSTS)
def busy(request: pytest.FixtureRequest) -> Iterator[Busy]:
    """Serve with two threads and three places until the test ends."""
    host: HostName = request.param
    proxies = (ip_network("127.0.0.9/32"),)
    with ExitStack() as stack:
        book, go_on = Book(), threading.Event()
        shedding: Shedding[Any] = Shedding(
            WaitBounds(FOREVER, WAITING), ForwardedFields(proxies), book
        )
        clients = Clients(ClientBounds(exempt=proxies), book, shedding=shedding)
        made = Busy(0, shedding, clients, book, stack, go_on)

        def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - WSGI
            path = environ["PATH_INFO"]
            made.asked.append(path)
            environ["wsgi.input"].read()
            if path.startswith("/held"):
                go_on.wait()
            body = path.encode()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]

        made.port = stack.enter_context(serving(host, application, clients))
        stack.callback(go_on.set)
        yield made


def everything(connection: socket.socket) -> bytes:
    """Return all that comes until the server hangs up."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return bytes(received)


def answer(connection: socket.socket) -> bytes:
    """Return the first line of the next answer, and its body."""
    with closing(http.client.HTTPResponse(connection)) as reply:
        reply.begin()
        return b"HTTP/1.1 %d %s" % (reply.status, reply.read())


def assert_told(received: bytes) -> None:
    """Check that a client was told to come again, and that the connection has ended."""
    head, _, body = received.partition(b"\r\n\r\n")
    fields = dict(
        line.decode().lower().split(": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
    )
    [error] = json.loads(body)["errors"]

    assert received.startswith(b"HTTP/1.1 503 ")
    assert RETRY_SECONDS[0] <= int(fields["retry-after"]) <= RETRY_SECONDS[1]
    assert fields["connection"] == "close"
    assert error["code"] == "UNAVAILABLE"
    assert error["detail"] == {"reason": "overloaded", "requestId": fields["x-request-id"]}


def test_who_comes_when_all_places_are_taken_is_told_at_once(busy: Busy) -> None:
    filled = busy.fill()
    told = everything(busy.get("/never"))
    busy.go_on.set()

    assert_told(told)
    assert [answer(one)[:12] for one in filled] == [b"HTTP/1.1 200"] * len(filled)
    assert "/never" not in busy.asked
    until(lambda: busy.book.shed_ones == 1)
    assert busy.book.others == []


def test_afterwards_all_is_as_before(busy: Busy) -> None:
    filled = busy.fill()
    everything(busy.get("/never"))
    busy.go_on.set()
    for one in filled:
        answer(one)

    assert answer(busy.get("/after")).endswith(b"/after")
    assert len(busy.shedding.queue) == 0
    until(lambda: not busy.shedding.active)


@pytest.mark.parametrize("path", ["/readyz", "/healthz", "/metrics", "/readyz?verbose"])
def test_probes_are_answered_while_no_thread_is_free(busy: Busy, path: str) -> None:
    busy.fill()
    everything(busy.get("/never"))

    assert answer(busy.get(path)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", ["/readyz/", "/readyz%2f", "/Readyz", "//readyz", "/x?/readyz"])
def test_what_only_looks_like_a_probe_is_none(busy: Busy, path: str) -> None:
    busy.fill()
    everything(busy.get("/never"))

    assert_told(everything(busy.get(path)))


def test_another_address_takes_the_place_of_who_has_many(busy: Busy) -> None:
    filled = busy.fill()
    other = busy.get("/other", OTHER)
    told = everything(filled[-1])
    busy.go_on.set()

    assert_told(told)
    assert answer(other).endswith(b"/other")
    assert "/waits/2" not in busy.asked


def test_fields_that_a_stranger_writes_choose_no_client(busy: Busy) -> None:
    busy.fill()
    everything(busy.get("/never"))

    assert_told(everything(busy.get("/never", more=b"X-Forwarded-For: 192.0.2.7\r\n")))
    assert_told(everything(busy.get("/never", more=b"Forwarded: for=192.0.2.7\r\n")))


def test_behind_a_trusted_proxy_each_client_counts_for_itself(busy: Busy) -> None:
    def through(path: str, client: str) -> socket.socket:
        return busy.get(path, "127.0.0.9", b"X-Forwarded-For: %s\r\n" % client.encode())

    held = [through(f"/held/{number}", "192.0.2.1") for number in range(THREADS)]
    until(lambda: len(busy.asked) == THREADS)
    for number in range(WAITING):
        through(f"/waits/{number}", "192.0.2.1")
        busy.wait_for_queue(number + 1)
    told = everything(through("/never", "192.0.2.1"))
    spoofed = everything(through("/never", "198.51.100.9, 192.0.2.1"))
    other = through("/other", "192.0.2.2")
    until(lambda: len(busy.shedding.queue) == WAITING)
    busy.go_on.set()

    assert_told(told)
    assert_told(spoofed)
    assert answer(other).endswith(b"/other")
    assert [answer(one)[:12] for one in held] == [b"HTTP/1.1 200"] * THREADS
    assert "/never" not in busy.asked


def test_all_addresses_of_an_ipv6_network_are_one_client() -> None:
    shedding: Shedding[int] = Shedding(WaitBounds(FOREVER, WAITING))
    for number in range(WAITING + 1):
        shedding.queue.add(shedding.client(f"2001:db8::{number:x}", {}), number)

    assert shedding.refuses_peer("2001:db8::ffff:1")
    assert not shedding.refuses_peer("2001:db8:0:1::1")


@pytest.mark.parametrize(
    "end",
    [b"Content-Length: 20\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"X-Slow: "],
    ids=["length", "chunks", "header"],
)
def test_a_request_that_still_comes_is_told_and_not_reset(busy: Busy, end: bytes) -> None:
    """RFC 9112, section 9.6: what a client goes on sending must not destroy the answer."""
    busy.fill()
    everything(busy.get("/never"))
    slow = busy.send(b"POST /never HTTP/1.1\r\nHost: x\r\n" + end)
    with contextlib.suppress(OSError):
        slow.sendall(b"0123456789")
    rest = {
        b"X-Slow: ": b"x\r\n\r\n",
        b"Content-Length: 20\r\n\r\n": b"0123456789",
    }.get(end, b"")
    if end == b"X-Slow: ":
        slow.sendall(rest)  # granian reads the whole header first

    assert_told(everything(slow))
    assert "/never" not in busy.asked


def test_nothing_after_a_request_that_was_turned_away_is_a_request(busy: Busy) -> None:
    busy.fill()
    everything(busy.get("/never"))
    two = b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n" * 2
    received = everything(busy.send(two))

    assert received.count(b"HTTP/1.1 ") <= 1
    assert "/never" not in busy.asked


def test_a_kept_connection_is_turned_away_too(busy: Busy) -> None:
    kept = busy.get("/first")
    first = answer(kept)
    busy.asked.clear()
    busy.fill()
    kept.sendall(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")

    assert first.endswith(b"/first")
    assert_told(everything(kept))
    assert "/never" not in busy.asked


def test_connections_that_were_turned_away_are_not_counted_as_open(busy: Busy) -> None:
    filled = busy.fill()
    for _ in range(150):  # more than one client may have at a time
        assert_told(everything(busy.get("/never")))
    busy.go_on.set()

    assert [answer(one)[:12] for one in filled] == [b"HTTP/1.1 200"] * len(filled)
    assert answer(busy.get("/after")).endswith(b"/after")


def test_who_goes_on_sending_for_ever_is_hung_up_on() -> None:
    clock = Clock()
    book = Book()
    shedding: Shedding[Any] = Shedding(WaitBounds(FOREVER, WAITING), rejections=book)
    clients = Clients(None, book, clock, shedding)
    go_on, held = threading.Event(), threading.Semaphore(0)

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - WSGI
        held.release()
        go_on.wait()
        start_response("200 OK", [])
        return []

    with ExitStack() as stack:
        port = stack.enter_context(serving("waitress", application, clients))
        stack.callback(go_on.set)
        made = Busy(port, shedding, clients, book, stack, go_on)
        for number in range(THREADS):
            made.get(f"/held/{number}")
            assert held.acquire(timeout=PATIENCE)
        for number in range(WAITING):
            made.get("/waits")
            made.wait_for_queue(number + 1)
        slow = made.send(b"POST /never HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n")
        told = everything(slow)
        clock.now += LINGER

        def is_hung_up_on() -> bool:
            try:
                slow.sendall(b"x")
            except OSError:
                return True
            return False

        assert_told(told)
        until(is_hung_up_on)


@pytest.mark.parametrize(
    ("data", "privileged"),
    [
        (b"GET /readyz HTTP/1.1\r\n", True),
        (b"HEAD /healthz?x=/auth/token HTTP/1.0\r\n", True),
        (b"GET /auth/token HTTP/1.1\r\n", False),
        (b"GET /auth/token?x=/readyz HTTP/1.1\r\n", False),
        (b"GET /\xff HTTP/1.1\r\n", False),
        (b"GET /auth/to", True),
        (b"\x16\x03\x01\x02\x00", True),
        (b"", True),
        (b"NONSENSE\r\n", True),
    ],
)
def test_only_a_first_line_that_can_be_read_is_turned_away(data: bytes, privileged: bool) -> None:
    assert is_privileged(data) is privileged


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", False),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", True),
        (b"POST / HTTP/1.1\r\ncontent-length:3\r\n\r\nab", False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\n\r\n", False),
    ],
)
def test_whether_more_of_a_request_comes(data: bytes, whole: bool) -> None:
    assert is_whole(data) is whole


def test_ids_and_advice_differ() -> None:
    shedding: Shedding[int] = Shedding(WaitBounds())
    told = [shedding.come_again() for _ in range(1000)]

    assert len({request_id for request_id, _, _ in told}) == 1000
    least, most = RETRY_SECONDS
    assert {int(seconds) for _, seconds, _ in told} == set(range(least, most + 1))


def test_the_thread_that_takes_in_does_not_wait_for_threads_that_never_stop() -> None:
    turns = Turns()

    def take() -> None:
        for _ in range(3):
            turns.take(overloaded=True)

    waiting = threading.Thread(target=take)
    waiting.start()
    waiting.join(PATIENCE)

    assert not waiting.is_alive()


def test_the_threads_that_work_stop_for_the_one_that_takes_in() -> None:
    turns, taken = Turns(), threading.Event()

    def take() -> None:
        turns._alone_until = 0.0
        turns.take(overloaded=True)
        taken.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    turns.answered(overloaded=True)
    waiting.join(PATIENCE)

    assert taken.is_set()
    assert not turns._stopped.is_set()
