"""
Hosting on granian: its worker in this process, and an orderly end.

What lives here: starting and ending granian's worker.  Not here: answering a request
(`regauth.servers.http_server.granian_answers`), how many connections a client has
(`connection_watch`), and what is served (`token.app`).

granian's own server starts processes, obeys signals and takes one address.  Here that is the work
of `token-server`, as on waitress, so only granian's worker is used, and by its inner interface:
hence the narrow `VERSIONS`.  The interface is RSGI and not WSGI, because granian's WSGI hides which
of two header fields came, and a body that is slow to come would hold a thread.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from regauth.engine.source.startup import StartupError

from .connection_watch import WORKS, ConnectionWatch, unaccepted
from .connections import Clients
from .descriptors import connection_bound
from .granian_answers import Answers
from .server import BACKLOG, MAX_HEADER_BYTES, Application, signals_wake

VERSIONS: Final = ("2.8.",)
"""The versions of granian whose inner interface is the one that is used here."""

CONNECTIONS: Final = 1000
"""Of one listening socket; more wait unaccepted."""

_IDLE_SECONDS: Final = 30
"""After which granian ends a thread that it started when several requests came at once."""

_ROOM: Final = 32 * 1024
"""
Bytes of a header past `MAX_HEADER_BYTES` that hyper still takes.

Ours is the answer to a header that is too large: it says an id, and is told.  hyper's is bare.
"""

_LOOK: Final = 1.0
"""Seconds between two looks at the requests that wait."""

_LAST_SECONDS: Final = 5.0
"""For granian to notice that the connections were closed."""

_NO_TLS: Final[tuple[object, ...]] = (False, None, None, None, "1.3", None, [], False)


class GranianError(StartupError):
    """The extra `granian` is not installed, or cannot do what the settings ask for."""


def check_granian(per_client: int | None) -> None:
    """
    Check that granian can serve here.

    Args:
        per_client: Connections of one client, or None for no bound.

    Raises:
        GranianError: It cannot.
    """
    try:
        import granian  # noqa: PLC0415 - only who asks for it needs it
    except ImportError as error:
        raise GranianError(
            f"`--server granian` needs granian, which is not here ({error}); "
            "install it: pip install 'jwt-registry-auth[granian]'"
        ) from error
    if not granian.__version__.startswith(VERSIONS):
        known = " or ".join(f"{one}x" for one in VERSIONS)
        raise GranianError(
            f"granian {granian.__version__} is not {known}, which `--server granian` needs"
        )
    if per_client is not None and not WORKS:
        raise GranianError(
            "on this system granian's connections cannot be counted by client; "
            "write `limits: {connectionsPerClient: false}`, or serve by waitress"
        )


def prefer_throughput() -> None:
    """
    Have this process interrupted less often by its own threads (`sched(7)`, `SCHED_BATCH`).

    granian's input thread would else interrupt the thread that works on a request about three times
    a request.  Threads inherit it, so this comes before any is started.  It needs no privilege.
    """
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):  # a sandbox may forbid it; it is only speed
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class GranianServer:
    """
    One process's granian, with the interface of `regauth.servers.http_server.server.Server`.

    Args:
        application: The WSGI application.
        listeners: Listening sockets; several processes may serve the same.  `run` closes them.
        threads: Requests that are answered at a time.
        drain: Seconds that requests under way have to end after `stop`.
        clients: Whose connections there are, and what they may take of them.
    """

    def __init__(
        self,
        application: Application,
        listeners: Sequence[socket.socket],
        *,
        threads: int,
        drain: float = 10.0,
        clients: Clients | None = None,
    ) -> None:
        self._listeners = listeners
        self._threads = threads
        self._drain = drain
        self._clients = clients or Clients()
        self._stopping = False
        self._waking, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)
        self._loop = asyncio.new_event_loop()
        self._answers = Answers(
            application,
            self._loop,
            threads,
            self._clients,
            lambda: max(unaccepted(one) for one in listeners),
        )
        ports = {one.getsockname()[1] for one in listeners}
        self._watch = ConnectionWatch(ports, self._clients)

    def run(self) -> None:
        """Serve until `stop` is called, then let requests under way end."""
        # It tells of its start and of failed handshakes in words of its own.
        logging.getLogger("_granian").setLevel(logging.WARNING)
        bodies = threading.Thread(target=self._loop.run_forever, name="bodies", daemon=True)
        bodies.start()
        bound = connection_bound(CONNECTIONS * len(self._listeners), self._threads, 1)
        share = max(1, bound // len(self._listeners))
        running = [self._serve(one, share) for one in self._listeners]
        if WORKS:
            self._watch.start()
        self._loop.call_soon_threadsafe(self._look)
        with signals_wake(self._wakes):
            while not self._stopping:
                os.read(self._waking, 1024)
        # New clients must find another server while the old requests end.
        for one in self._listeners:
            one.close()
        for signal, _ in running:
            signal.set()
        self._wait([ended for _, ended in running])
        self._loop.call_soon_threadsafe(self._loop.stop)
        bodies.join()
        self._loop.close()
        self._answers.close()
        # The other end stays open: a signal handler may still write to it.
        os.close(self._waking)

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self._stopping = True
        with contextlib.suppress(OSError):  # it may be full of reasons to wake
            os.write(self._wakes, b"!")

    def _look(self) -> None:
        """Look after the requests that wait, again and again."""
        self._loop.call_later(_LOOK, self._look)  # first: a look that fails must not be the last
        self._answers.look()

    def _serve(self, listener: socket.socket, connections: int) -> tuple[Any, threading.Event]:
        """Start a worker on a socket; return what ends it, and the event when it has ended."""
        # Its own stubs do not know all of it.
        inner: Any = import_module("granian._granian")
        # granian closes what it gets.
        holder = inner.SocketHolder(os.dup(listener.fileno()), False, BACKLOG)  # noqa: FBT003 - takes no names
        settings = import_module("granian.http").HTTP1Settings(
            header_read_timeout=round(self._clients.bounds.header_seconds * 1000),
            max_buffer_size=MAX_HEADER_BYTES + _ROOM,
        )
        worker = inner.RSGIWorker(
            *(1, (None, holder), None),
            # One thread more takes requests in while the others work (`Answers`).
            *(1, 1, self._threads + 1, _IDLE_SECONDS, connections),
            *("1", settings, None, False, None),
            *_NO_TLS,
            (None, None),
        )
        scheduler = inner.CallbackScheduler(self._loop, None, None, None, None)
        scheduler._schedule_fn = self._answers.take  # noqa: SLF001 - the class's own way to set it
        signal, ended = inner.WorkerSignal(), threading.Event()
        signal.add_cb(ended.set)
        worker.serve_mtr(scheduler, self._loop, signal)
        return signal, ended

    def _wait(self, ends: Sequence[threading.Event]) -> None:
        """Wait for all workers to end; after `drain`, end the connections that are left."""
        timer = threading.Timer(self._drain, self._watch.end)
        timer.daemon = True
        timer.start()
        for one in ends:
            one.wait(self._drain + _LAST_SECONDS)
        timer.cancel()
        if WORKS:
            self._watch.close()
