"""
Times as texts (RFC 3339), in UTC.

What lives here: writing them.  Not here: reading them (`regauth.engine.source.quantities`), and
clocks.
"""

from datetime import UTC, datetime
from functools import lru_cache


def whole_seconds(moment: datetime) -> str:
    """
    Return a time with its zone, up to the second, as `2026-11-30T12:00:00`: in UTC, without `Z`.

    Every request asks for it, most of them for the second that the request before was in.
    """
    # Rounded, because a float of far years has too few digits for microseconds.
    return _written(round(moment.timestamp() - moment.microsecond / 1_000_000))


def milliseconds(moment: datetime) -> str:
    """Return a time with its zone, up to the millisecond, as `2026-11-30T12:00:00.123Z`."""
    return f"{whole_seconds(moment)}.{moment.microsecond // 1000:03d}Z"


@lru_cache(maxsize=8)
def _written(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
