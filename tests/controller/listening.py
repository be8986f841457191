"""
HTTP in, and the hold that tests have on it: what the two API servers of the tests share.

What lives here: requests that are seen, refused and cut off, and open watches.  Not here:
what an API server answers.
"""

import json
import sys
import threading
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Object = dict[str, Any]


class StatusError(Exception):
    """An answer that is a Status (Kubernetes API conventions, "Response Status Kind")."""

    def __init__(
        self, code: int, reason: str, message: str = "", cause: str = "", wait: int = 0
    ) -> None:
        super().__init__(message)
        self.code, self.wait = code, wait
        self.body = {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": message or reason,
            "details": {"causes": [{"reason": cause}] if cause else []},
        }  # fmt: skip


@dataclass
class Request:
    """A request as it came in, for tests that count or break requests."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    content_type: str
    status: int = 0
    """What was answered; 0 when nothing was, or not yet."""

    @property
    def what(self) -> str:
        """`PATCH secrets`, `POST serviceaccounts/token`, `WATCH secrets`."""
        steps = [one for one in self.path.split("/") if one]
        rest = steps[2:] if steps[0] == "api" else steps[3:]
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            rest = rest[2:]
        kind = "/".join((rest[0], *rest[2:])) if rest else self.path
        return f"{'WATCH' if 'watch' in self.query else self.method} {kind}"


@dataclass
class Watch:
    """One open watch."""

    kind: str
    version: int = 0
    selector: str = ""
    ended: bool = False
    bookmarks: int = 0
    ends: float = 0.0
    """When the client wanted it to end, by the monotonic clock."""
    stream: Any = None
    """Where it comes from, for a gate."""


class Server(ThreadingHTTPServer):
    """A thread for each connection; clients that are killed in the middle are no news."""

    daemon_threads = True
    request_queue_size = 256
    """
    After a break all come back at once.  Of more than the queue takes, the system (with SYN cookies)
    lets clients believe that they are connected, and answers nothing for a minute.
    """

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in socketserver
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Listening:
    """
    Something that listens on loopback.

    Attributes:
        seen: Every request that came in.
        before: Called with each request before it is carried out; may change its body, and raise
            `StatusError`, or `ConnectionAbortedError` to close the connection without an answer.
        after: Called after it was carried out and before it is answered; may raise the same.
        watches: Those that are open.
        now: The time, in seconds since 1970.
        changed: Told of every change of these.
    """

    def __init__(self, handler: "type[Handler]") -> None:
        self.now: Callable[[], float] = getattr(self, "now", time.time)
        self.seen: list[Request] = []
        self.watches: list[Watch] = []
        self.changed = threading.Condition(threading.RLock())
        self.open()
        self._server = Server(("127.0.0.1", 0), type("Handler", (handler,), {"host": self}))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def open(self) -> None:
        """Let everything through, and forget what was seen."""
        self.before: Callable[[Request], None] = lambda _request: None
        self.after: Callable[[Request], None] = lambda _request: None
        with self.changed:
            self.seen.clear()

    def count(self) -> Counter[str]:
        """How many requests there were of each kind."""
        with self.changed:
            return Counter(request.what for request in self.seen)

    def disconnect(self) -> None:
        """End every open watch."""
        with self.changed:
            for watch in self.watches:
                stream, ended = watch.stream, watch.ended
                watch.ended = True  # first: who reads the stream asks as soon as it ends
                if stream is not None and not ended:
                    with suppress(OSError, RuntimeError, ValueError, AttributeError):
                        stream.shutdown()  # as `Stream.close` of the controller says
            self.changed.notify_all()

    def close(self) -> None:
        self.disconnect()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    """What becomes of one request; how it is carried out is for those who inherit."""

    host: Any
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    @abstractmethod
    def carry_out(self, request: Request) -> None:
        """Carry it out and answer it."""

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        if len(data) < length:  # the client was killed in the middle of its request
            self.close_connection = True
            return
        request = Request(
            self.command, parts.path, dict(parse_qsl(parts.query)), json.loads(data) if data else None,
            self.headers.get("Content-Type", ""),
        )  # fmt: skip
        try:
            with self.host.changed:
                self.host.seen.append(request)
            self.host.before(request)
            self.carry_out(request)
        except StatusError as error:
            request.status = error.code
            self.send(error.code, json.dumps(error.body).encode(), str(error.wait or ""))
        except ConnectionError:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Write the Date field by the server's clock (RFC 9110, section 6.6.1)."""
        return super().date_time_string(self.host.now() if timestamp is None else timestamp)

    def send(self, status: int, data: bytes, wait: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if wait:
            self.send_header("Retry-After", wait)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, lines: Iterable[bytes]) -> None:
        """Answer with lines, each as soon as it is there."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for line in lines:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass
