"""Connections are watched for what they want, and left alone while they want nothing."""

import errno
import http.client
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any, BinaryIO

import pytest
from waitress import wasyncore

from regauth.servers.configuration.settings import Address
from regauth.servers.http_server import connections
from regauth.servers.http_server import server as hosting
from regauth.servers.http_server.descriptors import PAUSE
from regauth.servers.http_server.polling import Channels, WatchedChannels
from tests.servers.clock import Clock

PATIENCE = 20.0
GOOD = b"HTTP/1.1 200 OK"
KINDS = [Channels, WatchedChannels]


def answers(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    body = f"{environ['PATH_INFO']} {environ['wsgi.input'].read().decode()}".encode()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def serving(
    application: Callable[..., Any],
    adjustments: Mapping[str, int] = MappingProxyType({}),
    clients: connections.Clients | None = None,
) -> Iterator[tuple[int, Channels]]:
    (listener,) = hosting.bind([Address("127.0.0.1", 0)])
    server = hosting.Server(
        application, [listener], threads=4, adjustments=adjustments, clients=clients
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield listener.getsockname()[1], server._map
    finally:
        server.stop()
        thread.join(PATIENCE)
        listener.close()
        assert not thread.is_alive()


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Channels]:
    chosen: type[Channels] = request.param
    monkeypatch.setattr(hosting, "channels", chosen)
    return chosen


@contextmanager
def speaking(port: int) -> Iterator[tuple[socket.socket, BinaryIO]]:
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as client,
        client.makefile("rb") as answers,
    ):
        yield client, answers


def read_answer(answers: BinaryIO) -> tuple[bytes, bytes]:
    status = answers.readline().strip()
    length = 0
    while line := answers.readline().strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return status, answers.read(length)


def test_one_connection_is_answered_many_times(kind: type[Channels]) -> None:
    with serving(answers) as (port, channels):
        assert isinstance(channels, kind)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        for number in range(20):
            connection.request("POST", f"/{number}", body="x" * number)
            assert connection.getresponse().read() == f"/{number} {'x' * number}".encode()
        connection.close()


def test_requests_sent_all_at_once_are_answered_in_their_order(kind: type[Channels]) -> None:
    with serving(answers) as (port, _), speaking(port) as (client, stream):
        client.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % one for one in range(10)))
        client.shutdown(socket.SHUT_WR)
        everything = stream.read()

    assert [everything.count(b"/%d " % one) for one in range(10)] == [1] * 10
    places = [everything.index(b"/%d " % one) for one in range(10)]
    assert places == sorted(places)


def test_what_comes_while_a_request_is_answered_is_read_afterwards(kind: type[Channels]) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            entered.set()
            assert go_on.wait(PATIENCE)
        return answers(environ, start)

    with serving(slow) as (port, _), speaking(port) as (client, stream):
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert entered.wait(PATIENCE)
        client.sendall(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        other = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        other.request("GET", "/other")  # a turn of the loop with the first one busy
        assert other.getresponse().read() == b"/other "
        other.close()
        go_on.set()

        assert read_answer(stream) == (GOOD, b"/slow ")
        assert read_answer(stream) == (GOOD, b"/next ")


def test_an_answer_larger_than_the_sockets_hold_arrives_whole(kind: type[Channels]) -> None:
    size = 20 * 1024 * 1024

    def large(_environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        start("200 OK", [("Content-Length", str(size))])
        return [b"x" * size]

    with serving(large) as (port, _), speaking(port) as (client, stream):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)

        assert read_answer(stream) == (GOOD, b"x" * size)
        assert read_answer(stream) == (GOOD, b"x" * size)


def test_a_client_that_asks_for_it_is_hung_up_on(kind: type[Channels]) -> None:
    with serving(answers) as (port, channels):
        with speaking(port) as (client, stream):
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

            assert read_answer(stream) == (GOOD, b"/ ")
            assert stream.read() == b""
        # The listener and the loop's own pipe are left.
        ask = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        ask.request("GET", "/")
        ask.getresponse().read()
        assert len(channels) == 3
        ask.close()


def test_the_next_is_let_in_as_soon_as_connections_are_left_again(kind: type[Channels]) -> None:
    # The listener and the loop's own pipe count, too.
    with serving(answers, adjustments={"connection_limit": 4}) as (port, _):
        with speaking(port) as (first, one), speaking(port) as (second, two):
            for client, stream in ((first, one), (second, two)):
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert read_answer(stream) == (GOOD, b"/ ")
            third = socket.create_connection(("127.0.0.1", port), PATIENCE)
            third.sendall(b"GET /third HTTP/1.1\r\nHost: x\r\n\r\n")
            first.sendall(b"GET /again HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(one) == (GOOD, b"/again ")
        with third, third.makefile("rb") as stream:
            assert read_answer(stream) == (GOOD, b"/third ")


def test_a_signal_that_does_not_interrupt_the_loop_ends_it_all_the_same() -> None:
    """As one does that comes just before the loop waits: here, another thread gets it."""
    (listener,) = hosting.bind([Address("127.0.0.1", 0)])
    server = hosting.Server(answers, [listener], threads=1)
    ended, late = threading.Event(), threading.Event()

    def other() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        with speaking(listener.getsockname()[1]) as (client, stream):
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(stream) == (GOOD, b"/ ")
        os.kill(os.getpid(), signal.SIGUSR1)
        if not ended.wait(PATIENCE / 2):
            late.set()
            server.stop()

    before = signal.signal(signal.SIGUSR1, lambda *_: server.stop())
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    thread = threading.Thread(target=other)
    try:
        thread.start()
        server.run()
        ended.set()
    finally:
        thread.join(PATIENCE)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        signal.signal(signal.SIGUSR1, before)
        listener.close()

    assert not late.is_set()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_who_has_asked_before_the_end_is_answered(kind: type[Channels], version: str) -> None:
    """Also where others leave meanwhile, so that there are not more connections than before."""
    del kind
    (listener,) = hosting.bind([Address("127.0.0.1", 0)])
    server = hosting.Server(answers, [listener], threads=2)
    with ExitStack() as stack:
        asking = []
        for number in range(6):
            leaver = socket.create_connection(listener.getsockname(), PATIENCE)
            client, stream = stack.enter_context(speaking(listener.getsockname()[1]))
            client.sendall(f"GET /{number} HTTP/{version}\r\nHost: x\r\n\r\n".encode())
            asking.append(stream)
            leaver.close()
        server.stop()
        server.run()
        found = [read_answer(stream) for stream in asking]

    good = GOOD.replace(b"1.1", version.encode())
    assert found == [(good, f"/{number} ".encode()) for number in range(6)]


def test_idle_connections_cost_a_request_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Counted(connections.Channel):
        def readable(self) -> bool:
            asked.append(self)
            return bool(super().readable())

    monkeypatch.setattr(connections, "Channel", Counted)
    with serving(answers) as (port, _):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        for number in range(21):
            if number == 1:
                asked.clear()  # all have been accepted before the first answer
            connection.request("GET", "/")
            connection.getresponse().read()

        assert asked
        assert len(set(map(id, asked))) == 1
        for one in (connection, *idle):
            one.close()


def test_s2_an_urgent_byte_does_not_keep_the_loop_turning(
    kind: type[Channels], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No read takes it away, so a loop that watches for it finds it on every turn."""
    del kind
    woken: Counter[object] = Counter()
    readwrite = wasyncore.readwrite

    def counted(channel: Any, flags: int) -> None:  # noqa: ANN401 - waitress's
        woken[channel.addr] += 1
        readwrite(channel, flags)

    monkeypatch.setattr(wasyncore, "readwrite", counted)
    with serving(answers) as (port, _), ExitStack() as stack:
        odd = []
        for start in (b"", b"GET / HTTP/1.1\r\nHost: x\r\nX: "):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            client.sendall(start)
            client.send(b"!", socket.MSG_OOB)
            odd.append(client.getsockname())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        for _ in range(100):
            connection.request("GET", "/")
            connection.getresponse().read()
        found = [woken[address] for address in odd]
        connection.close()

    assert max(found) <= 3, found


def test_s7_no_descriptor_left_is_met_once_a_pause(
    kind: type[Channels], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection that waits wakes the loop at once, however often accepting it fails."""
    del kind
    clock, exhausted, tried = Clock(), threading.Event(), []
    accept = wasyncore.dispatcher.accept

    def accept_if_one_is_left(listener: object) -> object:
        if exhausted.is_set():
            tried.append(listener)
            raise OSError(errno.EMFILE, "too many open files")
        return accept(listener)

    monkeypatch.setattr(wasyncore.dispatcher, "accept", accept_if_one_is_left)
    with serving(answers, clients=connections.Clients(clock=clock)) as (port, _):
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

        def ask() -> None:
            for _ in range(100):
                kept.request("GET", "/")
                kept.getresponse().read()

        ask()
        exhausted.set()
        with speaking(port) as (client, stream):
            client.sendall(b"GET /waited HTTP/1.1\r\nHost: x\r\n\r\n")
            ask()
            clock.now += PAUSE
            ask()
            exhausted.clear()
            clock.now += PAUSE

            assert read_answer(stream) == (GOOD, b"/waited ")
        kept.close()

    assert len(tried) == 2


def test_every_address_is_of_both_families_on_one_port() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("there is no IPv6 here")
    with socket.socket() as free:
        free.bind(("", 0))  # free at every address
        port = free.getsockname()[1]
    listeners = hosting.bind([Address("", port)])
    try:
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), PATIENCE).close()
        found = sorted(hosting.addresses_of(listeners))
    finally:
        for one in listeners:
            one.close()

    assert found == [f"0.0.0.0:{port}", f"[::]:{port}"]


def test_a_request_that_does_not_come_to_its_end_does_not_keep_the_server_from_its_own() -> None:
    (listener,) = hosting.bind([Address("127.0.0.1", 0)])
    port = listener.getsockname()[1]
    server = hosting.Server(lambda _environ, _start: [], [listener], threads=1, drain=0.1)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as half:
        half.sendall(b"GET / HTTP/1.1\r\n")
        server.stop()
        thread.join(PATIENCE)

    assert not thread.is_alive()
