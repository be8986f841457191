"""
Arithmetic and comparison.

What lives here: the operators' overloads, within CEL's ranges: 64-bit integers, timestamps of the
years 1 to 9999 (CEL langdef, "Overflow").  Not here: `&&`, `||` and `? :`, which do not evaluate
all their operands (`evaluation.lowering`), and named functions (`functions`).
"""

import math
from collections.abc import Callable
from typing import Any, Final

from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.errors import CelError, CelErrorCode
from regauth.engine.cel.syntax.literals import INT_MAX, INT_MIN

from .overloads import Function, Overload
from .types import DOUBLE, DURATION, DYN, INT, STRING, TIMESTAMP, ListType
from .values import Duration, Timestamp, Value, contained, equal, ordered

EARLIEST: Final = -62_135_596_800_000_000_000
"""0001-01-01T00:00:00Z in nanoseconds."""
LATEST: Final = 253_402_300_799_999_999_999
"""9999-12-31T23:59:59.999999999Z in nanoseconds."""


def in_range(value: int) -> int:
    """Give an int back if it fits into 64 bits; else raise the overflow error."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise CelError(CelErrorCode.OVERFLOW, "the result does not fit into 64 bits")


def moment(nanoseconds: int) -> Timestamp:
    """Make a timestamp; outside the years 1 to 9999 is the overflow error."""
    if EARLIEST <= nanoseconds <= LATEST:
        return Timestamp(nanoseconds)
    raise CelError(CelErrorCode.OVERFLOW, "the timestamp is not in the years 1 to 9999")


def length(nanoseconds: int) -> Duration:
    """Make the duration that arithmetic gives; beyond 64 bits (292 years) is the overflow error."""
    return Duration(in_range(nanoseconds))


def short_string(text: str) -> str:
    """Give a string back unless it is longer than an expression may build."""
    if len(text) > limits.STRING:
        raise CelError(CelErrorCode.LIMIT, f"a string of more than {limits.STRING} characters")
    return text


def short_list(items: list[Value]) -> list[Value]:
    """Give a list back unless it is longer than an expression may build."""
    if len(items) > limits.LIST:
        raise CelError(CelErrorCode.LIMIT, f"a list of more than {limits.LIST} elements")
    return items


def _no_zero(right: int) -> None:
    if right == 0:
        raise CelError(CelErrorCode.DIVISION, "division by zero")


def divide_ints(left: int, right: int) -> int:
    """Divide, truncating towards zero."""
    _no_zero(right)
    quotient = abs(left) // abs(right)
    return in_range(quotient if (left < 0) == (right < 0) else -quotient)


def remainder(left: int, right: int) -> int:
    """Give the remainder of truncating division: it has the sign of `left`."""
    _no_zero(right)
    if right == -1:
        # The quotient of the smallest int does not exist, so neither does its remainder.
        in_range(-left)
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def divide_doubles(left: float, right: float) -> float:
    """Divide as IEEE 754 does: by zero is an infinity or no number, never an error."""
    if right:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


_LIST: Final = ListType(DYN)
_ADD: Final = (
    Overload((INT, INT), INT, lambda a, b: in_range(a + b)),
    Overload((DOUBLE, DOUBLE), DOUBLE, lambda a, b: a + b),
    Overload((STRING, STRING), STRING, lambda a, b: short_string(a + b)),
    Overload((_LIST, _LIST), _LIST, lambda a, b: short_list(a + b)),
    Overload((TIMESTAMP, DURATION), TIMESTAMP, lambda a, b: moment(a.nanoseconds + b.nanoseconds)),
    Overload((DURATION, TIMESTAMP), TIMESTAMP, lambda a, b: moment(a.nanoseconds + b.nanoseconds)),
    Overload((DURATION, DURATION), DURATION, lambda a, b: length(a.nanoseconds + b.nanoseconds)),
)
_SUBTRACT: Final = (
    Overload((INT, INT), INT, lambda a, b: in_range(a - b)),
    Overload((DOUBLE, DOUBLE), DOUBLE, lambda a, b: a - b),
    Overload((TIMESTAMP, TIMESTAMP), DURATION, lambda a, b: length(a.nanoseconds - b.nanoseconds)),
    Overload((TIMESTAMP, DURATION), TIMESTAMP, lambda a, b: moment(a.nanoseconds - b.nanoseconds)),
    Overload((DURATION, DURATION), DURATION, lambda a, b: length(a.nanoseconds - b.nanoseconds)),
)
_MULTIPLY: Final = (
    Overload((INT, INT), INT, lambda a, b: in_range(a * b)),
    Overload((DOUBLE, DOUBLE), DOUBLE, lambda a, b: a * b),
)
_DIVIDE: Final = (
    Overload((INT, INT), INT, divide_ints),
    Overload((DOUBLE, DOUBLE), DOUBLE, divide_doubles),
)
_REMAINDER: Final = (Overload((INT, INT), INT, remainder),)
_NEGATE: Final = (
    Overload((INT,), INT, lambda a: in_range(-a)),
    Overload((DOUBLE,), DOUBLE, lambda a: -a),
)

ARITHMETIC: Final[dict[str, Function]] = {
    "+": Function("'+'", _ADD),
    "-": Function("'-'", _SUBTRACT),
    "*": Function("'*'", _MULTIPLY),
    "/": Function("'/'", _DIVIDE),
    "%": Function("'%'", _REMAINDER),
}
"""The arithmetic operators by how they are written; overloads by the kinds of both operands."""

NEGATE: Final = Function("'-'", _NEGATE)
"""The sign."""


def _in_order(compare: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    return lambda left, right: compare(*ordered(left, right))


COMPARISONS: Final[dict[str, Callable[[Value, Value], bool]]] = {
    "==": lambda left, right: equal(left, right),  # noqa: PLW0108 - looked up when called
    "!=": lambda left, right: not equal(left, right),
    "<": _in_order(lambda left, right: left < right),
    "<=": _in_order(lambda left, right: left <= right),
    ">": _in_order(lambda left, right: left > right),
    ">=": _in_order(lambda left, right: left >= right),
    "in": lambda left, right: contained(left, right),  # noqa: PLW0108 - looked up when called
}
"""The operators that give a bool, by how they are written."""
