"""
Words and signs that other languages have where CEL has its own.

What lives here: the hint for each, so that an author who writes SQL, Python or JavaScript learns
the CEL form.  Not here: finding the place where parsing ended (`parsing`).
"""

import re
from collections.abc import Mapping
from typing import Final

_EQUALITY: Final = "equality is `==`"
_INEQUALITY: Final = "inequality is `!=`"
_MATCH: Final = 'write `x.matches("^...$")`'

_WORDS: Final[Mapping[str, str]] = {
    "and": "write `&&` for `and`",
    "or": "write `||` for `or`",
    "xor": "write `!=` between two conditions in parentheses",
    "is": _EQUALITY,
    "eq": _EQUALITY,
    "equals": _EQUALITY,
    "ne": _INEQUALITY,
    "like": _MATCH,
    "matches": _MATCH,
    "contains": "write `x.contains(y)`",
    "startswith": "write `x.startsWith(y)`",
    "endswith": "write `x.endsWith(y)`",
    "then": "write `condition ? this : that`",
    "else": "write `condition ? this : that`",
}
"""What is written between two values, in lower case."""

_BEFORE: Final[Mapping[str, str]] = {
    "not": "write `!` for `not`",
    "if": "write `condition ? this : that`, or the condition alone",
    "return": "an expression is its value: write it without `return`",
    "when": "write the condition without `when`",
}
"""What is written before a value, in lower case; parsing ends there or behind it."""

_SIGNS: Final = (
    (re.compile(r"!==?="), _INEQUALITY),
    (re.compile(r"==="), _EQUALITY),
    (re.compile(r"<>"), _INEQUALITY),
    (re.compile(r"=~|~=|~"), _MATCH),
    (re.compile(r"->|::"), "a member is written `a.b`"),
    (
        re.compile("[\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb]"),
        "write straight quotes: `\"` or `'`",
    ),
    (re.compile(r"\$\{?"), "`${...}` belongs to patterns; write what is inside alone"),
    (re.compile(r";"), "an expression ends without `;`"),
    (re.compile(r"\\"), "write it without the backslash"),
    (re.compile(r"=>|="), _EQUALITY),
    (re.compile(r"&"), "and is `&&`"),
    (re.compile(r"\|"), "or is `||`"),
)
"""Signs at the place where parsing ended, or around it; the first that matches is meant."""

_LAST_WORD: Final = re.compile(r"([A-Za-z]+)\s*\Z")
_NEXT_WORD: Final = re.compile(r"\s*([A-Za-z]+)")


def hint(text: str, start: int, end: int) -> str:
    """Return what CEL has for what stands where parsing ended, or ""."""
    word = text[start:end].lower()
    if word == "not":
        following = _NEXT_WORD.match(text, end)
        if following is not None and following[1] == "in":
            return "write `!(x in list)`"
    if word in _WORDS or word in _BEFORE:
        return _WORDS.get(word) or _BEFORE[word]
    before = _LAST_WORD.search(text[:start])
    if before is not None and before[1].lower() in _BEFORE:
        return _BEFORE[before[1].lower()]
    if before is not None and before[1].lower() in _WORDS and word[:1].isalnum():
        return _WORDS[before[1].lower()]
    if text[start] == "," and re.search(r"\bin\s*\([^()]*\Z", text[:start]):
        return "a list is written in brackets: `[a, b]`"
    if text[start] in "\"'" and text[start - 1 : start] == text[start]:
        return f"inside {text[start]} write \\{text[start]}, or use the other quotes around it"
    return _sign(text, start)


def unfinished(text: str) -> str:
    """Return what is missing at the end of an expression, where that can be told, or ""."""
    if re.search(r"\?\.|\?\[", text):
        return "write `has(a.b) && a.b == ...` for a member that may be missing"
    if "?" in text and ":" not in text:
        return "write `condition ? this : that`"
    return ""


def _sign(text: str, start: int) -> str:
    for pattern, meaning in _SIGNS:
        for at in (start, start - 1, start - 2):
            found = pattern.match(text, at) if at >= 0 else None
            if found is not None and found.end() > start:
                return meaning
    return ""


_FUNCTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("lower", "tolower", "tolowercase", "downcase", "lowercase"), "lowerAscii"),
    **dict.fromkeys(("len", "length", "count"), "size"),
    **dict.fromkeys(("includes", "has_substring", "indexof"), "contains"),
    **dict.fromkeys(("match", "test", "search", "fullmatch", "regexmatch"), "matches"),
    **dict.fromkeys(("hasprefix", "starts_with", "beginswith"), "startsWith"),
    **dict.fromkeys(("hassuffix", "ends_with"), "endsWith"),
    **dict.fromkeys(("str", "tostring"), "string"),
    **dict.fromkeys(("defined", "isset", "present"), "has"),
}


def function(name: str) -> str | None:
    """Return CEL's name of a function that other languages call `name`."""
    return _FUNCTIONS.get(name.lower())


_NAMES: Final[Mapping[str, str]] = {
    "True": "write `true`",
    "TRUE": "write `true`",
    "False": "write `false`",
    "FALSE": "write `false`",
    **dict.fromkeys(
        ("None", "nil", "NULL", "Null", "undefined"),
        "write `null`; ask `has(claims.NAME)` whether a token has a claim",
    ),
    **dict.fromkeys(
        ("github", "gitlab", "token", "jwt", "oidc", "assertion", "payload"),
        "what a token says is written `claims.NAME`",
    ),
}


def name(word: str) -> str:
    """Return a hint for a name that other languages have, or ""."""
    return _NAMES.get(word, "")
