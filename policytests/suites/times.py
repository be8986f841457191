"""
Times as a suite writes them: `2026-11-01T12:00:00Z`, `2026-11-01`, `+2h`, `-90s`.

What lives here: reading them.  Not here: reading a clock.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

_SHIFT: Final = re.compile(r"([+-])((?:[0-9]{1,6}[dhms])+)", re.ASCII)
_PART: Final = re.compile(r"([0-9]+)([dhms])", re.ASCII)
_FORM: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:", re.ASCII)
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def looks_like_time(text: str) -> bool:
    """Tell whether a text has the form of a time, so that the schema has not complained of it."""
    return _FORM.match(text) is not None


def parse_time(text: str) -> datetime | None:
    """Return the time of a text as RFC 3339 has it, or of the first second of a day, or None."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC) if parse_date(text) else None
    return moment.astimezone(UTC)


def parse_date(text: str) -> date | None:
    """Return the day of a text like `2026-12-01`, or None."""
    try:
        return date.fromisoformat(text) if len(text) == len("2026-12-01") else None
    except ValueError:
        return None


def parse_shift(text: str) -> timedelta | None:
    """Return the length of a text like `+2h`, `-1d12h` or `+90s`, or None."""
    match = _SHIFT.fullmatch(text)
    if match is None:
        return None
    length = timedelta()
    for number, unit in _PART.findall(match[2]):
        length += timedelta(**{_UNITS[unit]: int(number)})
    return -length if match[1] == "-" else length
