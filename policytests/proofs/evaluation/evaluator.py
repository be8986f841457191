"""
Expressions for a token that is not known: every value they can have, and when.

What lives here: the evaluator, with the meaning of each kind of node as `regauth.engine.cel`
lowers it.  Not here: operators (`operations`), functions (`calls`), macros (`quantifiers`).

What an evaluation cannot follow becomes opaque: something that may be an error or have any value.
It never becomes an error or a value by itself, because then what is proved with it would be wrong.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from regauth.engine.cel import Node, Program
from regauth.engine.cel.library.operators import NEGATE
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
    Select,
    Table,
    Unary,
    definition_of,
)
from regauth.policytests.proofs.budget import spend
from regauth.policytests.proofs.languages import language as languages
from regauth.policytests.proofs.logic import atoms, formulas
from regauth.policytests.proofs.logic.atoms import (
    IsTrue,
    KindIs,
    Linear,
    Literal_,
    Opaque,
    OpaqueText,
    Path,
    Quantity,
    Text,
)
from regauth.policytests.proofs.logic.formulas import FALSE, TRUE, Formula, both
from regauth.policytests.proofs.logic.universe import TIMES, Kind, Universe

from . import calls, operations, quantifiers, tables
from .closed_text import Key, key_of_node, read_from
from .quantifiers import Lists
from .steps import may_run_out
from .values import (
    Bool,
    Case,
    Elements,
    ListAt,
    MapAt,
    Null,
    Num,
    Outcome,
    ScopeMap,
    Str,
    Unclear,
    Value,
    certain,
    outcome,
    truth,
)

NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ScopeTerms:
    """What `scope` holds, where an expression sees it."""

    type: str
    class_: str
    name: Text
    action: str
    reference: Text


@dataclass(frozen=True, slots=True)
class Context:
    """What an expression sees besides the claims; without a scope it is part of a login."""

    provider: str
    service: str
    scope: ScopeTerms | None = None


Environment = Mapping[str, Outcome]
"""The variables of the macros around an expression."""


Made = TypeVar("Made")

Known = dict[Hashable, tuple[object, Any, Lists | None]]
"""By key, what it is about, what was made of it, and what that asks of lists."""

_known: Final[dict[Hashable, Known]] = {}


def _known_of(universe: Universe, context: Context, shape: Hashable) -> Known:
    """Return what evaluators of one kind have made: the same for one universe and context."""
    return _known.setdefault((universe, context, shape), {})


def forget() -> None:
    """
    Forget all outcomes and their formulas, between two questions.

    So no answer, and no step of it, depends on what was asked before.
    """
    formulas.forget()
    _known.clear()


class Evaluator:
    """
    Evaluates the expressions of one policy for one provider, service and scope.

    `lists` is shared by all that is evaluated for one question.
    """

    def __init__(self, universe: Universe, context: Context, lists: Lists) -> None:
        self.universe = universe
        self.context = context
        self.lists = lists
        self._known = _known_of(universe, context, lists.shape)
        self._before: tuple[Key, ...] | None = None
        """What is evaluated before, in an expression that may take too many steps."""
        self._scopeless: Evaluator | None = None
        self._nodes: dict[type, Callable[[Any, Environment, Mapping[str, Program]], Outcome]] = {
            Constant: self._constant,
            Name: self._name,
            Select: self._select,
            Index: self._index,
            ListLiteral: self._list,
            Unary: self._unary,
            Binary: self._binary,
            Logic: self._logic,
            Conditional: self._conditional,
            Call: self._call,
            Has: self._has,
            Table: self._table,
            Comprehension: self._comprehension,
        }

    # -- expressions

    def program(self, program: Program) -> Outcome:
        """Return the outcome of a whole expression."""
        before = self._before
        self._before = () if may_run_out(program, self.universe) else None
        try:
            return self._definition(program)
        finally:
            self._before = before

    def _definition(self, program: Program) -> Outcome:
        # What is evaluated before it may read the scope, and take steps by it.
        reads = bool(self._before) or "scope" in program.variables
        if self.context.scope is not None and not reads:
            return self._without_scope()._definition(program)  # noqa: SLF001 - of its own class
        return self.once(
            (program, self._before),
            program,
            lambda: self.node(program.node, {}, program.definitions),
        )

    def _without_scope(self) -> "Evaluator":
        """
        Return an evaluator that sees no scope.

        What does not read it is the same for every action, name and tag, and evaluated once.
        """
        if self._scopeless is None:
            context = Context(self.context.provider, self.context.service)
            self._scopeless = Evaluator(self.universe, context, self.lists)
        self._scopeless.lists, self._scopeless._before = self.lists, self._before  # noqa: SLF001 - of its own class
        return self._scopeless

    def once(self, key: Hashable, about: object, make: Callable[[], Made]) -> Made:
        """
        Return what is made of something, which is made only once.

        Args:
            key: What tells it from everything else that evaluators of this kind make.
            about: An object whose identity is part of the key; it is kept.
            make: Makes it, by this evaluator alone, and out of no macro's variables.
        """
        found = self._known.get(key)
        if found is None:
            around, self.lists = self.lists, self.lists.anew()
            try:
                made = make()
                asked = self.lists if self.lists.is_asked else None
            finally:
                self.lists = around
            found = self._known[key] = (about, made, asked)
        if found[2] is not None:
            self.lists.note(found[2])
        return found[1]

    def of_programs(
        self, programs: Sequence[Program], key: Hashable, make: Callable[["Evaluator"], Made]
    ) -> Made:
        """
        Return what is made of some whole expressions, which is made only once.

        Args:
            programs: The expressions.
            key: What tells it from everything else that is made of them, and they themselves.
            make: Makes it, by an evaluator that sees a scope only if one of them reads it.
        """
        reads = any("scope" in one.variables for one in programs)
        scoped = reads or self.context.scope is None
        evaluator = self if scoped else self._without_scope()
        return evaluator.once(key, programs, lambda: make(evaluator))

    def node(
        self, node: Node, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        """Return the outcome of a part of an expression."""
        spend(1)
        if self._before is not None and not _goes_on(node):
            return self._within_steps(node, self._before, definitions)
        evaluate = self._nodes.get(type(node))
        if evaluate is None:
            return self.opaque(self.key_of_node(node, environment, definitions))
        return evaluate(node, environment, definitions)

    def _within_steps(
        self, node: Node, before: tuple[Key, ...], definitions: Mapping[str, Program]
    ) -> Outcome:
        """
        Return the outcome of a part as if no steps were counted, where there are enough of them.

        With a bound, a part has the outcome that it has without one, or it is an error: an error
        of a part of it never makes a value out of another.  Which of the two it is depends on the
        token, on the part, and on what is evaluated before it.
        """
        key = ("steps", self.context, (*before, key_of_node(node, definitions)))
        self._before = None
        try:
            found = self.node(node, {}, definitions)
        finally:
            self._before = before
        return outcome(within(formulas.atom(Opaque(key)), found))

    def _after(self, nodes: Sequence[Node], definitions: Mapping[str, Program]) -> None:
        """Note that parts of an expression are evaluated before the next one."""
        if self._before is not None:
            self._before = (*self._before, *(key_of_node(one, definitions) for one in nodes))

    def key_of_node(
        self, node: Node, environment: Environment, definitions: Mapping[str, Program]
    ) -> Hashable:
        """Return a key that says all that a part of an expression depends on."""
        bound = tuple((name, environment[name]) for name in read_from(node, environment))
        return (key_of_node(node, definitions), bound, self.context)

    def condition(self, found: Outcome) -> Outcome:
        """Return an outcome as a condition: what is no bool is an error."""
        cases: list[Case] = []
        for when, value in found.cases:
            if isinstance(value, Bool):
                cases.append((when, value))
            elif isinstance(value, Unclear):
                cases += within(when, self.opaque(("bool", value.key), Kind.BOOL))
        return outcome(cases)

    # -- what is not followed

    def opaque(self, key: Hashable, kind: Kind | str = "") -> Outcome:
        """
        Return the outcome of what is not understood: an error, or any value, of a kind if given.

        `key` must say all that it depends on.
        """
        when = formulas.atom(Opaque(("defined", key)))
        value: Value
        match kind:
            case "bool":
                value = Bool(formulas.atom(Opaque(("true", key))))
            case "string":
                value = Str(OpaqueText(key))
            case "int" | "timestamp" | "duration":
                value = Num(kind, atoms.quantity(Quantity("opaque", key)))
            case _:
                value = Unclear(key)
        return certain(value, when)

    # -- claims

    def is_kind(self, path: Path, kind: Kind) -> Formula:
        """Return whether the value at a path is of a kind, where the value around it exists."""
        kinds = self.universe.kinds(path)
        if kind not in kinds:
            return FALSE
        return TRUE if len(kinds) == 1 else formulas.atom(KindIs(path, kind))

    def is_there(self, path: Path) -> Formula:
        """Return whether there is a value at a path, where the value around it exists."""
        return self.is_kind(path, Kind.ABSENT).negation

    def read(self, path: Path) -> Outcome:
        """Return what stands at a path, where the value around it exists."""
        return self.once(
            ("claim", path),
            None,
            lambda: outcome(
                (self.is_kind(path, kind), self._value_at(path, kind))
                for kind in self.universe.kinds(path)
                if kind is not Kind.ABSENT
            ),
        )

    def _value_at(self, path: Path, kind: Kind) -> Value:
        if kind is Kind.DOUBLE and path in TIMES:
            # Conditions see the times of a token as whole seconds (`authentication`).
            self.lists.floored.add(path)
            return Num("int", atoms.quantity(Quantity("floor", path)))
        return _value_at(path, kind)

    def member(self, found: Outcome, name: str) -> Outcome:
        """Return what the members called `name` of some values are."""
        cases: list[Case] = []
        for when, value in found.cases:
            match value:
                case MapAt(path=path):
                    cases += within(when, self.read((*path, name)))
                case ScopeMap():
                    cases += within(when, self._scope_member(name))
                case Unclear(key=key):
                    cases += within(when, self.opaque(("member", key, name)))
                case _:
                    pass
        return outcome(cases)

    def _scope_member(self, name: str) -> Outcome:
        text = self._scope(name)
        if text is None:
            return self.opaque(("scope", name, self.context))
        return certain(Str(text))

    def _scope(self, name: str) -> Text | None:
        scope = self.context.scope
        if scope is None:
            return None
        known: dict[str, Text] = {
            "type": Literal_(scope.type),
            "class": Literal_(scope.class_),
            "name": scope.name,
            "action": Literal_(scope.action),
            "reference": scope.reference,
        }
        return known.get(name)

    # -- nodes

    def _constant(self, node: Constant, *_: object) -> Outcome:
        value = node.value
        if value is None:
            return certain(Null())
        known = calls.known_value(value)
        return self.opaque(("constant", repr(value))) if known is None else certain(known)

    def _name(self, node: Name, environment: Environment, *_: object) -> Outcome:
        if node.name in environment:
            return environment[node.name]
        match node.name:
            case "claims":
                return certain(MapAt(()))
            case "service":
                return certain(Str(Literal_(self.context.service)))
            case "provider":
                return certain(Str(Literal_(self.context.provider)))
            case "now":
                return certain(Num("timestamp", atoms.quantity(atoms.NOW, NANOSECONDS)))
            case "client":
                # Where it is not known, it is an error.
                known = atoms.is_in(atoms.CLIENT, languages.ADDRESS)
                return certain(Unclear(calls.CLIENT), known)
            case "scope" if self.context.scope is not None:
                return certain(ScopeMap())
        return self.opaque(("variable", node.name, self.context))

    def _select(
        self, node: Select, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        name = definition_of(node)
        if name is not None and DEFINITIONS not in environment:
            return self._definition(definitions[name])
        table = tables.table_of(node.operand, definitions)
        if table is not None:
            return tables.entry(table, node.field)
        return self.member(self.node(node.operand, environment, definitions), node.field)

    def _index(
        self, node: Index, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        table = tables.table_of(node.operand, definitions)
        if table is not None:
            keys = self.node(node.index, environment, definitions)
            return applied(keys, lambda key: tables.lookup(self, table, key))
        operand = self.node(node.operand, environment, definitions)
        if isinstance(node.index, Constant) and isinstance(node.index.value, str):
            return self._subscript(operand, node.index.value)
        index = self.node(node.index, environment, definitions)
        return combined(operand, index, lambda value, at: operations.index(self, value, at))

    def _subscript(self, found: Outcome, name: str) -> Outcome:
        return self.member(found, name)

    def _has(
        self, node: Has, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        table = tables.table_of(node.operand, definitions)
        if table is not None:
            return certain(Bool(formulas.of(node.field in (table.table or ()))))
        cases: list[Case] = []
        for when, value in self.node(node.operand, environment, definitions).cases:
            match value:
                case MapAt(path=path):
                    cases.append((when, Bool(self.is_there((*path, node.field)))))
                case ScopeMap() if self._scope(node.field) is not None:
                    cases.append((when, Bool(TRUE)))
                case ScopeMap():
                    key = ("has scope", node.field, self.context)
                    cases += within(when, self.opaque(key, Kind.BOOL))
                case Unclear(key=key):
                    cases += within(when, self.opaque(("has", key, node.field), Kind.BOOL))
                case _:
                    pass
        return outcome(cases)

    def _list(
        self, node: ListLiteral, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        items = tuple(self.node(item, environment, definitions) for item in node.items)
        return certain(Elements(items), formulas.every(item.defined for item in items))

    def _table(
        self, node: Table, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        # Where it is not looked up at once, as in a macro over its keys, it is not followed.
        return certain(Unclear(("table", self.key_of_node(node, environment, definitions))))

    def _unary(
        self, node: Unary, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        operand = self.node(node.operand, environment, definitions)
        if node.operator == "!":
            return outcome(
                (when, Bool(value.holds.negation))
                for when, value in self.condition(operand).cases
                if isinstance(value, Bool)
            )
        return applied(operand, lambda value: calls.arithmetic(self, NEGATE, "-", (value,)))

    def _binary(
        self, node: Binary, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        left = self.node(node.left, environment, definitions)
        table = tables.table_of(node.right, definitions) if node.operator == "in" else None
        if table is not None:
            return applied(left, lambda key: tables.has_key(self, table, key))
        right = self.node(node.right, environment, definitions)

        return combined(
            left, right, lambda one, other: operations.binary(self, node.operator, one, other)
        )

    def _logic(
        self, node: Logic, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        before = self._before
        operands = []
        for operand in node.operands:
            operands.append(self.condition(self.node(operand, environment, definitions)))
            self._after((operand,), definitions)
        self._before = before
        true, false = [one.true for one in operands], [one.false for one in operands]
        if node.operator == "&&":
            return truth(formulas.every(true), formulas.some(false))
        return truth(formulas.some(true), formulas.every(false))

    def _conditional(
        self, node: Conditional, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        before = self._before
        test = self.condition(self.node(node.test, environment, definitions))
        self._after((node.test,), definitions)
        yes = self.node(node.yes, environment, definitions)
        no = self.node(node.no, environment, definitions)
        self._before = before
        return outcome([*within(test.true, yes), *within(test.false, no)])

    def _call(
        self, node: Call, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        parts = node.arguments if node.target is None else (node.target, *node.arguments)
        first = parts[0]
        if node.function == "size" and isinstance(first, Comprehension) and first.kind == "filter":
            return quantifiers.filtered_size(self, first, environment, definitions)
        arguments = [self.node(part, environment, definitions) for part in parts]
        return calls.call(self, node.function, arguments)

    def _comprehension(
        self, node: Comprehension, environment: Environment, definitions: Mapping[str, Program]
    ) -> Outcome:
        return quantifiers.comprehension(self, node, environment, definitions)


def _goes_on(node: Node) -> bool:
    """Tell whether the parts of a node are evaluated one after another, each for itself."""
    if isinstance(node, Unary):
        return node.operator == "!"
    return isinstance(node, (Logic, Conditional)) or definition_of(node) is not None


def _value_at(path: Path, kind: Kind) -> Value:
    match kind:
        case Kind.NULL | Kind.ABSENT:
            return Null()
        case Kind.BOOL:
            return Bool(formulas.atom(IsTrue(path)))
        case Kind.STRING:
            return Str(atoms.Variable(path))
        case Kind.INT:
            return Num("int", number_at(path, "int"))
        case Kind.DOUBLE:
            return Num("double", number_at(path, "double"))
        case Kind.LIST:
            return ListAt(path)
        case Kind.MAP:
            return MapAt(path)


def number_at(path: Path, kind: str) -> Linear:
    """Return the number at a path, where it is of a kind, `int` or `double`."""
    return atoms.quantity(Quantity("int" if kind == "int" else "double", path))


def within(when: Formula, found: Outcome) -> list[Case]:
    """Return the cases of an outcome, each also under a condition."""
    if when is FALSE:
        return []
    return [(both(when, own), value) for own, value in found.cases]


def applied(found: Outcome, function: Callable[[Value], Outcome]) -> Outcome:
    """Return what a function makes of each value an outcome can have."""
    return outcome(case for when, value in found.cases for case in within(when, function(value)))


def combined(left: Outcome, right: Outcome, function: Callable[[Value, Value], Outcome]) -> Outcome:
    """Return what a function makes of each pair of values that two outcomes can have."""
    cases: list[Case] = []
    spend(len(left.cases) * len(right.cases))
    for when, first in left.cases:
        for also, second in right.cases:
            joint = both(when, also)
            if joint is not FALSE:
                cases += within(joint, function(first, second))
    return outcome(cases)
