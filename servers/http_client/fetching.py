"""
HTTP out, whole: small documents from other servers.

What lives here: fetching a small document within bounds of time, size and place.  Not here: what
the document means, and when to fetch it (`regauth.servers.provider_keys.providers`).

It uses urllib3's connections without a pool.  A document is fetched every few minutes, so a kept
connection saves little, and a deadline can close a connection under a peer that sends a byte a
second.
"""

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from regauth.engine.policy.policy import RemoteAccess
from regauth.engine.source.addresses import is_loopback

from .deadline import PlainConnection, TlsConnection
from .origins import DEFAULT_PORTS, Origin, origin_of

MAX_REDIRECTS: Final = 3
ACCEPT: Final = "application/json, application/jwk-set+json"
"""
Documents and JWK sets (RFC 7517, section 8.5).

Kubernetes answers 406 to a request for its keys that accepts only `application/json`.
"""

_CHUNK: Final = 64 * 1024
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_BAD_HOST: Final = re.compile(r"[\x00-\x20\x7f]")
"""Characters that http.client accepts in no host."""
_OK: Final = 200


MAX_MESSAGE: Final = 500
"""Characters of the message about a failed fetch.  It may quote the peer, and logs repeat it."""


class FetchError(Exception):
    """A document could not be fetched; the message names the address and the reason."""

    def __init__(self, message: str) -> None:
        short = len(message) <= MAX_MESSAGE
        super().__init__(message if short else f"{message[:MAX_MESSAGE]}...")


class PlainHttpError(FetchError):
    """Another machine would be reached without TLS, and the settings do not allow that."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a fetch may take: `seconds` altogether, `size` in bytes."""

    seconds: float = 5.0
    size: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FetchedDocument:
    """What a fetch brought: the address it came from, its bytes, and the headers it came with."""

    url: str
    body: bytes
    headers: Mapping[str, str]


def origin(url: str) -> Origin:
    """
    Return the origin of an address that can be fetched from.

    Raises:
        FetchError: It is not an HTTP address.
    """
    found = origin_of(_split(url))
    if found is None:
        raise FetchError(f"{url[:200]!r} is not an https address")
    return found


def fetch(url: str, place: RemoteAccess, bounds: Bounds, accept: str = ACCEPT) -> FetchedDocument:
    """
    Fetch a document by GET.

    Redirects are followed within the origin of `url` alone.  So an attacker who can make a provider
    redirect cannot make this server read other keys.

    Raises:
        FetchError: The address is not allowed, the peer cannot be reached or trusted, or its
            answer is late, too large, or not 200.
    """
    deadline = time.monotonic() + bounds.seconds
    home, address = origin(url), url
    for _ in range(MAX_REDIRECTS + 1):
        parts = _split(address)
        _check_scheme(parts, place)
        reply = _get(parts, place, bounds, deadline, {"Accept": accept})
        if reply.status in _REDIRECTS:
            target = _target(address, reply.headers.get("location", ""))
            # The scheme is a part of the origin, so a redirect cannot lead from https to plain HTTP
            # either.
            if origin(target) != home:
                raise FetchError(f"{url} redirects to another origin")
            address = target
            continue
        if reply.status != _OK:
            raise FetchError(f"{url} answered {reply.status}")
        return FetchedDocument(address, reply.body, reply.headers)
    raise FetchError(f"{url} redirects more than {MAX_REDIRECTS} times")


def _target(address: str, location: str) -> str:
    try:
        return urljoin(address, location)
    except ValueError as error:
        raise FetchError(f"{address} redirects to what is no address") from error


@dataclass(frozen=True, slots=True)
class PeerReply:
    """A peer's answer: its status, headers (by lower-case name) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(url: str, place: RemoteAccess, bounds: Bounds, headers: Mapping[str, str]) -> PeerReply:
    """
    Send a GET request and return the answer, whatever its status; follow no redirect.

    Raises:
        FetchError: The address is not allowed, the peer cannot be reached or trusted, or its
            answer is late or too large.
    """
    parts = _split(url)
    _check_scheme(parts, place)
    return _get(parts, place, bounds, time.monotonic() + bounds.seconds, headers)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        good = parts.port != 0 and _BAD_HOST.search(parts.hostname or "") is None
    except ValueError:
        good = False
    if not good or parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise FetchError(f"{url[:200]!r} is not an https address")
    return parts


def _check_scheme(parts: SplitResult, place: RemoteAccess) -> None:
    if parts.scheme == "http" and not place.allow_http and not is_loopback(parts.hostname or ""):
        raise PlainHttpError(f"{parts.geturl()} is not https; `allowHttp: true` admits it")


def _get(
    parts: SplitResult,
    place: RemoteAccess,
    bounds: Bounds,
    deadline: float,
    headers: Mapping[str, str],
) -> PeerReply:
    url = parts.geturl()
    left = deadline - time.monotonic()
    if left <= 0:
        raise FetchError(f"{url} did not answer within {bounds.seconds:g} s")
    connection = _connection(parts, place, left, deadline)
    late = threading.Event()
    # A socket's time-out starts again with every byte.  The timer ends the whole exchange, so that
    # a peer cannot hold a thread by sending a byte a second.
    timer = threading.Timer(left, _cut(connection, late))
    timer.daemon = True
    timer.start()
    try:
        target = parts.path or "/"
        connection.request(
            "GET",
            f"{target}?{parts.query}" if parts.query else target,
            headers={"User-Agent": "regauth", **_authorization(place), **headers},
            preload_content=False,
        )
        response = connection.getresponse()
        # Fields of one name are one list (RFC 9110, section 5.3): none of them may hide another.
        found = {name.lower(): value for name, value in response.headers.itermerged()}
        body = _read(response, bounds.size, url)
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            message = f"{url} did not answer within {bounds.seconds:g} s"
        else:
            message = f"{url}: {_reason(error)}"
        raise FetchError(message) from error
    finally:
        timer.cancel()
        connection.close()
    # The peer may have answered a part before it was cut off; such a body is not complete.
    if late.is_set():
        raise FetchError(f"{url} did not answer within {bounds.seconds:g} s")
    return PeerReply(response.status, found, body)


def _cut(connection: HTTPConnection, late: threading.Event) -> Callable[[], None]:
    """Return a function that shuts a connection down, so that reads in another thread fail."""

    def cut() -> None:
        late.set()
        sock = connection.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the peer closed it first

    return cut


def _connection(
    parts: SplitResult, place: RemoteAccess, seconds: float, deadline: float
) -> HTTPConnection:
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    if parts.scheme == "http":
        return PlainConnection(host, port, timeout=seconds, deadline=deadline)
    tls = _tls(place, _stamp(place))
    return TlsConnection(host, port, timeout=seconds, ssl_context=tls, deadline=deadline)


def _stamp(place: RemoteAccess) -> tuple[int, int] | None:
    """Return a value that changes when the CA file does, so that a renewed authority is noticed."""
    if place.ca_file is None:
        return None
    try:
        found = Path(place.ca_file).stat()
    except OSError as error:
        raise FetchError(f"the CA file cannot be read: {error}") from error
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)
def _tls(place: RemoteAccess, stamp: tuple[int, int] | None) -> ssl.SSLContext:  # noqa: ARG001 - cache key
    try:
        context = ssl.create_default_context(cafile=place.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise FetchError(f"the CA file {place.ca_file} cannot be used: {error}") from error
    # The library's default may be lower on an old system.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _authorization(place: RemoteAccess) -> dict[str, str]:
    if place.bearer_token_file is None:
        return {}
    try:
        token = Path(place.bearer_token_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FetchError(
            f"the bearer token file {place.bearer_token_file} cannot be read"
        ) from error
    return {"Authorization": f"Bearer {token}"}


def _read(response: HTTPResponse, size: int, url: str) -> bytes:
    body = bytearray()
    while chunk := response.read1(_CHUNK, decode_content=False):
        body += chunk
        # The length is counted while reading: a `Content-Length` may be missing or wrong.
        if len(body) > size:
            raise FetchError(f"{url} is larger than {size} bytes")
    return bytes(body)


def _reason(error: BaseException) -> str:
    """Return the cause in a few words; urllib3 wraps the error of the system several times."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        if isinstance(cause, socket.gaierror):
            return "its host name cannot be resolved"
        cause = cause.__cause__ or cause.__context__
    return str(error)[:200] or type(error).__name__
