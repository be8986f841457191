"""
A gate before a real API server: what goes through it can be seen, refused, changed and cut off.

It gives tests the same hold on a real kube-apiserver that they have on their own; it answers
nothing by itself.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

import urllib3

from .api_server import Request, Server, StatusError, Watch

PASSED_ON = ("Authorization", "Accept", "Content-Type", "User-Agent")


class Gate:
    """
    The gate.

    Attributes:
        seen: Every request that came in.
        before: Called with each request before it is passed on; may change its body, or raise
            `StatusError`, or `ConnectionAbortedError` to close the connection without an answer.
        after: Called when it was carried out and before it is answered; may raise the same.
        watches: Those that are open.
    """

    def __init__(self, upstream: str, ca_file: str) -> None:
        self.upstream, self.ca_file = upstream, ca_file
        self.http = urllib3.PoolManager(maxsize=32, ca_certs=ca_file)
        self.seen: list[Request] = []
        self.watches: list[Watch] = []
        self.changed = threading.Condition(threading.RLock())
        self.open()
        handler = type("Handler", (_Handler,), {"gate": self})
        self._server = Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
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
                watch.ended = True
                if watch.stream is not None:
                    watch.stream.shutdown()
            self.changed.notify_all()

    def close(self) -> None:
        self.disconnect()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.http.clear()


class _Handler(BaseHTTPRequestHandler):
    gate: Gate
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(
            self.command, parts.path, dict(parse_qsl(parts.query)), json.loads(data) if data else None,
            self.headers.get("Content-Type", ""),
        )  # fmt: skip
        try:
            with self.gate.changed:
                self.gate.seen.append(request)
            self.gate.before(request)
            self._pass_on(request)
        except StatusError as error:
            request.status = error.code
            self._send(error.code, json.dumps(error.body).encode(), str(error.wait or ""))
        except (ConnectionError, urllib3.exceptions.HTTPError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

    def _pass_on(self, request: Request) -> None:
        answer = self.gate.http.request(
            request.method,
            self.gate.upstream + self.path,
            headers={name: self.headers[name] for name in PASSED_ON if name in self.headers},
            body=None if request.body is None else json.dumps(request.body),
            preload_content="watch" not in request.query,
            timeout=urllib3.Timeout(60),
            retries=False,
        )
        request.status = answer.status
        if "watch" in request.query and answer.status == 200:
            self._stream(request, answer)
            return
        data = answer.data
        if answer.status < 400:
            self.gate.after(request)
        self._send(answer.status, data, answer.headers.get("Retry-After", ""))

    def _stream(self, request: Request, answer: urllib3.BaseHTTPResponse) -> None:
        watch = Watch(request.what.partition(" ")[2], stream=answer)
        with self.gate.changed:
            self.gate.watches.append(watch)
            self.gate.changed.notify_all()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        try:
            for line in answer:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            if not watch.ended:
                self.close_connection = True
                return
        finally:
            answer.close()
            with self.gate.changed:
                self.gate.watches.remove(watch)
                self.gate.changed.notify_all()
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, status: int, data: bytes, wait: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if wait:
            self.send_header("Retry-After", wait)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
