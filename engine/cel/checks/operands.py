"""
Operands whose types do not go together.

What lives here: what is said about the operands of `in` and of `<`, `<=`, `>` and `>=`.
Not here: the types of the operands themselves (`checking`).
"""

from collections.abc import Iterator

from regauth.engine.cel.library.types import (
    DYN,
    NUMBERS,
    ORDERED,
    STRING,
    ListType,
    MapType,
    RecordType,
    Type,
    accepts,
    comparable,
)
from regauth.engine.cel.syntax.errors import Finding, FindingCode
from regauth.engine.cel.syntax.nodes import Binary, Node


def _wrong(node: Node, message: str, hint: str = "") -> Finding:
    return Finding(node.start, node.end, FindingCode.TYPE.value, message, hint)


def check_membership(node: Binary, left: Type, right: Type) -> Iterator[Finding]:
    """Say why `left in right` cannot be true, by the types alone."""
    if isinstance(right, ListType):
        if not comparable(left, right.element):
            yield _wrong(node, f"{left} is never an element of {right}")
    elif isinstance(right, (MapType, RecordType)):
        if not accepts(STRING, left):
            yield _wrong(node.left, f"the key of a map is a string, not {left}")
    elif right != DYN:
        hint = "ask for a part of a string with .contains()" if right == STRING else ""
        message = f"'in' needs a list or a map on its right, not {right}"
        yield _wrong(node.right, message, hint)


def check_order(node: Binary, left: Type, right: Type) -> Iterator[Finding]:
    """Say why two types have no order."""
    for side, given in ((node.left, left), (node.right, right)):
        if given != DYN and given not in ORDERED:
            yield _wrong(side, f"{given} has no order")
            return
    mixed = left in NUMBERS and right in NUMBERS and left != right
    if mixed or not comparable(left, right):
        hint = "convert one of them with int() or double()" if mixed else ""
        yield _wrong(node, f"cannot order {left} and {right}", hint)
