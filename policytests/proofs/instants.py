"""
Times as numbers: seconds since 1970, exact.

What lives here: conversions between datetimes and the numbers of formulas.  Not here: what a
policy asks of times (`logins`).
"""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_IN_A_SECOND: Final = 1_000_000

LATEST: Final = 253_402_300_800
"""The year 10000, where the engine's times end."""


def seconds(moment: datetime) -> Fraction:
    """Return a moment as seconds since 1970."""
    return length(moment - EPOCH)


def length(span: timedelta) -> Fraction:
    """Return a length of time in seconds."""
    return Fraction(span // _MICROSECOND, _IN_A_SECOND)


def moment(at: Fraction | int) -> datetime:
    """Return the moment of so many seconds since 1970, cut to microseconds."""
    return EPOCH + timedelta(microseconds=int(Fraction(at) * _IN_A_SECOND // 1))
