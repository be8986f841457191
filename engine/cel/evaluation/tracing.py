"""
Why an expression has the value it has: every part with its own.

What lives here: `Trace` and the walk that fills it, by running the closures of the parts one by
one.  Not here: a second meaning of any node.  Each part is lowered and run as the whole is
(`lowering`).

Expressions have no side effects, so a part can be run again, and parts that the whole did not need
(the rest of an `&&` after a false) are shown with the value they would have had.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from regauth.engine.cel.library.values import Value
from regauth.engine.cel.syntax.errors import CelError
from regauth.engine.cel.syntax.nodes import (
    Comprehension,
    Constant,
    ListLiteral,
    Name,
    Node,
    Table,
    children,
    definition_of,
)

from .budget import budget
from .lowering import Closure, NameBindings, lower

SHOWN: Final = 20
"""Elements of a list whose evaluation by a macro is shown."""


@dataclass(frozen=True, slots=True)
class Trace:
    """
    One part of an expression with its value, or with the error it had instead.

    `start` and `end` are offsets in the text of the expression, or of the definition it stands in.
    `element`: for the body of a macro, its variable and the element it was run for.
    """

    start: int
    end: int
    text: str
    value: Value
    error: CelError | None
    children: tuple["Trace", ...]
    element: tuple[str, Value] | None = None


class Traceable(Protocol):
    """What tracing needs of a definition; a compiled expression has it."""

    @property
    def node(self) -> Node:
        """Its tree."""
        ...

    def trace(self, variables: Mapping[str, Any]) -> Trace:
        """Evaluate every part."""
        ...


class Tracer:
    """
    Traces one expression.

    `source` gives the text of its nodes, `definitions` what `defs.NAME` stands for.
    """

    def __init__(self, source: Callable[[Node], str], definitions: Mapping[str, Traceable]) -> None:
        self._source = source
        self._definitions = definitions
        self._closures: dict[int, Closure] = {}

    def trace(
        self,
        node: Node,
        frame: Mapping[str, Any],
        scope: NameBindings,
        element: tuple[str, Value] | None = None,
    ) -> Trace:
        """Evaluate a node and every part of it; errors become part of the answer."""
        value: Value = None
        error: CelError | None = None
        try:
            value = self._closure(node, scope)({**frame, **budget()})
        except CelError as caught:
            error = caught
        parts = tuple(self._parts(node, frame, scope))
        text = self._source(node)
        return Trace(node.start, node.end, text, value, error, parts, element)

    def _closure(self, node: Node, scope: NameBindings) -> Closure:
        # A node has one scope, however many elements it is run for.
        if id(node) not in self._closures:
            self._closures[id(node)] = lower(node, scope)
        return self._closures[id(node)]

    def _parts(self, node: Node, frame: Mapping[str, Any], scope: NameBindings) -> Iterator[Trace]:
        name = definition_of(node)
        if name is not None and name in self._definitions:
            yield self._definitions[name].trace(frame)
        elif isinstance(node, Comprehension):
            source = self.trace(node.source, frame, scope)
            yield source
            yield from self._elements(node, source.value, frame, scope)
        else:
            for child in children(node):
                plain = isinstance(child, (Constant, ListLiteral)) or self._is_table(child)
                if not plain and not _is_root(node, child):
                    yield self.trace(child, frame, scope)

    def _is_table(self, node: Node) -> bool:
        """Whether a node is a table's name; nobody wants to see all that it holds."""
        definition = self._definitions.get(definition_of(node) or "")
        return definition is not None and isinstance(definition.node, Table)

    def _elements(
        self, node: Comprehension, elements: Value, frame: Mapping[str, Any], scope: NameBindings
    ) -> Iterator[Trace]:
        """Show the body for each of the first elements."""
        if not isinstance(elements, (list, dict)):
            return
        key = f"@{len(scope.local)}:{node.variable}"
        inner = replace(scope, local={**scope.local, node.variable: key})
        bodies = [body for body in (node.body, node.transform) if body is not None]
        for element in list(elements)[:SHOWN]:
            for body in bodies:
                if not isinstance(body, Constant):
                    yield self.trace(body, {**frame, key: element}, inner, (node.variable, element))


def _is_root(node: Node, child: Node) -> bool:
    """Whether a child is the bare variable a path begins with: all of the claims, for one."""
    return isinstance(child, Name) and len(children(node)) == 1
