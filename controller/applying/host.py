"""
What the controller runs on, as one value.

What lives here: the cluster, the clock, the log and the metrics that the controller works with.
Not here: what it does with them (`reconciling`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from regauth.controller.event_log import ControllerLog
from regauth.controller.measures import Measures
from regauth.controller.observing.cluster import Cluster


@dataclass(frozen=True)
class Host:
    """
    What the controller runs on.

    Attributes:
        cluster: The API.
        now: The time of day.
        clock: Seconds that never run backwards.
        may_write: Whether this process leads.
        log: Where events go.
        measures: Where things are counted.
    """

    cluster: Cluster
    now: Callable[[], datetime]
    clock: Callable[[], float]
    may_write: Callable[[], bool]
    log: ControllerLog
    measures: Measures
