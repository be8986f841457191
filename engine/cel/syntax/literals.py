"""
The values of literals: strings with their escapes, and numbers.

What lives here: the decoding of one literal's text as the CEL specification writes it (langdef,
"String and Bytes Values" and "Numeric Values").  Not here: finding literals in a text
(`scanning`).

The parser's own decoding is not used: it keeps unknown escapes as they are and drops line ends.
"""

import re
from math import isinf
from typing import Final

from .errors import FindingCode, reject

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1

_SIMPLE: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "`": "`",
    "?": "?",
}
_HEXADECIMAL: Final = {"x": 2, "X": 2, "u": 4, "U": 8}
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")
_LAST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)
_OCTAL: Final = re.compile(r"[0-3][0-7][0-7]")
_DOUBLE: Final = re.compile(r"-?(?:[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)")


def decode_string(literal: str, start: int) -> str:
    """
    Give the value of a string literal, prefix and quotes included, that begins at `start`.

    Raises:
        RejectedError: an escape that CEL does not have, or a surrogate.

    """
    raw = literal[0] in "rR"
    quotes = literal[1 if raw else 0 :]
    width = 3 if quotes.startswith(('"""', "'''")) else 1
    body = quotes[width:-width]
    offset = start + len(literal) - width - len(body)
    text = body if raw or "\\" not in body else _unescape(body, offset)
    for character in text:
        if ord(character) in _SURROGATES:
            raise reject(
                FindingCode.SYNTAX,
                start,
                start + len(literal),
                "a lone surrogate is not a character",
            )
    return text


def text_start(literal: str, start: int) -> int | None:
    """Give where the characters of a string literal begin, or None if there are escapes."""
    raw = literal[0] in "rR"
    if "\\" in literal and not raw:
        return None
    width = 3 if literal[raw:].startswith(('"""', "'''")) else 1
    return start + raw + width


def _unescape(body: str, offset: int) -> str:
    parts: list[str] = []
    at = 0
    while (backslash := body.find("\\", at)) >= 0:
        parts.append(body[at:backslash])
        character, at = _escape(body, backslash, offset)
        parts.append(character)
    return "".join(parts) + body[at:]


def _escape(body: str, at: int, offset: int) -> tuple[str, int]:
    """Decode the escape at `at`; give its character and the offset behind it."""
    kind = body[at + 1 : at + 2]
    if kind in _SIMPLE:
        return _SIMPLE[kind], at + 2
    if octal := _OCTAL.match(body, at + 1):
        return chr(int(octal[0], 8)), at + 4
    if kind in _HEXADECIMAL:
        width = _HEXADECIMAL[kind]
        digits = body[at + 2 : at + 2 + width]
        if len(digits) == width and _HEX_DIGITS.issuperset(digits):
            code = int(digits, 16)
            if code <= _LAST and code not in _SURROGATES:
                return chr(code), at + 2 + width
    raise reject(
        FindingCode.UNSUPPORTED,
        offset + at,
        offset + min(at + 2, len(body)),
        f"CEL has no escape '\\{kind}' here",
        "write a backslash as \\\\, or the string as r'...'",
    )


def decode_int(literal: str, start: int, *, negative: bool = False) -> int:
    """
    Give the value of an int literal, decimal or hexadecimal, with or without a sign.

    Raises:
        RejectedError: it does not fit into 64 bits.

    """
    value = int(literal, 16 if "x" in literal else 10)
    value = -value if negative else value
    if not INT_MIN <= value <= INT_MAX:
        raise reject(
            FindingCode.SYNTAX, start, start + len(literal), "the number does not fit into 64 bits"
        )
    return value


def decode_double(literal: str, start: int) -> float:
    """
    Give the value of a double literal.

    Raises:
        RejectedError: digits are missing after the point, or the number is too large.

    """
    end = start + len(literal)
    if _DOUBLE.fullmatch(literal) is None:
        raise reject(FindingCode.SYNTAX, start, end, "a digit is missing after the point")
    value = float(literal)
    if isinf(value):
        raise reject(FindingCode.SYNTAX, start, end, "the number is too large for a double")
    return value
