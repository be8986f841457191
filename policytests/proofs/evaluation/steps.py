"""
The engine's bound on the steps of one evaluation, as far as it can be reached.

What lives here: the most steps that an expression can take for any token.  Not here: the bound
(`regauth.engine.cel.syntax.limits`), and what takes steps (`regauth.engine.cel.evaluation.budget`).

An expression that cannot reach the bound is evaluated as if there were none.  Any other may fail,
whatever else is known (`evaluator`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from regauth.engine.cel import Node, Program
from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.nodes import (
    DEFINITIONS,
    Binary,
    Call,
    Comprehension,
    Conditional,
    Constant,
    ListLiteral,
    Name,
    children,
    definition_of,
    path_of,
    walk,
)
from regauth.policytests.proofs.logic.universe import (
    ANY_KIND,
    MAX_ELEMENTS,
    MAX_TEXT,
    Kind,
    Universe,
)

from .tables import table_of

_LOOKING: Final = frozenset({"==", "!=", "in"})
_HOLDERS: Final = frozenset({Kind.LIST, Kind.MAP})
_FREE: Final = frozenset({"startsWith", "endsWith"})
"""Functions that take no steps for texts as long as a token can hold."""

_NO_LONGER: Final = frozenset({"lowerAscii", "upperAscii", "trim", "substring", "charAt"})
"""Functions whose value is a text that is no longer than the first argument."""


def may_run_out(program: Program, universe: Universe) -> bool:
    """Tell whether there may be a token for which an evaluation takes too many steps."""
    return program.has_macros and most_steps(program, universe) > limits.STEPS


def most_steps(program: Program, universe: Universe) -> int:
    """Return a number of steps that no evaluation takes more than, for any token."""
    return _Bound(universe, program.definitions).most(program.node, _Loops())


@dataclass(frozen=True, slots=True)
class _Loops:
    """The macros around a node: how often it is evaluated, and what the innermost one walks."""

    times: int = 1
    around: int = 1
    """How often the innermost macro itself is evaluated."""
    variable: str = ""
    """The variable of the innermost macro, where it walks a part of the token."""
    parts: frozenset[str] = frozenset()
    """The variables that are parts of the token."""


@dataclass(frozen=True, slots=True)
class _Size:
    """The most characters of a value that is a text, and the most elements of a list."""

    characters: int = 0
    elements: int = 0

    def steps(self, per_step: int) -> int:
        """Return the most steps that reading or writing the value takes."""
        return max(self.characters // per_step, self.elements)


_ANY: Final = _Size(limits.STRING, limits.LIST)
_SHORT: Final = _Size(limits.TABLE_TEXT, limits.TABLE_ITEMS)


@dataclass(frozen=True, slots=True)
class _Bound:
    universe: Universe
    definitions: Mapping[str, Program]

    def most(self, node: Node, loops: _Loops) -> int:
        """Return the most steps that all evaluations of a node take."""
        name = definition_of(node)
        if name is not None and name in self.definitions:
            used = self.definitions[name]
            inner = replace(loops, variable="", parts=frozenset())
            return _Bound(self.universe, used.definitions).most(used.node, inner)
        if isinstance(node, Comprehension):
            return self._macro(node, loops)
        taken = sum(self.most(child, loops) for child in children(node))
        if isinstance(node, Binary) and node.operator in _LOOKING and not self._is_by_key(node):
            taken += self._looked_at(node.right, loops)
        return taken + self._read_and_written(node, loops)

    def _macro(self, node: Comprehension, loops: _Loops) -> int:
        if node.variable in _NAMES:
            # What looks like a claim within it is not one.
            return limits.STEPS + 1
        table = table_of(node.source, self.definitions)
        own = self._is_of_token(node.source, loops)
        elements = len(table.table or ()) if table is not None else _elements(node.source, own=own)
        parts = loops.parts | {node.variable} if own else loops.parts - {node.variable}
        inner = _Loops(
            loops.times * elements, loops.times, node.variable if own else "", frozenset(parts)
        )
        weight = sum(1 + self._nodes(part) for part in walk(node.body))
        taken = self.most(node.source, loops) + inner.times * weight
        taken += self.most(node.body, inner)
        return taken if node.transform is None else taken + self.most(node.transform, inner)

    def _is_of_token(self, node: Node, loops: _Loops) -> bool:
        """Tell whether a value is a part of the token."""
        path = path_of(node)
        return path is not None and (path[0] == "claims" or path[0] in loops.parts)

    def _nodes(self, node: Node) -> int:
        name = definition_of(node)
        return self.definitions[name].size if name in self.definitions else 0  # type: ignore[index]  # mypy does not narrow by `in`

    def _is_by_key(self, node: Binary) -> bool:
        """Tell whether it asks for a key of a table, which looks at no other."""
        return node.operator == "in" and table_of(node.right, self.definitions) is not None

    def _looked_at(self, right: Node, loops: _Loops) -> int:
        """Return the most elements that all comparisons with what stands right look at."""
        match right:
            case Constant():
                return 0
            case ListLiteral(items=items) if all(isinstance(one, Constant) for one in items):
                return loops.times * len(items)
            case Call(function=function) if function in _NO_LONGER:
                return 0
            case Conditional(yes=yes, no=no):
                return max(self._looked_at(yes, loops), self._looked_at(no, loops))
            case _:
                pass
        path = path_of(right)
        if path is None or not self._is_of_token(right, loops):
            short = path is not None and path[0] in _SCOPED
            return loops.times * (_SHORT.elements if short else limits.LIST * limits.TABLE_ITEMS)
        if path[0] == "claims" and not _HOLDERS.intersection(self.universe.kinds(path[1:])):
            return 0
        # Whatever an element holds is written in the token, once.
        return (loops.around if path[0] == loops.variable else loops.times) * MAX_ELEMENTS

    def _read_and_written(self, node: Node, loops: _Loops) -> int:
        """Return the most steps of the texts and lists that a function reads and writes."""
        match node:
            case Call(function=function):
                parts = node.arguments if node.target is None else (node.target, *node.arguments)
            case Binary(operator="+", left=left, right=right):
                function, parts = "+", (left, right)
            case _:
                return 0
        if function in _FREE:
            return 0
        matching = function == "matches"
        per_step = limits.MATCHED_PER_STEP if matching else limits.CHARACTERS_PER_STEP
        if _is_about_element(parts, loops.variable) and function in (*_NO_LONGER, *_TESTS):
            # All elements that are texts are together no longer than the token.  Those that are
            # lists take the steps of fewer elements: each of theirs is written in the token too,
            # and an element of the list that is walked takes more.
            return loops.around * 2 * (MAX_TEXT // per_step)
        taken = sum(self._size(part, loops).steps(per_step) for part in parts)
        written = 0 if function in _TESTS else self._size(node, loops).steps(per_step)
        return loops.times * (taken + written)

    def _size(self, node: Node, loops: _Loops) -> _Size:
        """Return how large the value of a node can be."""
        match node:
            case Constant(value=value):
                return _Size(len(value) if isinstance(value, str) else 0)
            case ListLiteral(items=items):
                return _Size(0, len(items))
            case Conditional(yes=yes, no=no):
                return _largest(self._size(yes, loops), self._size(no, loops))
            case Binary(operator="+", left=left, right=right):
                first, second = self._size(left, loops), self._size(right, loops)
                return _Size(
                    min(first.characters + second.characters, limits.STRING),
                    min(first.elements + second.elements, limits.LIST),
                )
            case Call(function=function, target=target) if target is not None:
                if function in _NO_LONGER:
                    return _Size(self._size(target, loops).characters)
                if function == "split":
                    return _Size(0, min(self._size(target, loops).characters + 1, limits.LIST))
            case _:
                pass
        return self._size_of_path(node, loops)

    def _size_of_path(self, node: Node, loops: _Loops) -> _Size:
        name = definition_of(node)
        if name is not None and name in self.definitions:
            used = self.definitions[name]
            if used.table is not None:
                return _ANY
            return _Bound(self.universe, used.definitions)._size(used.node, _Loops())  # noqa: SLF001 - its own
        path = path_of(node)
        if path is not None and path[0] in _SCOPED:
            return _SHORT
        if path is None or not self._is_of_token(node, loops):
            return _ANY
        kinds = self.universe.kinds(path[1:]) if path[0] == "claims" else ANY_KIND
        return _Size(
            MAX_TEXT if Kind.STRING in kinds else 0,
            MAX_ELEMENTS if _HOLDERS.intersection(kinds) else 0,
        )


_SCOPED: Final = frozenset({"scope", "service", "provider"})
"""Variables whose texts are short: names, references and what the policy calls its services."""

_NAMES: Final = _SCOPED | {"claims", DEFINITIONS}
"""Variables that are not those of macros."""

_TESTS: Final = frozenset({"contains", "matches"})
"""Functions that give no text and no list."""


def _largest(first: _Size, second: _Size) -> _Size:
    return _Size(max(first.characters, second.characters), max(first.elements, second.elements))


def _is_about_element(parts: Sequence[Node], variable: str) -> bool:
    """Tell whether a call is about the element of the innermost macro, and literals alone."""
    return (
        bool(variable)
        and isinstance(parts[0], Name)
        and parts[0].name == variable
        and all(isinstance(one, Constant) for one in parts[1:])
    )


def _elements(source: Node, *, own: bool) -> int:
    if isinstance(source, ListLiteral):
        return len(source.items)
    return MAX_ELEMENTS if own else limits.LIST
