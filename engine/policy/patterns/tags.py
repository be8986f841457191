"""
Tag patterns: which tags a grant or a denial is about.

What lives here: their language (`*`, `${...}`), its syntax check and its matcher.  Not here:
what a reference that is no tag means to a statement (`regauth.engine.decisions.decide`).

A pattern is matched against the whole tag, upper and lower case as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from regauth.engine.access.once import once
from regauth.engine.access.references import is_tag, is_tag_part
from regauth.engine.cel import Program

from .text import CompileExpression, PatternFault, PatternValueError, Piece, compile_pieces

STAR: Final = "*"
"""Any text, none included; no tag has this character."""


@dataclass(frozen=True)
class TagPattern:
    """A compiled pattern; `text` is what the author wrote."""

    text: str
    parts: tuple[str | Program, ...]

    @property
    def everything(self) -> bool:
        """Whether it matches every tag there can be."""
        return self.parts == (STAR,)

    @property
    def programs(self) -> tuple[Program, ...]:
        """The expressions inside the pattern."""
        return tuple(part for part in self.parts if isinstance(part, Program))

    @once
    def reads_scope(self) -> bool:
        """Whether an expression in it sees what is asked for; else a request has one answer."""
        return any("scope" in part.variables for part in self.programs)

    def matches(self, tag: str, variables: Mapping[str, object]) -> bool:
        """
        Tell whether the pattern matches a whole tag.

        Raises:
            CelError: An expression in the pattern failed.
            PatternValueError: An expression's value cannot stand within a tag.
        """
        return _match([_text(part, variables) for part in self.parts], tag)


def _text(part: str | Program, variables: Mapping[str, object]) -> str:
    if not isinstance(part, Program):
        return part
    value = part.evaluate(variables)
    if not isinstance(value, str) or not is_tag_part(value):
        raise PatternValueError(part.text, value, "a tag")
    return value


def _match(parts: list[str], tag: str) -> bool:
    """Follow every place in the tag that the parts so far can reach."""
    places = {0}
    for part in parts:
        if part == STAR:
            places = set(range(min(places), len(tag) + 1))
        else:
            places = {at + len(part) for at in places if tag.startswith(part, at)}
        if not places:
            return False
    return len(tag) in places


def compile_tag_pattern(
    text: str, compile_expression: CompileExpression
) -> TagPattern | PatternFault | None:
    """
    Compile a pattern.

    Args:
        text: The pattern as written.
        compile_expression: Compiles what stands in `${...}`, reporting problems itself.

    Returns:
        The pattern, what is wrong with it, or None when an expression in it did not compile.
    """
    parts = compile_pieces(text, _check, lambda piece: piece.text, compile_expression)
    return TagPattern(text, tuple(parts)) if isinstance(parts, list) else parts


def _check(text: str, pieces: list[Piece]) -> PatternFault | None:
    """Say what keeps a pattern from ever matching a tag."""
    if not text:
        return PatternFault(0, 1, "an empty pattern matches nothing", "name a tag, or `*`")
    for piece in pieces:
        if piece.kind == "wildcard" and piece.text != STAR:
            hint = "a tag has no segments: `*` stands for any text in it"
            return PatternFault(piece.start, piece.end, f"`{piece.text}` in a tag", hint)
        fault = _check_literal(piece) if piece.kind == "literal" else None
        if fault is not None:
            return fault
    sample = "".join("a" if piece.kind == "expression" else piece.text for piece in pieces)
    shortest = (sample.replace(STAR, ""), sample.replace(STAR, "a", 1).replace(STAR, ""))
    if not any(map(is_tag, shortest)):
        hint = "a tag has up to 128 characters, and neither `.` nor `-` is its first"
        return PatternFault(0, len(text), "no tag can match this pattern", hint)
    return None


def _check_literal(piece: Piece) -> PatternFault | None:
    for offset, character in enumerate(piece.text, piece.start):
        if is_tag_part(character):
            continue
        hint = "tags are letters, digits, `_`, `.` and `-`"
        if character in ":@":
            hint = "a digest is no tag: content is read and written by it, whatever its tags are"
        elif character == "/":
            hint = "the repository stands in `repositories`, and only the tag here"
        elif character in "?[]{}()|^$+\\":
            hint = "the wildcard is `*`; `${...}` is an expression"
        message = f"{character!r} cannot stand in a tag"
        return PatternFault(offset, offset + 1, message, hint)
    return None
