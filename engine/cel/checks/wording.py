"""
The texts of the checker's findings.

What lives here: one function for each finding whose text or hint needs thought.  Not here: whether
there is something to find (`checking`).
"""

from collections.abc import Iterable

from regauth.engine.cel.library.overloads import Function
from regauth.engine.cel.library.regex import PatternError
from regauth.engine.cel.library.types import (
    DOUBLE,
    DYN,
    INT,
    NULL,
    STRING,
    ListType,
    RecordType,
    Type,
    accepts,
)
from regauth.engine.cel.syntax import other_languages
from regauth.engine.cel.syntax.analysis import Path
from regauth.engine.cel.syntax.errors import Finding, FindingCode
from regauth.engine.cel.syntax.nodes import Binary, Call, Constant, Index, Node, Select
from regauth.engine.source.nearest import did_you_mean
from regauth.engine.source.problems import Severity


def _named(start: int, name: str, code: FindingCode, message: str, hint: str) -> Finding:
    return Finding(start, start + len(name), code.value, message, hint)


def undeclared(start: int, name: str, what: str, known: Iterable[str]) -> Finding:
    """Say that a variable or definition does not exist."""
    hint = other_languages.name(name) or did_you_mean(name, known)
    message = f"there is no {what} '{name}' here"
    return _named(start, name, FindingCode.UNDECLARED, message, hint)


def unknown_member(start: int, end: int, name: str, record: RecordType) -> Finding:
    """Say that a record, such as an issuer's claims, has no such member."""
    message = f"{record.name} has no '{name}'"
    hint = did_you_mean(name, record.fields, "")
    return Finding(start, end, FindingCode.UNKNOWN_CLAIM.value, message, hint)


def unknown_key(start: int, end: int, name: str, keys: frozenset[str]) -> Finding:
    """Say that a table has no such key."""
    message = f"the table has no key '{name}'"
    hint = did_you_mean(name, keys, "")
    return Finding(start, end, FindingCode.UNKNOWN_KEY.value, message, hint)


def unguarded(node: Select | Index, path: Path) -> Finding:
    """Say that an optional member is read where it may be missing."""
    name = path[-1]
    if isinstance(node, Select):
        guard = f"has({_written(path[:-1])}.{name}) && ..."
    else:
        guard = f'"{name}" in {_written(path[:-1])} && ...'
    return Finding(
        node.start,
        node.end,
        FindingCode.UNGUARDED.value,
        f"'{name}' is not always present; without it this is an error",
        f"ask first: {guard}",
        Severity.WARNING,
    )


def nullable(node: Node, path: Path) -> Finding:
    """Say that a member is used where it may be null."""
    return Finding(
        node.start,
        node.end,
        FindingCode.NULL.value,
        f"'{path[-1]}' can be null, and then this is an error",
        f"ask first: {_written(path)} != null && ...",
        Severity.WARNING,
    )


def present_null(node: Node, path: Path) -> Finding:
    """Say that `has()` is true of a member that is null."""
    return Finding(
        node.start,
        node.end,
        FindingCode.NULL.value,
        f"'{path[-1]}' can be there and null, and has() is true then",
        f"compare it with null too: {_written(path)} != null",
        Severity.WARNING,
    )


def _written(path: Path) -> str:
    return path[0] + "".join(
        f".{part}" if part.isidentifier() else f'["{part}"]' for part in path[1:]
    )


def never_equal(node: Binary, left: Type, right: Type) -> Finding:
    """Say that two types have no common values."""
    return Finding(
        node.start,
        node.end,
        FindingCode.TYPE.value,
        f"{left} and {right} are never equal",
        _equality_hint(node, left, right),
    )


def _equality_hint(node: Binary, left: Type, right: Type) -> str:
    if NULL in (left, right):
        return "has() asks whether a member is present"
    for constant, given, other in ((node.right, right, left), (node.left, left, right)):
        if not isinstance(constant, Constant):
            continue
        value = constant.value
        if isinstance(other, ListType) and accepts(other.element, given):
            return "it is a list: ask with 'in', the value on the left"
        if other == STRING and given in (INT, DOUBLE) and not isinstance(value, bool):
            return f'write "{value}"'
        if other == INT and isinstance(value, str) and value.lstrip("-").isdecimal():
            return f"write {value} without quotes"
        if isinstance(value, bool) and other == STRING:
            return f'write "{str(value).lower()}"'
    if {left, right} == {INT, DOUBLE}:
        return "convert one of them with int() or double()"
    return ""


def unknown_function(node: Call, known: Iterable[str]) -> Finding:
    """Say that there is no such function, in CEL or in the policy language."""
    message = f"the policy language has no function '{node.function}'"
    meant = other_languages.function(node.function)
    hint = f"CEL calls it `{meant}`" if meant else did_you_mean(node.function, known, "")
    return _named(node.name_start, node.function, FindingCode.UNSUPPORTED, message, hint)


def wrong_style(node: Call, function: Function) -> Finding:
    """Say that a function is called on a value, or is not."""
    name = node.function
    shape = f"x.{name}(...)" if function.member else f"{name}(x)"
    return _named(
        node.name_start,
        name,
        FindingCode.UNSUPPORTED,
        f"{function.name} is written {shape}",
        "",
    )


def no_overload(node: Node, function: Function, given: tuple[Type, ...]) -> Finding:
    """Say which kinds of values a function or an operator takes, and what it was given."""
    known = [
        f"({', '.join(map(_loosely, overload.parameters))})" for overload in function.overloads
    ]
    kinds = ", ".join(map(str, given))
    hint = f"it takes {' or '.join(known)}"
    if function.name == "'+'" and STRING in given:
        hint = "convert the other one with string()"
    message = f"{function.name} does not take ({kinds})"
    return Finding(node.start, node.end, FindingCode.TYPE.value, message, hint)


def _loosely(parameter: Type) -> str:
    return "any" if parameter == DYN else str(parameter).removesuffix("(dyn)")


def bad_pattern(node: Constant, error: PatternError) -> Finding:
    """Say what is wrong with a pattern, at the part that RE2 names, if it can be found."""
    start, end = node.start, node.end
    at = str(node.value).find(error.fragment)
    if error.fragment and at >= 0 and node.text_start is not None:
        start = node.text_start + at
        end = start + len(error.fragment)
    return Finding(start, end, FindingCode.REGEX.value, error.message, "")
