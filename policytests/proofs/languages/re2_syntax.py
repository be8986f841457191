r"""
RE2's syntax, as far as it is decided here.

What lives here: a parser of RE2 patterns (https://github.com/google/re2/wiki/Syntax) to trees.
Not here: what RE2 refuses; only patterns that the engine has compiled come here.

Python's own parser reads some patterns otherwise than RE2 (`[[:alpha:]]`, `{,3}`, `$` before a last
line end, `\s` beyond ASCII), so it is not used.  Whatever is not certain to be read as RE2 reads it
is undecided: word boundaries, Unicode classes, flags other than `i`, `s` and their absence.
"""

from typing import Final

from . import characters, expressions
from .automata import UndecidedError
from .characters import Characters
from .expressions import ANYTHING, Edge, Expression, OneOf

MAX_REPETITIONS: Final = 1_000
"""RE2's own bound of `{n,m}`."""

_DIGITS: Final = characters.ranges("09")
_WORD: Final = characters.union((*characters.ranges("az", "AZ", "09"), *characters.of_text("_")))
_SPACE: Final = characters.of_text("\t\n\f\r ")
_PERL: Final = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_POSIX: Final = {
    "alnum": characters.ranges("09", "AZ", "az"),
    "alpha": characters.ranges("AZ", "az"),
    "ascii": ((0, 0x7F),),
    "blank": characters.of_text("\t "),
    "cntrl": ((0, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGITS,
    "graph": characters.ranges("!~"),
    "lower": characters.ranges("az"),
    "print": characters.ranges(" ~"),
    "punct": characters.ranges("!/", ":@", "[`", "{~"),
    "space": characters.of_text("\t\n\v\f\r "),
    "upper": characters.ranges("AZ"),
    "word": _WORD,
    "xdigit": characters.ranges("09", "AF", "af"),
}
_CONTROL: Final = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_PUNCTUATION: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_FOLDS: Final = {"k": "\u212a", "s": "\u017f"}
"""The characters outside of ASCII that fold to an ASCII letter (Unicode, CaseFolding, S and C)."""


def search(pattern: str) -> Expression:
    """
    Return the expression of the texts in which RE2 finds a pattern.

    Raises:
        UndecidedError: The pattern holds something that is not decided here.
    """
    parser = _Parser(pattern)
    found = parser.alternatives()
    if parser.at < len(pattern):
        raise parser.undecided()
    return expressions.chain(ANYTHING, found, ANYTHING)


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.at = 0
        self._fold = False
        self._dot_all = False

    def undecided(self) -> UndecidedError:
        what = self._pattern[self.at : self.at + 8]
        return UndecidedError(f"the regular expression {self._pattern!r}, at {what!r}")

    def _next(self) -> str:
        return self._pattern[self.at : self.at + 1]

    def _take(self, text: str) -> bool:
        if self._pattern.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def alternatives(self) -> Expression:
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else expressions.either(*options)

    def _sequence(self) -> Expression:
        parts: list[Expression] = []
        while self._next() and self._next() not in "|)":
            if self._take("\\Q"):
                parts.append(self._quoted())
                continue
            if self._take("\\E"):
                continue
            parts.append(self._repeated(self._atom()))
        return expressions.chain(*parts)

    def _quoted(self) -> Expression:
        end = self._pattern.find("\\E", self.at)
        end = len(self._pattern) if end < 0 else end
        text, self.at = self._pattern[self.at : end], min(end + 2, len(self._pattern))
        if not text:
            raise self.undecided()
        ahead = [self._one(characters.of_text(one)) for one in text[:-1]]
        last = self._repeated(self._one(characters.of_text(text[-1])))
        return expressions.chain(*ahead, last)

    def _repeated(self, expression: Expression) -> Expression:
        bounds = self._repetition()
        if bounds is None:
            return expression
        self._take("?")  # how much is taken first does not change whether there is a match
        if self._next() and (self._next() in "*+?" or self._is_braces()):
            raise self.undecided()
        least, most = bounds
        if isinstance(expression, Edge):
            raise self.undecided()
        return expressions.times(expression, least, most)

    def _repetition(self) -> tuple[int, int | None] | None:
        if self._take("*"):
            return 0, None
        if self._take("+"):
            return 1, None
        if self._take("?"):
            return 0, 1
        return self._braces() if self._is_braces() else None

    def _is_braces(self) -> bool:
        """Tell whether `{n}`, `{n,}` or `{n,m}` comes; any other brace stands for itself."""
        at = self.at
        found = self._braces()
        self.at = at
        return found is not None

    def _braces(self) -> tuple[int, int | None] | None:
        if self._next() != "{":
            return None
        close = self._pattern.find("}", self.at)
        inside = self._pattern[self.at + 1 : close] if close >= 0 else ""
        least, comma, most = inside.partition(",")
        digits = (least, most) if most else (least,)
        if not all(text.isascii() and text.isdigit() and len(text) <= 4 for text in digits):  # noqa: PLR2004
            return None
        self.at = close + 1
        upper = (int(most) if most else None) if comma else int(least)
        if int(least) > MAX_REPETITIONS or (upper or 0) > MAX_REPETITIONS:
            raise self.undecided()
        return int(least), upper

    def _atom(self) -> Expression:
        character = self._next()
        if self._take("("):
            return self._group()
        if character == "[":
            return OneOf(self._class())
        if self._take("."):
            every = characters.EVERY
            return OneOf(every if self._dot_all else characters.complement(((10, 10),)))
        if self._take("^"):
            return Edge(start=True)
        if self._take("$"):
            return Edge(start=False)
        if character == "\\":
            return self._escaped()
        if character in "*+?":
            raise self.undecided()
        self.at += 1
        return self._one(characters.of_text(character))

    def _one(self, among: Characters) -> Expression:
        return OneOf(self._folded(among))

    def _folded(self, among: Characters) -> Characters:
        """Add the other case of letters, under the flag `i`."""
        if not self._fold:
            return among
        if among and among[-1][1] > 0x7F:  # noqa: PLR2004 - other letters fold by Unicode's tables
            raise self.undecided()
        lower = characters.intersection(among, characters.ranges("az"))
        upper = characters.intersection(among, characters.ranges("AZ"))
        both = characters.union(
            (*among, *characters.shifted(lower, -32), *characters.shifted(upper, 32))
        )
        more = "".join(
            fold
            for letter, fold in _FOLDS.items()
            if characters.intersection(both, characters.of_text(letter))
        )
        return characters.union((*both, *characters.of_text(more)))

    def _group(self) -> Expression:
        before = self._fold, self._dot_all
        if self._take("?"):
            if self._take("P<") or self._take("<"):
                self.at = self._pattern.find(">", self.at) + 1
            elif self._flags():
                return expressions.EMPTY  # `(?i)` holds to the end of the group around it
        found = self.alternatives()
        if not self._take(")"):
            raise self.undecided()
        self._fold, self._dot_all = before
        return found

    def _flags(self) -> bool:
        """Read flags; tell whether the group ends with them."""
        value = True
        while self._next() not in ("", ":", ")"):
            flag = self._next()
            if flag == "-" and value:
                value = False
            elif flag == "i":
                self._fold = value
            elif flag == "s":
                self._dot_all = value
            else:
                raise self.undecided()
            self.at += 1
        if self._take(")"):
            return True
        if not self._take(":"):
            raise self.undecided()
        return False

    def _escaped(self) -> Expression:
        if self._take("\\A"):
            return Edge(start=True)
        if self._take("\\z"):
            return Edge(start=False)
        known = self._perl_class()
        if known is not None:
            return OneOf(known)
        return self._one(characters.of_text(self._escape()))

    def _perl_class(self) -> Characters | None:
        name = self._pattern[self.at + 1 : self.at + 2]
        if self._next() != "\\" or name.lower() not in _PERL or not name:
            return None
        self.at += 2
        found = _PERL[name.lower()]
        if self._fold and name in "wW":
            raise self.undecided()  # whether K and S of other scripts are words
        return found if name.islower() else characters.complement(found)

    def _escape(self) -> str:
        """Read an escape that stands for one character."""
        name = self._pattern[self.at + 1 : self.at + 2]
        if name in _CONTROL and name:
            self.at += 2
            return _CONTROL[name]
        if name == "x":
            return self._hexadecimal()
        if name in _PUNCTUATION and name:
            self.at += 2
            return name
        raise self.undecided()

    def _hexadecimal(self) -> str:
        start = self.at + 2
        if self._pattern.startswith("{", start):
            close = self._pattern.find("}", start)
            digits, end = self._pattern[start + 1 : close], close + 1
        else:
            digits, end = self._pattern[start : start + 2], start + 2
        try:
            found = chr(int(digits, 16))
        except ValueError:
            raise self.undecided() from None
        self.at = end
        return found

    def _class(self) -> Characters:
        self.at += 1
        negated = self._take("^")
        found: list[tuple[int, int]] = []
        first = True
        while first or self._next() != "]":
            if not self._next():
                raise self.undecided()
            first = False
            found += self._class_part()
        self.at += 1
        among = self._folded(characters.union(found))
        return characters.complement(among) if negated else among

    def _class_part(self) -> Characters:
        if self._take("[:"):
            close = self._pattern.find(":]", self.at)
            name, self.at = self._pattern[self.at : close], close + 2
            posix = _POSIX.get(name.removeprefix("^")) if close >= 0 else None
            if posix is None:
                raise self.undecided()
            return characters.complement(posix) if name.startswith("^") else posix
        known = self._perl_class()
        if known is not None:
            return known
        low = self._class_character()
        at = self.at
        if self._take("-") and self._next() != "]":
            high = self._class_character()
            if high < low:
                raise self.undecided()
            return ((ord(low), ord(high)),)
        self.at = at
        return characters.of_text(low)

    def _class_character(self) -> str:
        if self._next() == "\\":
            return self._escape()
        if not self._next():
            raise self.undecided()
        self.at += 1
        return self._pattern[self.at - 1]
