"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Time of day and seconds that go on together, by hand."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 1, 12, tzinfo=UTC)
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.seconds

    def timestamp(self) -> float:
        return self.moment.timestamp()

    def forward(self, **parts: float) -> None:
        step = timedelta(**parts)
        self.moment += step
        self.seconds += step.total_seconds()

    def wait(self, seconds: float) -> None:
        self.forward(seconds=seconds)
