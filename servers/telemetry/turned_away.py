"""
What metrics and log are told of connections that were turned away, and of fields not believed.

What lives here: why connections are turned away, and how often the log says it.  Not here: turning
them away (`regauth.servers.http_server.connections`).
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal, Protocol

from .event_log import EventLog

Why = Literal[
    "too-many",
    "slow-headers",
    "slow-body",
    "pipelined",
    "urgent",
    "spool-full",
    "request-refused",
    "overloaded",
]

LOG_SECONDS: Final = 10.0
"""Between two lines about connections that were turned away for the same reason."""


class CountsTurnedAway(Protocol):
    """Metrics that count connections which were turned away."""

    def turned_away(self, why: str, number: int = 1) -> None:
        """Count so many."""


class RejectionLog:
    """
    Tells of connections that were turned away: metrics of each, the log of some.

    A client that opens connections must not be able to fill the log.

    Args:
        log: Takes a line at most every `LOG_SECONDS` for each reason.
        metrics: The metrics, if there are any.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        log: EventLog,
        metrics: CountsTurnedAway | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._said: dict[Why, float] = {}
        self._unsaid: Counter[Why] = Counter()

    def turned_away(self, why: Why, client: str, request_id: str = "") -> None:
        """
        Tell of a connection; the line's `more` are those since the last line.

        Args:
            why: The reason.
            client: Its address.
            request_id: The id that the answer says, if there is an answer.
        """
        if self._metrics is not None:
            self._metrics.turned_away(why)
        now = self._clock()
        if now - self._said.get(why, -LOG_SECONDS) < LOG_SECONDS:
            self._unsaid[why] += 1
            return
        self._said[why] = now
        more = self._unsaid.pop(why, 0)
        self._log.event(
            "connection-turned-away",
            "warning",
            requestId=request_id,
            why=why,
            client=client,
            more=more or "",
        )

    def shed(self, number: int, waiting: int, oldest: float) -> None:
        """
        Tell of requests that were turned away because the server has too much to do.

        Args:
            number: How many, since the last time.
            waiting: How many wait now.
            oldest: For how many seconds the oldest of them waits.
        """
        if self._metrics is not None:
            self._metrics.turned_away("overloaded", number)
        self._log.event(
            "overloaded",
            "warning",
            turned_away=number,
            waiting=waiting,
            oldest_seconds=round(oldest, 2),
        )


def warn_of_ignored(log: EventLog) -> Callable[[str, str], None]:
    """
    Return what warns that a forwarded field is ignored.

    A server behind a proxy that it does not trust takes all its clients for one client.  So the
    failed logins of one lock out all.
    """

    def warn(header: str, peer: str) -> None:
        log.event(
            "forwarded-ignored",
            "warning",
            header=header,
            peer=peer,
            advice="name the peer in `trustedProxies`, and what it writes in `forwardedFields`,"
            " if it is your reverse proxy; this is said once",
        )

    return warn
