"""
Connections: how many one client may have, and how long it may take to send a request.

What lives here: waitress's channels, counted and timed.  What must not: the loop that serves them
(`regauth.servers.http_server.server`), and what is served.

A connection that waits for a slow client takes no thread, but it is one of those that a process
has.  The times here bound how long one client can keep one of them for one request, however it
sends; the count bounds how many of them.
"""

import contextlib
import logging
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from waitress.channel import HTTPChannel

from regauth.engine.source.addresses import Network, is_within
from regauth.servers.protocol.errors import error_body
from regauth.servers.protocol.request_info import client_of
from regauth.servers.telemetry.turned_away import RejectionLog, Why

from .framing import FramedRequest, SpoolFullError

_TLS_HANDSHAKE: Final = b"\x16\x03"
_NOT_TLS: Final = (
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n"
)
_LATE: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_REASON: Final = error_body(503, "too many connections of this client", "connections").encode()
_TOO_MANY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_REASON), _REASON)
)
_DRAINED: Final = 64 * 1024
MAX_PIPELINED: Final = 100
"""
Requests that wait in one connection while another piece of what it sent at once is read.

Clients send one.  It matters where much is read at once (`hosting.streaming`): else waitress reads
no more while requests wait.
"""

_PIECE: Final = 16 * 1024
"""Bytes that are read at a time: waitress copies what is left after each chunk and request."""


@dataclass(frozen=True, slots=True)
class ClientBounds:
    """What clients may take of one process's connections."""

    connections: int | None = 100
    """Of one client at a time; None is without bound."""
    exempt: tuple[Network, ...] = ()
    """Reverse proxies, whose connections are everybody's."""
    header_seconds: float = 20.0
    """From a connection's begin, or a later request's first byte, to the end of its headers."""
    body_seconds: float = 30.0
    """From the end of the headers to the end of the body."""
    body_rate: float | None = None
    """Bytes of a body that earn another second; None earns nothing."""
    stall_seconds: float = 120.0
    """For which a client may take nothing of its answer, which holds a thread."""

    def body_limit(self, received: int) -> float:
        """Return how many seconds a body may take of which so many bytes have come."""
        return self.body_seconds + (received / self.body_rate if self.body_rate else 0.0)


class ConnectionCounts:
    """
    Counts connections by client.

    Args:
        bounds: How many one may have, and who may have more.
    """

    def __init__(self, bounds: ClientBounds) -> None:
        self._bounds = bounds
        self._counts: Counter[str] = Counter()

    def admit(self, address: str) -> bool:
        """Count one more connection from an address, if its client may have it."""
        most, client = self._bounds.connections, client_of(address)
        if most is not None and self._counts[client] >= most and not self._exempt(address):
            return False
        self._counts[client] += 1
        return True

    def leave(self, address: str) -> None:
        """Count one less."""
        client = client_of(address)
        self._counts[client] -= 1
        if not self._counts[client]:
            del self._counts[client]

    def _exempt(self, address: str) -> bool:
        return is_within(address, self._bounds.exempt)


class Request(FramedRequest):
    """
    A request that is being received, which knows since when.

    Args:
        adjustments: waitress's.
        clock: Monotonic seconds.
    """

    def __init__(self, adjustments: object, clock: Callable[[], float]) -> None:
        super().__init__(adjustments)
        self._clock = clock
        self.began = clock()
        """When its first byte came."""
        self.body_began: float | None = None

    def received(self, data: bytes) -> int:
        """Take what came, and note when the headers were whole."""
        taken = int(super().received(data))
        if self.headers_finished and self.body_began is None:
            self.body_began = self._clock()
        return taken

    def restart(self, now: float) -> None:
        """Begin to count anew: nothing was read meanwhile."""
        if self.body_began is None:
            self.began = now
        else:
            self.body_began = now


class Channel(HTTPChannel):  # type: ignore[misc]
    """
    A connection that is ended when its client is late.

    A client that speaks TLS is told at once that nobody else does here: clients of registries try
    TLS first and would else wait for their time-out; the words are those of Go's servers, which
    some of them know.
    """

    def __init__(self, clients: "Clients", *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        self._clients = clients
        self._opened = clients.clock()
        self._used = False
        super().__init__(*arguments, **named)

    def parser_class(self, adjustments: object) -> Request:
        """Make the parser of the next request; waitress calls this as it would a class."""
        return Request(adjustments, self._clients.clock)

    def received(self, data: bytes) -> bool:
        """Take what came, unless it begins as a TLS handshake (RFC 8446, section 5.1)."""
        if self.request is None and not self.requests and data[:2] == _TLS_HANDSHAKE:
            self.say(_NOT_TLS)
            self.handle_close()
            return False
        more = False
        for at in range(0, len(data), _PIECE):
            if len(self.requests) > MAX_PIPELINED:
                self._clients.tell("pipelined", self.addr[0])
                self.handle_close()
                return False
            more = bool(super().received(data[at : at + _PIECE]))
            if not more:
                break
        return more

    def handle_expt(self) -> None:
        """
        Hang up on a client that sends a TCP urgent byte.

        HTTP has no use for one, and no read takes it away.  Only a loop that watches for one comes
        here: waitress's own does, which serves where there is no epoll.
        """
        self._clients.tell("urgent", self.addr[0])
        self.handle_close()

    def handle_error(self) -> None:
        """Hang up after a failure of our own; waitress's line would quote what was sent."""
        logging.getLogger(__name__).error("a connection failed", exc_info=sys.exc_info())
        self.handle_close()

    def service(self) -> None:
        """Answer a request, in a thread of its own."""
        self._used = True
        if self.requests and isinstance(self.requests[0].error, SpoolFullError):
            self._clients.tell("spool-full", self.addr[0])
        self._map.serve(self)
        super().service()

    def late(self, now: float) -> Why | None:
        """Tell which part of a request is late."""
        request, bounds = self.request, self._clients.bounds
        if self.requests or self.total_outbufs_len:
            if request is not None:
                request.restart(now)  # it is not read while the one before is answered
            return None
        if request is not None and request.body_began is not None:
            limit = bounds.body_limit(request.body_bytes_received)
            return "slow-body" if now - request.body_began >= limit else None
        if not self._used:
            began = self._opened
        elif request is not None:
            began = request.began
        else:
            return None  # between two requests
        return "slow-headers" if now - began >= bounds.header_seconds else None

    def end_late(self) -> None:
        """Say that the request took too long, where one was begun, and hang up."""
        if self.request is not None:
            self.say(_LATE)
        self.handle_close()

    def say(self, words: bytes) -> None:
        """Send a few bytes at once, as far as that can be done."""
        with contextlib.suppress(OSError):
            self.socket.send(words)

    def del_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002 - waitress's word
        """Forget the connection, once."""
        if self._fileno is not None:
            self._clients.leave(self.addr[0])
        super().del_channel(map)


class Clients:
    """
    The clients of one process and their connections.

    Args:
        bounds: What they may take.
        rejections: Is told of those that are turned away.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        bounds: ClientBounds | None = None,
        rejections: RejectionLog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bounds = bounds or ClientBounds()
        self.clock = clock
        self._counts = ConnectionCounts(self.bounds)
        self._rejections = rejections

    def open(
        self,
        server: object,
        connection: socket.socket,
        address: tuple[Any, ...],
        adjustments: object,
        map: dict[int, Any],  # noqa: A002 - waitress's word
    ) -> None:
        """Take a connection in, as waitress would with a class of channels, or refuse it."""
        if not self._counts.admit(address[0]):
            self.tell("too-many", address[0])
            _refuse(connection)
            return
        try:
            Channel(self, server, connection, address, adjustments, map=map)
        except BaseException:
            self._counts.leave(address[0])
            raise

    def leave(self, address: str) -> None:
        """Take note that a connection is gone."""
        self._counts.leave(address)

    def end_late(self, channels: list[Channel]) -> None:
        """Hang up on all whose request is late."""
        now = self.clock()
        for channel in channels:
            why = channel.late(now)
            if why is not None:
                self.tell(why, channel.addr[0])
                channel.end_late()

    def tell(self, why: Why, address: str) -> None:
        """Tell of a connection that was turned away."""
        if self._rejections is not None:
            self._rejections.turned_away(why, address)


def _refuse(connection: socket.socket) -> None:
    """Answer 503 and hang up; what the client sent is read, for else it may not see the answer."""
    with contextlib.suppress(OSError), connection:
        connection.settimeout(0)
        connection.send(_TOO_MANY)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(_DRAINED)
