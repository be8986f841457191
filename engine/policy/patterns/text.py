"""
The text of patterns: literals, wildcards and `${...}`, and where each stands.

What lives here: cutting a pattern into pieces, and how faults of one are told.  Not here: which
pieces a kind of pattern allows, and what they match (`names`, `tags`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from regauth.engine.cel import Program

Part = TypeVar("Part")


PATTERN_VALUE: Final = "pattern-value"
"""The code of a `ConditionError` that a `PatternValueError` is told as."""

_SHOWN: Final = 60
"""Characters of a value that a message shows: a record of decisions must not grow with claims."""


class PatternValueError(ValueError):
    """
    A `${...}` has a value that cannot stand at its place in the pattern.

    The message shows the value, which can be a claim's: it is for the log and the author, never
    for a client.
    """

    def __init__(self, expression: str, value: object, place: str) -> None:
        shown = repr(value) if isinstance(value, str) else str(value)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        super().__init__(f"{shown}, the value of ${{{expression}}}, cannot stand in {place}")


@dataclass(frozen=True, slots=True)
class PatternFault:
    """What is wrong with a pattern's text, between two offsets in it."""

    start: int
    end: int
    message: str
    hint: str = ""


CompileExpression = Callable[[str, int], Program | None]
"""Compiles the expression text that begins at an offset of the pattern; None after a problem."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A literal, wildcard or expression of a pattern, as written, and where it stands."""

    kind: str
    text: str
    start: int
    end: int


def split(text: str) -> list[Piece] | PatternFault:
    """Cut a pattern's text into its pieces; what they may be is the pattern's grammar."""
    pieces: list[Piece] = []
    at = 0
    while at < len(text):
        if text.startswith("${", at):
            close = _closing_brace(text, at + 2)
            if close < 0:
                return PatternFault(at, len(text), "`${` is not closed", "end it with `}`")
            pieces.append(Piece("expression", text[at + 2 : close], at, close + 1))
            at = close + 1
        elif text[at] == "*":
            length = 3 if text.startswith("**/", at) else 2 if text.startswith("**", at) else 1
            pieces.append(Piece("wildcard", text[at : at + length], at, at + length))
            at += length
        else:
            end = at + 1
            while end < len(text) and text[end] != "*" and not text.startswith("${", end):
                end += 1
            pieces.append(Piece("literal", text[at:end], at, end))
            at = end
    return pieces


def _closing_brace(text: str, at: int) -> int:
    """Find the `}` that ends an expression, past braces and quotes inside it; -1 without one."""
    depth, quote = 0, ""
    while at < len(text):
        character = text[at]
        if quote:
            if character == "\\":
                at += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            if not depth:
                return at
            depth -= 1
        at += 1
    return -1


def compile_pieces(
    text: str,
    check: Callable[[str, list[Piece]], PatternFault | None],
    spell: Callable[[Piece], Part],
    compile_expression: CompileExpression,
) -> list[Part | Program] | PatternFault | None:
    """
    Compile a pattern's pieces in their order.

    Args:
        text: The pattern as written.
        check: Says what keeps the pieces from being a pattern.
        spell: Makes a part of a literal or a wildcard.
        compile_expression: Compiles what stands in `${...}`, reporting problems itself.

    Returns:
        The parts, what is wrong with the text, or None when an expression did not compile.
    """
    pieces = split(text)
    if isinstance(pieces, PatternFault):
        return pieces
    fault = check(text, pieces)
    if fault is not None:
        return fault
    parts: list[Part | Program] = []
    for piece in pieces:
        if piece.kind != "expression":
            parts.append(spell(piece))
            continue
        program = compile_expression(piece.text, piece.start + 2)
        if program is None:
            return None
        parts.append(program)
    return parts
