"""
From text to tree, through the parser of cel-python.

What lives here: the one `celpy.Environment`, and what is said about its syntax errors.  What must
not: the shape of its tree (`reading`), and any other part of celpy: its runners are slow
(InterpretedRunner) or wrong under threads (CompiledRunner), and its values are not ours.

The environment is made when this module is imported, under Python's import lock.  Parsing is safe
in several threads at once: lark keeps the state of a parse in objects made for that parse, and the
only thing celpy stores is a copy of the text for a message we do not use.
"""

import logging
import sys
from typing import Final

import celpy
from celpy.celparser import CELParseError

from . import other_languages
from .errors import FindingCode, RejectedError, reject
from .nodes import Node
from .reading import read_tree
from .scanning import scan


def _environment() -> celpy.Environment:
    """Make the environment, undoing what it does to the process: it sets the recursion limit."""
    before = sys.getrecursionlimit()
    try:
        return celpy.Environment()
    finally:
        sys.setrecursionlimit(before)


# celpy logs whole expressions and claims at DEBUG.
logging.getLogger("celpy").setLevel(logging.CRITICAL)
_ENVIRONMENT: Final = _environment()


def parse(text: str) -> Node:
    """
    Parse an expression.

    Raises:
        RejectedError: it is not CEL, is outside the subset, or is over a limit; the exception
            carries the finding.

    """
    found = scan(text)
    if not text.strip():
        raise reject(FindingCode.SYNTAX, 0, len(text), "the expression is empty")
    try:
        tree = _ENVIRONMENT.compile(text)
    except CELParseError as error:
        raise _syntax_error(text, error) from None
    return read_tree(tree, found)


def _syntax_error(text: str, error: CELParseError) -> RejectedError:
    token = getattr(error.__context__, "token", None)
    if token is not None and token.type == "$END":
        end = len(text.rstrip())
        message = "the expression is not complete"
        return reject(FindingCode.SYNTAX, end - 1, end, message, other_languages.unfinished(text))
    if not isinstance(error.line, int) or not isinstance(error.column, int):
        message = f"'{token}' cannot stand where it does"
        return reject(FindingCode.SYNTAX, 0, len(text), message)
    # lark counts lines by "\n" alone.
    before = text.split("\n")[: error.line - 1]
    start = sum(len(line) + 1 for line in before) + error.column - 1
    end = start + 1
    while end < len(text) and text[start].isalnum() and text[end].isalnum():
        end += 1
    message = f"'{text[start:end]}' cannot stand here"
    hint = other_languages.hint(text, start, end)
    return reject(FindingCode.SYNTAX, start, end, message, hint)
