r"""
The syntax of RE2 patterns, as a tree.

What lives here: reading a pattern that RE2 has already accepted.  Not here: what a tree matches
(`patterns`), and whether RE2 accepts a pattern (`cel.library.regex`).

Python's own parser cannot be used: it reads `[[:alpha:]]`, `{,3}`, `$`, `\s` and `\z` otherwise.
What is not read here (`\pL`, `(?m)`) raises `UnsupportedPatternError`; the caller must then say
nothing about the pattern.  `\B` is one of them: RE2 also finds it within a character of several
bytes.

Source: https://github.com/google/re2/wiki/Syntax
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import characters, classes
from .characters import Characters
from .tree import (
    Alternation,
    Anchor,
    CharacterClass,
    Repeat,
    Sequence,
    Tree,
    UnsupportedPatternError,
    WordBoundary,
)


def parse(pattern: str) -> Tree:
    """
    Read a pattern.

    Raises:
        UnsupportedPatternError: It has a construct that is not known here.
    """
    reader = _PatternReader(pattern)
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


class _PatternReader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._flags = _Flags()
        self._signs: Mapping[str, Callable[[], Tree]] = {
            "(": self._group,
            "[": lambda: CharacterClass(self._class()),
            ".": lambda: CharacterClass(
                characters.ALL if self._flags.newline else classes.BUT_NEWLINE
            ),
            "^": lambda: Anchor(end=False),
            "$": lambda: Anchor(end=True),
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
        return parts[0] if len(parts) == 1 else Alternation(tuple(parts))

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

    def _one_of(self, found: Characters) -> CharacterClass:
        return CharacterClass(classes.fold(found) if self._flags.fold else found)

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
            return Anchor(end=False)
        if self._take("z"):
            return Anchor(end=True)
        if self._take("b"):
            return WordBoundary()
        known = self._perl()
        return (
            self._one_of(characters.of(self._escaped())) if known is None else CharacterClass(known)
        )

    def _perl(self) -> Characters | None:
        r"""Read the class of an escape such as `\d`, if there is one."""
        sign = self._pattern[self._at : self._at + 1]
        found = classes.PERL.get(sign.lower())
        if found is None:
            return None
        self._next()
        return self._known(found, negated=sign.isupper())

    def _known(self, found: Characters, *, negated: bool) -> Characters:
        r"""Fold before the complement: `(?i)\W` refuses all that `(?i)\w` finds, U+212A too."""
        folded = classes.fold(found) if self._flags.fold else found
        return characters.others(folded) if negated else folded

    def _escaped(self) -> str:
        """Read the rest of an escape that stands for one character."""
        sign = self._next()
        if sign in classes.ESCAPES:
            return classes.ESCAPES[sign]
        if sign == "x":
            digits = self._until("}") if self._take("{") else self._next() + self._next()
            return chr(int(digits, 16))
        if sign in "01234567":
            return self._octal(sign)
        if sign.isalnum():
            raise self._unsupported()
        return sign

    def _octal(self, first: str) -> str:
        digits = first
        while len(digits) < 3 and self.rest and self._pattern[self._at] in "01234567":  # noqa: PLR2004 - octal digits of a byte
            digits += self._next()
        return chr(int(digits, 8))

    def _class(self) -> Characters:
        negated = self._take("^")
        found: Characters = ()
        first = True
        while first or not self._peek("]"):
            first = False
            found = characters.union(found, self._member())
        self._next()
        return characters.others(found) if negated else found

    def _member(self) -> Characters:
        if self._take("[:"):
            name = self._until(":]")
            known = classes.POSIX.get(name.removeprefix("^"))
            if known is None:
                raise self._unsupported()
            return self._known(known, negated=name.startswith("^"))
        low = self._class_character()
        if not isinstance(low, str):
            return low
        if not self._peek("-") or self._pattern.startswith("-]", self._at):
            return self._known(characters.of(low), negated=False)
        self._next()
        high = self._class_character()
        if not isinstance(high, str):
            raise self._unsupported()
        return self._known(((ord(low), ord(high)),), negated=False)

    def _class_character(self) -> str | Characters:
        r"""Read a character of a class, or a class of its own such as `\d`."""
        if not self._take("\\"):
            return self._next()
        known = self._perl()
        return self._escaped() if known is None else known


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
