"""
Functions of strings.

What lives here: the semantics of CEL's string functions and of its strings extension (version 2:
positions in characters, ASCII case, Unicode white space).  Not here: regular expressions (`regex`).
"""

from typing import Final

from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.errors import CelError, CelErrorCode

from .operators import short_list, short_string

# White space as Unicode's property of that name; Python's own strip() also takes U+001C to U+001F.
SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TO_LOWER: Final = str.maketrans(_UPPER, _UPPER.lower())
_TO_UPPER: Final = str.maketrans(_UPPER.lower(), _UPPER)


def lower_ascii(text: str) -> str:
    """Make ASCII letters small; other letters stay."""
    return text.lower() if text.isascii() else text.translate(_TO_LOWER)


def upper_ascii(text: str) -> str:
    """Make ASCII letters capital; other letters stay."""
    return text.upper() if text.isascii() else text.translate(_TO_UPPER)


def trim(text: str) -> str:
    """Take white space off both ends."""
    return text.strip(SPACE)


def _position(text: str, position: int) -> int:
    if 0 <= position <= len(text):
        return position
    raise CelError(CelErrorCode.INDEX, "the position is outside the string")


def char_at(text: str, position: int) -> str:
    """Give one character, or nothing at the very end."""
    return text[_position(text, position) : position + 1]


def index_of(text: str, part: str, start: int = 0) -> int:
    """Give the first position of `part` at or after `start`, or -1."""
    return text.find(part, _position(text, start))


def last_index_of(text: str, part: str, start: int | None = None) -> int:
    """Give the last position of `part` at or before `start`, or -1."""
    if start is None:
        return text.rfind(part)
    return text.rfind(part, 0, _position(text, start) + len(part))


def substring(text: str, start: int, end: int | None = None) -> str:
    """Give the characters from `start` up to `end`."""
    stop = len(text) if end is None else _position(text, end)
    if _position(text, start) > stop:
        raise CelError(CelErrorCode.INDEX, "the end is before the start")
    return text[start:stop]


def replace(text: str, old: str, new: str, count: int = -1) -> str:
    """Replace the first `count` occurrences of `old`, all of them if `count` is negative."""
    found = text.count(old)
    times = found if count < 0 else min(count, found)
    if len(text) + times * (len(new) - len(old)) > limits.STRING:
        raise CelError(CelErrorCode.LIMIT, f"a string of more than {limits.STRING} characters")
    return text.replace(old, new, times)


def split(text: str, separator: str, count: int = -1) -> list[str]:
    """Split into at most `count` parts, into all of them if `count` is negative."""
    if count == 0:
        return []
    if separator:
        return short_list(text.split(separator, min(count - 1, len(text)) if count > 0 else -1))
    if count < 0 or count >= len(text):
        return short_list(list(text) or [""])
    return short_list([*text[: count - 1], text[count - 1 :]])


def join(parts: list[object], separator: str = "") -> str:
    """Join strings; an element of another kind is an error."""
    strings = [part for part in parts if type(part) is str]
    if len(strings) != len(parts):
        raise CelError(CelErrorCode.TYPE, "join() takes a list of strings")
    size = sum(map(len, strings)) + len(separator) * len(strings)
    if size > limits.STRING:
        raise CelError(CelErrorCode.LIMIT, f"a string of more than {limits.STRING} characters")
    return short_string(separator.join(strings))


def reverse(text: str) -> str:
    """Give the characters in opposite order."""
    return text[::-1]
