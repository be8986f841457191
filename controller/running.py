"""
Running a controller: threads, signals, leadership, and their end.

What lives here: the order in which watches, workers, election and endpoints are started and
ended.  Not here: the work itself (`regauth.controller.applying.reconciling`).

A process that loses the Lease ends, and is started again by its Deployment: whatever it was doing
is planned anew by whoever leads then.
"""

import math
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

from kubernetes.client import Configuration as Connection

from regauth.controller.applying.applying import NotLeadingError
from regauth.controller.applying.leadership import Elector
from regauth.controller.applying.reconciling import Controller, Host
from regauth.controller.applying.work_queue import Throttle
from regauth.controller.observing.cluster import ApiError, Cluster
from regauth.controller.observing.inventory import KINDS

from .configuration import Configuration
from .endpoints import Endpoints, metrics, yes_or_no
from .event_log import EventLog
from .measures import Measures

RELOAD_SECONDS: Final = 30.0
"""How often the policy's folder is looked at."""

_END_SECONDS: Final = 5.0
_IDLE_SECONDS: Final = 5.0
_LIST_SECONDS: Final = 0.05

Reload = Callable[[], Configuration | None]
"""Reads settings and policy again; None when they have not changed or cannot be used."""


def _now() -> datetime:
    return datetime.now(UTC)


class Process:
    """
    One controller process.

    Args:
        connection: Where the API server is, from `kubernetes.config`.
        configuration: What to do.
        reload: Reads it again.
        identity: A name that no other process has.
        log: Where events go.
    """

    def __init__(
        self,
        connection: Connection,
        configuration: Configuration,
        reload: Reload,
        identity: str,
        log: EventLog,
    ) -> None:
        self._settings = configuration.settings
        self._reload = reload
        self._log = log
        self._measures = Measures()
        self._ending = threading.Event()
        self._woken: SimpleQueue[None] = SimpleQueue()
        limits = self._settings.limits
        throttle = Throttle(limits.per_second, limits.burst, time.monotonic, self._ending.wait)
        self._cluster = Cluster(connection, throttle, self._measures.request)
        self._elector = None
        if self._settings.election is not None:
            self._elector = Elector(
                self._cluster, self._settings.election, identity, time.monotonic, _now
            )
        host = Host(self._cluster, _now, time.monotonic, self._leads, log, self._measures)
        self._controller = Controller(host, configuration.entitlements)
        self._threads: list[threading.Thread] = []
        self._broken: list[str] = []

    def _leads(self) -> bool:
        return not self._ending.is_set() and (self._elector is None or self._elector.leads)

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, or until leadership is lost; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        endpoints = self._endpoints()
        for kind in KINDS:
            self._start(self._controller.watchers[kind].run, f"watch-{kind}")
        lost = False
        try:
            lost = self._lead()
        except Exception as error:  # noqa: BLE001 - as in any other thread
            self._break("main", error)
        finally:
            self._end(endpoints)
        self._log.event("ended", lost_lease=lost, broken=self._broken)
        return 1 if lost or self._broken else 0

    def _endpoints(self) -> Endpoints | None:
        if self._settings.listen is None:
            return None
        return Endpoints(
            self._settings.listen,
            {
                "/healthz": yes_or_no(lambda: not self._broken, "healthy"),
                "/readyz": yes_or_no(lambda: self._controller.current, "ready"),
                "/leader": yes_or_no(self._leads, "leader"),
                "/metrics": metrics(self._page),
            },
            failed=lambda error: self._log.event(
                "endpoint-failed", "error", reason=repr(error)[:500]
            ),
        )

    def _page(self) -> bytes:
        queue = self._controller.queue
        self._measures.state(leads=self._leads(), depth=queue.depth, failing=queue.failing)
        self._measures.watches(self._controller.watch_ages())
        return self._measures.page()

    def _lead(self) -> bool:
        """Take and keep the Lease; start to work when everything is known."""
        led = working = False
        stepped = reloaded = -math.inf
        while not self._ending.is_set():
            now = time.monotonic()
            if now - stepped >= self._renew:
                stepped = now
                self._step()
            leads = self._leads()
            if led and not leads:
                return not self._ending.is_set()
            if leads and not led:
                self._log.event("leading")
            led = leads
            if led and not working and self._controller.ready:
                working = True
                self._controller.keys.refresh()
                for number in range(self._settings.limits.workers):
                    self._start(self._work, f"worker-{number}")
            if working and self._controller.keys.refresh():
                self._controller.look_at_everything()
            if now - reloaded >= RELOAD_SECONDS:
                reloaded = now
                self._look_for_changes()
            # The lists come in meanwhile; whether they are there costs no request.
            self._rest(_LIST_SECONDS if led and not working else self._renew)
        return False

    def _rest(self, seconds: float) -> None:
        """Wait so long, or until the process is to end."""
        try:
            self._woken.get(timeout=seconds)
        except Empty:
            return
        self._ending.set()

    @property
    def _renew(self) -> float:
        election = self._settings.election
        return _IDLE_SECONDS if election is None else election.renew.total_seconds()

    def _step(self) -> None:
        if self._elector is None:
            return
        try:
            self._elector.step()
        except ApiError as error:
            self._log.event("lease-failed", "warning", error=str(error), status=error.status)

    def _look_for_changes(self) -> None:
        found = self._reload()
        if found is not None:
            policy = found.entitlements.policy
            self._log.event("reloaded", policy=policy.hash if policy else None)
            self._controller.entitle(found.entitlements)

    def _work(self) -> None:
        queue = self._controller.queue
        while (key := queue.get()) is not None:
            try:
                self._controller.work(key)
            except NotLeadingError:
                return

    def _start(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=self._guarded, args=(target, name), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, target: Callable[[], None], name: str) -> None:
        """End the process when one of its threads breaks: half a controller is none."""
        try:
            target()
        except Exception as error:  # noqa: BLE001 - whatever it was
            self._break(name, error)

    def _break(self, name: str, error: Exception) -> None:
        """Take note that a thread has broken; of the error, only its kind is safe to log."""
        self._broken.append(name)
        self._log.event("broken", "error", thread=name, error=type(error).__name__)
        self._ending.set()
        self._woken.put(None)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        # Not the event: its lock may be held by the very thread that the signal interrupts, and
        # `put` is made for that.
        self._woken.put(None)

    def _end(self, endpoints: Endpoints | None) -> None:
        self._ending.set()
        self._controller.queue.close()
        for watcher in self._controller.watchers.values():
            watcher.stop()
        deadline = time.monotonic() + _END_SECONDS
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        if self._elector is not None:
            try:
                self._elector.release()
            except ApiError as error:
                self._log.event("lease-failed", "warning", error=str(error), status=error.status)
        if endpoints is not None:
            endpoints.close()


def run_once(connection: Connection, configuration: Configuration, log: EventLog) -> int:
    """
    Do everything that is to be done now, for a CronJob; return the exit code.

    Raises:
        ApiError: A list could not be read.
    """
    controller = _controller(connection, configuration, log)
    controller.sync()
    while (key := controller.queue.take()) is not None:
        controller.work(key)
    log.event("done", failing=controller.queue.failing)
    return 1 if controller.queue.failing else 0


def dry_run(connection: Connection, configuration: Configuration, log: EventLog) -> list[str]:
    """
    Return what would be done now, a line for each change, and change nothing.

    Raises:
        ApiError: A list could not be read.
    """
    controller = _controller(connection, configuration, log)
    controller.sync()
    return [line for planned in controller.plans() for line in planned.lines()]


def _controller(connection: Connection, configuration: Configuration, log: EventLog) -> Controller:
    limits, measures = configuration.settings.limits, Measures()
    throttle = Throttle(limits.per_second, limits.burst, time.monotonic, time.sleep)
    cluster = Cluster(connection, throttle, measures.request)
    host = Host(cluster, _now, time.monotonic, lambda: True, log, measures)
    return Controller(host, configuration.entitlements)
