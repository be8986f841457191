"""
The checker: the type of every expression, and what is wrong with it, in the author's words.

What lives here: the walk that gives each node its type and reports findings.  Not here: what
is always true or false (`constants`), and the texts of findings (`wording`).

After an error a node counts as `dyn`, so that one mistake is reported once and all mistakes are
reported together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from regauth.engine.cel.evaluation.program import Program
from regauth.engine.cel.library.functions import FUNCTIONS
from regauth.engine.cel.library.operators import ARITHMETIC, NEGATE
from regauth.engine.cel.library.overloads import Function
from regauth.engine.cel.library.types import (
    BOOL,
    DOUBLE,
    DYN,
    INT,
    NOTHING,
    NULL,
    STRING,
    Field,
    ListType,
    MapType,
    RecordType,
    Type,
    accepts,
    common,
    comparable,
)
from regauth.engine.cel.syntax.analysis import Path
from regauth.engine.cel.syntax.errors import Finding, FindingCode
from regauth.engine.cel.syntax.nodes import (
    DEFINITIONS,
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
    Unary,
    definition_of,
    path_of,
    walk,
)

from . import wording
from .guards import Paths, proven
from .literal_arguments import check_literals, check_pattern
from .nulls import is_null, is_nullable, null_path
from .operands import check_membership, check_order
from .tables import table_type


@dataclass(frozen=True)
class Declarations:
    """What an expression may name: variables with their types, and `defs.NAME`."""

    variables: Mapping[str, Type]
    definitions: Mapping[str, Program] = field(default_factory=dict)
    checked: dict[tuple[str, str], Program] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """One program of each shape and type of which the checks find nothing (`wordless`)."""


@dataclass(frozen=True, slots=True)
class _NodeContext:
    """What is known where a node stands: macro variables, and optional members that are there."""

    local: Mapping[str, Type]
    present: Paths


@dataclass(frozen=True, slots=True)
class Checked:
    """The type of an expression, and everything there is to say about it."""

    type: Type
    findings: tuple[Finding, ...]


def check_node(node: Node, declarations: Declarations, expected: Type = DYN) -> Checked:
    """
    Find the type of a tree and what is wrong with it; warnings about `has()` and null included.

    `expected` is the type that the result must have; whether it has is not said here, but a result
    that can be null instead is.
    """
    checker = _Checker(declarations)
    place = _NodeContext({}, frozenset())
    result = checker.type_of(node, place)
    if expected != DYN:
        checker.needs_value(node, place)
    checker.check_presence_of_nulls(node)
    return Checked(result, tuple(checker.findings))


_CONSTANTS: Final[Mapping[type, Type]] = {bool: BOOL, int: INT, float: DOUBLE, str: STRING}


class _Checker:
    def __init__(self, declarations: Declarations) -> None:
        self._declared = declarations
        self._definitions = {
            name: program.node for name, program in declarations.definitions.items()
        }
        self.findings: list[Finding] = []
        self._unguarded: set[Path] = set()
        self._nulls: set[Path] = set()

    def type_of(self, node: Node, place: _NodeContext) -> Type:
        return self._checks[type(node)](self, node, place)

    def _report(self, finding: Finding) -> Type:
        self.findings.append(finding)
        return DYN

    def _wrong(self, node: Node, message: str, hint: str = "") -> Type:
        return self._report(Finding(node.start, node.end, FindingCode.TYPE.value, message, hint))

    def _unsupported(self, node: Node, message: str, hint: str = "") -> Type:
        return self._report(
            Finding(node.start, node.end, FindingCode.UNSUPPORTED.value, message, hint)
        )

    def _condition(self, node: Node, place: _NodeContext) -> None:
        given = self.type_of(node, place)
        self.needs_value(node, place)
        if not accepts(BOOL, given):
            self._wrong(node, f"a condition is bool, this is {given}")

    def needs_value(self, node: Node, place: _NodeContext) -> None:
        """Report an expression that can be null where null is an error."""
        path = self._null_path(node, place)
        if path is not None and path not in self._nulls:
            self._nulls.add(path)
            self._report(wording.nullable(node, path))

    def check_presence_of_nulls(self, node: Node) -> None:
        """Report a `has()` of what can be null where the value is not looked at: null is there."""
        parts = list(walk(node))
        read = {path_of(part) for part in parts if isinstance(part, (Select, Index))}
        for part in parts:
            operand = path_of(part.operand) if isinstance(part, Has) else None
            if isinstance(part, Has) and operand is not None:
                path = (*operand, part.field)
                if path not in read and is_nullable(path, self._declared.variables):
                    self._report(wording.present_null(part, path))

    def _null_path(self, node: Node, place: _NodeContext) -> Path | None:
        variables = {**self._declared.variables, **place.local}
        return null_path(node, variables, self._definitions, place.present)

    # Names and members

    def _constant(self, node: Constant, _place: _NodeContext) -> Type:
        return _CONSTANTS.get(type(node.value), NULL)

    def _name(self, node: Name, place: _NodeContext) -> Type:
        if node.name in place.local:
            return place.local[node.name]
        if node.name in self._declared.variables:
            return self._declared.variables[node.name]
        if node.name == DEFINITIONS:
            return self._wrong(node, "a definition is read by its name, as in defs.on_main")
        names = [*self._declared.variables, *place.local]
        return self._report(wording.undeclared(node.start, node.name, "variable", names))

    def _select(self, node: Select, place: _NodeContext) -> Type:
        name = definition_of(node)
        if name is not None and DEFINITIONS not in self._declared.variables:
            program = self._declared.definitions.get(name)
            if program is not None:
                return program.type
            names = self._declared.definitions
            return self._report(wording.undeclared(node.field_start, name, "definition", names))
        operand = self.type_of(node.operand, place)
        self.needs_value(node.operand, place)
        stretch = (node.field_start, node.field_start + len(node.field))
        return self._member(node, operand, node.field, stretch, place)

    def _member(
        self,
        node: Select | Index,
        operand: Type,
        name: str,
        stretch: tuple[int, int],
        place: _NodeContext,
    ) -> Type:
        if isinstance(operand, MapType):
            if operand.keys is not None and name not in operand.keys:
                return self._report(wording.unknown_key(*stretch, name, operand.keys))
            return operand.value
        if not isinstance(operand, RecordType):
            return DYN if operand == DYN else self._no_members(node, operand)
        declared = self._field(operand, name, stretch)
        if declared is None:
            return DYN
        path = path_of(node)
        if not declared.required and path is not None:
            proof = {path, *((*path[:-1], other) for other in operand.beside.get(name, ()))}
            if proof.isdisjoint(place.present):
                self._warn_unguarded(node, path)
        return declared.type

    def _no_members(self, node: Node, operand: Type) -> Type:
        return self._wrong(node, f"{operand} has no members")

    def _field(self, record: RecordType, name: str, stretch: tuple[int, int]) -> Field | None:
        declared = record.field(name)
        if declared is None:
            self._report(wording.unknown_member(*stretch, name, record))
        return declared

    def _warn_unguarded(self, node: Select | Index, path: Path) -> None:
        if path in self._unguarded:
            return
        self._unguarded.add(path)
        self._report(wording.unguarded(node, path))

    def _has(self, node: Has, place: _NodeContext) -> Type:
        operand = self.type_of(node.operand, place)
        self.needs_value(node.operand, place)
        if isinstance(operand, RecordType):
            self._field(operand, node.field, (node.field_start, node.field_start + len(node.field)))
        elif operand != DYN and not isinstance(operand, MapType):
            self._no_members(node.operand, operand)
        return BOOL

    def _index(self, node: Index, place: _NodeContext) -> Type:
        operand = self.type_of(node.operand, place)
        index = self.type_of(node.index, place)
        self.needs_value(node.operand, place)
        self.needs_value(node.index, place)
        if isinstance(operand, ListType):
            if accepts(INT, index):
                return operand.item
            return self._wrong(node.index, f"a list is indexed by an int, not {index}")
        if isinstance(operand, (MapType, RecordType)) and not accepts(STRING, index):
            return self._wrong(node.index, f"a member is named by a string, not {index}")
        if isinstance(node.index, Constant) and isinstance(node.index.value, str):
            stretch = (node.index.start, node.index.end)
            return self._member(node, operand, node.index.value, stretch, place)
        if isinstance(operand, MapType):
            return operand.value
        if isinstance(operand, RecordType) or operand == DYN:
            return DYN
        return self._wrong(node, f"{operand} cannot be indexed")

    # Operators

    def _list(self, node: ListLiteral, place: _NodeContext) -> Type:
        if not node.items:
            return ListType(NOTHING)
        element = self.type_of(node.items[0], place)
        for item in node.items[1:]:
            given = self.type_of(item, place)
            both = common(element, given)
            if both is None:
                message = f"a list holds values of one type; this one has {element} and {given}"
                return self._unsupported(item, message)
            element = both
        return ListType(element)

    def _table(self, node: Table, _place: _NodeContext) -> Type:
        return table_type(node)

    def _unary(self, node: Unary, place: _NodeContext) -> Type:
        if node.operator == "!":
            self._condition(node.operand, place)
            return BOOL
        given = self.type_of(node.operand, place)
        self.needs_value(node.operand, place)
        return self._resolve(node, NEGATE, (given,))

    def _binary(self, node: Binary, place: _NodeContext) -> Type:
        left, right = self.type_of(node.left, place), self.type_of(node.right, place)
        if node.operator not in ("==", "!="):
            self.needs_value(node.right, place)
            if node.operator != "in":
                self.needs_value(node.left, place)
        if node.operator in ARITHMETIC:
            result = self._resolve(node, ARITHMETIC[node.operator], (left, right))
            return self._joined(node, left, right) if isinstance(result, ListType) else result
        if node.operator == "in":
            self.findings.extend(check_membership(node, left, right))
        elif node.operator in ("==", "!="):
            if not comparable(left, right) and not self._asks_for_null(node, place):
                self._report(wording.never_equal(node, left, right))
        else:
            self.findings.extend(check_order(node, left, right))
        return BOOL

    def _asks_for_null(self, node: Binary, place: _NodeContext) -> bool:
        """Whether a comparison is one of null with what can be null."""
        sides = (node.left, node.right), (node.right, node.left)
        anywhere = replace(place, present=frozenset())
        return any(
            is_null(one) and self._null_path(other, anywhere) is not None for one, other in sides
        )

    def _joined(self, node: Binary, left: Type, right: Type) -> Type:
        """Give the type of two lists one after the other."""
        if not isinstance(left, ListType) or not isinstance(right, ListType):
            # The type of the other list is known only at run time, and must be the same then.
            return left if isinstance(left, ListType) else right
        message = f"a list holds values of one type; this one would have {left} and {right}"
        return common(left, right) or self._unsupported(node, message)

    def _logic(self, node: Logic, place: _NodeContext) -> Type:
        value = node.operator == "&&"
        guards = [
            proven(operand, self._definitions, value=value, guards_only=True)
            for operand in node.operands
        ]
        read: Paths = frozenset()
        for at, operand in enumerate(node.operands):
            # An operand that fails does no harm where the guard decides, on either side.
            others = frozenset().union(*guards[:at], *guards[at + 1 :])
            self._condition(operand, replace(place, present=place.present | others | read))
            read |= proven(operand, self._definitions, value=value)
        return BOOL

    def _conditional(self, node: Conditional, place: _NodeContext) -> Type:
        self._condition(node.test, place)
        branches: list[Type] = []
        for branch, value in ((node.yes, True), (node.no, False)):
            known = proven(node.test, self._definitions, value=value)
            branches.append(self.type_of(branch, replace(place, present=place.present | known)))
        both = common(branches[0], branches[1])
        if both is None:
            message = f"the two results have different types: {branches[0]} and {branches[1]}"
            return self._wrong(node, message)
        return both

    # Functions and macros

    def _call(self, node: Call, place: _NodeContext) -> Type:
        parts = node.arguments if node.target is None else (node.target, *node.arguments)
        given = tuple(self.type_of(part, place) for part in parts)
        if node.function == "matches":
            return self._matches(node, parts, given, place)
        function = FUNCTIONS.get(node.function)
        if function is None:
            return self._report(wording.unknown_function(node, [*FUNCTIONS, "matches", "has"]))
        if not (function.free if node.target is None else function.member):
            return self._report(wording.wrong_style(node, function))
        before = len(self.findings)
        for at, part in enumerate(parts):
            if not _results(function, (*given[:at], NULL, *given[at + 1 :])):
                self.needs_value(part, place)
        result = self._resolve(node, function, given)
        if len(self.findings) == before:
            self.findings.extend(check_literals(node, function, parts))
        return result

    def _resolve(self, node: Node, function: Function, given: tuple[Type, ...]) -> Type:
        """Give the type of a call's result; report a call that no overload takes."""
        results = _results(function, given)
        if not results:
            return self._report(wording.no_overload(node, function, given))
        return results.pop() if len(results) == 1 else DYN

    def _matches(
        self, node: Call, parts: tuple[Node, ...], given: tuple[Type, ...], place: _NodeContext
    ) -> Type:
        if len(parts) != 2:  # noqa: PLR2004 - text and pattern
            self._wrong(node, "matches() takes a string and a pattern")
            return BOOL
        if not accepts(STRING, given[0]):
            self._wrong(parts[0], f"matches() searches a string, not {given[0]}")
        self.needs_value(parts[0], place)
        self.findings.extend(check_pattern(parts[1]))
        return BOOL

    def _comprehension(self, node: Comprehension, place: _NodeContext) -> Type:
        source = self.type_of(node.source, place)
        self.needs_value(node.source, place)
        element: Type = DYN
        if isinstance(source, ListType):
            element = source.item
        elif isinstance(source, (MapType, RecordType)):
            element = STRING
        elif source != DYN:
            self._wrong(node.source, f"{node.kind}() needs a list or a map, not {source}")
        if node.variable == DEFINITIONS:
            self._unsupported(node, f"'{DEFINITIONS}' names the definitions")
        inner = _NodeContext(
            {**place.local, node.variable: element},
            frozenset(path for path in place.present if path[0] != node.variable),
        )
        self._condition(node.body, inner)
        if node.kind == "filter":
            return ListType(element)
        if node.transform is None:
            return BOOL
        known = proven(node.body, self._definitions, value=True)
        return ListType(self.type_of(node.transform, replace(inner, present=inner.present | known)))

    _checks: ClassVar[dict[type, Callable[["_Checker", Any, _NodeContext], Type]]] = {
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
        Comprehension: _comprehension,
    }


def _results(function: Function, given: tuple[Type, ...]) -> set[Type]:
    """Return the types of the results that a function can have for operands of these types."""
    return {
        overload.result
        for overload in function.overloads
        if len(overload.parameters) == len(given) and all(map(accepts, overload.parameters, given))
    }
