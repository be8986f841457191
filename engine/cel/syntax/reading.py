"""
From cel-python's tree to ours.

What lives here: the reading of the lark tree of `celpy.Environment.compile`, whose shape a test
pins, against the limits of an expression.  Not here: the parser itself (`parsing`), and types
(`checks.checking`).
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias
from typing import Literal as OneOf

from lark import Token

from . import limits
from .errors import FindingCode, RejectedError, reject
from .literals import decode_double, decode_int, decode_string, text_start
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
    Unary,
)
from .scanning import Scan

Rule: TypeAlias = Any
"""A `lark.Tree`; which children it has depends on the grammar's rule, named by its `data`."""

_RESERVED_WORDS: Final = (
    "as break const continue else for function if import let loop package namespace return var"
    " void while"
)
RESERVED: Final = frozenset(_RESERVED_WORDS.split())
"""Words that CEL keeps for itself (langdef, "Identifiers"); as members they are allowed."""
MACROS: Final[dict[str, OneOf["all", "exists", "exists_one", "filter", "map"]]] = {
    "all": "all",
    "exists": "exists",
    "exists_one": "exists_one",
    "filter": "filter",
    "map": "map",
}
_RELATIONS: Final = {
    "relation_lt": "<",
    "relation_le": "<=",
    "relation_gt": ">",
    "relation_ge": ">=",
    "relation_eq": "==",
    "relation_ne": "!=",
    "relation_in": "in",
    "addition_add": "+",
    "addition_sub": "-",
    "multiplication_mul": "*",
    "multiplication_div": "/",
    "multiplication_mod": "%",
}
_WRAPPERS: Final = (
    "expr conditionalor conditionaland relation addition multiplication unary member primary"
    " paren_expr"
)
TRANSPARENT: Final = frozenset(_WRAPPERS.split())
"""Rules that only wrap what they have one child of."""
_CHAINS: Final[dict[str, OneOf["&&", "||"]]] = {"conditionalor": "||", "conditionaland": "&&"}


def read_tree(tree: Rule, found: Scan) -> Node:
    """
    Read a whole tree; `found` is what the scan of the same text found.

    Raises:
        RejectedError: the expression is outside the subset, or over a limit.

    """
    return _TreeReader(found).read(tree)


class _TreeReader:
    """Reads one lark tree; counts what it reads against the limits."""

    def __init__(self, found: Scan) -> None:
        self._strings = found.strings
        self._booleans = list(found.booleans)
        self._nodes = 0
        self._comprehensions = 0
        self._read: dict[str, Callable[[Rule, int], Node]] = {
            "expr": self._conditional,
            "unary": self._unary,
            "relation": self._binary,
            "addition": self._binary,
            "multiplication": self._binary,
            "conditionalor": self._logic,
            "conditionaland": self._logic,
            "member_dot": self._select,
            "member_dot_arg": self._method,
            "member_index": self._index,
            "ident": self._name,
            "ident_arg": self._function,
            "literal": self._literal,
            "list_lit": self._list,
        }

    def read(self, tree: Rule, level: int = 0) -> Node:
        tree = _inner(tree, TRANSPARENT)
        read = self._read.get(tree.data)
        if read is None:
            raise self._unsupported(tree)
        self._count(tree, level)
        return read(tree, level)

    def _count(self, tree: Rule, level: int) -> None:
        self._nodes += 1
        if self._nodes > limits.NODES:
            message = f"the expression has more than {limits.NODES} operators, names and calls"
        elif level > limits.LEVELS:
            message = f"the expression nests deeper than {limits.LEVELS} levels"
        else:
            return
        start, end = _span(tree)
        raise reject(FindingCode.LIMIT, start, end, message, "split it into definitions")

    @staticmethod
    def _unsupported(tree: Rule) -> RejectedError:
        start, end = _span(tree)
        what = {
            "map_lit": "map literals",
            "member_object": "message literals",
            "dot_ident": "names that begin with a dot",
            "dot_ident_arg": "names that begin with a dot",
        }.get(tree.data, f"'{tree.data}'")
        message = f"{what} are not part of the policy language"
        return reject(FindingCode.UNSUPPORTED, start, end, message)

    def _conditional(self, tree: Rule, level: int) -> Node:
        test, yes, no = (self.read(child, level + 1) for child in tree.children)
        return Conditional(*_span(tree, test, no), test, yes, no)

    def _logic(self, tree: Rule, level: int) -> Node:
        operands: list[Rule] = []
        at = tree
        while at.data == tree.data and len(at.children) > 1:
            operands.append(at.children[1])
            at = _inner(at.children[0], frozenset({tree.data}))
        operands.append(at)
        read = tuple(self.read(operand, level + 1) for operand in reversed(operands))
        return Logic(*_span(tree, read[0], read[-1]), _CHAINS[tree.data], read)

    def _binary(self, tree: Rule, level: int) -> Node:
        first, second = tree.children
        left = self.read(first.children[0], level + 1)
        right = self.read(second, level + 1)
        return Binary(*_span(tree, left, right), _RELATIONS[first.data], left, right)

    def _unary(self, tree: Rule, level: int) -> Node:
        sign, rest = tree.children
        literal = _only_token(rest)
        if sign.data == "unary_neg" and literal is not None and _is_unsigned_int(literal):
            # "- 5" is one literal, so that the smallest int can be written with a space too.
            return Constant(*_span(tree), decode_int(literal, _at(literal), negative=True))
        operand = self.read(rest, level + 1)
        return Unary(*_span(tree, operand), "!" if sign.data == "unary_not" else "-", operand)

    def _select(self, tree: Rule, level: int) -> Node:
        first, field = tree.children
        operand = self.read(first, level + 1)
        return Select(*_span(tree, operand), operand, str(field), _at(field))

    def _index(self, tree: Rule, level: int) -> Node:
        first, second = tree.children
        operand = self.read(first, level + 1)
        index = self.read(second, level + 1)
        return Index(*_span(tree, operand), operand, index)

    def _name(self, tree: Rule, _level: int) -> Node:
        (token,) = tree.children
        start, end = _span(tree)
        if token in RESERVED:
            raise reject(FindingCode.SYNTAX, start, end, f"'{token}' is a reserved word of CEL")
        return Name(start, end, str(token))

    def _list(self, tree: Rule, level: int) -> Node:
        items: list[Node] = []
        for argument in _arguments(tree.children):
            items.append(self.read(argument, level + 1))
            self._nodes -= isinstance(items[-1], Constant)
        return ListLiteral(*_span(tree), tuple(items))

    def _literal(self, tree: Rule, _level: int) -> Node:
        lexeme: Token = tree.children[0]
        start = self._booleans.pop(0) if lexeme.type == "BOOL_LIT" else _at(lexeme)
        end = start + len(lexeme)
        match lexeme.type:
            case "BOOL_LIT":
                return Constant(start, end, lexeme == "true")
            case "STRING_LIT" | "MLSTRING_LIT":
                if self._strings.get(start) != end:
                    raise reject(
                        FindingCode.UNSUPPORTED,
                        start,
                        end,
                        "the parser disagrees about where this string ends",
                    )
                value = decode_string(lexeme, start)
                return Constant(start, end, value, text_start(lexeme, start))
            case "INT_LIT":
                return Constant(start, end, decode_int(lexeme, start))
            case "FLOAT_LIT":
                return Constant(start, end, decode_double(lexeme, start))
            case "NULL_LIT":
                return Constant(start, end, None)
            case _:
                raise self._unsupported_literal(lexeme, start, end)

    @staticmethod
    def _unsupported_literal(lexeme: Token, start: int, end: int) -> RejectedError:
        kind = {"UINT_LIT": "unsigned numbers"}.get(lexeme.type, "bytes literals")
        message = f"{kind} are not part of the policy language"
        return reject(FindingCode.UNSUPPORTED, start, end, message)

    def _function(self, tree: Rule, level: int) -> Node:
        name, *rest = tree.children
        start, end = _span(tree)
        if name in RESERVED:
            raise reject(FindingCode.SYNTAX, start, end, f"'{name}' is a reserved word of CEL")
        arguments = tuple(self.read(item, level + 1) for item in _arguments(rest))
        if name == "has":
            return self._has(start, end, arguments)
        return Call(start, end, str(name), None, arguments, _at(name))

    @staticmethod
    def _has(start: int, end: int, arguments: tuple[Node, ...]) -> Node:
        if len(arguments) == 1 and isinstance(arguments[0], Select):
            selected = arguments[0]
            return Has(start, end, selected.operand, selected.field, selected.field_start)
        raise reject(
            FindingCode.SYNTAX,
            start,
            end,
            "has() asks for one member, as in has(claims.environment)",
            "a name that is no identifier is asked for with 'in': \"my-claim\" in claims",
        )

    def _method(self, tree: Rule, level: int) -> Node:
        target, name, *rest = tree.children
        arguments = _arguments(rest)
        if name in MACROS:
            return self._macro(tree, level, arguments)
        read = self.read(target, level + 1)
        items = tuple(self.read(item, level + 1) for item in arguments)
        return Call(*_span(tree, read), str(name), read, items, _at(name))

    def _macro(self, tree: Rule, level: int, arguments: list[Rule]) -> Node:
        kind = MACROS[str(tree.children[1])]
        start, end = _at(tree.children[1]), _span(tree)[1]
        variable = _only_token(arguments[0]) if arguments else None
        counts = (2, 3) if kind == "map" else (2,)
        if len(arguments) not in counts or variable is None or variable.type != "IDENT":
            raise reject(
                FindingCode.SYNTAX,
                start,
                end,
                f"{kind}() needs a name for the element and what to ask of it",
                f'as in claims.groups.{kind}(group, group == "admins")',
            )
        if variable in RESERVED:
            raise reject(
                FindingCode.SYNTAX,
                _at(variable),
                _at(variable) + len(variable),
                f"'{variable}' is a reserved word of CEL",
            )
        source = self.read(tree.children[0], level + 1)
        self._comprehensions += 1
        if self._comprehensions > limits.COMPREHENSIONS:
            raise reject(
                FindingCode.LIMIT,
                start,
                end,
                f"more than {limits.COMPREHENSIONS} macros inside one another",
            )
        body, *rest = [self.read(argument, level + 1) for argument in arguments[1:]]
        self._comprehensions -= 1
        transform = None
        if kind == "map":
            transform = rest[0] if rest else body
            body = body if rest else Constant(body.start, body.start, value=True)
        span = _span(tree, source)
        return Comprehension(*span, kind, source, str(variable), body, transform)


def _inner(tree: Rule, transparent: frozenset[str]) -> Rule:
    """Go down through rules that only wrap another."""
    while len(tree.children) == 1 and tree.data in transparent:
        tree = tree.children[0]
    return tree


def _span(tree: Rule, *parts: Node) -> tuple[int, int]:
    """
    Give the stretch of a rule, whose `parts` are read already.

    The parser loses the position of `true` and `false`, so the rule's own may be too short.
    """
    starts = [part.start for part in parts]
    ends = [part.end for part in parts]
    start, end = getattr(tree.meta, "start_pos", None), getattr(tree.meta, "end_pos", None)
    if start is not None:
        starts.append(start)
    if end is not None:
        ends.append(end)
    return min(starts, default=0), max(ends, default=0)


def _is_unsigned_int(token: Token) -> bool:
    return token.type == "INT_LIT" and token[0] != "-"


def _at(token: Token) -> int:
    return int(token.start_pos or 0)


def _arguments(rest: list[Any]) -> list[Any]:
    """Give the expressions of an optional `exprlist`."""
    return list(rest[0].children) if rest else []


def _only_token(tree: Rule) -> Token | None:
    """Give the token of an expression that is nothing but one name or literal, unparenthesised."""
    tree = _inner(tree, TRANSPARENT - {"paren_expr"})
    if tree.data not in ("ident", "literal"):
        return None
    token: Token = tree.children[0]
    return token
