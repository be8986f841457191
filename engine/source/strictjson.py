"""
JSON read strictly, for what strangers send: tokens, key sets, discovery documents.

What lives here: RFC 8259 with the freedoms it leaves to readers taken away (RFC 7493, I-JSON): no
duplicate names, no NaN, no lone surrogates, bounded numbers and depth.  Not here: writing JSON
(`tokens.json_text`), and what the JSON means.

Two readers of one text must not come to two meanings.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

import orjson

MAX_DEPTH: Final = 8
"""How deep a token's objects and lists may nest."""

_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_INT64: Final = 1 << 63
_HOLDERS: Final = frozenset((dict, list))


class JsonError(ValueError):
    """A text is not strict JSON; the message says why and quotes nothing of it."""


def loads(text: bytes | str, *, max_depth: int = MAX_DEPTH) -> object:
    """
    Read a JSON text.

    Integers are those of int64, other numbers finite doubles.

    Raises:
        JsonError: The text is not UTF-8, not JSON, or uses a freedom this reader takes away.
    """
    value = _plain(text) if isinstance(text, bytes) else None
    if value is None:
        value = _strict(text, max_depth)
    # What holds no object or list, as most tokens do, cannot nest; asking is cheaper than walking.
    if not _is_flat(value) and _nests_deeper(value, max_depth):
        raise JsonError(f"it nests more than {max_depth} deep")
    return value


@dataclass(frozen=True, slots=True)
class Odd:
    """Stands for a value that breaks a rule of this reader."""

    why: str


def loads_marked(text: bytes | str) -> object:
    """
    Read a JSON text and put an `Odd` where a value breaks a rule, instead of refusing the text.

    For a list whose members are read one by one, as the keys of a JWK set are: one odd member must
    not take the others away.  The caller passes each member to `why_odd` before it uses it.

    Raises:
        JsonError: The text is not UTF-8 or not JSON.
    """
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        return _marking.decode(decoded)
    except UnicodeDecodeError as error:
        raise JsonError("it is not UTF-8") from error
    except RecursionError:
        raise JsonError("it nests too deep") from None
    except json.JSONDecodeError as error:
        raise JsonError(f"it is not JSON: {error.msg} at character {error.pos + 1}") from None


def why_odd(value: object, *, max_depth: int = MAX_DEPTH) -> str:
    """Return which rule a value of `loads_marked` breaks; empty when it breaks none."""
    layer = [value]
    for _ in range(max_depth + 1):
        inner: list[object] = []
        for item in layer:
            if isinstance(item, Odd):
                return item.why
            if isinstance(item, str) and _SURROGATE.search(item):
                return _LONE
            if isinstance(item, dict):
                inner += [*item.keys(), *item.values()]
            elif isinstance(item, list):
                inner += item
        if not inner:
            return ""
        layer = inner
    return f"it nests more than {max_depth} deep"


def _plain(text: bytes) -> object:
    """
    Read a text that is written as orjson writes, as issuers do; None is anything else.

    Such a text comes out the same, byte for byte, when what was read of it is written again.  So it
    uses no freedom: what is written has no name twice, nothing escaped that need not be, and no
    number but int53 and doubles in their shortest form.
    """
    try:
        value: object = orjson.loads(text)
        same = orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER) == text
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return value if same else None


def _strict(text: bytes | str, max_depth: int) -> object:
    """Read any text by the rules, and say which one it breaks."""
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        # Only an escape gives half of a surrogate pair, or a text that holds one; UTF-8 cannot.
        whole = "\\u" not in decoded and (isinstance(text, bytes) or decoded.isascii())
        value: object = (_whole if whole else _decoder).decode(decoded)
    except UnicodeDecodeError as error:
        raise JsonError("it is not UTF-8") from error
    except RecursionError:
        raise JsonError(f"it nests more than {max_depth} deep") from None
    except json.JSONDecodeError as error:
        raise JsonError(f"it is not JSON: {error.msg} at character {error.pos + 1}") from None
    if not whole and type(value) is not dict:
        _check_list([value])  # what `_pairs` did not see
    return value


def _is_flat(value: object) -> bool:
    return type(value) is dict and _HOLDERS.isdisjoint(map(type, value.values()))


def _nests_deeper(value: object, max_depth: int) -> bool:
    """Look one layer further than may be, without recursion: it may nest beyond Python's stack."""
    layer = [value]
    for _ in range(max_depth + 1):
        containers = [item for item in layer if isinstance(item, dict | list)]
        if not containers:
            return False
        layer = [
            inner
            for container in containers
            for inner in (container.values() if isinstance(container, dict) else container)
        ]
    return True


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    # Readers disagree about a name that stands twice: some take the first value, some the
    # last.  The issuer could have signed one meaning, and this server could read the other.
    if len(members) != len(pairs):
        raise JsonError("a name stands twice in one object")
    return members


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = _once(pairs)
    for name, value in pairs:
        if (type(value) is str and not value.isascii() and _SURROGATE.search(value)) or (
            not name.isascii() and _SURROGATE.search(name)
        ):
            raise JsonError(_LONE)
        if type(value) is list:
            _check_list(value)
    return members


_LONE: Final = "a string holds half of a surrogate pair"


def _check_list(items: list[object]) -> None:
    pending = [items]
    while pending:
        for item in pending.pop():
            if type(item) is str and not item.isascii() and _SURROGATE.search(item):
                raise JsonError(_LONE)
            if type(item) is list:
                pending.append(item)


def _integer(text: str) -> int:
    # The length comes first: Python's `int` takes time that grows with the square of the digits.
    if len(text) > 20:  # noqa: PLR2004 - digits of int64, and a sign
        raise JsonError("an integer is beyond 64 bits")
    number = int(text)
    if not -_INT64 <= number < _INT64:
        raise JsonError("an integer is beyond 64 bits")
    return number


def _float(text: str) -> float:
    number = float(text)
    # `1e999` is infinity to Python and an error to other readers.
    if not math.isfinite(number):
        raise JsonError("a number is beyond a double")
    return number


def _constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON")


Given = TypeVar("Given")


def _marked(read: Callable[[Given], object]) -> Callable[[Given], object]:
    def marked(given: Given) -> object:
        try:
            return read(given)
        except JsonError as error:
            return Odd(str(error))

    return marked


_marking: Final = json.JSONDecoder(
    object_pairs_hook=_marked(_once),
    parse_int=_marked(_integer),
    parse_float=_marked(_float),
    parse_constant=_marked(_constant),
)
_decoder = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
_whole = json.JSONDecoder(
    object_pairs_hook=_once, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
"""For a text in which no surrogate can be."""
