"""
Faster closures for the shapes that policies are made of.

What lives here: closures that do in one call what the general lowering does in several.
Not here: a meaning of its own.

Each closure answers the common case.  It hands every other case, with the values it already has, to
what the general lowering would have called (`lowering`).  So one place knows the rules, and nothing
is evaluated twice.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from regauth.engine.cel.library.values import Value
from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.errors import CelError
from regauth.engine.cel.syntax.nodes import Binary, Constant, ListLiteral, Node

Frame: TypeAlias = Mapping[str, Any]
Closure: TypeAlias = Callable[[Frame], Value]
Compare: TypeAlias = Callable[[Frame, Value, Value], Value]
Resume: TypeAlias = Callable[[Frame, int, CelError | None], bool]


def selection(key: str, fields: tuple[str, ...], general: Closure) -> Closure:
    """
    Read a member, or a member's member, of a variable.

    A string as a subscript fails on every value but a dict, so nothing else needs to be asked.
    """
    if len(fields) == 1:
        (only,) = fields

        def member(frame: Frame) -> Value:
            try:
                return frame[key][only]
            except (KeyError, TypeError):
                return general(frame)

        return member
    first, second = fields

    def member_of_member(frame: Frame) -> Value:
        try:
            return frame[key][first][second]
        except (KeyError, TypeError):
            return general(frame)

    return member_of_member


def comparison(node: Binary, left: Closure, right: Closure, finish: Compare) -> Closure:
    """Compare; with a literal string, or with a list of them, without evaluating it each time."""
    text = string_of(node.right)
    if text is not None and node.operator == "==":

        def equals(frame: Frame) -> Value:
            value = left(frame)
            return value == text if type(value) is str else finish(frame, value, text)

        return equals
    texts = strings_of(node.right)
    if texts is not None and node.operator == "in":
        return _one_of(left, texts, finish)
    return lambda frame: finish(frame, left(frame), right(frame))


def _one_of(left: Closure, texts: list[str], finish: Compare) -> Closure:
    known = frozenset(texts)

    def one_of(frame: Frame) -> Value:
        value = left(frame)
        return value in known if type(value) is str else finish(frame, value, texts)

    return one_of


def string_of(node: Node) -> str | None:
    """Give the value of a literal string, or None for anything else."""
    if isinstance(node, Constant) and isinstance(node.value, str):
        return node.value
    return None


def strings_of(node: Node) -> list[str] | None:
    """Give the values of a list of literal strings, or None for anything else."""
    if not isinstance(node, ListLiteral):
        return None
    texts = [text for item in node.items if (text := string_of(item)) is not None]
    return texts if len(texts) == len(node.items) else None


def concatenation(left: Closure, right: Closure, finish: Compare) -> Closure:
    """Add; two strings at once."""

    def add(frame: Frame) -> Value:
        first, second = left(frame), right(frame)
        if type(first) is str and type(second) is str:  # noqa: SIM102 - the types come first
            if len(first) + len(second) < limits.CHARACTERS_PER_STEP:
                return first + second
        return finish(frame, first, second)

    return add


def suffixed(left: Closure, suffix: str, finish: Compare) -> Closure:
    """Add a literal string."""

    def add(frame: Frame) -> Value:
        first = left(frame)
        if type(first) is str and len(first) < limits.CHARACTERS_PER_STEP:
            return first + suffix
        return finish(frame, first, suffix)

    return add


def string_test(
    target: Closure,
    argument: Closure,
    test: Callable[[str, str], bool],
    finish: Compare,
    free: int,
) -> Closure:
    """Ask a string about a string, as `startsWith` does; up to `free` characters take no step."""

    def ask(frame: Frame) -> Value:
        text, part = target(frame), argument(frame)
        if type(text) is str and type(part) is str and len(text) <= free:
            return test(text, part)
        return finish(frame, text, part)

    return ask


def literal_test(
    target: Closure, part: str, test: Callable[[str, str], bool], finish: Compare, free: int
) -> Closure:
    """Ask a string about a literal string; up to `free` characters take no step."""

    def ask(frame: Frame) -> Value:
        text = target(frame)
        if type(text) is str and len(text) <= free:
            return test(text, part)
        return finish(frame, text, part)

    return ask


def conjunction(operands: tuple[Closure, ...], resume: Resume) -> Closure:
    """
    Combine with `&&`.

    The first operand that is not true decides if it is false; else `resume` goes on from there,
    with its error, if it has one.
    """
    if len(operands) == 2:  # noqa: PLR2004 - by far the most common
        return _pair(*operands, resume)

    def every(frame: Frame) -> bool:
        at = 0
        failed = None
        try:
            for operand in operands:
                value = operand(frame)
                if value is False:
                    return False
                if value is not True:
                    break
                at += 1
            else:
                return True
        except CelError as error:
            at, failed = at + 1, error
        return resume(frame, at, failed)

    return every


def _pair(left: Closure, right: Closure, resume: Resume) -> Closure:
    def both(frame: Frame) -> Value:
        try:
            value = left(frame)
        except CelError as error:
            return resume(frame, 1, error)
        if value is not True:
            return False if value is False else resume(frame, 0, None)
        value = right(frame)
        return value if type(value) is bool else resume(frame, 1, None)

    return both
