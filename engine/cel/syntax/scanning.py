"""
A first look at an expression's text, before any grammar: strings, brackets and size.

What lives here: a linear scanner that finds the string literals as the CEL specification defines
them (langdef, "Lexical syntax") and refuses what the parser must not be given.  Not here: the
meaning of anything.  `parsing` builds the tree and compares its strings with these.

cel-python's lexer is a set of backtracking expressions: an unterminated string of escapes costs it
exponential time, and it takes a raw string past its closing quote.  This scan stops both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from . import limits
from .errors import FindingCode, reject

_CLOSES: Final = {"(": ")", "[": "]", "{": "}"}
_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_QUOTES: Final = frozenset("'\"")


@dataclass(frozen=True, slots=True)
class Scan:
    """
    What the scan found.

    `strings`: where each string literal begins, prefix included, and where it ends.
    `booleans`: where each `true` and `false` begins, in order.
    """

    strings: Mapping[int, int]
    booleans: tuple[int, ...]


def scan(text: str) -> Scan:
    """
    Find the string literals and the booleans of `text`.

    Raises:
        RejectedError: the text is too long, nests too deep, or has a string or a bracket that
            does not close, or a literal outside the subset.

    """
    if len(text.encode("utf-8", "surrogatepass")) > limits.TEXT_BYTES:
        raise reject(
            FindingCode.LIMIT,
            0,
            len(text),
            f"the expression is longer than {limits.TEXT_BYTES} bytes",
            "split it into definitions",
        )
    return _Scanner(text).run()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[tuple[str, int]] = []
        self._strings: dict[int, int] = {}
        self._booleans: list[int] = []

    def run(self) -> Scan:
        text = self._text
        while self._at < len(text):
            character = text[self._at]
            if character in _NAME:
                self._name()
            elif character in _QUOTES:
                self._string(self._at, self._at)
            elif text.startswith("//", self._at):
                self._comment()
            else:
                self._bracket(character)
                self._at += 1
        if self._open:
            bracket, start = self._open[-1]
            raise reject(FindingCode.SYNTAX, start, start + 1, f"'{bracket}' is never closed")
        return Scan(self._strings, tuple(self._booleans))

    def _comment(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _name(self) -> None:
        text, start = self._text, self._at
        end = start
        while end < len(text) and text[end] in _NAME:
            end += 1
        if text[start:end] in ("true", "false"):
            self._booleans.append(start)
        prefix = text[start:end].lower()
        if end < len(text) and text[end] in _QUOTES and prefix in ("r", "b", "br", "rb"):
            self._string(start, end)
        else:
            self._at = end

    def _bracket(self, character: str) -> None:
        at = self._at
        if character in _CLOSES:
            self._open.append((character, at))
            if len(self._open) > limits.BRACKETS:
                raise reject(
                    FindingCode.LIMIT,
                    at,
                    at + 1,
                    f"brackets nest deeper than {limits.BRACKETS} levels",
                    "split it into definitions",
                )
        elif character in ")]}":
            if not self._open or _CLOSES[self._open[-1][0]] != character:
                raise reject(FindingCode.SYNTAX, at, at + 1, f"'{character}' closes nothing")
            self._open.pop()

    def _string(self, start: int, quote_at: int) -> None:
        text = self._text
        prefix = text[start:quote_at].lower()
        if "b" in prefix:
            raise reject(
                FindingCode.UNSUPPORTED,
                start,
                quote_at + 1,
                "bytes literals are not part of the policy language",
            )
        quote = text[quote_at]
        if text.startswith(quote * 3, quote_at):
            quote *= 3
        end = self._closing(start, quote_at + len(quote), quote, raw=prefix == "r")
        self._strings[start] = end
        self._at = end

    def _closing(self, start: int, at: int, quote: str, *, raw: bool) -> int:
        text, body = self._text, at
        while at < len(text):
            if text.startswith(quote, at):
                written = text[body:at]
                if raw and (len(written) - len(written.rstrip("\\"))) % 2:
                    raise reject(
                        FindingCode.UNSUPPORTED,
                        start,
                        at + len(quote),
                        "a raw string cannot end with a backslash here",
                        'write an ordinary string with "\\\\"',
                    )
                return at + len(quote)
            if text[at] in "\r\n":
                self._refuse_newline(start, at, quote)
            at += 2 if text[at] == "\\" and not raw else 1
        raise reject(FindingCode.SYNTAX, start, start + len(quote), "the string is never closed")

    @staticmethod
    def _refuse_newline(start: int, at: int, quote: str) -> None:
        if len(quote) == 1:
            raise reject(FindingCode.SYNTAX, start, at, "the string is never closed on its line")
        raise reject(
            FindingCode.UNSUPPORTED,
            start,
            at,
            "a string over several lines is not part of the policy language",
            'write the line ends as "\\n"',
        )
