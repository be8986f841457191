"""A property that is worked out once, also for values that do not change."""

import pytest
from msgspec import Struct

from regauth.engine.access.once import once


class Sum(Struct, frozen=True, dict=True):
    parts: tuple[int, ...]
    calls: list[int]

    @once
    def total(self) -> int:
        """The sum."""
        self.calls.append(1)
        return sum(self.parts)


def test_it_is_worked_out_once_for_each_owner() -> None:
    one, other = Sum((1, 2), []), Sum((3, 4), [])

    assert (one.total, one.total, other.total) == (3, 3, 7)
    assert (one.calls, other.calls) == ([1], [1])


def test_what_fails_is_tried_again() -> None:
    broken = Sum(("x",), [])
    for _ in range(2):
        with pytest.raises(TypeError):
            broken.total  # noqa: B018 - for its error

    assert broken.calls == [1, 1]


def test_the_class_has_the_property_itself() -> None:
    assert isinstance(Sum.total, once)
    assert Sum.total.__doc__ == "The sum."
