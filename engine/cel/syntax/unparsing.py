"""
From tree to text.

What lives here: writing any tree, rebuilt ones included, as an expression that parses to the same
tree.  Not here: the author's own spelling; for that, cut the text at a node's offsets.
"""

from collections.abc import Mapping
from typing import Final

from .nodes import (
    Binary,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Has,
    Index,
    ListLiteral,
    Logic,
    Name,
    Node,
    Select,
    Table,
    TableValue,
    Unary,
)

_ESCAPES: Final = {
    "\\": "\\\\",
    '"': '\\"',
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
_CONDITIONAL, _RELATION, _ADDITION, _MULTIPLICATION, _UNARY, _MEMBER = 0, 3, 4, 5, 6, 7
_LOGIC: Final = {"||": 1, "&&": 2}
_BINARY: Final = {
    "+": _ADDITION,
    "-": _ADDITION,
    "*": _MULTIPLICATION,
    "/": _MULTIPLICATION,
    "%": _MULTIPLICATION,
}


def unparse(node: Node) -> str:
    """Write a tree as text."""
    return _write(node, _CONDITIONAL)


def _write(node: Node, binding: int) -> str:
    """Write a node as a part of something that binds so tightly; brackets where it must."""
    text, own = _parts(node)
    return f"({text})" if own < binding else text


def _parts(node: Node) -> tuple[str, int]:  # noqa: C901, PLR0912 - one case per kind of node
    """Give a node's text and how tightly it binds."""
    match node:
        case Constant():
            return _constant(node.value)
        case Name():
            return node.name, _MEMBER
        case Select():
            return f"{_write(node.operand, _MEMBER)}.{node.field}", _MEMBER
        case Index():
            return f"{_write(node.operand, _MEMBER)}[{unparse(node.index)}]", _MEMBER
        case ListLiteral():
            return f"[{_list(node.items)}]", _MEMBER
        case Table():
            return _table(node.entries), _MEMBER
        case Unary():
            return f"{node.operator}{_operand(node)}", _UNARY
        case Binary():
            own = _BINARY.get(node.operator, _RELATION)
            left, right = _write(node.left, own), _write(node.right, own + 1)
            return f"{left} {node.operator} {right}", own
        case Logic():
            own = _LOGIC[node.operator]
            parts = [_write(operand, own + 1) for operand in node.operands]
            return f" {node.operator} ".join(parts), own
        case Conditional():
            test, yes = (_write(part, _CONDITIONAL + 1) for part in (node.test, node.yes))
            return f"{test} ? {yes} : {unparse(node.no)}", _CONDITIONAL
        case Call(target=None):
            return f"{node.function}({_list(node.arguments)})", _MEMBER
        case Call():
            target = "" if node.target is None else _write(node.target, _MEMBER)
            return f"{target}.{node.function}({_list(node.arguments)})", _MEMBER
        case Has():
            return f"has({_write(node.operand, _MEMBER)}.{node.field})", _MEMBER
        case Comprehension():
            return _macro(node), _MEMBER


def _operand(node: Unary) -> str:
    # "-5" would be read as one literal.
    if node.operator == "-" and isinstance(node.operand, Constant):
        return f"({unparse(node.operand)})"
    return _write(node.operand, _UNARY)


def _list(items: tuple[Node, ...]) -> str:
    return ", ".join(unparse(item) for item in items)


def _table(entries: Mapping[str, TableValue]) -> str:
    parts = (f"{_constant(key)[0]}: {_entry(value)}" for key, value in entries.items())
    return f"{{{', '.join(parts)}}}"


def _entry(value: TableValue) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_constant(item)[0] for item in value)}]"
    return _constant(value)[0]


def _macro(node: Comprehension) -> str:
    arguments = [node.variable]
    if node.transform is None:
        arguments.append(unparse(node.body))
    else:
        if not (isinstance(node.body, Constant) and node.body.value is True):
            arguments.append(unparse(node.body))
        arguments.append(unparse(node.transform))
    return f"{_write(node.source, _MEMBER)}.{node.kind}({', '.join(arguments)})"


def _constant(value: str | float | bool | None) -> tuple[str, int]:  # noqa: FBT001 - a constant of CEL, not a switch
    if value is None:
        return "null", _MEMBER
    if isinstance(value, bool):
        return ("true" if value else "false"), _MEMBER
    if isinstance(value, str):
        return f'"{"".join(map(_character, value))}"', _MEMBER
    text = repr(value)
    # A literal is finite; before a dot it would read as another number.
    return text, _UNARY


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character >= "\x20" else f"\\x{ord(character):02x}"
