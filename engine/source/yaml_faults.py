"""
What a YAML parser's complaint means to the author of a policy.

What lives here: from the place where the parser gave up to the mistake that led there.  Not here:
parsing (`nodes`).

Messages are in the words of this project: `libyaml` and its replica in Python say the same mistake
differently.  The parser's own words are kept only where no mistake is recognised.
"""

import re
from dataclasses import dataclass
from typing import Final

from .foreign_text import REORDERING, WHY_REORDERING

_CONFLICT: Final = re.compile(r"^(<{7}|>{7}|={7}|\|{7})(?: .*)?$", re.MULTILINE)
"""The lines that version control leaves around a conflict."""

_QUOTED: Final = re.compile(
    r"""(?:^|[:\-,\[{])\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*$""", re.DOTALL
)
"""A line up to where a quoted value has ended."""

_SQUEEZED: Final = re.compile(r"\s*(?:- )?[A-Za-z][\w-]*:\S")
"""A line whose key has no blank after its colon."""


_COLON: Final = re.compile(r":(?=\s|$)")
"""What ends a key without quotes."""

MAX_KEY: Final = 1024
"""How many characters a key and its quotes can have; more is no YAML (1.2.2, section 8.2.2)."""

_NESTING: Final = re.compile("nesting depth")
_HIDDEN_BREAK: Final = re.compile("\r(?!\n)|[\x85\u2028\u2029]")
"""Where YAML 1.1 begins a new line and most editors show none: it can end a comment unseen."""
_MARK: Final = re.compile("\ufeff")
_MISLEADING: Final = (
    (
        _HIDDEN_BREAK,
        "YAML begins a new line here, which few editors show",
        "end lines with LF or CR LF alone",
    ),
    (
        REORDERING,
        WHY_REORDERING,
        'remove it; a text that has it is written with an escape in double quotes: "\\u202e"',
    ),
    (_MARK, "it is a byte order mark, which nobody sees", "remove it"),
)
"""What makes a reviewer see another file than a program reads, with what to say and to do."""

_ENTRIES: Final = "keys of one mapping, and items of one list, begin in the same column"
_COLON_HINT: Final = "quote the text if the colon belongs to it, or write it as a block after `|`"


@dataclass(frozen=True, slots=True)
class _Told:
    """What to say of a complaint in whose words a pattern is found."""

    words: re.Pattern[str]
    message: str
    """`{sign}`: the character where the fault is."""
    hint: str
    at_beginning: bool = False
    """Whether the fault is where that began which the parser was reading."""


def _told(words: str, message: str, hint: str, *, at_beginning: bool = False) -> _Told:
    return _Told(re.compile(words), message, hint, at_beginning)


_TABLE: Final = (
    _told("tab character", "a tab cannot indent", "indent with spaces"),
    _told(
        "incompatible YAML document|extremely long version",
        "the file says that it is YAML of another version",
        "remove the line that begins with %YAML",
    ),
    _told(
        "directive|duplicate tag handle|expected directive name",
        "YAML has no such directive here; a line that begins with `%` is one",
        "remove the line, or quote a text that begins with `%`",
    ),
    _told(
        "scanning an alias",
        "a text that begins with `*` needs quotes",
        'quote it, as in "**"',
        at_beginning=True,
    ),
    _told(
        "scanning an anchor",
        "a text that begins with `&` needs quotes",
        "quote it",
        at_beginning=True,
    ),
    _told(
        "(scanning|parsing) a tag|undefined tag handle",
        "a text that begins with `!` needs quotes",
        "quote it: YAML reads what begins with `!` as a tag",
        at_beginning=True,
    ),
    _told(
        "indentation indicator equal|indicator in the range",
        "the number after `|` or `>` is 1 to 9, or is left out",
        "leave it out",
    ),
    _told(
        "block scalar",
        "the text of a block begins in the line after `|` or `>`",
        "begin it in the next line, or quote a text that begins with `|` or `>`",
    ),
    _told(
        "sequence entries are not allowed",
        "a list cannot begin in the line of its key",
        "begin it in the next line, or quote a text that begins with `- `",
    ),
    _told(
        "mapping keys are not allowed",
        "a text that begins with `?` needs quotes",
        "quote it",
    ),
    _told("mapping values are not allowed", "a colon and a blank cannot stand here", _COLON_HINT),
    _told("cannot start any token", "a text that begins with `{sign}` needs quotes", "quote it"),
    _told(
        "node content.*flow node",
        "a value is missing before `{sign}`",
        "write it, or remove the comma",
    ),
    _told("node content", "a text that begins with `{sign}` needs quotes", "quote it"),
    _told(
        "parsing a block mapping",
        "this line belongs to no mapping or list above it",
        _ENTRIES,
    ),
    _told("parsing a block", "this line is no item of the list above it", _ENTRIES),
    _told("invalid Unicode|surrogate|too large", "an escape stands for no character", "remove it"),
    _told(
        "simple key|could not find expected ':'",
        "a key, a colon and a blank are expected here",
        "write a key as `NAME: VALUE`, and indent the lines that go on with a value",
    ),
    _told(
        "end of stream|document indicator|document separator", "a quote is never closed", "close it"
    ),
)
"""What is said of each complaint; the first that fits holds."""


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
    return (
        _conflict(text)
        or _long_key(lines, complaint)
        or _escape(lines[line], line, column, complaint)
        or _quoted(lines[line], line, column)
        or _outside(lines, line, column, complaint)
        or _flow(lines[line], line, column, complaint)
        or _beginning(lines, complaint)
        or _by_words(lines, line, column, complaint)
    )


def misleading(text: str) -> tuple[int, str, str] | None:
    """
    Return a character that makes the file look like another one, with why and what to do.

    It is refused in comments too: there it can hide, or seem to be, the line that follows.
    """
    if text.isascii() and "\r" not in text:
        return None
    for pattern, why, hint in _MISLEADING:
        found = pattern.search(text)
        if found is not None:
            return found.start(), why, hint
    return None


def nests_too_deep(complaint: Complaint) -> bool:
    """Whether the parser gave up because of the depth alone."""
    return _NESTING.search(complaint.problem) is not None


def _by_words(lines: list[str], line: int, column: int, complaint: Complaint) -> YamlFault:
    """Say it in our words where the parser's are known, and in the parser's elsewhere."""
    words = " ".join(part for part in (complaint.problem, complaint.context) if part)
    rest = lines[line][column:]
    if rest.startswith("\t"):
        return YamlFault(line, column, "a tab cannot stand here", "indent with spaces")
    if rest.startswith(":") and "block mapping" in words:
        return YamlFault(line, column, "a key is missing before the colon", _COLON_HINT)
    if not rest and "flow node" in words:
        return YamlFault(line, column, "a bracket is not closed where the file ends", "close it")
    for told in _TABLE:
        if told.words.search(words):
            if told.at_beginning and complaint.began is not None:
                line, column = complaint.began
            sign = lines[line][column : column + 1]
            return YamlFault(line, column, told.message.format(sign=sign), told.hint)
    return YamlFault(line, column, f"this is not YAML: {words}")


def _long_key(lines: list[str], complaint: Complaint) -> YamlFault | None:
    """Find a key that is longer than YAML allows."""
    line, column = complaint.line, complaint.column
    if "simple key" in complaint.context and complaint.began is not None:
        line, start = complaint.began
        colon = _COLON.search(lines[line], start + MAX_KEY) if line < len(lines) else None
        end = start if colon is None else colon.start()
    elif line < len(lines) and lines[line][column : column + 1] == ":":
        before, end = lines[line][:column], column
        in_brackets = (
            max(before.rfind(sign) for sign in "{[,") if "flow" in complaint.context else -1
        )
        start = in_brackets + 1
        start += len(before[start:]) - len(before[start:].lstrip(" -"))
    else:
        return None
    if end - start <= MAX_KEY:
        return None
    return YamlFault(
        line,
        start,
        f"a key has at most {MAX_KEY:,} characters, quotes included; this one has {end - start:,}",
        "shorten it, or quote the whole text if the colon belongs to it",
    )


def _escape(line: str, number: int, column: int, complaint: Complaint) -> YamlFault | None:
    """Find the escape that a text in double quotes cannot have."""
    words = f"{complaint.problem} {complaint.context}"
    if "quoted scalar" not in words or not re.search("escape|hexa?decimal", words):
        return None
    at = line.rfind("\\", 0, column + 1)
    kind = line[at + 1 : at + 2]
    digits = {"x": 2, "u": 4, "U": 8}.get(kind)
    if digits is None:
        message = f"`\\{kind}` is no escape of a text in double quotes"
        hint = "write `\\\\` for a backslash, or put the text in single quotes"
    elif "invalid" in words:
        message, hint = "this escape stands for no character", "write the character itself"
    else:
        message = f"`\\{kind}` needs {digits} hexadecimal digits"
        hint = "write all of them, or `\\\\` for a backslash"
    return YamlFault(number, max(at, 0), message, hint)


def _outside(lines: list[str], line: int, column: int, complaint: Complaint) -> YamlFault | None:
    """Find what stands before or behind the document."""
    if "document start" not in complaint.problem:
        return None
    if any(one.startswith("...") for one in lines[: line + 1]):
        return YamlFault(
            line, column, "nothing can follow `...`, the end of a document", "remove it"
        )
    if any(one.startswith("%") for one in lines[:line]):
        message = "after the lines that begin with `%` comes `---`"
        return YamlFault(line, column, message, "remove these lines, or write `---` below them")
    return YamlFault(line, column, "this line is indented less than the first one", _ENTRIES)


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


def _flow(line: str, number: int, column: int, complaint: Complaint) -> YamlFault | None:
    """Find a bracket without quotes between brackets, where it begins a mapping or a list."""
    if "scanning a" in complaint.context:
        return None
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
    if "quoted scalar" in complaint.context and (
        "end of" in complaint.problem or "doc" in complaint.problem
    ):
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
