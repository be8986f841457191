"""
The end of the signing key's certificates, told before it comes.

What lives here: when the log is told.
Not here: making certificates (`regauth.servers.signing.certificates`), the metric, which has the
end as a time (`telemetry.metrics`), and readiness (`app`).

A registry refuses every token as soon as a certificate in it has expired.  Nothing in the server
fails then, so without this warning nobody would know why.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from regauth.servers.telemetry.event_log import EventLog

WARN_BEFORE: Final = timedelta(days=30)
"""How long before the end the log begins to warn."""

REPEAT: Final = timedelta(days=1)
"""How often it warns."""


class CertificateWatch:
    """
    Warns of certificates that end.  Safe to use from many threads.

    Args:
        log: Is told.
        now: The clock.
    """

    def __init__(self, log: EventLog, now: Callable[[], datetime]) -> None:
        self._log = log
        self._now = now
        self._lock = threading.Lock()
        self._told: tuple[datetime, bool, datetime] | None = None

    def look(self, expires: datetime | None) -> None:
        """Warn when the end is near or past, once a day; `expires` is None without certificates."""
        now = self._now()
        if expires is None or now < expires - WARN_BEFORE:
            return
        over = now >= expires
        with self._lock:
            told = self._told
            if told is not None and told[:2] == (expires, over) and now - told[2] < REPEAT:
                return
            self._told = (expires, over, now)
        self._log.event(
            "certificate-expired" if over else "certificate-expires",
            "error" if over else "warning",
            expires=expires.isoformat(),
            days=(expires - now).days if not over else 0,
            remedy="`token-server keys rotate` makes a new key and certificate",
        )
