"""
Signals that a serving process obeys.

What lives here: SIGTERM and SIGINT end in order, SIGHUP reloads.  Not here: what ending and
reloading take (`regauth.servers.http_server.server`, `regauth.servers.state.reloading`).
"""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final, Protocol

from regauth.servers.telemetry.event_log import EventLog

_OBEYED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stoppable(Protocol):
    """A server that ends when it is told to."""

    def stop(self) -> None:
        """End; safe in a signal handler."""


def obey_signals(server: Stoppable, log: EventLog, reload: Callable[[], None]) -> None:
    """
    Have this process end or reload when it is told to.

    Signals that a parent process blocked, and that came meanwhile, are obeyed now.

    Args:
        server: Is stopped.
        log: Is told.
        reload: Has state loaded soon; it runs within a signal handler, so it must not wait.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        log.event("ending", pid=os.getpid())
        server.stop()

    def look(_number: int, _frame: FrameType | None) -> None:
        reload()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, look)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_OBEYED, signal.SIGCHLD))
