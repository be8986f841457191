"""
What a YAML parser's complaint means to the author of a policy.

What lives here: from the place where the parser gave up to the mistake that led there.  Not here:
parsing (`nodes`).

The parser's own words are kept where none of these mistakes is recognised.
"""

import re
from dataclasses import dataclass
from typing import Final

_CONFLICT: Final = re.compile(r"^(<{7}|>{7}|={7}|\|{7})(?: .*)?$", re.MULTILINE)
"""The lines that version control leaves around a conflict."""

_QUOTED: Final = re.compile(
    r"""(?:^|[:\-,\[{])\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*$""", re.DOTALL
)
"""A line up to where a quoted value has ended."""

_SQUEEZED: Final = re.compile(r"\s*(?:- )?[A-Za-z][\w-]*:\S")
"""A line whose key has no blank after its colon."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What the parser says, and where: lines and columns count from 0."""

    problem: str
    context: str
    line: int
    column: int
    began: tuple[int, int] | None
    """Where what it was reading began."""


@dataclass(frozen=True, slots=True)
class YamlFault:
    """A mistake, its place and what to do; lines and columns count from 0."""

    line: int
    column: int
    message: str
    hint: str = ""


def explain(text: str, complaint: Complaint) -> YamlFault:
    """Return the mistake that made the parser give up."""
    lines = text.rstrip().split("\n")
    line, column = complaint.line, complaint.column
    if line >= len(lines):  # the end of the file: point behind its last character
        line, column = len(lines) - 1, len(lines[-1])
    found = (
        _conflict(text)
        or _quoted(lines[line], line, column)
        or _flow(lines[line], line, column)
        or _beginning(lines, complaint)
    )
    if found is not None:
        return found
    message = " ".join(part for part in (complaint.problem, complaint.context) if part)
    hint = _hint(message, lines[line][column:])
    return YamlFault(line, column, f"this is not YAML: {message}", hint)


def _conflict(text: str) -> YamlFault | None:
    marker = _CONFLICT.search(text)
    if marker is None:
        return None
    return YamlFault(
        text.count("\n", 0, marker.start()),
        0,
        f"a merge conflict is not resolved ({marker[1]})",
        "keep one side, and delete the lines that begin with <<<<<<<, ======= and >>>>>>>",
    )


def _quoted(line: str, number: int, column: int) -> YamlFault | None:
    """Find a value that ends at its second quote though more of it follows."""
    before, rest = line[:column].rstrip(), line[column:].strip()
    if not rest or rest.startswith(("#", ":", ",", "]", "}")) or _QUOTED.search(before) is None:
        return None
    quote = before[-1]
    other = "single quotes" if quote == '"' else "double quotes"
    return YamlFault(
        number,
        column,
        f"a value that begins with {quote} ends at the next {quote}",
        f"write all of it in {other}, or in the lines after `>-`",
    )


def _flow(line: str, number: int, column: int) -> YamlFault | None:
    """Find a bracket without quotes between brackets, where it begins a mapping or a list."""
    before, sign = line[max(column - 1, 0) : column], line[column : column + 1]
    if before + sign == "${":
        return YamlFault(
            number, column - 1, "`${...}` needs quotes between brackets", 'write "${claims.NAME}"'
        )
    if sign in ("[", "{") and before.isidentifier():
        message = f"a text with `{sign}` needs quotes between brackets"
        return YamlFault(
            number, column, message, "quote the text, or write it in a line of its own"
        )
    return None


def _beginning(lines: list[str], complaint: Complaint) -> YamlFault | None:
    """Find what was begun and not ended; the parser notices it far below."""
    if complaint.began is None or complaint.began[0] >= len(lines):
        return None
    line, column = complaint.began
    if "quoted scalar" in complaint.context:
        quote = lines[line][column : column + 1]
        return YamlFault(line, column, f"the {quote} that begins here is never closed", "close it")
    if "flow" in complaint.context and "end" not in complaint.context:
        bracket = lines[line][column : column + 1]
        closing = {"[": "]", "{": "}"}.get(bracket)
        if closing is not None and "expected ','" in complaint.problem:
            return YamlFault(
                line,
                column,
                f"the {bracket} that begins here is not closed, or a comma is missing in it",
                f"separate the items with commas, and close with {closing}",
            )
    if "simple key" in complaint.context:
        hint = "write a key as `NAME: VALUE`, and indent the lines that go on with a value"
        if _SQUEEZED.match(lines[line]):
            column, hint = lines[line].index(":"), "write a blank after the colon"
        return YamlFault(line, column, "a key, a colon and a blank are expected here", hint)
    return None


def _hint(message: str, rest: str) -> str:
    """Say what to do where the parser's own words are shown; `rest` is the line from there on."""
    if rest.startswith("\t"):
        return "indent with spaces"
    if "cannot start any token" in message:
        return f"quote what begins with `{rest[:1]}`"
    if "while scanning an alias" in message:
        return 'quote what begins with `*`, as in "**"'
    if "mapping values are not allowed" in message:
        return "quote the text if the colon belongs to it, or write it as a block after `|`"
    if "parsing a block" in message:
        return "keys of one mapping, and items of one list, begin in the same column"
    return ""
