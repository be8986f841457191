"""
The values that a claim can have: an enumeration, a form, or any.

What lives here: what can be said of a literal, a beginning or a pattern that a condition compares a
claim with.  Not here: relations between claims (`relations`), and the words of a finding
(`compiler.lints.values`).

Whatever cannot be decided counts as possible.  The functions here say "never" or "always" only when
that is certain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import re2

from regauth.engine import languages
from regauth.engine.languages import Nfa, UncomparableError, UnsupportedPatternError

Scalar: TypeAlias = str | int | bool
"""A value that an enumeration can list."""

MAX_LISTED: Final = 8
"""How many values of an enumeration a message lists."""


@dataclass(frozen=True, slots=True)
class Values:
    """
    The values that a claim can have.

    Without `enum` and `pattern` it can be anything of its type.  `guaranteed` says that the issuer
    promises so; otherwise it is what is known today, and may grow.
    """

    enum: tuple[Scalar, ...] = ()
    pattern: str = ""
    """An RE2 pattern that the whole value matches."""
    meaning: str = ""
    """The pattern in words, such as "a whole git ref"."""
    guaranteed: bool = False

    @property
    def limited(self) -> bool:
        """Whether there are values of the claim's type that it cannot have."""
        return bool(self.enum or self.pattern)

    @property
    def language(self) -> Nfa:
        """The texts that it can be; every text where that is not known."""
        return _language(self._texts, self.pattern)

    @property
    def _texts(self) -> tuple[str, ...]:
        return tuple(one for one in self.enum if isinstance(one, str))

    def possible_values(self) -> tuple[Scalar, ...] | None:
        """Return every value there is, or None where they cannot be listed."""
        return self.enum or None

    def can_equal(self, value: object) -> bool:
        """Whether the claim can be just this value."""
        if self.enum:
            if type(value) is str:
                return value in self.enum
            # 1 and true are equal to Python, and two values to an issuer.
            return any(type(one) is type(value) and one == value for one in self.enum)
        return not self.pattern or not isinstance(value, str) or _fits(self.pattern, value)

    def can_start_with(self, text: str) -> bool:
        """Whether a value can begin with a text."""
        return self.can_be_in(languages.prefixed(text))

    def can_end_with(self, text: str) -> bool:
        """Whether a value can end with a text."""
        return self.can_be_in(languages.suffixed(text))

    def can_contain(self, text: str) -> bool:
        """Whether a text can be a part of a value."""
        return self.can_be_in(languages.containing(text))

    def can_match(self, pattern: str) -> bool:
        """Whether RE2 can find a pattern in a value, as `matches()` does."""
        searched = language_of(pattern)
        return searched is None or self.can_be_in(searched)

    def can_be_in(self, language: Nfa) -> bool:
        """Whether some value is in a language."""
        if self._texts:
            return any(text in language for text in self._texts)
        return _decided(lambda: languages.find_common(self.language, language) is None) is not True

    def is_always_in(self, language: Nfa) -> bool:
        """Whether every value is in a language."""
        if self._texts:
            return all(text in language for text in self._texts)
        return _decided(lambda: languages.find_outside(self.language, language) is None) is True

    def described(self) -> str:
        """Say what the values are, to stand after "it is"."""
        if self.enum:
            return listed(self.enum)
        return self.meaning or (f"a text like `{self.pattern}`" if self.pattern else "any value")


ANY: Final = Values()
"""The values of a claim of which only the type is known."""


def listed(values: tuple[Scalar, ...]) -> str:
    """Name values as a message does: "`branch` or `tag`", "one of `a`, `b`, `c`..."."""
    names = [_named(one) for one in values]
    if len(names) > MAX_LISTED:
        return f"one of {', '.join(names[:MAX_LISTED])} and {len(names) - MAX_LISTED} more"
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[:-1] else names)


def _named(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value}`" if value != "" else "empty"


def language_of(pattern: str) -> Nfa | None:
    """Return the texts in which RE2 finds a pattern; None where that cannot be told."""
    try:
        return languages.searched(pattern)
    except (UnsupportedPatternError, UncomparableError):
        return None


@lru_cache(maxsize=1024)
def _language(texts: tuple[str, ...], pattern: str) -> Nfa:
    if texts:
        return languages.literals(texts)
    if not pattern:
        return languages.ANYTHING
    try:
        return languages.fully_matched(pattern)
    except (UnsupportedPatternError, UncomparableError):
        return languages.ANYTHING


@lru_cache(maxsize=4096)
def _fits(pattern: str, text: str) -> bool:
    # RE2 matches a text sooner than the pattern's language is made.
    try:
        return re2.fullmatch(pattern, text) is not None
    except UnicodeEncodeError:  # half of a pair (`\ud800` in JSON) has no UTF-8
        return text in _language((), pattern)


def _decided(ask: Callable[[], bool]) -> bool | None:
    try:
        return ask()
    except UncomparableError:
        return None
