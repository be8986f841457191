"""
Durations and moments as a policy writes them.

What lives here: `30s`, `1h30m`, `2027-01-31` to Python's values.  Not here: a clock.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}(?:ms|[dhms]))+", re.ASCII)
_PART: Final = re.compile(r"([0-9]+)(ms|[dhms])", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """
    Return a duration such as `30s`, `15m` or `1h30m`.

    Raises:
        ValueError: It is not one, or is longer than 100 years.
    """
    if _DURATION.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 15m or 1h30m")
    total = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if total > 36_500 * _UNITS["d"]:
        raise ValueError(f"{text!r} is longer than 100 years")
    return timedelta(milliseconds=total)


def parse_moment(text: str) -> datetime:
    """
    Return a moment such as `2027-01-31` (the beginning of that day, UTC) or an RFC 3339 time.

    Raises:
        ValueError: It is neither, or names a day there is not.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date or an RFC 3339 time: {error}") from None
    if moment.tzinfo is None:
        if "T" in text or " " in text:
            raise ValueError(f"{text!r} has no time zone; end it with Z for UTC")
        moment = moment.replace(tzinfo=UTC)
    return moment
