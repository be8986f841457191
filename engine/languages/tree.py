"""
RE2 patterns as trees.

What lives here: the nodes.  Not here: reading them (`syntax`), and what they match (`patterns`).
"""

from typing import TypeAlias

from msgspec import Struct

from .characters import Characters


class UnsupportedPatternError(ValueError):
    """A pattern has a construct of which it is not known here what it matches."""


class CharacterClass(Struct, frozen=True):
    """One character of a set."""

    characters: Characters


class Sequence(Struct, frozen=True):
    """Parts one after the other; without parts, the empty text."""

    parts: tuple["Tree", ...]


class Alternation(Struct, frozen=True):
    """Any one of the parts."""

    parts: tuple["Tree", ...]


class Repeat(Struct, frozen=True):
    """A part `least` to `most` times; `most` is None where there is no end."""

    part: "Tree"
    least: int
    most: int | None


class Anchor(Struct, frozen=True):
    r"""The beginning of the text (`^`, `\A`), or its end (`$`, `\z`)."""

    end: bool


class WordBoundary(Struct, frozen=True):
    r"""The beginning or the end of a word of ASCII (`\b`)."""


Tree: TypeAlias = CharacterClass | Sequence | Alternation | Repeat | Anchor | WordBoundary
