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
from regauth.controller.applying.host import Host
from regauth.controller.applying.leadership import Elector
from regauth.controller.applying.reconciling import Controller
from regauth.controller.applying.work_queue import Throttle
from regauth.controller.observing.api_errors import ApiError
from regauth.controller.observing.cluster import Cluster
from regauth.controller.observing.server_clock import ServerClock
from regauth.engine.source.configuration_file import ConfigurationError

from .configuration import Configuration
from .endpoints import Endpoints, metrics, yes_or_no
from .event_log import ControllerLog
from .measures import Measures

RELOAD_SECONDS: Final = 30.0
"""How often the policy's folder is looked at."""

_END_SECONDS: Final = 5.0
_IDLE_SECONDS: Final = 5.0
_LIST_SECONDS: Final = 0.05

Reload = Callable[[], Configuration | None]
"""
Reads settings and policy again; None when they have not changed.  Raises ConfigurationError when
they cannot be used.
"""


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
        log: ControllerLog,
    ) -> None:
        self._settings = configuration.settings
        self._reload = reload
        self._log = log
        self._measures = Measures()
        self._ending = threading.Event()
        self._clock_jumped = threading.Event()
        self._lapsed = threading.Event()
        self._woken: SimpleQueue[None] = SimpleQueue()
        limits = self._settings.limits
        throttle = Throttle(limits.per_second, limits.burst, time.monotonic, self._ending.wait)
        self._clock = ServerClock(_now, self._differs, self._clock_jumped.set)
        self._cluster = Cluster(connection, throttle, self._measures.request, self._clock.hear)
        self._elector = None
        if self._settings.election is not None:
            self._elector = Elector(
                self._cluster, self._settings.election, identity, time.monotonic, _now
            )
        host = Host(
            self._cluster, self._clock.now, time.monotonic, self._leads, log, self._measures
        )
        self._controller = Controller(host, configuration.entitlements, self._settings.memory)
        self._controller.active = False
        self._measures.loaded(_now().timestamp())
        self._unusable = ""
        self._threads: list[threading.Thread] = []
        self._broken: list[str] = []

    def _leads(self) -> bool:
        return not self._ending.is_set() and (self._elector is None or self._elector.leads)

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, or until leadership is lost; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        endpoints = self._endpoints()
        for kind, watcher in self._controller.watches.watchers.items():
            self._start(watcher.run, f"watch-{kind}")
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
                "/readyz": yes_or_no(lambda: self._controller.watches.current, "ready"),
                "/leader": yes_or_no(self._leads, "leader"),
                "/metrics": metrics(self._page),
            },
            failed=lambda error: self._log.event(
                "endpoint-failed", "error", reason=repr(error)[:500]
            ),
        )

    def _page(self) -> bytes:
        controller, measures = self._controller, self._measures
        queue = controller.queue
        offset = self._clock.offset.total_seconds()
        measures.state(leads=self._leads(), offset=offset)
        measures.queue(queue.depth, queue.failing, queue.namespaces, queue.wait)
        measures.accounts(controller.standing.counts())
        measures.watches(controller.watches.ages())
        measures.tokens(controller.expiries(), self._clock.now().timestamp())
        return measures.page()

    def _lead(self) -> bool:
        """Take and keep the Lease; start to work when everything is known."""
        led = working = False
        due = reloaded = -math.inf
        while not self._ending.is_set():
            now = time.monotonic()
            if now >= due:
                due = self._step()
            leads = self._leads() and not self._lapsed.is_set()
            if led and not leads:
                return not self._ending.is_set()
            if leads and not led:
                self._log.event("leading")
            led = leads
            if led and not working and self._controller.watches.ready:
                working = self._begin()
            if working and (self._controller.keys.refresh() or self._clock_jumped.is_set()):
                self._clock_jumped.clear()
                self._controller.look_at_everything()
            if now - reloaded >= RELOAD_SECONDS:
                reloaded = now
                self._look_for_changes()
            # The lists come in meanwhile; whether they are there costs no request.
            left = due - time.monotonic()
            self._rest(_LIST_SECONDS if led and not working else max(left, _LIST_SECONDS))
        return False

    def _begin(self) -> bool:
        """Start to work; return whether that could be done."""
        self._controller.keys.refresh()
        try:
            self._controller.begin()
        except ApiError as error:
            self._log.event("state-failed", "warning", error=str(error), status=error.status)
            return False
        for number in range(self._settings.limits.workers):
            self._start(self._work, f"worker-{number}")
        return True

    def _rest(self, seconds: float) -> None:
        """Wait so long, or until the process is to end."""
        try:
            self._woken.get(timeout=seconds)
        except Empty:
            return
        self._ending.set()

    def _step(self) -> float:
        """Take or renew the Lease; return when to do so again, by the monotonic clock."""
        if self._elector is None:
            return time.monotonic() + _IDLE_SECONDS
        try:
            self._elector.step()
        except ApiError as error:
            self._log.event("lease-failed", "warning", error=str(error), status=error.status)
        return self._elector.again_at

    def _look_for_changes(self) -> None:
        """Take what is new and good; go on with what there was otherwise, and say so."""
        try:
            found = self._reload()
        except ConfigurationError as error:
            self._measures.not_reloaded()
            if str(error) != self._unusable:
                self._unusable = str(error)
                self._log.event("not-reloaded", "error", problems=str(error).splitlines())
            return
        self._unusable = ""
        self._measures.reloadable()
        if found is not None and self._elsewhere(found):
            # What is watched was decided when the process began.
            self._log.event("namespaces-changed")
            self._ending.set()
        elif found is not None:
            policy = found.entitlements.policy
            self._measures.loaded(_now().timestamp())
            self._log.event("reloaded", policy=policy.hash if policy else None)
            self._controller.entitle(found.entitlements)

    def _elsewhere(self, found: Configuration) -> bool:
        namespaces = found.settings.selection.namespaces
        return set(namespaces) != set(self._settings.selection.namespaces)

    def _differs(self, seconds: float) -> None:
        self._log.event("clock-differs", "warning", server_ahead_seconds=seconds)

    def _work(self) -> None:
        queue = self._controller.queue
        while (key := queue.get()) is not None:
            try:
                self._controller.work(key)
            except NotLeadingError:
                # A late renewal may bring the Lease back, and this thread would be missing then.
                self._lapsed.set()
                return

    def _start(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=self._guarded, args=(target, name), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, target: Callable[[], None], name: str) -> None:
        """End the process when one of its threads fails: a dead thread must not stay unnoticed."""
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
        # The event is not used here: the thread that the signal interrupts may hold its lock.
        # `put` is safe then.
        self._woken.put(None)

    def _end(self, endpoints: Endpoints | None) -> None:
        self._ending.set()
        self._controller.queue.close()
        for watcher in self._controller.watches.watchers.values():
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
