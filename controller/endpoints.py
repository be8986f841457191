"""
The controller's own HTTP endpoints: liveness, readiness, leadership and metrics.

What lives here: `/healthz`, `/readyz`, `/leader` and `/metrics`.  What must not: anything about
an account or a secret.
"""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from .measures import CONTENT_TYPE

Answer = tuple[int, str, bytes]
_SECONDS: Final = 10
_UNAVAILABLE: Final = 503


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

    Raises:
        OSError: The address is taken.
    """

    def __init__(
        self, address: tuple[str, int], routes: Mapping[str, Callable[[], Answer]]
    ) -> None:
        handler = type("Handler", (_Handler,), {"routes": routes})
        self._server = ThreadingHTTPServer(address, handler)
        self._server.daemon_threads = True
        # A daemon: whatever happens, no process lives on to say that it is healthy.
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
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    routes: Mapping[str, Callable[[], Answer]]
    timeout = _SECONDS

    def do_GET(self) -> None:
        route = self.routes.get(self.path.partition("?")[0])
        status, kind, body = route() if route else (404, "text/plain", b"not found\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: probes come every few seconds."""
