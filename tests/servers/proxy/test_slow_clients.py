"""Clients that are slow, silent or speak something else."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from regauth.servers.configuration.settings import Address
from regauth.servers.http_client.pool import CHUNK
from regauth.servers.http_server import server as hosting
from regauth.servers.http_server.connections import ClientBounds, Clients

from .standing import PATIENCE, Received, Registry, Standing, plain

DIGEST = "sha256:" + "a" * 64


def test_a_client_that_speaks_tls_is_told_at_once_that_nobody_does_here(proxy: Standing) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200

    assert b"Client sent an HTTPS request to an HTTP server" in proxy.say(hello)


def test_slow_downloads_up_to_the_threads_there_are_do_not_stop_new_requests(
    proxy: Standing, upstream: Registry
) -> None:
    """The proxy has eight threads here: seven clients read nothing, and the eighth is answered."""

    def endless(handler: BaseHTTPRequestHandler, got: Received) -> None:
        if "blobs" not in got.target:
            plain()(handler, got)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 40))
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            handler.close_connection = True

    upstream.behaviour = endless
    token = proxy.signing.token("repository:acme/app:pull")
    slow = []
    for _ in range(7):
        connection = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
        connection.sendall(
            f"GET /v2/acme/app/blobs/{DIGEST} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        assert connection.recv(10)
        slow.append(connection)
    try:
        assert proxy.ask("GET", "/v2/acme/app/tags/list", "repository:acme/app:pull").status == 200
    finally:
        for connection in slow:
            connection.close()


@contextmanager
def endless_server(stall: float, closed: threading.Event) -> Iterator[int]:
    """Serve an answer without end to clients that may take nothing for so many seconds."""

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.set()

    def application(_environ: object, start_response: object) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", str(1 << 40))])
        return chunks()

    [listener] = hosting.bind([Address("127.0.0.1", 0)])
    server = hosting.Server(
        application, [listener], threads=1, drain=0.5,
        adjustments=hosting.streaming(1, 1), clients=Clients(ClientBounds(stall_seconds=stall)),
    )  # fmt: skip
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop()
        thread.join(PATIENCE)
        listener.close()


def test_a_client_that_takes_nothing_is_hung_up_on_and_its_thread_is_free() -> None:
    closed = threading.Event()
    with (
        endless_server(0.2, closed) as port,
        socket.create_connection(("127.0.0.1", port), PATIENCE) as silent,
    ):
        silent.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

        assert closed.wait(PATIENCE)


def test_o12_a_client_that_reads_nothing_keeps_little_of_an_answer_in_memory() -> None:
    """Beside this there are the kernel's buffers, and one piece of the upstream's on its way."""
    held: list[int] = []
    closed = threading.Event()

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                channels = list(server._map.values())
                held.extend(getattr(one, "total_outbufs_len", 0) for one in channels)
                yield b"x" * CHUNK
        finally:
            closed.set()

    def application(_environ: object, start_response: object) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", str(1 << 40))])
        return chunks()

    [listener] = hosting.bind([Address("127.0.0.1", 0)])
    server = hosting.Server(
        application, [listener], threads=1, drain=0.5,
        adjustments=hosting.streaming(1, 1), clients=Clients(ClientBounds(stall_seconds=0.2)),
    )  # fmt: skip
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with socket.create_connection(listener.getsockname(), PATIENCE) as silent:
            silent.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert closed.wait(PATIENCE)
    finally:
        server.stop()
        thread.join(PATIENCE)
        listener.close()

    assert 0 < max(held) <= 256 * 1024 + CHUNK
