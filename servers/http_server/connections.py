"""
Connections: how many one client may have, and how long it may take to send a request.

What lives here: waitress's channels, counted and timed.  Not here: the loop that serves them
(`regauth.servers.http_server.server`), which also ends clients that are slow to read an answer, and
what is served (`token.app`).

A connection that waits for a slow client takes no thread, but a process has a bounded number of
connections.  The times here bound how long one client can hold one of them for one request, however
slowly it sends.  The count bounds how many of them it can hold.
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
from regauth.servers.protocol.request_info import client_of, new_request_id
from regauth.servers.telemetry.turned_away import RejectionLog, Why

from .early_answers import EarlyErrorTask, early_answer
from .framing import FramedRequest, SpoolFullError
from .shedding import Shedding, is_privileged, is_whole

_TLS_HANDSHAKE: Final = b"\x16\x03"
_NOT_TLS: Final = (
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n"
)
_DRAINED: Final = 64 * 1024
MAX_PIPELINED: Final = 100
"""
Requests of one connection that may wait while more of its bytes are read.

Clients send one at a time.  The bound matters where many bytes are read at once
(`server.streaming`); elsewhere waitress stops reading while requests wait.
"""

LINGER: Final = 2.0
"""Seconds in which a request that was turned away may go on coming."""

_FIRST: Final = 8192
"""Bytes of a new connection that are read at once while requests are turned away."""

_FORWARDED: Final = ("X_FORWARDED_FOR", "FORWARDED")
_PIECE: Final = 16 * 1024
"""Bytes that are parsed at a time: waitress copies the rest after each chunk and each request."""


@dataclass(frozen=True, slots=True)
class ClientBounds:
    """What clients may take of one process's connections."""

    connections: int | None = 100
    """Of one client at a time; None is without bound."""
    exempt: tuple[Network, ...] = ()
    """Clients without that bound: reverse proxies, which connect for others, and named networks."""
    header_seconds: float = 20.0
    """From the connection's start, or a later request's first byte, to the end of the headers."""
    body_seconds: float = 30.0
    """From the end of the headers to the end of the body."""
    body_rate: float | None = None
    """Bytes of a body that add one second to `body_seconds`; None adds nothing."""
    stall_seconds: float = 120.0
    """How long a client may read nothing of a response, which holds a thread."""

    def body_limit(self, received: int) -> float:
        """Return the time limit in seconds for a body of which `received` bytes have arrived."""
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
        """Count a new connection from an address; return False if its client has too many."""
        most, client = self._bounds.connections, client_of(address)
        if most is not None and self._counts[client] >= most and not self._exempt(address):
            return False
        self._counts[client] += 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection that ended."""
        client = client_of(address)
        self._counts[client] -= 1
        if not self._counts[client]:
            del self._counts[client]

    def _exempt(self, address: str) -> bool:
        return is_within(address, self._bounds.exempt)


class TimedRequest(FramedRequest):
    """
    A request that is being received, with the times of its parts.

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
        """Read the bytes that arrived, and note when the headers are complete."""
        taken = int(super().received(data))
        if self.headers_finished and self.body_began is None:
            self.body_began = self._clock()
        return taken

    def restart(self, now: float) -> None:
        """Restart the clock: nothing was read while the request before was answered."""
        if self.body_began is None:
            self.began = now
        else:
            self.body_began = now


class Channel(HTTPChannel):
    """
    A connection that is closed when its client is too slow.

    A client that starts a TLS handshake gets an answer in plain HTTP at once.  Registry clients try
    TLS first, and without the answer they wait for their time-out.  The words are those of Go's
    HTTP server, which some clients recognize.
    """

    error_task_class = EarlyErrorTask
    requests: list[TimedRequest]
    request: TimedRequest | None

    def __init__(self, clients: "Clients", *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - as waitress calls it
        self._clients = clients
        self._opened = clients.clock()
        self._used = False
        self._lingers_until: float | None = None
        self.turned_away = False
        """Whether its request was told to come again; nothing more of it is read as one."""
        self.reads = False
        """Whether the thread that reads is in this channel."""
        super().__init__(*arguments, **named)

    def client(self) -> str:
        """Return whose its first request is."""
        headers = self.requests[0].headers
        environ = {f"HTTP_{name}": headers[name] for name in _FORWARDED if name in headers}
        peer = self.addr[0]
        return self._clients.shedding.client(peer, {"REMOTE_ADDR": peer, **environ})

    def turn_away(self, *, whole: bool = True) -> None:
        """
        Tell the client to come again, and end the connection.

        Closing a socket with unread bytes sends a reset, and the client may then miss the answer
        (RFC 9112, section 9.6).  So the rest of a request is read first, for `LINGER` seconds.

        Args:
            whole: Whether the request was read to its end.
        """
        self.turned_away = True
        self.say(self._clients.shedding.whole_answer())
        waiting, self.requests = list(self.requests), []
        for one in waiting:
            one.close()
        self.request = None
        if whole:
            self.handle_close()
            return
        self._lingers_until = self._clients.clock() + LINGER
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def parser_class(self, adjustments: object) -> TimedRequest:
        """Make the parser of the next request; waitress calls this as it would a class."""
        return TimedRequest(adjustments, self._clients.clock)

    def received(self, data: bytes) -> bool:
        """Read the bytes that arrived, unless they begin a TLS handshake (RFC 8446, 5.1)."""
        # Only at the start of a connection: later the same bytes can be the body of a request.
        if self.request is None and not self.requests and data[:2] == _TLS_HANDSHAKE:
            self.say(_NOT_TLS)
            self.handle_close()
            return False
        if self.turned_away:
            return False
        first = self.request is None and not self.requests
        if first and self._clients.shedding.refuses_peer(self.addr[0]) and not is_privileged(data):
            self.turn_away(whole=is_whole(data))
            return False
        self.reads = True
        try:
            return self._parse(data)
        finally:
            self.reads = False

    def _parse(self, data: bytes) -> bool:
        more = False
        for at in range(0, len(data), _PIECE):
            # Pipelined requests wait in memory, so without a bound a client could fill it.
            if len(self.requests) > MAX_PIPELINED:
                self._clients.tell("pipelined", self.addr[0])
                self.handle_close()
                return False
            more = bool(super().received(data[at : at + _PIECE]))
            if not more or self.turned_away:
                break
        return more

    def handle_expt(self) -> None:
        """
        Close the connection of a client that sends a TCP urgent byte.

        HTTP has no use for one, and no read removes it.  Only a loop that watches for urgent bytes
        calls this: waitress's own, which serves where there is no epoll.
        """
        self._clients.tell("urgent", self.addr[0])
        self.handle_close()

    def handle_error(self) -> None:
        """Close after a failure of our own; the log line of waitress would quote the client."""
        logging.getLogger(__name__).error("a connection failed", exc_info=sys.exc_info())
        self.handle_close()

    def service(self) -> None:
        """Answer a request; waitress calls this in a thread of its pool."""
        self._used = True
        self._map.serve(self)
        self.server.task_dispatcher.wait_for_turn()
        super().service()

    def refused(self, request_id: str) -> None:
        """Tell of a request that the parser refused; `request_id` is what its answer says."""
        full = bool(self.requests) and isinstance(self.requests[0].error, SpoolFullError)
        self._clients.tell("spool-full" if full else "request-refused", self.addr[0], request_id)

    def late(self, now: float) -> Why | None:
        """Return which part of the request is too slow, or None."""
        request, bounds = self.request, self._clients.bounds
        if self.requests or self.total_outbufs_len or self.turned_away:
            if request is not None:
                # Otherwise a client would be late through the server's own fault.
                request.restart(now)  # the server does not read while it answers the request before
            return None
        if request is not None and request.body_began is not None:
            limit = bounds.body_limit(request.body_bytes_received)
            return "slow-body" if now - request.body_began >= limit else None
        # A client that connects and sends nothing must not hold a connection for ever.
        if not self._used:
            began = self._opened
        elif request is not None:
            began = request.began
        else:
            return None  # between two requests
        return "slow-headers" if now - began >= bounds.header_seconds else None

    def has_lingered(self, now: float) -> bool:
        """Tell whether its request was turned away, and goes on coming for too long."""
        return self._lingers_until is not None and now >= self._lingers_until

    def end_late(self, request_id: str) -> None:
        """Answer 408 if a request has begun, and close."""
        if self.request is not None:
            self.say(early_answer(408, "the request took too long", "slow", request_id))
        self.handle_close()

    def say(self, words: bytes) -> None:
        """Send a few bytes now; if the socket takes none, they are lost."""
        with contextlib.suppress(OSError):
            self.socket.send(words)

    def del_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002 - waitress's word
        """Remove the connection from the count; waitress may call this more than once."""
        if self._fileno is not None:
            self._clients.leave(self.addr[0])
        super().del_channel(map)


class Clients:
    """
    The clients of one process and their connections.

    Args:
        bounds: What they may take.
        rejections: Logs and counts those that are turned away.
        clock: Monotonic seconds.
        shedding: Whose requests are turned away while there are too many; None: nobody's.
    """

    def __init__(
        self,
        bounds: ClientBounds | None = None,
        rejections: RejectionLog | None = None,
        clock: Callable[[], float] = time.monotonic,
        shedding: Shedding[Any] | None = None,
    ) -> None:
        self.bounds = bounds or ClientBounds()
        self.clock = clock
        self.shedding: Shedding[Any] = shedding or Shedding()
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
        """Accept or refuse a connection; waitress calls this as it would a class of channels."""
        if not self._counts.admit(address[0]):
            request_id = new_request_id()
            self.tell("too-many", address[0], request_id)
            _refuse(connection, request_id)
            return
        try:
            first = self._first_bytes(connection)
            if first and self._turns_away(connection, address[0], first):
                self._counts.leave(address[0])
                return
            channel = Channel(self, server, connection, address, adjustments, map=map)
        # A connection that could not be set up must not stay in the count, or its address is locked
        # out.
        except BaseException:
            self._counts.leave(address[0])
            raise
        if first:
            channel.received(first)

    def _first_bytes(self, connection: socket.socket) -> bytes:
        """
        Return what a new connection has sent, while requests are turned away.

        Otherwise the request would come to the queue after all connections that wait were accepted,
        and one connection too many costs much more than what it has sent.
        """
        if not self.shedding.active:
            return b""
        with contextlib.suppress(OSError):
            return connection.recv(_FIRST, socket.MSG_DONTWAIT)
        return b""

    def _turns_away(self, connection: socket.socket, address: str, first: bytes) -> bool:
        """Turn a new connection away without making a channel, and say whether that was done."""
        refuses = self.shedding.refuses_peer(address)
        if not refuses or is_privileged(first) or not is_whole(first):
            return False
        with contextlib.suppress(OSError), connection:
            connection.send(self.shedding.whole_answer(), socket.MSG_DONTWAIT)
        return True

    def leave(self, address: str) -> None:
        """Count a connection that ended."""
        self._counts.leave(address)

    def end_late(self, channels: list[Channel]) -> None:
        """Close all connections whose request is too slow."""
        now = self.clock()
        for channel in channels:
            if channel.has_lingered(now):
                channel.handle_close()
                continue
            why = channel.late(now)
            if why is not None:
                request_id = new_request_id()
                self.tell(why, channel.addr[0], request_id)
                channel.end_late(request_id)

    def tell(self, why: Why, address: str, request_id: str = "") -> None:
        """Log and count a connection that was turned away; its answer says the id."""
        if self._rejections is not None:
            self._rejections.turned_away(why, address, request_id)


def too_many(request_id: str) -> bytes:
    """Return the answer on a connection that is one too many."""
    return early_answer(503, "too many connections of this client", "connections", request_id)


def _refuse(connection: socket.socket, request_id: str) -> None:
    """
    Answer 503 and close.

    What the client sent is read first: closing a socket with unread bytes sends a reset, and the
    client may then miss the response (RFC 9112, section 9.6).
    """
    with contextlib.suppress(OSError), connection:
        # The loop serves all clients, so it must not wait for this one.
        connection.settimeout(0)
        connection.send(too_many(request_id))
        # The end of the response is sent before the socket is closed.
        connection.shutdown(socket.SHUT_WR)
        connection.recv(_DRAINED)
