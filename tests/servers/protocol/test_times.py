"""Times as texts: what is written is what the standard library writes, whatever the time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.servers.protocol.times import milliseconds, whole_seconds

MOMENTS = st.integers(0, 253_402_214_400_000_000).map(
    lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)


@given(MOMENTS)
def test_a_time_is_written_as_the_standard_library_writes_it(moment: datetime) -> None:
    text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert milliseconds(moment) == text
    assert whole_seconds(moment) == text[:19]


@pytest.mark.parametrize("microseconds", [0, 1, 999, 1000, 499_999, 999_499, 999_500, 999_999])
@pytest.mark.parametrize("year", [1970, 2026, 2038, 9999])
def test_no_part_of_a_second_is_rounded_up(year: int, microseconds: int) -> None:
    moment = datetime(year, 12, 30, 23, 59, 59, microseconds, tzinfo=UTC)
    assert whole_seconds(moment) == f"{year}-12-30T23:59:59"
    assert milliseconds(moment) == f"{year}-12-30T23:59:59.{microseconds // 1000:03d}Z"


def test_another_zone_is_written_as_utc() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert milliseconds(datetime(2026, 11, 30, 17, 30, tzinfo=east)) == "2026-11-30T12:00:00.000Z"


def test_a_clock_that_is_set_back_is_followed() -> None:
    later, earlier = datetime(2026, 11, 30, 12, tzinfo=UTC), datetime(2026, 11, 30, 11, tzinfo=UTC)
    assert [whole_seconds(one)[11:13] for one in (later, earlier, later)] == ["12", "11", "12"]
