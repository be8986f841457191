"""
A property that is worked out once.

What lives here: the descriptor.  Not here: what is worked out.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class once(Generic[Value]):  # noqa: N801 - a decorator, as `property` is
    """
    What `functools.cached_property` is, without the lock that it takes before Python 3.12.

    Two threads may both work a value out, so it must depend on nothing that changes.
    """

    def __init__(self, work: Callable[[Any], Value]) -> None:
        self._work = work
        self._name = work.__name__
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> "once[Value]": ...
    @overload
    def __get__(self, owner: object, kind: type) -> Value: ...
    def __get__(self, owner: object | None, kind: type) -> "Value | once[Value]":
        if owner is None:
            return self
        value = owner.__dict__[self._name] = self._work(owner)
        return value
