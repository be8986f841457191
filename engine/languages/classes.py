r"""
The classes of characters that RE2 has names for.

What lives here: `\d` and its kind, POSIX classes, escapes, and letters without regard to case.
Not here: reading a pattern (`syntax`).

Source: https://github.com/google/re2/wiki/Syntax
"""

from collections.abc import Mapping
from typing import Final

from . import characters
from .characters import Characters
from .tree import UnsupportedPatternError

_DIGITS: Final = characters.between("09")
WORD: Final = characters.union(characters.between("az", "AZ", "09"), characters.of("_"))
_SPACE: Final = characters.of("\t\n\f\r ")
PERL: Final[Mapping[str, Characters]] = {"d": _DIGITS, "w": WORD, "s": _SPACE}
POSIX: Final[Mapping[str, Characters]] = {
    "alnum": characters.between("az", "AZ", "09"),
    "alpha": characters.between("az", "AZ"),
    "ascii": ((0, 0x7F),),
    "blank": characters.of("\t "),
    "cntrl": ((0, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGITS,
    "graph": ((0x21, 0x7E),),
    "lower": characters.between("az"),
    "print": ((0x20, 0x7E),),
    "punct": characters.normal([(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)]),
    "space": characters.of("\t\n\v\f\r "),
    "upper": characters.between("AZ"),
    "word": WORD,
    "xdigit": characters.between("09", "AF", "af"),
}
ESCAPES: Final = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
BUT_NEWLINE: Final = characters.others(characters.of("\n"))
_BEYOND_ASCII: Final = characters.others(((0, 0x7F),))
_FOLDED: Final = {"k": "\u212a", "s": "\u017f"}
"""The only characters beyond ASCII that equal an ASCII letter when case is ignored."""


def fold(found: Characters) -> Characters:
    """
    Return a set with the other case of its letters.

    Raises:
        UnsupportedPatternError: It has letters beyond ASCII, which fold by Unicode's tables.
    """
    beyond = characters.meet(found, _BEYOND_ASCII)
    if beyond and beyond != _BEYOND_ASCII:
        raise UnsupportedPatternError("letters beyond ASCII without regard to case")
    low = characters.meet(found, characters.between("az"))
    high = characters.meet(found, characters.between("AZ"))
    folded = characters.union(
        found,
        characters.shifted(low, -32),
        characters.shifted(high, 32),
    )
    extra = [
        characters.of(other)
        for letter, other in _FOLDED.items()
        if characters.meet(folded, characters.of(letter))
    ]
    return characters.union(folded, *extra)
