"""
Repository patterns: which names a grant or a denial is about.

What lives here: the pattern language (`*`, `**`, `${...}`), its syntax check and its matcher.
Not here: tags (`tags`), and the other parts of a statement (`policy.policy`).

A pattern is matched against the whole name.  Matching walks the name once for each part of the
pattern, so its cost is bounded by their product; no regular expression is made of what an author
or a token wrote.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from regauth.engine.access.once import once
from regauth.engine.access.scope import MAX_NAME_LENGTH, is_repository_name, is_repository_path
from regauth.engine.cel import Program

from .text import CompileExpression, PatternFault, PatternValueError, Piece, compile_pieces


class Wildcard(Enum):
    """A part of a pattern that stands for text of the name."""

    STAR = "*"
    """Any text within one path segment."""
    SEGMENTS = "**/"
    """Any number of whole segments, none included, each with the slash after it."""
    REST = "**"
    """At least one segment, to the end of the name."""


Part = str | Wildcard | Program


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern; `text` is what the author wrote."""

    text: str
    parts: tuple[Part, ...]

    @property
    def prefix(self) -> str:
        """
        The whole segments that every matching name begins with, without a slash at the end.

        Empty when there is none; the pattern's whole text when it has no wildcard.
        """
        first = self.parts[0]
        if not isinstance(first, str):
            return ""
        return first if len(self.parts) == 1 else first.rpartition("/")[0]

    @property
    def literal(self) -> bool:
        """Whether the pattern is one name, spelled out."""
        return len(self.parts) == 1 and isinstance(self.parts[0], str)

    @property
    def programs(self) -> tuple[Program, ...]:
        """The expressions inside the pattern."""
        return tuple(part for part in self.parts if isinstance(part, Program))

    @once
    def reads_scope(self) -> bool:
        """Whether an expression in it sees what is asked for; else a request has one answer."""
        return any("scope" in part.variables for part in self.programs)

    def matches(self, name: str, variables: Mapping[str, object]) -> bool:
        """
        Tell whether the pattern matches a repository's whole name.

        Raises:
            CelError: An expression in the pattern failed.
            PatternValueError: An expression's value is not one or more segments of a name.
        """
        parts = self.parts
        if len(parts) == 1 and parts[0].__class__ is str:
            return name == parts[0]
        if len(parts) == 1 and isinstance(parts[0], Program):
            return name == _text(parts[0], variables)
        if parts[0].__class__ is str and not name.startswith(parts[0]):
            return False
        return _match([_text(part, variables) for part in parts], name)


def _text(part: Part, variables: Mapping[str, object]) -> str | Wildcard:
    if not isinstance(part, Program):
        return part
    value = part.evaluate(variables)
    if not isinstance(value, str) or not is_repository_path(value):
        raise PatternValueError(part.text, value, "a repository's name")
    return value


def _match(parts: list[str | Wildcard], name: str) -> bool:
    """Follow every place in the name that the parts so far can reach."""
    places = {0}
    for part in parts:
        if isinstance(part, str):
            places = {at + len(part) for at in places if name.startswith(part, at)}
        elif part is Wildcard.STAR:
            places = {end for at in places for end in range(at, _segment_end(name, at) + 1)}
        elif part is Wildcard.SEGMENTS:
            first = min(places)
            slashes = {at + 1 for at in range(first, len(name)) if name[at] == "/"}
            places |= slashes
        else:
            return min(places) < len(name)
        if not places:
            return False
    return len(name) in places


def _segment_end(name: str, at: int) -> int:
    end = name.find("/", at)
    return len(name) if end < 0 else end


def compile_pattern(
    text: str, compile_expression: CompileExpression
) -> Pattern | PatternFault | None:
    """
    Compile a pattern.

    Args:
        text: The pattern as written.
        compile_expression: Compiles what stands in `${...}`, reporting problems itself.

    Returns:
        The pattern, what is wrong with it, or None when an expression in it did not compile.
    """
    parts = compile_pieces(text, _check, _spell, compile_expression)
    return Pattern(text, tuple(_joined(parts))) if isinstance(parts, list) else parts


def _spell(piece: Piece) -> str | Wildcard:
    return Wildcard(piece.text) if piece.kind == "wildcard" else piece.text


def _joined(parts: list[Part]) -> list[Part]:
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


_NO_TAG: Final = "write the repository alone here, and its tags in `tags`"
_ALLOWED: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-/:")


def _check(text: str, pieces: list[Piece]) -> PatternFault | None:
    """Say what keeps a pattern from ever matching a name."""
    if not text:
        return PatternFault(0, 1, "an empty pattern matches nothing", "name a repository, or `**`")
    for piece in pieces:
        if piece.kind == "literal":
            fault = _check_literal(text, piece)
            if fault is not None:
                return fault
        elif piece.text.startswith("**") and piece.kind == "wildcard":
            before = text[piece.start - 1] if piece.start else "/"
            after = piece.text == "**/" or piece.end == len(text)
            if before != "/" or not after:
                return PatternFault(
                    piece.start,
                    piece.end,
                    "`**` must stand for whole segments",
                    "write it between slashes, as in `team/**`; `*` stands within a segment",
                )
    sample = "".join(
        {"*": "a", "**/": "a/", "**": "a"}[piece.text]
        if piece.kind == "wildcard"
        else "a"
        if piece.kind == "expression"
        else piece.text
        for piece in pieces
    )
    if len(sample) > MAX_NAME_LENGTH:
        return PatternFault(
            0,
            len(text),
            f"a repository's name has at most {MAX_NAME_LENGTH} characters",
            "shorten the pattern",
        )
    if not is_repository_name(sample):
        return PatternFault(
            0,
            len(text),
            "no repository's name can match this pattern",
            "names are lower-case words joined by `.`, `_`, `__` or `-`, in segments joined by `/`",
        )
    return None


def _check_literal(text: str, piece: Piece) -> PatternFault | None:
    for offset, character in enumerate(piece.text, piece.start):
        if character in _ALLOWED:
            continue
        hint = "names are lower-case: letters, digits, `.`, `_`, `-` and `/`"
        if character == "@":
            hint = _NO_TAG
        if character.isupper():
            hint = f"registries know lower-case names only; write `{character.lower()}`"
        elif character in "?[]{}()|^$+\\":
            hint = "the wildcards are `*` and `**`; `${...}` is an expression"
        return PatternFault(
            offset, offset + 1, f"{character!r} cannot stand in a repository's name", hint
        )
    colon = text.find(":", piece.start, piece.end)
    if colon >= 0 and "/" not in text[colon:]:
        return PatternFault(colon, len(text), "a tag is no part of a repository's name", _NO_TAG)
    slashes = text.find("//", max(piece.start - 1, 0), piece.end + 1)
    if slashes >= 0:
        return PatternFault(slashes, slashes + 2, "an empty path segment", "write one slash")
    if piece.start == 0 and piece.text.startswith("/"):
        return PatternFault(0, 1, "a repository's name does not begin with a slash", "leave it out")
    if piece.end == len(text) and piece.text.endswith("/"):
        return PatternFault(
            piece.end - 1,
            piece.end,
            "a repository's name does not end with a slash",
            "write `/**` for everything below",
        )
    return None
