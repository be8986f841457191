"""
The values of expressions: plain JSON values, and two kinds of time.

What lives here: `Timestamp` and `Duration`, the names of kinds of values, and strict equality and
order.  Not here: the text forms of times (`times`), and any other function (`functions`).

Everything else is what `json.loads` gives: dict, list, str, int, float, bool and None, told apart
by exact type, so that a bool is never taken for the int it is in Python.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, TypeAlias

from msgspec import Struct

from regauth.engine.cel.syntax.errors import CelError, CelErrorCode

Value: TypeAlias = Any
"""A value of an expression.  Its exact Python type alone tells its kind."""

NANOSECONDS: Final = 1_000_000_000


class Timestamp(Struct, frozen=True, order=True):
    """A moment: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted."""

    nanoseconds: int


class Duration(Struct, frozen=True, order=True):
    """A length of time in nanoseconds; may be negative."""

    nanoseconds: int


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def timestamp(moment: datetime) -> Timestamp:
    """
    Make the value of a CEL timestamp, such as `now`, from an aware datetime.

    Raises:
        ValueError: the datetime has no time zone.

    """
    if moment.tzinfo is None:
        raise ValueError("a timestamp needs a time zone")
    return Timestamp((moment - _EPOCH) // _MICROSECOND * 1000)


KINDS: Final[dict[type, str]] = {
    str: "string",
    bool: "bool",
    int: "int",
    float: "double",
    type(None): "null",
    list: "list",
    dict: "map",
    Timestamp: "timestamp",
    Duration: "duration",
    IPv4Address: "address",
    IPv6Address: "address",
}
_NUMBERS: Final = frozenset({int, float})
_SCALARS: Final = frozenset({str, bool, int, float, Timestamp, Duration})


def kind(value: Value) -> str:
    """Name the kind of a value as an author knows it."""
    return KINDS.get(type(value), "unknown")


def equal(left: Value, right: Value) -> bool:
    """
    Compare two values of one kind; numbers are one kind, and null equals only itself.

    Raises:
        CelError: the kinds differ.  (The specification says false; but a claim of an unexpected
            type must not make `!=` true, so this is a deliberate difference: docs/cel.md.)

    """
    if left is None or right is None:
        return left is right
    of_left, of_right = type(left), type(right)
    if of_left is of_right:
        if of_left in _SCALARS:
            return bool(left == right)
        if of_left is list:
            return _equal_lists(left, right)
        if of_left is dict:
            return _equal_maps(left, right)
    elif of_left in _NUMBERS and of_right in _NUMBERS:
        return float(left) == float(right)
    raise mismatch("compare", left, right)


def mismatch(verb: str, left: Value, right: Value) -> CelError:
    """Make the error of an operator whose operands are of different kinds."""
    return CelError(CelErrorCode.MISMATCH, f"cannot {verb} {kind(left)} with {kind(right)}")


def _equal_lists(left: list[Value], right: list[Value]) -> bool:
    if len(left) != len(right):
        return False
    return _all_equal(zip(left, right, strict=True))


def _equal_maps(left: dict[str, Value], right: dict[str, Value]) -> bool:
    if left.keys() != right.keys():
        return False
    return _all_equal((value, right[key]) for key, value in left.items())


def _all_equal(pairs: Iterable[tuple[Value, Value]]) -> bool:
    """Compare pair by pair: one that differs decides, whatever errors the others have."""
    failed: CelError | None = None
    for left, right in pairs:
        try:
            if not equal(left, right):
                return False
        except CelError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return True


def contained(item: Value, container: Value) -> bool:
    """
    Tell whether `item` is an element of a list, or a key of a map.

    Raises:
        CelError: the container is neither; or nothing equals `item` and an element is of another
            kind; or the key of a map is not a string.

    """
    if type(container) is list:
        return _element(item, container)
    if type(container) is dict:
        if type(item) is str:
            return item in container
        raise mismatch("look up", item, container)
    raise CelError(
        CelErrorCode.TYPE, f"'in' needs a list or a map on its right, not {kind(container)}"
    )


def _element(item: Value, container: list[Value]) -> bool:
    failed: CelError | None = None
    for element in container:
        try:
            if equal(item, element):
                return True
        except CelError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return False


def ordered(left: Value, right: Value) -> tuple[Any, Any]:
    """
    Give two values that have an order: of one kind, or two doubles for an int and a double.

    The int is rounded to a double, as the specification has it for `==` too.

    Raises:
        CelError: they have no order.

    """
    of_left, of_right = type(left), type(right)
    if of_left is of_right and of_left in _SCALARS:
        return left, right
    if of_left in _NUMBERS and of_right in _NUMBERS:
        return float(left), float(right)
    raise CelError(CelErrorCode.TYPE, f"cannot order {kind(left)} and {kind(right)}")
