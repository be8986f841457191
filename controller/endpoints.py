"""
The controller's own HTTP endpoints: liveness, readiness, leadership and metrics.

What lives here: `/healthz`, `/readyz`, `/leader` and `/metrics`, and the bounds on who asks them.
Not here: how things stand with an account or a secret (`operating.status`), and the metrics
themselves (`measures`).

Every pod that the network policy lets through can connect.  Probes must be answered all the same:
the kubelet ends a controller whose probes fail.
"""

import io
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from .measures import CONTENT_TYPE

MAX_CONNECTIONS: Final = 32
"""Connections at the same time; each has a thread."""
MAX_SECONDS: Final = 5.0
"""
Seconds from the start of a connection to the end of its answer, however slowly the client sends or
reads.
"""
PAUSE: Final = 0.5
"""Seconds without accepting, after no descriptor or thread was left for a connection."""

_UNAVAILABLE: Final = 503

Answer = tuple[int, str, bytes]


def yes_or_no(answer: Callable[[], bool], word: str) -> Callable[[], Answer]:
    """Make an endpoint that answers 200 while something holds, and 503 while not."""

    def ask() -> Answer:
        holds = answer()
        body = json.dumps({word: holds}).encode()
        return 200 if holds else _UNAVAILABLE, "application/json", body

    return ask


def metrics(page: Callable[[], bytes]) -> Callable[[], Answer]:
    """Make the endpoint that Prometheus asks."""
    return lambda: (200, CONTENT_TYPE, page())


class Endpoints:
    """
    A small server in a thread of its own.

    Args:
        address: Host and port; port 0 takes a free one.
        routes: What answers, by path.
        seconds: From a connection's begin to the end of its answer.
        failed: Is told of an endpoint that raises; its client is answered 500.

    Raises:
        OSError: The address is taken.
    """

    def __init__(
        self,
        address: tuple[str, int],
        routes: Mapping[str, Callable[[], Answer]],
        seconds: float = MAX_SECONDS,
        failed: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        values = {"routes": routes, "seconds": seconds, "failed": staticmethod(failed)}
        self._server = _BoundedServer(address, type("Handler", (_RequestHandler,), values))
        self._server.failed = failed
        # A daemon thread: after a failure, no process must live on and report that it is healthy.
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="endpoints", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop serving."""
        self._server.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _BoundedServer(ThreadingHTTPServer):
    """
    Has `MAX_CONNECTIONS` at most.

    One more ends the oldest.  To refuse the newest would let whoever holds them keep probes out.
    """

    daemon_threads = True
    request_queue_size = 2 * MAX_CONNECTIONS

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - the base's
        self.closing = threading.Event()
        self.failed: Callable[[BaseException], None] = lambda _: None
        self._open: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        super().__init__(*arguments)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, or wait when that cannot be done: it would fail again at once."""
        try:
            return super().get_request()
        except OSError:
            self.closing.wait(PAUSE)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's
        """Serve a connection in a thread, in the place of the oldest where there are too many."""
        with self._lock:
            self._open[request] = None
            oldest = next(iter(self._open)) if len(self._open) > MAX_CONNECTIONS else None
            if oldest is not None:
                del self._open[oldest]
                _end(oldest)
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system has no thread left
            self.shutdown_request(request)
            self.closing.wait(PAUSE)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - the base's
        """Close a connection, and forget it."""
        with self._lock:
            self._open.pop(request, None)
            super().shutdown_request(request)

    def handle_error(self, *_: object) -> None:
        """Report a failure of ours; the base writes a traceback for each client that hangs up."""
        error = sys.exc_info()[1]
        if error is not None:
            self.failed(error)


def _end(connection: socket.socket) -> None:
    """End a connection under its thread, whose reads and writes then fail at once."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client closed it first


class _Timed(io.RawIOBase):
    """A connection's bytes, which are waited for until a deadline and not after each byte anew."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a buffer
        self._wait_no_longer()
        return self._connection.recv_into(buffer)

    def write(self, data: Any) -> int:  # noqa: ANN401 - a buffer
        self._wait_no_longer()
        self._connection.sendall(data)
        return len(data)

    def _wait_no_longer(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(left)


class _RequestHandler(BaseHTTPRequestHandler):
    routes: Mapping[str, Callable[[], Answer]]
    seconds: float
    failed: Callable[[BaseException], None]
    server_version = "kube-controller"
    sys_version = ""

    def setup(self) -> None:
        self.connection = self.request
        timed = _Timed(self.connection, self.seconds)
        self.rfile = io.BufferedReader(timed)
        self.wfile = timed  # type: ignore[assignment]  # it writes, which is all that is asked of it

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return  # the client hung up, was late, or had to make room

    def do_GET(self) -> None:
        route = self.routes.get(self.path.partition("?")[0])
        try:
            status, kind, body = route() if route else (404, "text/plain", b"not found\n")
        except Exception as error:  # noqa: BLE001 - whatever it is, the client and the log hear of it
            self.failed(error)
            status, kind, body = 500, "text/plain", b"the endpoint failed; the log says why\n"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def finish(self) -> None:
        """Leave the connection to the server, which closes it; nothing waits in a buffer."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing: probes come every few seconds, and every client can send garbage."""
