"""
What a mistake in a JSON file means to its author, and where it stands.

What lives here: from a text that `regauth.engine.source.strictjson` refuses to the mistake in it.
Not here: reading JSON (`regauth.engine.source.strictjson`), and what strangers send, whose faults
have no place.

Messages are in the words of this project, because those of Python's reader change with its version
and tell no author what to do.  They repeat nothing of the text but signs: it can hold secrets.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from regauth.engine.source.problems import Location

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_CONFLICT: Final = re.compile(r"^(?:<{7}|>{7}|={7}|\|{7})(?: .*)?$", re.MULTILINE)
_COLON: Final = re.compile(r"[ \t\r\n]*:")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_WORD: Final = re.compile(r"[A-Za-z_$][\w$-]*")
_NUMBER: Final = re.compile(r"[-+]?\.?[0-9][\w.+-]*\Z", re.ASCII)
_GOOD_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?\Z")
_CLOSING: Final = {"{": "}", "[": "]"}
_CONSTANTS: Final = {"True": "true", "False": "false", "None": "null", "undefined": "null"}
_NO_NUMBERS: Final = ("NaN", "Infinity", "-Infinity")
_INT64: Final = 1 << 63
_VALUES: Final = "write a text in double quotes, a number, true, false, null, [...] or {...}"


@dataclass(frozen=True, slots=True)
class JsonFault:
    """A mistake, its place and what to do; `at` counts characters from 0."""

    at: int
    message: str
    hint: str

    def location(self, text: str, file: str) -> Location:
        """Return the place in a file with this text."""
        before = text[: self.at]
        line, column = before.count("\n") + 1, self.at - before.rfind("\n")
        return Location(file, line, column, line, column + 1)


def explain(text: str, max_depth: int) -> JsonFault | None:
    """Return the mistake for which `strictjson` refuses a text; None if it has none."""
    return _syntax(text) or next(_freedoms(text, max_depth), None)


def located(data: bytes | str, file: str) -> str | None:
    """Return where a file that a person wrote is not JSON, why, and what to do; None if it is."""
    try:
        text = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError:
        return f"{file}: not JSON: it is not UTF-8; save it as UTF-8"
    fault = _syntax(text)
    if fault is None:
        return None
    return f"{fault.location(text, file)}: not JSON: {fault.message}; {fault.hint}"


def _syntax(text: str) -> JsonFault | None:
    """Return the first mistake in the grammar; what nests too deep for Python has none."""
    marker = _CONFLICT.search(text)
    if marker is not None:
        hint = "keep one side, and delete the lines that begin with <<<<<<<, ======= and >>>>>>>"
        return JsonFault(marker.start(), "a merge conflict is not resolved", hint)
    try:
        json.JSONDecoder(parse_int=str).decode(text)
    except json.JSONDecodeError as error:
        return _syntax_fault(text, error)
    except RecursionError:
        pass
    return None


def _syntax_fault(text: str, error: json.JSONDecodeError) -> JsonFault:
    at, words = error.pos, error.msg
    if not text.strip():
        return JsonFault(0, "the file is empty", "write an object, `{...}`")
    if text.startswith("\ufeff"):
        return JsonFault(0, "the file begins with a byte order mark", "save it as UTF-8 without it")
    if "nterminated string" in words:
        return JsonFault(at, 'the " that begins here is never closed', "close it")
    if "control character" in words:
        return _control(text, at)
    if "escape" in words:
        return _escape(text, text.rfind("\\", 0, at + 1))
    if words.startswith("Extra data") and text[at] in "}]":
        return JsonFault(at, f"nothing is open that this `{text[at]}` closes", "remove it")
    return (
        _comma(text, at)
        or _sign(text, at)
        or _open(text, at)
        or _number(text, at)
        or _expected(text, at, words)
    )


def _control(text: str, at: int) -> JsonFault:
    if text[at] in "\r\n":
        start = text.rfind('"', 0, at)
        message = "a text is not closed in its line"
        return JsonFault(start, message, 'close it with ", or write `\\n` for a line end')
    if text[at] == "\t":
        return JsonFault(at, "a tab cannot stand in a text", "write `\\t`")
    hint = f"write `\\u{ord(text[at]):04x}`, or remove it"
    return JsonFault(at, "a control character cannot stand in a text", hint)


def _escape(text: str, at: int) -> JsonFault:
    if text[at + 1 : at + 2] == "u":
        hint = "write all of them, or `\\\\` for a backslash"
        return JsonFault(at, "`\\u` needs 4 hexadecimal digits", hint)
    return JsonFault(at, "JSON has no such escape", "write `\\\\` for a backslash")


def _comma(text: str, at: int) -> JsonFault | None:
    """Find a comma with nothing behind it, at which newer versions of Python point themselves."""
    if text[at : at + 1] in ("}", "]") and text[:at].rstrip().endswith(","):
        at = text.rindex(",", 0, at)
    elif text[at : at + 1] != "," or text[at + 1 :].lstrip()[:1] not in ("}", "]"):
        return None
    closing = text[at + 1 :].lstrip()[0]
    return JsonFault(at, f"a comma cannot stand before `{closing}`", "remove it")


def _sign(text: str, at: int) -> JsonFault | None:
    """Find what other languages have."""
    rest = text[at:]
    if rest.startswith(("//", "/*", "#")):
        return JsonFault(at, "JSON has no comments", "remove it")
    if rest.startswith(("'", "`", "\u201c", "\u2018")):
        return JsonFault(at, "names and texts stand in double quotes", 'write `"..."`')
    return None


def _open(text: str, at: int) -> JsonFault | None:
    """Find a bracket that is not closed, or closed by the other kind."""
    signs: list[tuple[int, str]] = []
    for found in _TOKEN.finditer(text, 0, at):
        if found[0] in _CLOSING:
            signs.append((found.start(), found[0]))
        elif found[0] in ("}", "]") and signs:
            signs.pop()
    if not signs:
        return None
    began, sign = signs[-1]
    if not text[at:].strip():
        message = f"the {sign} that begins here is never closed"
        return JsonFault(began, message, f"close it with {_CLOSING[sign]}")
    if text[at] in "}]" and text[at] != _CLOSING[sign] and text[:at].rstrip()[-1] != ":":
        message = f"a `{_CLOSING[sign]}` is expected before this `{text[at]}`"
        return JsonFault(at, message, f"close the {sign} first")
    return None


def _number(text: str, at: int) -> JsonFault | None:
    """Find a number as only other languages write it, such as `007`, `.5`, `+1` and `0x10`."""
    for found in _TOKEN.finditer(text):
        if not found.start() <= at < found.end() or _GOOD_NUMBER.match(found[0]):
            continue
        if _NUMBER.match(found[0]):
            hint = "write it as in 0.5 or 10, or put it in double quotes"
            return JsonFault(found.start(), "this is not how JSON writes a number", hint)
    return None


def _expected(text: str, at: int, words: str) -> JsonFault:
    """Say what should stand here."""
    word = _WORD.match(text, at)
    if words.startswith("Extra data"):
        return JsonFault(at, "the document has ended before this", "a file has one value")
    if "':'" in words:
        return JsonFault(at, "a colon is missing after the name", 'write `"NAME": VALUE`')
    if "','" in words:
        return JsonFault(at, "a comma is missing before this", "separate members with commas")
    if "property name" in words:
        quote = "put it in double quotes" if word else 'write `"NAME": VALUE`'
        return JsonFault(at, "a name in double quotes is expected here", quote)
    if word and word[0] in _CONSTANTS:
        hint = f"write {_CONSTANTS[word[0]]}"
        return JsonFault(at, f"JSON has no {word[0]}", hint)
    if word:
        return JsonFault(at, "a text stands in double quotes", "put it in double quotes")
    return JsonFault(at, "a value is expected here", _VALUES)


def _freedoms(text: str, max_depth: int) -> Iterator[JsonFault]:
    """Find what is JSON, but what two readers can understand differently."""
    names: list[set[str]] = []
    for found in _TOKEN.finditer(text):
        at, token = found.start(), found[0]
        if token in _CLOSING:
            names.append(set())
            if len(names) > max_depth:
                yield JsonFault(at, f"values nest more than {max_depth} deep", "flatten them")
        elif token in ("}", "]"):
            names.pop()
        elif token[0] == '"':
            value = json.loads(token, strict=False)
            if _SURROGATE.search(value):
                hint = "write the character itself"
                yield JsonFault(at, "a text holds half of a surrogate pair", hint)
            if _COLON.match(text, found.end()):
                if value in names[-1]:
                    yield JsonFault(at, "this name stands twice in one object", "remove one")
                names[-1].add(value)
        elif (told := _odd(token)) is not None:
            yield JsonFault(at, *told)


def _odd(token: str) -> tuple[str, str] | None:
    """Say which number cannot be."""
    if token in _NO_NUMBERS:
        return f"JSON has no {token}", "write null, or leave the member out"
    if token.lstrip("-").isdigit():
        # The length comes first: Python's `int` takes time that grows with the square of digits.
        if len(token) > 20 or not -_INT64 <= int(token) < _INT64:  # noqa: PLR2004 - int64 and a sign
            return "an integer is beyond 64 bits", "put it in double quotes"
    elif token[0] in "-0123456789" and not math.isfinite(float(token)):
        return "a number is beyond a double", "put it in double quotes"
    return None
