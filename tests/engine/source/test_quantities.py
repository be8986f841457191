"""Durations and moments mean what a policy writes."""

from datetime import UTC, datetime, timedelta

import pytest

from regauth.engine.source.quantities import parse_duration, parse_moment


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("1h30m", timedelta(minutes=90)),
        ("1d", timedelta(days=1)),
        ("250ms", timedelta(milliseconds=250)),
    ],
)
def test_durations(text: str, value: timedelta) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-1s", "1.5h", "1w", " 1s", "1s\n", "999999999d", "١s"]
)
def test_what_is_no_duration_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="duration|years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T18:00:00Z", datetime(2027, 1, 31, 18, tzinfo=UTC)),
        ("2027-01-31T18:00:00+02:00", datetime(2027, 1, 31, 16, tzinfo=UTC)),
    ],
)
def test_a_date_is_its_first_moment(text: str, value: datetime) -> None:
    """The earlier reading refuses sooner."""
    assert parse_moment(text) == value


@pytest.mark.parametrize("text", ["2027-02-30", "2027-01-31T18:00:00", "tomorrow", ""])
def test_what_is_no_moment_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="date|zone"):
        parse_moment(text)
