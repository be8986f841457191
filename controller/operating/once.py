"""
One pass over all service accounts, or the plan for it.

What lives here: a pass that changes the cluster, and a dry run that only lists the changes.
Not here: watching (`observing.watching`), and leadership (`applying.leadership`).

Whoever starts a pass makes sure that no controller runs.
"""

import time
from datetime import UTC, datetime

from kubernetes.client import Configuration as Connection

from regauth.controller.applying.host import Host
from regauth.controller.applying.reconciling import Controller
from regauth.controller.applying.work_queue import Throttle
from regauth.controller.configuration import Configuration
from regauth.controller.event_log import ControllerLog
from regauth.controller.measures import Measures
from regauth.controller.observing.cluster import Cluster
from regauth.controller.observing.server_clock import ServerClock


def _now() -> datetime:
    return datetime.now(UTC)


def run_once(connection: Connection, configuration: Configuration, log: ControllerLog) -> int:
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


def dry_run(connection: Connection, configuration: Configuration, log: ControllerLog) -> list[str]:
    """
    Return what would be done now, a line for each change, and change nothing.

    Raises:
        ApiError: A list could not be read.
    """
    controller = _controller(connection, configuration, log)
    controller.sync()
    return [line for planned in controller.plans() for line in planned.lines()]


def _controller(
    connection: Connection, configuration: Configuration, log: ControllerLog
) -> Controller:
    limits, measures = configuration.settings.limits, Measures()
    throttle = Throttle(limits.per_second, limits.burst, time.monotonic, time.sleep)
    clock = ServerClock(
        _now,
        lambda seconds: log.event("clock-differs", "warning", server_ahead_seconds=seconds),
    )
    cluster = Cluster(connection, throttle, measures.request, clock.hear)
    host = Host(cluster, clock.now, time.monotonic, lambda: True, log, measures)
    return Controller(host, configuration.entitlements, configuration.settings.memory)
