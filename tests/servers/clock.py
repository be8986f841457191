"""A clock that a test moves on."""


class Clock:
    """Monotonic seconds, which stand still until a test moves them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
