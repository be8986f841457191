"""
RE2 patterns as trees.

What lives here: the nodes.  Not here: reading them (`syntax`), and what they match (`patterns`).
"""

from dataclasses import dataclass
from typing import TypeAlias

from .characters import Characters


class UnsupportedPatternError(ValueError):
    """A pattern has a construct of which it is not known here what it matches."""


@dataclass(frozen=True, slots=True)
class CharacterClass:
    """One character of a set."""

    characters: Characters


@dataclass(frozen=True, slots=True)
class Sequence:
    """Parts one after the other; without parts, the empty text."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Alternation:
    """Any one of the parts."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part `least` to `most` times; `most` is None where there is no end."""

    part: "Tree"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Anchor:
    r"""The beginning of the text (`^`, `\A`), or its end (`$`, `\z`)."""

    end: bool


@dataclass(frozen=True, slots=True)
class WordBoundary:
    r"""The beginning or the end of a word of ASCII (`\b`)."""


Tree: TypeAlias = CharacterClass | Sequence | Alternation | Repeat | Anchor | WordBoundary
