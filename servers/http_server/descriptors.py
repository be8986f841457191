"""
File descriptors: how many a process may open, and what it does when none is left.

What lives here: the bound on connections that follows from the limit of open files, and the pause
in accepting connections.  Not here: the loop that serves them
(`regauth.servers.http_server.server`).
"""

import contextlib
import errno
import logging
import resource
import socket
from collections.abc import Callable
from typing import Any, Final

RESERVE: Final = 64
"""Descriptors for all else than connections: logs, listening sockets, files."""
OF_A_THREAD: Final = 2
"""Descriptors that a thread needs for a request: a connection to the upstream or store, a file."""
MIN_CONNECTIONS: Final = 16
MAX_AT_ONCE: Final = 1024
"""Connections that are accepted before the others get their turn."""
PAUSE: Final = 1.0
"""Seconds without accepting, after no descriptor was left."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_log = logging.getLogger(__name__)


def connection_bound(wanted: int, threads: int, of_a_connection: int) -> int:
    """
    Return how many connections the limit of open files allows, at most `wanted`.

    The soft limit is raised as far as that takes and the hard limit allows.  A bound below
    `wanted` is logged.

    Args:
        wanted: Connections.
        threads: That answer requests.
        of_a_connection: Descriptors that one connection takes: its socket, and a spooled body.
    """
    reserve = RESERVE + OF_A_THREAD * threads
    need = reserve + of_a_connection * wanted
    soft = _raised(need)
    if soft >= need:
        return wanted
    bound = max(MIN_CONNECTIONS, (soft - reserve) // of_a_connection)
    _log.warning(
        "the limit of open files is %d, which is enough for %d connections; raise it to %d for %d",
        soft,
        bound,
        need,
        wanted,
    )
    return bound


def _raised(need: int) -> int:
    """Raise the soft limit of open files to what is needed, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return need
    if soft < need:
        soft = need if hard == resource.RLIM_INFINITY else max(soft, min(need, hard))
        with contextlib.suppress(OSError, ValueError):  # the system's own bound may be lower
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Accepting:
    """
    Accepts connections of one listening socket, and pauses when no descriptor is left.

    Without a pause the loop would spin: the waiting connection makes the socket readable again.

    Args:
        listener: waitress's dispatcher, whose methods this replaces.
        clock: Monotonic seconds.
        overloaded: Whether clients are turned away.
    """

    def __init__(
        self,
        listener: Any,  # noqa: ANN401 - waitress's
        clock: Callable[[], float],
        overloaded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._listener = listener
        self._overloaded = overloaded
        self._deferring = False
        self._accept, self._readable = listener.accept, listener.readable
        self._handle = listener.handle_accept
        self._clock = clock
        self._until = clock()
        self._accepted = False
        listener.accept, listener.readable = self.accept, self.readable
        listener.handle_accept = self.handle

    @property
    def paused(self) -> bool:
        """Tell whether no connection is accepted for now."""
        return self._clock() < self._until

    def handle(self) -> None:
        """
        Accept all connections that wait, up to `MAX_AT_ONCE`.

        A turn of the loop for each would cost more than turning a connection away.
        """
        self.defer(wanted=self._overloaded())
        for _ in range(MAX_AT_ONCE):
            self._accepted = False
            self._handle()
            if not self._accepted or not self._readable():
                return

    def defer(self, *, wanted: bool) -> None:
        """
        Have the kernel keep connections on which nothing came yet, or no longer (`tcp(7)`).

        A connection that has its request can be turned away at once.  One that has not must be
        watched until it comes, which costs several times as much.
        """
        if wanted != self._deferring and hasattr(socket, "TCP_DEFER_ACCEPT"):
            self._deferring = wanted
            with contextlib.suppress(OSError):  # it is only speed
                self._listener.socket.setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(wanted)
                )

    def accept(self) -> tuple[Any, Any] | None:
        """
        Accept a connection, or return None where there is none or no descriptor for it.

        Raises:
            OSError: Accepting failed for another reason.
        """
        try:
            accepted: tuple[Any, Any] | None = self._accept()
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._until = self._clock() + PAUSE
            _log.warning("no connection can be accepted: %s", error.strerror)
            return None
        self._accepted = accepted is not None
        return accepted

    def readable(self) -> bool:
        """Tell whether the loop watches for connections; waitress asks on its turns."""
        return bool(self._readable()) and not self.paused
