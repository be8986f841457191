"""The controller's endpoints: what they answer, and what one client may take of them."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from regauth.controller.endpoints import MAX_CONNECTIONS, Endpoints, yes_or_no

PATIENCE = 30.0
PROBE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    made = Endpoints(("127.0.0.1", 0), {"/healthz": yes_or_no(lambda: True, "healthy")}, 3600)
    yield made
    made.close()


def connect(endpoints: Endpoints) -> socket.socket:
    return socket.create_connection(("127.0.0.1", endpoints.port), PATIENCE)


def ended(connection: socket.socket) -> bool:
    """Tell whether the server has ended a connection; it may not have read all that was sent."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_what_there_is_is_answered_and_nothing_else(endpoints: Endpoints) -> None:
    answers = []
    for path in ("/healthz", "/healthz?verbose", "/metrics"):
        connection = http.client.HTTPConnection("127.0.0.1", endpoints.port, timeout=PATIENCE)
        connection.request("GET", path)
        reply = connection.getresponse()
        answers.append((reply.status, reply.read()))
        connection.close()

    healthy = (200, b'{"healthy": true}')
    assert answers == [healthy, healthy, (404, b"not found\n")]


def test_s9_one_connection_too_many_ends_the_oldest_so_that_probes_are_answered(
    endpoints: Endpoints,
) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(connect(endpoints)) for _ in range(MAX_CONNECTIONS)]
        for one in held:
            one.sendall(b"GET /healthz HTTP/1.1\r\nX-Half: ")
        probe = stack.enter_context(connect(endpoints))
        probe.sendall(PROBE)

        assert probe.recv(65536).startswith(b"HTTP/1.0 200 ")
        assert ended(held[0])
        held[-1].sendall(b"x\r\n\r\n")
        assert held[-1].recv(65536).startswith(b"HTTP/1.0 200 ")


@pytest.mark.parametrize("piece", [b"", b"X: a\r\n"], ids=["silent", "a field at a time"])
def test_s9_a_request_ends_at_its_deadline_however_it_is_sent(piece: bytes) -> None:
    endpoints = Endpoints(("127.0.0.1", 0), {}, 0.3)
    with connect(endpoints) as slow:
        slow.settimeout(0.02)
        slow.sendall(b"GET /healthz HTTP/1.1\r\n")
        ended = False
        for _ in range(90):  # http.server takes a hundred fields
            try:
                slow.sendall(piece)
                ended = slow.recv(65536) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
            if ended:
                break
    endpoints.close()

    assert ended


def test_s9_a_client_that_reads_nothing_holds_its_place_until_the_deadline_alone() -> None:
    endless = b"x" * (64 << 20)
    endpoints = Endpoints(("127.0.0.1", 0), {"/": lambda: (200, "text/plain", endless)}, 0.3)
    before = set(threading.enumerate())  # servers of other tests may have threads of that name
    with connect(endpoints) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        got = 0
        while got < 1024:
            got += len(slow.recv(1024))
        # The rest is taken after the server gave up: it is cut off.
        for thread in set(threading.enumerate()) - before:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        with suppress(ConnectionResetError):  # the system keeps for a while what nobody takes
            while piece := slow.recv(1 << 20):
                got += len(piece)
    endpoints.close()

    assert got < len(endless)


def test_an_endpoint_that_fails_is_answered_500_and_reported() -> None:
    told: list[BaseException] = []

    def fail() -> tuple[int, str, bytes]:
        raise ValueError("a failure of ours")

    endpoints = Endpoints(("127.0.0.1", 0), {"/metrics": fail}, failed=told.append)
    with connect(endpoints) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        answer = client.recv(65536)
    endpoints.close()

    assert answer.startswith(b"HTTP/1.0 500 ")
    assert [str(one) for one in told] == ["a failure of ours"]
