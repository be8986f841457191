"""
Timestamps and durations as text, and their parts.

What lives here: RFC 3339 timestamps, CEL's duration texts, and the accessors of langdef,
"Date/Time Functions".  Not here: a clock, or a database of time zones: a policy decides the
same on every host, so a zone is UTC or a fixed offset.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

from regauth.engine.cel.syntax.errors import CelError, CelErrorCode

from .operators import moment
from .values import NANOSECONDS, Duration, Timestamp

_TIMESTAMP: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_DURATION_PART: Final = re.compile(r"([0-9]{0,12})(?:\.([0-9]{0,9}))?(h|ms|m|s|us|ns)")
_UNITS: Final = {
    "h": 3600 * NANOSECONDS,
    "m": 60 * NANOSECONDS,
    "s": NANOSECONDS,
    "ms": 1_000_000,
    "us": 1000,
    "ns": 1,
}
_LONGEST_TEXT: Final = 64
_LONGEST: Final = 315_576_000_000 * NANOSECONDS
_ZONE: Final = re.compile(r"([+-]?)([0-9]{1,2}):([0-9]{2})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()
_HOURS, _MINUTES = 24, 60


def _bad(what: str) -> CelError:
    return CelError(CelErrorCode.ARGUMENT, f"not {what}")


def parse_timestamp(text: str) -> Timestamp:
    """Read an RFC 3339 date-time (section 5.6) of at most nanoseconds, with `T` and `Z`."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise _bad("an RFC 3339 timestamp")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    try:
        days = date(year, month, day).toordinal() - _FIRST_DAY
    except ValueError:
        raise _bad("an RFC 3339 timestamp: there is no such day") from None
    if hour >= _HOURS or minute >= _MINUTES or second >= _MINUTES:
        raise _bad("an RFC 3339 timestamp: there is no such time")
    fraction = int((found[7] or "0").ljust(9, "0"))
    seconds = ((days * _HOURS + hour) * _MINUTES + minute) * _MINUTES + second
    if found[8]:
        offset_hour, offset_minute = int(found[9]), int(found[10])
        if offset_hour >= _HOURS or offset_minute >= _MINUTES:
            raise _bad("an RFC 3339 timestamp: there is no such offset")
        offset = (offset_hour * _MINUTES + offset_minute) * _MINUTES
        seconds -= offset if found[8] == "+" else -offset
    return moment(seconds * NANOSECONDS + fraction)


def parse_duration(text: str) -> Duration:
    """Read a duration: numbers with a unit each (`h m s ms us ns`), as `1h30m` or `-1.5s`."""
    signless = text[1:] if text[:1] in ("+", "-") else text
    if not signless or len(text) > _LONGEST_TEXT:
        raise _bad("a duration such as 1h30m")
    total = 0
    at = 0
    while at < len(signless) and signless != "0":
        part = _DURATION_PART.match(signless, at)
        if part is None or not (part[1] or part[2]):
            raise _bad("a duration such as 1h30m")
        unit = _UNITS[part[3]]
        fraction = part[2] or ""
        total += int(part[1] or "0") * unit + int(fraction or "0") * unit // 10 ** len(fraction)
        at = part.end()
    if total > _LONGEST:
        raise CelError(CelErrorCode.OVERFLOW, "a duration of more than 10,000 years")
    return Duration(-total if text[0] == "-" else total)


def _fraction(nanoseconds: int) -> str:
    """Write a fraction of a second with 0, 3, 6 or 9 digits, as protobuf's JSON does."""
    if not nanoseconds:
        return ""
    digits = f"{nanoseconds:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f".{digits}"


def format_timestamp(value: Timestamp) -> str:
    """Write a timestamp as RFC 3339 does, in UTC."""
    seconds, nanoseconds = divmod(value.nanoseconds, NANOSECONDS)
    whole = _EPOCH + timedelta(seconds=seconds)
    return f"{whole.replace(tzinfo=None).isoformat()}{_fraction(nanoseconds)}Z"


def format_duration(value: Duration) -> str:
    """Write a duration in seconds, as `1.500s`."""
    seconds, nanoseconds = divmod(abs(value.nanoseconds), NANOSECONDS)
    return f"{'-' if value.nanoseconds < 0 else ''}{seconds}{_fraction(nanoseconds)}s"


def zone_offset(zone: str) -> int:
    """
    Give the seconds that `UTC` or a fixed offset such as `-02:30` is ahead of UTC.

    Raises:
        CelError: it is neither.

    """
    if zone == "UTC":
        return 0
    found = _ZONE.fullmatch(zone)
    if found is None or int(found[2]) >= _HOURS or int(found[3]) >= _MINUTES:
        raise CelError(CelErrorCode.ARGUMENT, "a time zone is UTC or a fixed offset such as +02:00")
    seconds = (int(found[2]) * _MINUTES + int(found[3])) * _MINUTES
    return -seconds if found[1] == "-" else seconds


def _accessor(part: Callable[[datetime], int]) -> Callable[..., int]:
    def get(value: Timestamp, zone: str = "UTC") -> int:
        try:
            milliseconds = value.nanoseconds // 1_000_000 + zone_offset(zone) * 1000
            return part(_EPOCH + timedelta(milliseconds=milliseconds))
        except OverflowError:
            raise CelError(
                CelErrorCode.OVERFLOW, "the local time is not in the years 1 to 9999"
            ) from None

    return get


TIMESTAMP_PARTS: Final[dict[str, Callable[..., int]]] = {
    "getFullYear": _accessor(lambda local: local.year),
    "getMonth": _accessor(lambda local: local.month - 1),
    "getDate": _accessor(lambda local: local.day),
    "getDayOfMonth": _accessor(lambda local: local.day - 1),
    "getDayOfWeek": _accessor(lambda local: local.isoweekday() % 7),
    "getDayOfYear": _accessor(lambda local: local.timetuple().tm_yday - 1),
    "getHours": _accessor(lambda local: local.hour),
    "getMinutes": _accessor(lambda local: local.minute),
    "getSeconds": _accessor(lambda local: local.second),
    "getMilliseconds": _accessor(lambda local: local.microsecond // 1000),
}
"""Accessors of a timestamp by name; months and days count from 0, `getDate` and years do not."""


def _truncated(nanoseconds: int, unit: int) -> int:
    return abs(nanoseconds) // unit * (-1 if nanoseconds < 0 else 1)


DURATION_PARTS: Final[dict[str, Callable[[Duration], int]]] = {
    "getHours": lambda value: _truncated(value.nanoseconds, _UNITS["h"]),
    "getMinutes": lambda value: _truncated(value.nanoseconds, _UNITS["m"]),
    "getSeconds": lambda value: _truncated(value.nanoseconds, _UNITS["s"]),
    "getMilliseconds": lambda value: (
        _truncated(value.nanoseconds, 1_000_000) - _truncated(value.nanoseconds, NANOSECONDS) * 1000
    ),
}
"""Accessors of a duration: all of it in the unit, but milliseconds are those within a second."""
