"""
From text to tree, through the grammar of cel-python.

What lives here: the one parser, and what is said about its syntax errors.  Not here: making the
parser (`grammar`) and the shape of its tree (`reading`).

The parser is made when this module is imported, under Python's import lock.  Parsing is safe in
several threads at once: lark keeps the state of a parse in objects made for that parse.
"""

from functools import lru_cache
from typing import Final

from lark.exceptions import LarkError

from . import grammar, limits, other_languages
from .errors import FindingCode, RejectedError, reject
from .nodes import Node
from .reading import TRANSPARENT, read_tree
from .scanning import Scan, scan
from .sharing import fill, shape_of, simple_shape

_MAX_UNSCANNED: Final = limits.TEXT_BYTES // 4
"""Characters of a text that cannot be too long, whatever characters they are."""

_PARSER: Final = grammar.short(grammar.load(), TRANSPARENT)


def parse(text: str) -> Node:
    """
    Parse an expression.

    Raises:
        RejectedError: it is not CEL, is outside the subset, or is over a limit; the exception
            carries the finding.

    """
    return parse_with_shape(text)[0]


def parse_with_shape(text: str) -> tuple[Node, str]:
    """
    Parse an expression, and return its shape too: that of all that differ in words alone.

    Raises:
        RejectedError: as `parse`.
    """
    shape = simple_shape(text) if len(text) <= _MAX_UNSCANNED else None
    tree = None if shape is None else _parse_shape(shape.text)
    if shape is None or tree is None:
        found = scan(text)
        if not text.strip():
            raise reject(FindingCode.SYNTAX, 0, len(text), "the expression is empty")
        shape = shape_of(text, found)
        tree = _parse_shape(shape.text)
        if tree is None:  # what is wrong is said of the text itself
            return parse_whole(text, found), shape.text
    return fill(tree, shape), shape.text


@lru_cache(maxsize=512)
def _parse_shape(text: str) -> Node | None:
    try:
        return parse_whole(text, scan(text))
    except RejectedError:
        return None


def parse_whole(text: str, found: Scan) -> Node:
    """
    Parse an expression as it stands; `found` is what the scan of it found.

    Raises:
        RejectedError: as `parse`.
    """
    try:
        tree = _PARSER.parse(text)
    except LarkError as error:
        raise _syntax_error(text, error) from None
    return read_tree(tree, found)


def _syntax_error(text: str, error: LarkError) -> RejectedError:
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        end = len(text.rstrip())
        message = "the expression is not complete"
        return reject(FindingCode.SYNTAX, end - 1, end, message, other_languages.unfinished(text))
    line, column = getattr(error, "line", None), getattr(error, "column", None)
    if not isinstance(line, int) or not isinstance(column, int):
        what = "this" if token is None else f"'{token}'"
        return reject(FindingCode.SYNTAX, 0, len(text), f"{what} cannot stand where it does")
    # lark counts lines by "\n" alone.
    before = text.split("\n")[: line - 1]
    start = sum(len(line) + 1 for line in before) + column - 1
    end = start + 1
    while end < len(text) and text[start].isalnum() and text[end].isalnum():
        end += 1
    message = f"'{text[start:end]}' cannot stand here"
    hint = other_languages.hint(text, start, end)
    return reject(FindingCode.SYNTAX, start, end, message, hint)
