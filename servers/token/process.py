"""
Running a token server: one process that serves, or one that watches over several.

What lives here: the order in which things are loaded, bound, forked, started and ended, and the
signals: SIGTERM and SIGINT end in order, SIGHUP loads policy and keys again.
Not here: how each of the parts works (`assembly`, `state.reloading`, `http_server.hosts`).
"""

import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final, NoReturn

from regauth.servers.configuration.settings import Settings
from regauth.servers.fair_queue import wait_bounds
from regauth.servers.http_server import server as hosting
from regauth.servers.http_server.connections import ClientBounds, Clients
from regauth.servers.http_server.forwarded import ForwardedFields
from regauth.servers.http_server.hosts import check_host, make_host, prepare
from regauth.servers.http_server.shedding import Shedding
from regauth.servers.http_server.signals import obey_signals
from regauth.servers.sessions.opening import open_store
from regauth.servers.sessions.store import StoreSettingsError
from regauth.servers.state.reloading import TICK, Reloader, load_state
from regauth.servers.state.state import State
from regauth.servers.telemetry.decision_log import make_file
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.metrics import forget_process
from regauth.servers.telemetry.turned_away import RejectionLog

from .assembly import assemble, tell_of_sessions, tell_of_zot

RESTART_PAUSE: Final = 0.5
"""Seconds after which a worker that died at once is started again."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def run(settings: Settings) -> None:
    """
    Serve until SIGTERM or SIGINT.

    Raises:
        StartupError: Settings or policy are wrong, or an address is taken.
    """
    # Everything that can fail is tried before the address is taken: a load balancer must not send
    # clients to a server that then ends.
    check_host(settings.server, settings.limits.per_client)
    state = load_state(settings)
    log = EventLog(settings.log_format, settings.log_level)
    log.take_over_logging()
    if settings.decision_log is not None:
        make_file(settings.decision_log)
    if settings.sessions is not None:
        try:
            open_store(settings.sessions).close()
        except StoreSettingsError as error:
            raise StoreSettingsError(f"{settings.file}: {error}") from error
    # Before any fork, so that all workers share the sockets and no port is opened twice.
    listeners = hosting.bind(settings.listen)
    # A supervisor that reads "listening" may send SIGTERM at once.  The signal is blocked until its
    # handler is there, so that the process ends in order.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    log.event(
        "listening",
        addresses=hosting.addresses_of(listeners),
        policy=state.policy.hash,
        workers=settings.workers,
        server=settings.server,
    )
    tell_of_sessions(settings, state, log)
    tell_of_zot(settings, log)
    if settings.workers == 1:
        serve(settings, state, listeners, log, os.getpid())
        log.event("ended")
    else:
        Supervisor(settings, state, listeners, log).run()


def serve(
    settings: Settings,
    state: State,
    listeners: Sequence[socket.socket],
    log: EventLog,
    core: int,
) -> None:
    """Serve in this process until it is told to end."""
    if settings.pin_workers:
        pin(core)
    prepare(settings.server)
    assembly = assemble(settings, state, log)
    rejections = RejectionLog(log, assembly.observer.metrics)
    clients = Clients(
        ClientBounds(
            settings.limits.per_client, (*settings.trusted_proxies, *settings.limits.exempt)
        ),
        rejections,
        shedding=Shedding(
            wait_bounds(settings.limits.max_wait),
            ForwardedFields(settings.trusted_proxies, rfc7239=settings.rfc7239),
            rejections,
        ),
    )
    server = make_host(
        settings.server, assembly.application, listeners, clients, threads=settings.threads
    )
    obey_signals(server, log, assembly.reloader.ask)
    assembly.start()
    server.run()
    assembly.close()


def pin(core: int) -> None:
    """
    Keep this process to one core, where the system allows it.

    Otherwise waitress's loop and its worker threads compete for the interpreter's lock across
    cores.
    """
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[core % len(allowed)]})


class Supervisor:
    """
    The parent of several workers on the same listening sockets.

    It serves nothing itself.  It starts a worker again that has died, and passes signals on.  It
    loads policy and keys when the workers do, so that a worker that starts later serves what the
    others serve.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        listeners: Sequence[socket.socket],
        log: EventLog,
    ) -> None:
        self._settings = settings
        self._state = state
        self._listeners = listeners
        self._log = log
        self._workers: dict[int, tuple[int, float]] = {}
        self._alive = os.pipe()
        self._ending = False
        quiet = EventLog(settings.log_format, "error")  # the workers tell what they loaded
        self._reloader = Reloader(settings, state, self._take, quiet)

    def run(self) -> None:
        """Watch over the workers until the last has ended."""
        # What a collection would touch later, each worker would have to copy.
        gc.collect()
        gc.freeze()  # so that the workers go on sharing what was loaded before the fork
        for index in range(self._settings.workers):
            self._start(index)
        while self._workers:
            arrived = signal.sigtimedwait(_SIGNALS, TICK)
            if arrived is None:
                self._reloader.look()
            elif arrived.si_signo == signal.SIGHUP:
                self._reloader.reload()
                self._pass_on(signal.SIGHUP)
            elif arrived.si_signo != signal.SIGCHLD:
                self._ending = True
                for listener in self._listeners:
                    listener.close()  # otherwise clients would wait for a server that is not there
                self._pass_on(signal.SIGTERM)
            self._reap()
        self._log.event("ended")

    def _take(self, state: State) -> None:
        self._state = state

    def _start(self, index: int) -> None:
        pid = os.fork()
        if pid == 0:
            # Otherwise the child would hold the pipe open itself, and never learn that the parent
            # is gone.
            os.close(self._alive[1])
            threading.Thread(target=self._follow, name="follow", daemon=True).start()
            self._work(index)
        self._workers[pid] = (index, time.monotonic())
        self._log.event("worker-started", worker=index, pid=pid)

    def _follow(self) -> None:
        """End this worker when its parent is gone; only the parent holds the pipe's other end."""
        os.read(self._alive[0], 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _work(self, index: int) -> NoReturn:
        """Be a worker; the child never returns into the parent's code."""
        code = 1
        try:
            serve(self._settings, self._state, self._listeners, self._log, index)
            code = 0
        except Exception as error:  # noqa: BLE001 - the child's last word
            self._log.event("worker-failed", "error", worker=index, reason=repr(error)[:500])
        finally:
            sys.stdout.flush()
            # Not `sys.exit`: the parent's exit handlers and open files are not the child's to end.
            os._exit(code)

    def _reap(self) -> None:
        """Record every worker that has ended."""
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if pid in self._workers:
                self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, code: int) -> None:
        index, began = self._workers.pop(pid)
        forget_process(pid)
        if self._ending:
            return
        self._log.event("worker-died", "error", worker=index, pid=pid, code=code)
        # A worker that dies at once would otherwise be started without pause.
        if time.monotonic() - began < RESTART_PAUSE:
            time.sleep(RESTART_PAUSE)
        self._start(index)

    def _pass_on(self, number: int) -> None:
        for pid in list(self._workers):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
