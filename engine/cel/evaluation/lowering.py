"""
From tree to Python: each node becomes a closure over its parts.

What lives here: the general lowering of every kind of node, with CEL's rules for which operand may
fail.  Not here: types (`checks.checking`), and the faster closures for common shapes (`shapes`).

A tree is lowered whether or not it was checked.  So every closure checks the kinds of its values
itself.

A closure takes a frame, the values of the variables by name, and gives a value or raises
`CelError`.  Closures keep no state, so threads share them.  Macro variables live in the frame under
keys no variable can have, so a definition sees the policy's variables alone.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from regauth.engine.cel.library.functions import FUNCTIONS, STRING_TESTS
from regauth.engine.cel.library.operators import ARITHMETIC, COMPARISONS, NEGATE
from regauth.engine.cel.library.overloads import Function
from regauth.engine.cel.library.regex import compile_pattern
from regauth.engine.cel.library.values import Value, kind, mismatch
from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.errors import CelError, CelErrorCode
from regauth.engine.cel.syntax.nodes import (
    DEFINITIONS,
    Binary,
    Call,
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
    Unary,
    children,
    definition_of,
    path_of,
)
from regauth.engine.cel.syntax.unparsing import unparse

from . import shapes
from .budget import charge_comparison, charge_text

Frame: TypeAlias = shapes.Frame
Closure: TypeAlias = shapes.Closure


_SHORT_PATH: Final = 3
_CLIENT: Final = "client"
"""The variable that can be unknown at run time: the address that a request comes from."""


@dataclass(frozen=True, slots=True)
class NameBindings:
    """
    What names mean where a node stands.

    `local`: the frame's key of each macro variable.  `definitions`: what `defs.NAME` evaluates.
    """

    definitions: Mapping[str, Closure] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)
    local: Mapping[str, str] = field(default_factory=dict)


def lower(node: Node, scope: NameBindings) -> Closure:
    """
    Make the closure of a node.

    Raises:
        KeyError: the tree calls a function or a definition that does not exist; the checker
            reports those, and a tree it accepts has none.

    """
    return LOWERINGS[type(node)](node, scope)


def _constant(node: Constant, _scope: NameBindings) -> Closure:
    value = node.value
    return lambda _frame: value


def _name(node: Name, scope: NameBindings) -> Closure:
    key = scope.local.get(node.name, node.name)

    def name(frame: Frame) -> Value:
        try:
            return frame[key]
        except KeyError:
            code, message = _unbound(node.name)
            raise CelError(code, message, node.start, node.end) from None

    return name


def _unbound(name: str) -> tuple[CelErrorCode, str]:
    """Return what it means that a variable has no value; an address may be unknown."""
    if name == _CLIENT:
        return CelErrorCode.UNKNOWN_CLIENT, "the address of the client is not known"
    return CelErrorCode.UNBOUND, f"the variable '{name}' has no value here"


def _select(node: Select, scope: NameBindings) -> Closure:
    name = definition_of(node)
    if name is not None and DEFINITIONS not in scope.local:
        return _definition(node, name, scope.definitions[name])
    operand, member = lower(node.operand, scope), node.field

    def select(frame: Frame) -> Value:
        value = operand(frame)
        if type(value) is not dict:
            raise _no_members(node, value)
        try:
            return value[member]
        except KeyError:
            raise _missing(node, member) from None

    return _direct(node, scope, select)


def _direct(node: Select | Index, scope: NameBindings, general: Closure) -> Closure:
    """Read a short path from a variable at once."""
    path = path_of(node)
    if path is None or path[0] == DEFINITIONS or len(path) > _SHORT_PATH:
        return general
    return shapes.selection(scope.local.get(path[0], path[0]), path[1:], general)


def _no_members(node: Select | Index | Has, value: Value) -> CelError:
    error = CelError(CelErrorCode.TYPE, f"{kind(value)} has no members", node.start, node.end)
    return naming_null(error, (node.operand,), (value,))


def naming_null(error: CelError, operands: Iterable[Node], values: Iterable[Value]) -> CelError:
    """Return an error that also says which operand is null, where that is a claim or a member."""
    for operand, value in zip(operands, values, strict=True):
        if value is None and path_of(operand) is not None:
            message = f"{unparse(operand)} is null: {error.message}"
            return CelError(error.code, message, error.start, error.end)
    return error


def _missing(node: Node, member: str) -> CelError:
    return CelError(CelErrorCode.MISSING, f"there is no '{member}'", node.start, node.end)


def _definition(node: Node, name: str, closure: Closure) -> Closure:
    def definition(frame: Frame) -> Value:
        try:
            return closure(frame)
        except CelError as error:
            raise CelError(
                error.code, f"in defs.{name}: {error.message}", node.start, node.end
            ) from error

    return definition


def _has(node: Has, scope: NameBindings) -> Closure:
    operand, member = lower(node.operand, scope), node.field

    def has(frame: Frame) -> bool:
        value = operand(frame)
        if type(value) is dict:
            return member in value
        raise _no_members(node, value)

    return has


def _index(node: Index, scope: NameBindings) -> Closure:
    operand, position = lower(node.operand, scope), lower(node.index, scope)

    def index(frame: Frame) -> Value:
        value, at = operand(frame), position(frame)
        if type(value) is list:
            return value[_list_position(node, at, len(value))]
        if type(value) is not dict:
            raise _no_members(node, value)
        if type(at) is not str:
            raise mismatch("look up", at, value).at(node.start, node.end)
        if at not in value:
            raise CelError(CelErrorCode.MISSING, "there is no such key", node.start, node.end)
        return value[at]

    return _direct(node, scope, index)


def _list_position(node: Node, at: Value, size: int) -> int:
    # The specification accepts a double that is a whole number, because JSON has one type of
    # numbers.
    if type(at) is float and at.is_integer():
        at = int(at)
    if type(at) is not int:
        raise CelError(
            CelErrorCode.TYPE, f"a list is indexed by an int, not {kind(at)}", node.start, node.end
        )
    if not 0 <= at < size:
        raise CelError(CelErrorCode.INDEX, "the list is shorter", node.start, node.end)
    return at


def _list(node: ListLiteral, scope: NameBindings) -> Closure:
    items = tuple(lower(item, scope) for item in node.items)
    return lambda frame: [item(frame) for item in items]


def _table(node: Table, _scope: NameBindings) -> Closure:
    entries = node.entries
    return lambda _frame: entries


def not_bool(node: Node, value: Value) -> CelError:
    """Make the error of a condition that is neither true nor false."""
    message = f"a condition is bool, this is {kind(value)}"
    return CelError(CelErrorCode.TYPE, message, node.start, node.end)


def _unary(node: Unary, scope: NameBindings) -> Closure:
    operand = lower(node.operand, scope)
    if node.operator == "-":
        return _apply(node, NEGATE, (operand,))

    def negate(frame: Frame) -> bool:
        value = operand(frame)
        if value is True:
            return False
        if value is False:
            return True
        raise not_bool(node.operand, value)

    return negate


def _binary(node: Binary, scope: NameBindings) -> Closure:
    left, right = lower(node.left, scope), lower(node.right, scope)
    if node.operator in ARITHMETIC:
        return _arithmetic(node, left, right)
    compare = COMPARISONS[node.operator]

    def finish(frame: Frame, first: Value, second: Value) -> bool:
        charge_comparison(frame, second, node)
        try:
            return compare(first, second)
        except CelError as error:
            named = naming_null(error, (node.left, node.right), (first, second))
            raise named.at(node.start, node.end) from None

    return shapes.comparison(node, left, right, finish)


def _arithmetic(node: Binary, left: Closure, right: Closure) -> Closure:
    finish = _finish(node, ARITHMETIC[node.operator])
    if node.operator != "+":
        return lambda frame: finish(left(frame), right(frame))
    charged = _charged(node, finish)
    suffix = shapes.string_of(node.right)
    if suffix is not None:
        return shapes.suffixed(left, suffix, charged)
    return shapes.concatenation(left, right, charged)


def _finish(node: Node, function: Function) -> Callable[..., Value]:
    """Make what calls a function with evaluated arguments, and gives its errors a position."""

    def finish(*values: Value) -> Value:
        implementation = function.select(*map(type, values))
        if implementation is None:
            error = naming_null(function.refuse(*values), children(node), values)
            raise error.at(node.start, node.end)
        try:
            return implementation(*values)
        except CelError as error:
            raise error.at(node.start, node.end) from None

    return finish


def _charged(node: Node, finish: Callable[..., Value]) -> Callable[..., Value]:
    """Make what takes steps for long strings and lists, before and after it calls a function."""

    def charged(frame: Frame, *values: Value) -> Value:
        charge_text(frame, node, *values)
        made = finish(*values)
        charge_text(frame, node, made)
        return made

    return charged


def _apply(node: Node, function: Function, arguments: tuple[Closure, ...]) -> Closure:
    """Evaluate all arguments, then call what takes their kinds."""
    charged = _charged(node, _finish(node, function))
    if len(arguments) == 1:
        (only,) = arguments
        return lambda frame: charged(frame, only(frame))
    return lambda frame: charged(frame, *[argument(frame) for argument in arguments])


def _call(node: Call, scope: NameBindings) -> Closure:
    parts = node.arguments if node.target is None else (node.target, *node.arguments)
    if node.function == "matches":
        return _matches(node, parts[0], parts[1], scope)
    arguments = tuple(lower(part, scope) for part in parts)
    function = FUNCTIONS[node.function]
    test = function.select(str, str)
    if test is None or node.function not in STRING_TESTS or len(parts) != 2:  # noqa: PLR2004 - the text and what is looked for
        return _apply(node, function, arguments)
    charged = _charged(node, _finish(node, function))
    free = limits.STRING if node.function in _END_TESTS else limits.CHARACTERS_PER_STEP
    part = shapes.string_of(parts[1])
    if part is not None:
        return shapes.literal_test(arguments[0], part, test, charged, free)
    return shapes.string_test(arguments[0], arguments[1], test, charged, free)


_END_TESTS: Final = frozenset({"startsWith", "endsWith"})
"""Functions that read one end of a string, which costs the same however long it is."""


def _matches(node: Node, subject: Node, pattern: Node, scope: NameBindings) -> Closure:
    if not isinstance(pattern, Constant) or not isinstance(pattern.value, str):
        raise TypeError("the pattern of matches() is a literal in a checked tree")
    text, search = lower(subject, scope), compile_pattern(pattern.value)

    def matches(frame: Frame) -> bool:
        value = text(frame)
        if type(value) is not str:
            message = f"matches() does not take ({kind(value)}, string)"
            raise naming_null(
                CelError(CelErrorCode.TYPE, message, node.start, node.end), (subject,), (value,)
            )
        if len(value) >= limits.MATCHED_PER_STEP:
            charge_text(frame, node, value, per_step=limits.MATCHED_PER_STEP)
        try:
            return bool(search(value.encode()))
        except UnicodeEncodeError:
            raise CelError(
                CelErrorCode.ARGUMENT, "the string has a lone surrogate", node.start, node.end
            ) from None

    return matches


def _conditional(node: Conditional, scope: NameBindings) -> Closure:
    test, yes, no = (lower(part, scope) for part in (node.test, node.yes, node.no))

    def conditional(frame: Frame) -> Value:
        value = test(frame)
        if value is True:
            return yes(frame)
        if value is False:
            return no(frame)
        raise not_bool(node.test, value)

    return conditional


def _logic(node: Logic, scope: NameBindings) -> Closure:
    operands = tuple(lower(operand, scope) for operand in node.operands)
    decides = node.operator == "||"

    def resume(frame: Frame, at: int, failed: CelError | None) -> bool:
        # One operand that decides gives the result, whatever errors the others have.
        for position in range(at, len(operands)):
            try:
                value = operands[position](frame)
            except CelError as error:
                failed = failed or error
                continue
            if type(value) is not bool:
                failed = failed or not_bool(node.operands[position], value)
            elif value is decides:
                return decides
        if failed is not None:
            raise failed
        return not decides

    if decides:
        return lambda frame: resume(frame, 0, None)
    return shapes.conjunction(operands, resume)


LOWERINGS: Final[dict[type, Callable[[Any, NameBindings], Closure]]] = {
    Constant: _constant,
    Name: _name,
    Select: _select,
    Index: _index,
    ListLiteral: _list,
    Table: _table,
    Unary: _unary,
    Binary: _binary,
    Logic: _logic,
    Conditional: _conditional,
    Call: _call,
    Has: _has,
}
"""The lowering of each kind of node; `comprehensions` adds its own."""
