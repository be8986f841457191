r"""
The syntax of RE2 patterns, as a tree.

What lives here: reading a pattern that RE2 has already accepted.  Not here: what a tree matches
(`patterns`), and whether a pattern is a good one.

Python's own parser cannot be used: it reads `[[:alpha:]]`, `{,3}`, `$`, `\s` and `\z` otherwise.
What is not read here (`\b`, `\pL`, `(?m)`) raises `UnsupportedPatternError`; the caller must then
say nothing about the pattern.

Source: https://github.com/google/re2/wiki/Syntax
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from . import characters
from .characters import Characters


class UnsupportedPatternError(ValueError):
    """A pattern has a construct of which this module does not know what it matches."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """One character of a set."""

    characters: Characters


@dataclass(frozen=True, slots=True)
class Sequence:
    """Parts one after the other; without parts, the empty text."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any one of the parts."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part `least` to `most` times; `most` is None where there is no end."""

    part: "Tree"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Edge:
    r"""The beginning of the text (`^`, `\A`), or its end (`$`, `\z`)."""

    end: bool


Tree: TypeAlias = OneOf | Sequence | Choice | Repeat | Edge

_DIGITS: Final = characters.between("09")
_WORD: Final = characters.union(characters.between("az", "AZ", "09"), characters.of("_"))
_SPACE: Final = characters.of("\t\n\f\r ")
_PERL: Final[Mapping[str, Characters]] = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_POSIX: Final[Mapping[str, Characters]] = {
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
    "word": _WORD,
    "xdigit": characters.between("09", "AF", "af"),
}
_ESCAPES: Final = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_BUT_NEWLINE: Final = characters.others(characters.of("\n"))
_BEYOND_ASCII: Final = characters.others(((0, 0x7F),))
_FOLDED: Final = {"k": "\u212a", "s": "\u017f"}
"""The only characters beyond ASCII that equal an ASCII letter when case is ignored."""


def parse(pattern: str) -> Tree:
    """
    Read a pattern.

    Raises:
        UnsupportedPatternError: It has a construct that is not known here.
    """
    reader = _Reader(pattern)
    tree = reader.choice()
    if reader.rest:
        raise UnsupportedPatternError(pattern)
    return tree


@dataclass(slots=True)
class _Flags:
    fold: bool = False
    newline: bool = False

    def copy(self) -> "_Flags":
        return _Flags(self.fold, self.newline)


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._flags = _Flags()
        self._signs: Mapping[str, Callable[[], Tree]] = {
            "(": self._group,
            "[": lambda: OneOf(self._class()),
            ".": lambda: OneOf(characters.ALL if self._flags.newline else _BUT_NEWLINE),
            "^": lambda: Edge(end=False),
            "$": lambda: Edge(end=True),
            "\\": self._escape,
        }

    @property
    def rest(self) -> bool:
        return self._at < len(self._pattern)

    def _unsupported(self) -> UnsupportedPatternError:
        return UnsupportedPatternError(f"{self._pattern!r} at {self._at}")

    def _peek(self, text: str) -> bool:
        return self._pattern.startswith(text, self._at)

    def _take(self, text: str) -> bool:
        if self._peek(text):
            self._at += len(text)
            return True
        return False

    def _next(self) -> str:
        if not self.rest:
            raise self._unsupported()
        self._at += 1
        return self._pattern[self._at - 1]

    def _until(self, end: str) -> str:
        found = self._pattern.find(end, self._at)
        if found < 0:
            raise self._unsupported()
        text = self._pattern[self._at : found]
        self._at = found + len(end)
        return text

    def choice(self) -> Tree:
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Tree:
        parts: list[Tree] = []
        while self.rest and not self._peek("|") and not self._peek(")"):
            if self._take("\\Q"):
                parts.extend(self._quoted())
            else:
                parts.append(self._repeated(self._single()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _single(self) -> Tree:
        sign = self._next()
        read = self._signs.get(sign)
        return self._one_of(characters.of(sign)) if read is None else read()

    def _quoted(self) -> list[Tree]:
        found = self._pattern.find("\\E", self._at)
        end = len(self._pattern) if found < 0 else found
        text = self._pattern[self._at : end]
        self._at = end if found < 0 else end + 2
        parts: list[Tree] = [self._one_of(characters.of(sign)) for sign in text]
        if parts:
            # `\Qab\E*` repeats the last character alone.
            parts[-1] = self._repeated(parts[-1])
        return parts

    def _one_of(self, found: Characters) -> OneOf:
        return OneOf(_fold(found) if self._flags.fold else found)

    def _repeated(self, part: Tree) -> Tree:
        bounds = self._bounds()
        while bounds is not None:
            self._take("?")  # a lazy repetition matches the same texts
            part = Repeat(part, *bounds)
            bounds = self._bounds()
        return part

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        if not self._peek("{"):
            return None
        begin, self._at = self._at, self._at + 1
        least, comma, most = self._pattern[self._at :].partition("}")[0].partition(",")
        # `{,3}` and `{x}` are no repetitions in RE2, but the characters themselves.
        if (
            not _is_number(least)
            or not (most == "" or _is_number(most))
            or "}" not in self._pattern[begin:]
        ):
            self._at = begin
            return None
        self._until("}")
        if not comma:
            return int(least), int(least)
        return int(least), int(most) if most else None

    def _group(self) -> Tree:
        outer = self._flags
        self._flags = outer.copy()
        if self._take("?P<") or self._take("?<"):
            self._until(">")
        elif self._take("?") and not self._set_flags():
            # `(?i)` holds to the end of the group around it.
            return Sequence(())
        inner = self.choice()
        if not self._take(")"):
            raise self._unsupported()
        self._flags = outer
        return inner

    def _set_flags(self) -> bool:
        """Read the flags of a group; whether the group has a content."""
        on = True
        while True:
            sign = self._next()
            if sign in ":)":
                return sign == ":"
            if sign == "-":
                on = False
            elif sign == "i":
                self._flags.fold = on
            elif sign == "s":
                self._flags.newline = on
            elif sign != "U" and (sign != "m" or on):
                raise self._unsupported()

    def _escape(self) -> Tree:
        if self._take("A"):
            return Edge(end=False)
        if self._take("z"):
            return Edge(end=True)
        return self._one_of(self._escaped())

    def _escaped(self) -> Characters:
        sign = self._next()
        if sign.lower() in _PERL:
            found = _PERL[sign.lower()]
            return found if sign.islower() else characters.others(found)
        if sign in _ESCAPES:
            return characters.of(_ESCAPES[sign])
        if sign == "x":
            digits = self._until("}") if self._take("{") else self._next() + self._next()
            return characters.of(chr(int(digits, 16)))
        if sign in "01234567":
            return self._octal(sign)
        if sign.isalnum():
            raise self._unsupported()
        return characters.of(sign)

    def _octal(self, first: str) -> Characters:
        digits = first
        while len(digits) < 3 and self.rest and self._pattern[self._at] in "01234567":  # noqa: PLR2004 - octal digits of a byte
            digits += self._next()
        return characters.of(chr(int(digits, 8)))

    def _class(self) -> Characters:
        negated = self._take("^")
        found: Characters = ()
        first = True
        while first or not self._peek("]"):
            first = False
            found = characters.union(found, self._member())
        self._next()
        if self._flags.fold:
            # Folding comes before the complement: `(?i)[^a]` refuses `A` too.
            found = _fold(found)
        return characters.others(found) if negated else found

    def _member(self) -> Characters:
        if self._take("[:"):
            name = self._until(":]")
            known = _POSIX.get(name.removeprefix("^"))
            if known is None:
                raise self._unsupported()
            return characters.others(known) if name.startswith("^") else known
        low = self._escaped() if self._take("\\") else characters.of(self._next())
        if not self._peek("-") or self._pattern.startswith("-]", self._at):
            return low
        self._next()
        high = self._escaped() if self._take("\\") else characters.of(self._next())
        return ((low[0][0], high[0][1]),)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _fold(found: Characters) -> Characters:
    """Add to a set the other case of its letters."""
    beyond = characters.meet(found, _BEYOND_ASCII)
    if beyond and beyond != _BEYOND_ASCII:
        raise UnsupportedPatternError("letters beyond ASCII without regard to case")
    low = characters.meet(found, characters.between("az"))
    high = characters.meet(found, characters.between("AZ"))
    folded = characters.union(
        found,
        tuple((begin - 32, end - 32) for begin, end in low),
        tuple((begin + 32, end + 32) for begin, end in high),
    )
    extra = [
        characters.of(other)
        for letter, other in _FOLDED.items()
        if characters.meet(folded, characters.of(letter))
    ]
    return characters.union(folded, *extra)
