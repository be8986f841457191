"""
The engine's bound on the steps of one evaluation, as far as it can be reached.

What lives here: the most steps that an expression can take for any token.  Not here: the bound
(`limits` of the engine's CEL) and what takes steps (its `budget`).

An expression that cannot reach the bound is evaluated as if there were none.  In any other, each
place that takes steps may fail, whatever else is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from regauth.engine.cel import Node, Program
from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Comprehension,
    Constant,
    ListLiteral,
    Name,
    children,
    definition_of,
    path_of,
    walk,
)
from regauth.policytests.proofs.logic.universe import MAX_ELEMENTS, MAX_TEXT, Kind, Universe

from .tables import table_of

_LOOKING: Final = frozenset({"==", "!=", "in"})
_HOLDERS: Final = frozenset({Kind.LIST, Kind.MAP})
_FREE: Final = frozenset({"startsWith", "endsWith"})
"""Functions that take no steps for texts as long as a token can hold."""

_GROWING: Final = frozenset({"replace", "join", "split", "+"})
"""What can make a text or a list that is longer than what it is made of."""


def may_run_out(program: Program, universe: Universe) -> bool:
    """Tell whether there may be a token for which an evaluation takes too many steps."""
    if not program.has_macros:
        return False
    bound = _Bound(universe, program.definitions)
    return bound.most(program.node, _Loops()) > limits.STEPS


@dataclass(frozen=True, slots=True)
class _Loops:
    """The macros around a node: how often it is evaluated, and what the innermost one walks."""

    times: int = 1
    around: int = 1
    """How often the innermost macro itself is evaluated."""
    variable: str = ""


@dataclass(frozen=True, slots=True)
class _Bound:
    universe: Universe
    definitions: Mapping[str, Program]

    def most(self, node: Node, loops: _Loops) -> int:
        """Return the most steps that all evaluations of a node take."""
        name = definition_of(node)
        if name is not None and name in self.definitions:
            used = self.definitions[name]
            inner = replace(loops, variable="")
            return _Bound(self.universe, used.definitions).most(used.node, inner)
        if isinstance(node, Comprehension):
            return self._macro(node, loops)
        taken = sum(self.most(child, loops) for child in children(node))
        if isinstance(node, Binary) and node.operator in _LOOKING and not self._is_by_key(node):
            taken += loops.times * self._looked_at(node.right)
        return taken + self._texts(node, loops)

    def _macro(self, node: Comprehension, loops: _Loops) -> int:
        table = table_of(node.source, self.definitions)
        elements = _elements(node.source) if table is None else len(table.table or ())
        variable = node.variable if path_of(node.source) is not None else ""
        inner = _Loops(loops.times * elements, loops.times, variable)
        weight = sum(1 + self._size(part) for part in walk(node.body))
        taken = self.most(node.source, loops) + inner.times * weight
        taken += self.most(node.body, inner)
        return taken if node.transform is None else taken + self.most(node.transform, inner)

    def _size(self, node: Node) -> int:
        name = definition_of(node)
        return self.definitions[name].size if name in self.definitions else 0  # type: ignore[index]  # mypy does not narrow by `in`

    def _is_by_key(self, node: Binary) -> bool:
        """Tell whether it asks for a key of a table, which looks at no other."""
        return node.operator == "in" and table_of(node.right, self.definitions) is not None

    def _looked_at(self, right: Node) -> int:
        """Return the most elements of what stands right of a comparison."""
        if isinstance(right, Constant):
            return 0
        if isinstance(right, ListLiteral) and all(isinstance(one, Constant) for one in right.items):
            return len(right.items)
        path = path_of(right)
        if path is None or table_of(right, self.definitions) is not None:
            return limits.LIST * limits.TABLE_ITEMS
        if path[0] != "claims" or _HOLDERS.intersection(self.universe.kinds(path[1:])):
            return MAX_ELEMENTS
        return 0

    def _texts(self, node: Node, loops: _Loops) -> int:
        """Return the most steps of the texts and lists that functions read and write."""
        function = node.function if isinstance(node, Call) else ""
        if isinstance(node, Binary) and node.operator == "+":
            function = "+"
        if not function or function in _FREE:
            return 0
        if function in _GROWING:
            return loops.times * (limits.LIST + limits.STRING)
        per_step = min(limits.CHARACTERS_PER_STEP, limits.MATCHED_PER_STEP)
        if function != "size" and _is_element(node, loops.variable):
            # All elements together are no longer than the token.
            return loops.around * 2 * (MAX_TEXT // per_step)
        return loops.times * 2 * max(MAX_TEXT // per_step, MAX_ELEMENTS)


def _is_element(node: Node, variable: str) -> bool:
    """Tell whether a call is about the element of the innermost macro, and literals alone."""
    if not variable or not isinstance(node, Call) or not isinstance(node.target, Name):
        return False
    return node.target.name == variable and all(isinstance(one, Constant) for one in node.arguments)


def _elements(source: Node) -> int:
    if isinstance(source, ListLiteral):
        return len(source.items)
    return MAX_ELEMENTS if path_of(source) is not None else limits.LIST
