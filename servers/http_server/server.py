"""
Hosting on waitress: sockets, the serving loop, and an orderly end.

What lives here: everything that knows waitress, except its channels (`connections`).  Not here:
what is served (`token.app`, `proxy.app`), and the other host (`granian_server`).
"""

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import waitress

from regauth.engine.source.startup import Fault, StartupError
from regauth.servers.configuration.settings import Address

from .connections import Channel, Clients
from .descriptors import Accepting, connection_bound
from .polling import WatchedChannels, channels
from .tasks import Tasks

MAX_HEADER_BYTES: Final = 64 * 1024
"""A request's line and headers together; a larger one is answered 431."""

MAX_BODY_BYTES: Final = 64 * 1024
"""A request's body; a larger one is answered 413."""

BACKLOG: Final = 1024
_POLL: Final = 0.1
_TICK: Final = 1.0
"""Seconds between two looks for clients that are late."""
_FOREVER: Final = 30.0

_ADJUSTMENTS: Final[Mapping[str, int]] = {
    "max_request_header_size": MAX_HEADER_BYTES,
    # waitress refuses a body of exactly this size.
    "max_request_body_size": MAX_BODY_BYTES + 1,
    "inbuf_overflow": 512 * 1024,
    "channel_timeout": 30,
    "cleanup_interval": 1,
    "connection_limit": 1000,
    "backlog": BACKLOG,
}
"""Adjustments of waitress for a token server."""

Application = Callable[..., Any]


class ListenError(StartupError):
    """An address cannot be listened on."""

    fault = Fault.MACHINE


def bind(addresses: Sequence[Address]) -> list[socket.socket]:
    """
    Listen on all addresses.

    Raises:
        ListenError: An address cannot be listened on.
    """
    bound: list[socket.socket] = []
    try:
        for address in addresses:
            bound += _bind(address)
    except OSError as error:
        for one in bound:
            one.close()
        raise ListenError(f"cannot listen on {address}: {error.strerror}") from error
    return bound


def _bind(address: Address) -> list[socket.socket]:
    found = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    bound = []
    for family, _, _, _, where in dict.fromkeys(found):
        listener = socket.socket(family, socket.SOCK_STREAM)
        # A server that is started again gets its port while the old connections are still ending.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own.  Otherwise its clients would come as IPv4-mapped
            # addresses.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            listener.bind(where)
        except OSError:
            listener.close()
            raise
        listener.listen(BACKLOG)
        # Workers share the socket: another one may take a connection before this one accepts it.
        listener.settimeout(0)
        bound.append(listener)
    return bound


def addresses_of(listeners: Sequence[socket.socket]) -> list[str]:
    """Return where the sockets listen, with the port that the system chose for port 0."""
    names = [one.getsockname() for one in listeners]
    return [str(Address(name[0], name[1])) for name in names]


def streaming(max_body: int, threads: int) -> Mapping[str, int]:
    """
    Return waitress's adjustments for bodies of any size both ways.

    A request's body is spooled before the application sees it: in memory up to `inbuf_overflow`,
    then in a file.  An answer's body waits in memory only: the application's thread goes on once
    less than `outbuf_high_watermark` is left, so `outbuf_overflow`, where a file would begin, is
    never reached.

    Args:
        max_body: Bytes in a request's body; a larger one is answered 413.
        threads: Requests that are answered at a time; connections beyond them wait.
    """
    return {
        # waitress refuses a body of exactly this size.
        "max_request_body_size": max_body + 1,
        "recv_bytes": 256 * 1024,
        "inbuf_overflow": 512 * 1024,
        "outbuf_high_watermark": 256 * 1024,
        "outbuf_overflow": 32 * 1024 * 1024,
        "connection_limit": max(1000, 4 * threads),
    }


@contextlib.contextmanager
def signals_wake(descriptor: int) -> Iterator[None]:
    """
    Make signals write to a pipe that the loop reads, if this is the main thread.

    A signal that arrives just before the loop waits does not interrupt the wait, and Python runs
    its handler only after the wait.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    os.set_blocking(descriptor, False)
    before = signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)


class Server:
    """
    One process's waitress.

    Args:
        application: The WSGI application.
        listeners: Listening sockets; several processes may serve the same.  `run` closes them.
        threads: Requests that are answered at a time.
        drain: Seconds that requests under way have to end after `stop`.
        adjustments: waitress's own, where they differ from a token server's (`streaming`).
        clients: Whose connections there are, and what they may take of them.
    """

    def __init__(
        self,
        application: Application,
        listeners: Sequence[socket.socket],
        *,
        threads: int,
        drain: float = 10.0,
        adjustments: Mapping[str, int] = MappingProxyType({}),
        clients: Clients | None = None,
    ) -> None:
        self._map = channels()
        self._clients = clients or Clients()
        self._stall = self._clients.bounds.stall_seconds
        self._looked = self._looked_for_stalled = self._clients.clock()
        self._drain = drain
        self._stopping = False
        given = {**_ADJUSTMENTS, **adjustments}
        spooled = given["max_request_body_size"] > given["inbuf_overflow"]
        given["connection_limit"] = connection_bound(
            given["connection_limit"], threads, 2 if spooled else 1
        )
        self._tasks = Tasks(threads, self._clients.shedding)
        self._server = waitress.create_server(
            application,
            map=self._map,
            sockets=list(listeners),
            _dispatcher=self._tasks,
            ident=None,
            # The applications judge whose `X-Forwarded-*` counts; by default waitress removes them
            # all.
            clear_untrusted_proxy_headers=False,
            **given,
        )
        if isinstance(self._map, WatchedChannels):
            self._map.precedence = self._tasks.precedence
        self._accepting = [
            Accepting(one, self._clients.clock, lambda: self._clients.shedding.active)
            for one in self._listening()
        ]
        for one in self._listening():
            one.channel_class = self._clients.open
            one.pull_trigger = self._map.served
        self._trigger = self._listening()[0].trigger
        self._own = len(self._map)

    def run(self) -> None:
        """Serve until `stop` is called, then let requests under way end."""
        with signals_wake(self._trigger.trigger):
            self._run()

    def _run(self) -> None:
        while not self._stopping:
            busy = len(self._map) > self._own or any(one.paused for one in self._accepting)
            self._map.turn(min(_TICK if busy else _FOREVER, self._stall))
            self._look()
        # The listeners first: new clients must find another server while the old requests end.
        self._close_listeners()
        deadline = time.monotonic() + self._drain
        # Kept connections without a request would hold the end up for as long as their clients
        # like.
        while self._close_idle() and time.monotonic() < deadline:
            self._map.turn(_POLL, look=True)
            self._look()  # a client that reads nothing must not delay the end
        self._tasks.shutdown(timeout=1)
        self._map.close()

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self._stopping = True
        with contextlib.suppress(OSError):  # `run` may have ended meanwhile
            self._trigger.pull_trigger()

    def _close_listeners(self) -> None:
        """
        Accept the connections that the kernel has queued, and have it refuse others.

        A listening socket that nobody serves would let clients wait for the end of the process,
        and not look for another server.
        """
        for listener in self._listening():
            waiting = select.poll()
            waiting.register(listener.socket, select.POLLIN)
            for _ in range(BACKLOG):
                if not waiting.poll(0):
                    break
                listener.handle_accept()
            listener.del_channel()
            listener.socket.close()
        self._map.turn(0, look=True)  # to read what they have sent

    def _listening(self) -> list[Any]:
        return [one for one in self._map.values() if getattr(one, "accepting", False)]

    def _channels(self) -> list[Channel]:
        return [one for one in self._map.values() if isinstance(one, Channel)]

    def _look(self) -> None:
        """Close connections of clients that are late."""
        now = self._clients.clock()
        if now - self._looked >= _TICK:
            self._looked = now
            self._clients.end_late(self._channels())
            self._tasks.end_overtaken()
            self._clients.shedding.tell()
            if not self._clients.shedding.active:
                for one in self._accepting:
                    one.defer(wanted=False)
        if now - self._looked_for_stalled >= self._stall / 2:
            self._looked_for_stalled = now
            self._end_stalled()

    def _end_stalled(self) -> None:
        """Close connections of clients that read nothing of an answer and so hold a thread."""
        cutoff = time.time() - self._stall
        for one in self._channels():
            if one.total_outbufs_len and one.last_activity < cutoff:
                one.handle_close()

    def _close_idle(self) -> bool:
        """Close connections with nothing under way; tell whether any is left."""
        for channel in self._channels():
            if channel.requests or channel.total_outbufs_len:
                channel.close_when_flushed = not channel.requests
            elif channel.request is None or channel.request.empty:
                channel.handle_close()
        return bool(self._channels())
