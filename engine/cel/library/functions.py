"""
The named functions of the policy language: the one table the checker and the lowering read.

What lives here: each function's overloads.  Not here: how they are computed (`strings`,
`conversions`, `times`, `networks`), and the macros, which are syntax (`evaluation.comprehensions`).
"""

from typing import Final

from . import conversions, networks, strings, times
from .operators import in_range, moment
from .overloads import Function, Implementation, Overload
from .types import (
    ADDRESS,
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    ListType,
    MapType,
    Type,
)
from .values import NANOSECONDS, Value

_LIST: Final = ListType(DYN)
_STRINGS: Final = ListType(STRING)
_MAP: Final = MapType(DYN)


def _member(
    name: str, result: Type, apply: Implementation, *parameters: tuple[Type, ...]
) -> Function:
    """Declare a member function whose overloads share one implementation."""
    overloads = tuple(Overload(types, result, apply) for types in parameters)
    return Function(f"{name}()", overloads, member=True)


def _same(value: Value) -> Value:
    return value


_STRING_FUNCTIONS: Final = (
    _member("startsWith", BOOL, str.startswith, (STRING, STRING)),
    _member("endsWith", BOOL, str.endswith, (STRING, STRING)),
    _member("contains", BOOL, str.__contains__, (STRING, STRING)),
    _member("lowerAscii", STRING, strings.lower_ascii, (STRING,)),
    _member("upperAscii", STRING, strings.upper_ascii, (STRING,)),
    _member("trim", STRING, strings.trim, (STRING,)),
    _member("reverse", STRING, strings.reverse, (STRING,)),
    _member("charAt", STRING, strings.char_at, (STRING, INT)),
    _member("indexOf", INT, strings.index_of, (STRING, STRING), (STRING, STRING, INT)),
    _member("lastIndexOf", INT, strings.last_index_of, (STRING, STRING), (STRING, STRING, INT)),
    _member("substring", STRING, strings.substring, (STRING, INT), (STRING, INT, INT)),
    _member(
        "replace",
        STRING,
        strings.replace,
        (STRING, STRING, STRING),
        (STRING, STRING, STRING, INT),
    ),
    _member("split", _STRINGS, strings.split, (STRING, STRING), (STRING, STRING, INT)),
    _member("join", STRING, strings.join, (_STRINGS,), (_STRINGS, STRING)),
)

_SIZE: Final = Function(
    "size()",
    tuple(Overload((sized,), INT, len) for sized in (STRING, _LIST, _MAP)),
    member=True,
    free=True,
)

_CONVERSIONS: Final = (
    Function(
        "int()",
        (
            Overload((INT,), INT, _same),
            Overload((DOUBLE,), INT, conversions.int_of_double),
            Overload((STRING,), INT, conversions.int_of_string),
            Overload((TIMESTAMP,), INT, lambda value: value.nanoseconds // NANOSECONDS),
        ),
        free=True,
    ),
    Function(
        "double()",
        (
            Overload((DOUBLE,), DOUBLE, _same),
            Overload((INT,), DOUBLE, lambda value: float(in_range(value))),
            Overload((STRING,), DOUBLE, conversions.double_of_string),
        ),
        free=True,
    ),
    Function(
        "string()",
        (
            Overload((STRING,), STRING, _same),
            Overload((INT,), STRING, lambda value: str(in_range(value))),
            Overload((DOUBLE,), STRING, conversions.string_of_double),
            Overload((BOOL,), STRING, conversions.string_of_bool),
            Overload((TIMESTAMP,), STRING, times.format_timestamp),
            Overload((DURATION,), STRING, times.format_duration),
        ),
        free=True,
    ),
    Function(
        "bool()",
        (Overload((BOOL,), BOOL, _same), Overload((STRING,), BOOL, conversions.bool_of_string)),
        free=True,
    ),
    Function(
        "timestamp()",
        (
            Overload((TIMESTAMP,), TIMESTAMP, _same),
            Overload((STRING,), TIMESTAMP, times.parse_timestamp),
            Overload((INT,), TIMESTAMP, lambda seconds: moment(seconds * NANOSECONDS)),
        ),
        free=True,
    ),
    Function(
        "duration()",
        (
            Overload((DURATION,), DURATION, _same),
            Overload((STRING,), DURATION, times.parse_duration),
        ),
        free=True,
    ),
    Function("dyn()", (Overload((DYN,), DYN, _same),), free=True),
)


def _accessor(name: str) -> Function:
    overloads: list[Overload] = []
    if name in times.TIMESTAMP_PARTS:
        get = times.TIMESTAMP_PARTS[name]
        overloads += [
            Overload((TIMESTAMP,), INT, get),
            Overload((TIMESTAMP, STRING), INT, get),
        ]
    if name in times.DURATION_PARTS:
        overloads.append(Overload((DURATION,), INT, times.DURATION_PARTS[name]))
    return Function(f"{name}()", tuple(overloads), member=True)


_ACCESSORS: Final = tuple(
    _accessor(name) for name in {**times.TIMESTAMP_PARTS, **times.DURATION_PARTS}
)

_IN_NETWORK: Final = _member("inNetwork", BOOL, networks.in_network, (ADDRESS, STRING))

FUNCTIONS: Final[dict[str, Function]] = {
    function.name.removesuffix("()"): function
    for function in (*_STRING_FUNCTIONS, _SIZE, *_CONVERSIONS, *_ACCESSORS, _IN_NETWORK)
}
"""Every named function except `matches`, whose pattern is compiled with the policy."""

STRING_TESTS: Final = frozenset({"startsWith", "endsWith", "contains"})
"""Functions that ask a string about a string, and neither fail nor build anything."""
