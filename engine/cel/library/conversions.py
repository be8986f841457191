"""
Conversions between kinds of values.

What lives here: `int()`, `double()`, `string()` and `bool()`.  Not here: texts of times
(`times`).

Texts are read strictly: what the specification's implementations disagree about (spaces, a leading
`+`, `inf`, hexadecimal) is an error.
"""

import math
import re
from decimal import Decimal
from typing import Final

from regauth.engine.cel.syntax.errors import CelError, CelErrorCode
from regauth.engine.cel.syntax.literals import INT_MAX, INT_MIN

from .operators import in_range

_INT: Final = re.compile(r"-?[0-9]{1,19}")
_DOUBLE: Final = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?")
_BOOLS: Final = {
    **dict.fromkeys(("1", "t", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "f", "false", "False", "FALSE"), False),
}
_SMALLEST_EXPONENT, _LARGEST_EXPONENT = -4, 6


def int_of_string(text: str) -> int:
    """Read a decimal int."""
    if _INT.fullmatch(text) is None:
        raise CelError(CelErrorCode.ARGUMENT, "the string is not a decimal int")
    return in_range(int(text))


def int_of_double(number: float) -> int:
    """Drop the fraction; the bounds themselves are out, as they are rounded."""
    if not INT_MIN < number < INT_MAX:
        raise CelError(CelErrorCode.OVERFLOW, "the number does not fit into 64 bits")
    return int(number)


def double_of_string(text: str) -> float:
    """Read a finite number."""
    if _DOUBLE.fullmatch(text) is None:
        raise CelError(CelErrorCode.ARGUMENT, "the string is not a number")
    number = float(text)
    if math.isinf(number):
        raise CelError(CelErrorCode.OVERFLOW, "the number is too large for a double")
    return number


def bool_of_string(text: str) -> bool:
    """Read one of the ten words the specification has for true and false."""
    if text not in _BOOLS:
        raise CelError(CelErrorCode.ARGUMENT, "the string is not a bool")
    return _BOOLS[text]


def string_of_double(number: float) -> str:
    """Write the fewest digits that mean this number, with an exponent from a million on."""
    if not math.isfinite(number):
        raise CelError(CelErrorCode.ARGUMENT, "the number is not finite")
    sign, digits, last = Decimal(repr(number)).normalize().as_tuple()
    if not isinstance(last, int) or digits == (0,):
        return "-0" if math.copysign(1.0, number) < 0 else "0"
    exponent = last + len(digits) - 1
    if _SMALLEST_EXPONENT <= exponent < _LARGEST_EXPONENT:
        return f"{Decimal(repr(number)).normalize():f}"
    text = "".join(map(str, digits))
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{'-' if sign else ''}{text[0]}{fraction}e{exponent:+03}"


def string_of_bool(value: bool) -> str:  # noqa: FBT001 - the value itself
    """Write `true` or `false`."""
    return "true" if value else "false"
