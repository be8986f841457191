"""
The event log: what happened, one JSON object a line, on standard error.

What lives here: the form of the lines (RFC 8259).  Not here: tokens.  Text that looks like a token
is removed from the line (`regauth.engine.source.redaction`).
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime

from regauth.engine.source.redaction import without_tokens

_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


class ControllerLog:
    """
    Writes events to a file descriptor, each line in one call.

    Args:
        descriptor: Where to; standard error by default.
        now: The clock.
    """

    def __init__(
        self,
        descriptor: int = 2,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._descriptor = descriptor
        self._now = now

    def event(self, event: str, level: str = "info", /, **fields: object) -> None:
        """Write an event; a line that cannot be written is lost and stops nothing."""
        moment = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = without_tokens(_encode({"time": moment, "level": level, "event": event, **fields}))
        try:
            os.write(self._descriptor, line.encode("utf-8", "backslashreplace") + b"\n")
        except OSError:
            return
