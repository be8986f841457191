"""A proxy that listens on loopback, before a registry whose every answer a test decides."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from regauth.engine.access.scope import parse_scopes
from regauth.engine.tokens import jwt
from regauth.engine.tokens.keys import SigningKey
from regauth.servers.configuration.proxy_settings import (
    BundleKeys,
    ProxySettings,
    TokenSettings,
    UpstreamSettings,
)
from regauth.servers.configuration.settings import Address
from regauth.servers.http_server import server as hosting
from regauth.servers.http_server.hosts import make_host
from regauth.servers.proxy.app import Proxy
from regauth.servers.signing.certificates import (
    certificate_pem,
    make_authority,
    make_key,
    make_leaf,
)
from regauth.servers.telemetry.event_log import EventLog

SERVICE, ISSUER = "registry.example.com", "registry-token-issuer"
REALM = "https://auth.example.com/auth/token"
LOOPBACK = (ip_network("127.0.0.1/32"),)
PATIENCE = 30.0


@dataclass
class Received:
    """A request as the registry got it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[BaseHTTPRequestHandler, Received], None]


@dataclass
class Registry:
    """The registry as a test sees it."""

    url: str
    behaviour: Behaviour
    received: list[Received] = field(default_factory=list)


def plain(status: int = 200, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer everything alike; `_` in names stands for `-`."""

    def answer(handler: BaseHTTPRequestHandler, _: Received) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A proxy that hangs up is what some tests are about."""


@contextmanager
def registry(behaviour: Behaviour | None = None) -> Iterator[Registry]:
    """Serve a registry on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            names = {name.lower(): value for name, value in self.headers.items()}
            got = Received(self.command, self.path, names, self.rfile.read(length))
            found.received.append(got)
            found.behaviour(self, got)

        do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names of http.server

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    found = Registry(f"http://127.0.0.1:{server.server_address[1]}", behaviour or plain())
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Signing:
    """A token server's key, and the root certificate that a registry has of it."""

    key: SigningKey
    bundle: Path

    def token(self, *scopes: str, **changes: object) -> str:
        """Return a token with the access of scopes."""
        now = int(datetime.now(UTC).timestamp())
        access = [
            {"type": one.resource.type, "name": one.resource.name, "actions": list(one.actions)}
            for one in parse_scopes(scopes)
        ]
        claims = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": "someone",
            "exp": now + 300,
            "nbf": now - 10,
            "access": access,
        }
        return jwt.sign({**claims, **changes}, self.key)


def make_signing(folder: Path) -> Signing:
    """Make a key with a certificate, and the file of its root."""
    now = datetime.now(UTC)
    authority = make_authority("root", now, timedelta(days=1))
    key = make_key("ES256")
    leaf = make_leaf(authority, key.public_key(), "leaf", now, timedelta(hours=1))
    bundle = folder / "root.crt"
    bundle.write_bytes(certificate_pem(authority.certificate))
    return Signing(SigningKey(key, "ES256", None, (leaf,)), bundle)


@dataclass
class Standing:
    """A proxy that serves."""

    port: int
    signing: Signing
    log: Path
    proxy: Proxy

    def say(self, data: bytes, *, hang_up: bool = False) -> bytes:
        """Send bytes as they are, and return everything that comes until the end."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall(data)
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
            return answer

    def ask(
        self, method: str, target: str, *scopes: str, body: bytes = b"", **headers: str
    ) -> "Reply":
        """Send one request with a token for the scopes, and return the answer."""
        given = {"Host": "registry.example.com", "Connection": "close"}
        if scopes:
            given["Authorization"] = f"Bearer {self.signing.token(*filter(None, scopes))}"
        if body:
            given["Content-Length"] = str(len(body))
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
        request = f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body
        return read_reply(self.say(request))


@dataclass
class Reply:
    """An answer, as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, self.headers
        return values[0] if values else None


def read_reply(data: bytes) -> Reply:
    """Read one answer."""
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return Reply(int(status.split()[1]), headers, body)


@contextmanager
def standing(folder: Path, upstream: UpstreamSettings | None, **changes: Any) -> Iterator[Standing]:  # noqa: ANN401 - settings
    """Serve a proxy on a free port until the block ends."""
    signing = make_signing(folder)
    settings = ProxySettings(
        TokenSettings(SERVICE, ISSUER, BundleKeys(signing.bundle), REALM),
        upstream,
        listen=(Address("127.0.0.1", 0),),
        threads=8,
    )
    settings = replace(settings, **changes)
    log = folder / "log"
    with ExitStack() as stack:
        stream = stack.enter_context(log.open("ab"))
        proxy = Proxy(settings, EventLog("json", "info", stream.fileno()))
        proxy.start()
        stack.callback(proxy.close)
        [listener] = hosting.bind(settings.listen)
        stack.callback(listener.close)
        server = make_host(
            settings.server,
            proxy.app,
            [listener],
            proxy.clients,
            threads=settings.threads,
            drain=2.0,
            adjustments=hosting.streaming(settings.limits.max_body, settings.threads),
        )
        thread = threading.Thread(target=server.run)
        port = listener.getsockname()[1]
        thread.start()

        def end() -> None:
            server.stop()
            thread.join(PATIENCE)

        stack.callback(end)
        yield Standing(port, signing, log, proxy)
