"""
HTTP out, in a stream: connections to one upstream that are kept and used again.

What lives here: sending a request with a body of any length and reading the answer piece by piece,
within bounds of time.  Not here: what is sent, and with whose credentials
(`regauth.servers.upstream.registry`).

It is the other half of `regauth.servers.http_client.fetching`, which fetches small documents
whole.
"""

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Final
from urllib.parse import urlsplit

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse

CHUNK: Final = 256 * 1024
"""Bytes that are read and written at a time."""

_SAFE: Final = frozenset(("GET", "HEAD"))
_FINAL: Final = range(200, 600)
_LENGTH: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class UpstreamError(Exception):
    """
    An upstream cannot be used; the message says why.

    `late` says that the upstream did not answer in time; otherwise it did not answer at all.
    """

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


@dataclass(frozen=True, slots=True)
class Connecting:
    """
    How an upstream is reached.

    `connect_seconds` bounds making a connection; `read_seconds` each wait for bytes, so that a blob
    of many GiB is no reason to give up.  `connections` are kept open; more are made when needed.
    """

    ca_file: str | None = None
    connect_seconds: float = 5.0
    read_seconds: float = 900.0
    connections: int = 64


class UpstreamAnswer:
    """An upstream's answer, whose body is read while it is passed on.  Must be closed."""

    def __init__(self, response: BaseHTTPResponse) -> None:
        self._response = response
        self._ended = False
        self.status = response.status
        self.headers: list[tuple[str, str]] = list(response.headers.items())

    def header(self, name: str) -> str | None:
        """Return a header's value, whatever the case of its name."""
        return self._response.headers.get(name)

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """
        Yield the body as it comes, not decoded; each piece as soon as it is there.

        Raises:
            UpstreamError: The upstream broke off.
        """
        try:
            # `stream` would wait until a piece is full, and hold back the first bytes of a slow
            # upstream.
            while data := self._response.read1(size, decode_content=False):
                yield data
            self._ended = True
        except (HTTPError, OSError) as error:
            raise _error(error) from error

    def read(self, most: int) -> bytes:
        """Return the beginning of the body, for an answer that is not passed on."""
        try:
            return self._response.read(most, decode_content=False)
        except (HTTPError, OSError) as error:
            raise _error(error) from error

    def close(self) -> None:
        """
        Let the connection go: back to the pool when the answer was read to its end.

        Else the connection ends, and with it the upstream's sending.
        """
        if not self._ended:
            self._response.close()
        self._response.release_conn()


class Pool:
    """
    Connections to one origin.  Safe to use from many threads.

    Raises:
        UpstreamError: The CA file cannot be used.
    """

    def __init__(self, origin: str, connecting: Connecting) -> None:
        parts = urlsplit(origin)
        host = parts.hostname or ""
        timeout = Timeout(connect=connecting.connect_seconds, read=connecting.read_seconds)
        keep = connecting.connections
        self._pool: HTTPConnectionPool
        if parts.scheme == "https":
            try:
                context = ssl.create_default_context(cafile=connecting.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise UpstreamError(
                    f"the CA file {connecting.ca_file} cannot be used: {error}"
                ) from error
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._pool = HTTPSConnectionPool(
                host,
                parts.port,
                timeout=timeout,
                maxsize=keep,
                blocksize=CHUNK,
                ssl_context=context,
            )
        else:
            self._pool = HTTPConnectionPool(
                host, parts.port, timeout=timeout, maxsize=keep, blocksize=CHUNK
            )

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: IO[bytes] | bytes | None = None,
    ) -> UpstreamAnswer:
        """
        Send a request and return the answer, as soon as its headers are there.

        A GET or HEAD is sent once more when a kept connection turned out to be closed.  Nothing
        else is sent twice, and no redirect is followed.

        Raises:
            UpstreamError: There is no answer.
        """
        try:
            try:
                return self._send(method, target, headers, body)
            except ProtocolError:
                # A request that was sent twice could push twice, so only GET and HEAD are repeated
                # (RFC 9110, section 9.2.2).
                if method not in _SAFE:
                    raise
                return self._send(method, target, headers, None)
        except (HTTPError, OSError, ValueError) as error:
            raise _error(error) from error

    def _send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: IO[bytes] | bytes | None,
    ) -> UpstreamAnswer:
        answer = UpstreamAnswer(
            self._pool.urlopen(
                method,
                target,
                body,
                dict(headers),
                retries=False,
                # A redirect is the client's to follow.  With the proxy's login, this server could
                # be led anywhere.
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                # The body passes as it is: its digest was computed over these bytes.
                decode_content=False,
                release_conn=False,
            )
        )
        fault = _fault(answer)
        if fault:
            answer.close()
            raise UpstreamError(fault)
        return answer

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()


def _fault(answer: UpstreamAnswer) -> str:
    """
    Say why an answer must not be passed on; empty for one that may.

    An answer must say in one way where it ends (RFC 9112, section 6.3).  Otherwise what follows on
    the connection could be taken for the answer to another client.  An interim answer is refused
    too, because `http.client` takes it for the final one.
    """
    if answer.status not in _FINAL:
        return f"the upstream registry answers with the status {answer.status}"
    named = [(name.lower(), value) for name, value in answer.headers]
    lengths = [value for name, value in named if name == "content-length"]
    codings = [value.lower() for name, value in named if name == "transfer-encoding"]
    one_length = not codings and len(lengths) == 1 and _LENGTH.fullmatch(lengths[0])
    if (lengths and not one_length) or codings not in ([], ["chunked"]):
        return "the upstream registry does not say in one way where its answer ends"
    # A line end in a value would begin a header of the upstream's choice in our answer.
    if any(_CONTROL.search(value) for _, value in named):
        return "the upstream registry sends control characters in a header"
    return ""


def _error(error: Exception) -> UpstreamError:
    """Say why in a few words, without what was sent."""
    if isinstance(error, NewConnectionError):  # tested before its base class, which is a time-out
        return UpstreamError("no connection to the upstream registry can be made")
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError | TimeoutError):
        return UpstreamError("the upstream registry did not answer in time", late=True)
    if isinstance(error, SSLError):
        return UpstreamError(f"the upstream registry's certificate is not trusted: {error}"[:300])
    return UpstreamError(f"the upstream registry broke off: {type(error).__name__}")
