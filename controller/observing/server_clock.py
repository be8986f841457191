"""
The API server's clock, by which the life of tokens is counted.

What lives here: how far this machine's clock is from it.  Not here: asking for the time.  Every
answer tells it (RFC 9110, section 6.6.1, "Date"; `cluster`).

Tokens are issued by the server's clock.  A controller whose own clock is slow would replace them
after they have expired, and never notice.
"""

import email.utils
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

TOLERANCE: Final = timedelta(seconds=30)
"""Differences up to this count as none: an answer takes its time, and Date has whole seconds."""

TOLD_EVERY: Final = timedelta(hours=1)


class ServerClock:
    """
    Tells the time of day; where this machine's clock is wrong, the API server's.

    Args:
        now: This machine's clock.
        differs: Told, once an hour, by how many seconds the server's clock is ahead.
        jumped: Told that one of the two clocks was set: what was to be done then is due otherwise.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        differs: Callable[[float], None] = lambda _seconds: None,
        jumped: Callable[[], None] = lambda: None,
    ) -> None:
        self._now = now
        self._differs = differs
        self._jumped = jumped
        self._steady: timedelta | None = None
        self._told: datetime | None = None
        self.offset = timedelta()
        """How far the server's clock is ahead of this machine's, as of the last answer."""

    def hear(self, date: str | None) -> None:
        """Take note of the Date field of an answer that has just come."""
        try:
            moment = email.utils.parsedate_to_datetime(date or "")
        except ValueError:
            return  # a proxy in between may have none
        now = self._now()
        self.offset = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
        before = self._steady
        if before is None:
            self._steady = self.offset
        elif abs(self.offset - before) > TOLERANCE:
            self._steady = self.offset
            self._jumped()
        if abs(self.offset) <= TOLERANCE:
            self._told = None
        elif self._told is None or abs(now - self._told) >= TOLD_EVERY:
            self._told = now
            self._differs(self.offset.total_seconds())

    def now(self) -> datetime:
        """Return the time of day."""
        return self._now() + (self.offset if abs(self.offset) > TOLERANCE else timedelta())
