"""The API server's clock, as its answers tell it (fault K9)."""

import email.utils
from datetime import datetime, timedelta

import pytest

from regauth.controller.observing.server_clock import ServerClock
from tests.controller.clocks import Clock


def date(moment: datetime) -> str:
    return email.utils.format_datetime(moment, usegmt=True)


@pytest.mark.parametrize("seconds", [-31, 0, 29, 31, 4000])
def test_k9_a_small_difference_is_none_and_a_large_one_is_gone_by(
    clock: Clock, seconds: int
) -> None:
    ours = ServerClock(clock.now)
    ours.hear(date(clock.now() + timedelta(seconds=seconds)))
    expected = timedelta(seconds=seconds if abs(seconds) > 30 else 0)

    assert ours.now() == clock.now() + expected


@pytest.mark.parametrize("text", [None, "", "now", "Sun, 99 Nov 2026 12:00:00 GMT"])
def test_an_answer_without_a_date_says_nothing(clock: Clock, text: str | None) -> None:
    ours = ServerClock(clock.now)
    ours.hear(text)

    assert ours.now() == clock.now()


def test_k9_a_difference_is_told_once_an_hour_and_again_after_it_was_mended(clock: Clock) -> None:
    told: list[float] = []
    ours = ServerClock(clock.now, told.append)
    for minutes in (0, 30, 59, 61):
        clock.forward(minutes=minutes and 20)
        ours.hear(date(clock.now() + timedelta(seconds=100)))
    assert told == [100, 100]

    ours.hear(date(clock.now()))
    ours.hear(date(clock.now() + timedelta(seconds=50)))
    assert told == [100, 100, 50]


def test_k9_a_clock_that_is_set_is_noticed_once(clock: Clock) -> None:
    """Tokens were looked at when they would have been due by the old time, and had expired."""
    jumps: list[bool] = []
    ours = ServerClock(clock.now, jumped=lambda: jumps.append(True))
    for ahead in (3000, 3001, 3020, 3240, 3241, 0, 1):
        ours.hear(date(clock.now() + timedelta(seconds=ahead)))

    assert len(jumps) == 2
