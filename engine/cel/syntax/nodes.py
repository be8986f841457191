"""
The expression tree: what an author wrote, without the accidents of its grammar.

What lives here: one frozen class per kind of expression, each knowing where it stands in the text,
and how to walk them.  Not here: parsing (`parsing`), types (`checks.checking`), and evaluation
(`evaluation.lowering`).

A tree may be rebuilt with `msgspec.structs.replace`, checked and lowered again; positions then say
where the parts came from.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias
from typing import Literal as OneOf

from msgspec import Struct


class Span(Struct, frozen=True):
    """Offsets in characters of the expression's text; the end is exclusive."""

    start: int
    end: int


class Constant(Span, frozen=True):
    """
    A literal: string, int, double, bool or null.

    `text_start`: where the characters of a string begin, if none of them is written as an escape.
    """

    value: str | int | float | bool | None
    text_start: int | None = None


class Name(Span, frozen=True):
    """A variable, or the variable of a macro around it."""

    name: str


class Select(Span, frozen=True):
    """`operand.field`; `field_start` is where the field's name begins."""

    operand: "Node"
    field: str
    field_start: int


class Index(Span, frozen=True):
    """`operand[index]`, of a list or a map."""

    operand: "Node"
    index: "Node"


class ListLiteral(Span, frozen=True):
    """`[a, b]`."""

    items: tuple["Node", ...]


class Table(Span, frozen=True):
    """
    A map that a policy writes as YAML: text keys, values of one type.

    No expression spells one out.  `entries` is never changed.
    """

    entries: "dict[str, TableValue]"

    def __hash__(self) -> int:  # a dict has none
        return hash((self.start, self.end))


TableValue: TypeAlias = str | int | bool | list[str]
"""What a table holds."""


class Unary(Span, frozen=True):
    """`!operand` or `-operand`."""

    operator: OneOf["!", "-"]
    operand: "Node"


class Binary(Span, frozen=True):
    """Arithmetic, comparison or `in`; `operator` as it is written."""

    operator: str
    left: "Node"
    right: "Node"


class Logic(Span, frozen=True):
    """A chain of `&&` or of `||`, of two operands or more."""

    operator: OneOf["&&", "||"]
    operands: tuple["Node", ...]


class Conditional(Span, frozen=True):
    """`test ? yes : no`."""

    test: "Node"
    yes: "Node"
    no: "Node"


class Call(Span, frozen=True):
    """`function(arguments)` or `target.function(arguments)`; `name_start`: where the name is."""

    function: str
    target: "Node | None"
    arguments: tuple["Node", ...]
    name_start: int


class Has(Span, frozen=True):
    """`has(operand.field)`."""

    operand: "Node"
    field: str
    field_start: int


class Comprehension(Span, frozen=True):
    """
    A macro over a list or the keys of a map: `source.kind(variable, body)`.

    `transform` is the last argument of `map`; `body` is the condition, `true` for the
    two-argument `map`.
    """

    kind: OneOf["all", "exists", "exists_one", "filter", "map"]
    source: "Node"
    variable: str
    body: "Node"
    transform: "Node | None"


Node: TypeAlias = (
    Constant
    | Name
    | Select
    | Index
    | ListLiteral
    | Table
    | Unary
    | Binary
    | Logic
    | Conditional
    | Call
    | Has
    | Comprehension
)

DEFINITIONS: Final = "defs"
"""The name under which an expression reads the policy's definitions."""


def children(node: Node) -> tuple[Node, ...]:
    """Give the direct parts of a node, left to right."""
    return _CHILDREN[type(node)](node)


def _none(_: Constant | Name | Table) -> tuple[Node, ...]:
    return ()


def _operand(node: Select | Has | Unary) -> tuple[Node, ...]:
    return (node.operand,)


def _of_call(node: Call) -> tuple[Node, ...]:
    return node.arguments if node.target is None else (node.target, *node.arguments)


def _of_comprehension(node: Comprehension) -> tuple[Node, ...]:
    last = () if node.transform is None else (node.transform,)
    return (node.source, node.body, *last)


# A table, because each check and each lint walks every expression.
_CHILDREN: Final[dict[type, Callable[[Any], tuple[Node, ...]]]] = {
    Constant: _none,
    Name: _none,
    Table: _none,
    Select: _operand,
    Has: _operand,
    Unary: _operand,
    Index: lambda node: (node.operand, node.index),
    ListLiteral: lambda node: node.items,
    Binary: lambda node: (node.left, node.right),
    Logic: lambda node: node.operands,
    Conditional: lambda node: (node.test, node.yes, node.no),
    Call: _of_call,
    Comprehension: _of_comprehension,
}


def walk(node: Node) -> Iterator[Node]:
    """Give a node and everything below it, each before its parts."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        below = _CHILDREN[type(one)](one)
        if below:
            waiting.extend(reversed(below))


def path_of(node: Node) -> tuple[str, ...] | None:
    """
    Give the path of a chain of selections that begins at a name, or None for anything else.

    `claims["kubernetes.io"].namespace` is `("claims", "kubernetes.io", "namespace")`.
    """
    fields: list[str] = []
    while type(node) is not Name:
        if type(node) is Select:
            fields.append(node.field)
        elif type(node) is Index and type(node.index) is Constant:
            key = node.index.value
            if not isinstance(key, str):
                return None
            fields.append(key)
        else:
            return None
        node = node.operand
    return (node.name, *reversed(fields))


def definition_of(node: Node) -> str | None:
    """Give NAME of a reference `defs.NAME`, or None for anything else."""
    if type(node) is Select and type(node.operand) is Name:
        return node.field if node.operand.name == DEFINITIONS else None
    return None
