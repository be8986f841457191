"""
A compiled expression: what it reads, its value for given variables, and why.

What lives here: `Program`, the value the rest of the engine holds, and how one is made from a
checked tree.  Not here: the checks (`checks.checking`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any

from regauth.engine.cel.library.types import Type
from regauth.engine.cel.library.values import Value
from regauth.engine.cel.syntax import analysis, limits
from regauth.engine.cel.syntax.analysis import Equalities, Part, Path
from regauth.engine.cel.syntax.errors import CelError, CelErrorCode
from regauth.engine.cel.syntax.nodes import (
    DEFINITIONS,
    Comprehension,
    Node,
    Table,
    TableValue,
    walk,
)
from regauth.engine.cel.syntax.unparsing import unparse

from .budget import budget, run_bounded
from .comprehensions import weight
from .lowering import Closure, NameBindings, lower
from .tracing import Trace, Tracer


@dataclass(frozen=True, eq=False)
class Program:
    """
    An expression that was checked; immutable, shared by threads, equal to itself.

    `text` is what the author wrote, `type` the type of the result, `node` the tree.  The tree is
    lowered by `prepare`, or when its value is first asked for: who looks at a policy asks for none.
    """

    text: str
    type: Type
    node: Node
    definitions: Mapping[str, "Program"] = field(repr=False)

    @cached_property
    def _run(self) -> Closure:
        return lower(self.node, self.scope)

    @cached_property
    def _start(self) -> Closure:
        return partial(run_bounded, self._run) if self.has_macros else self._run

    def prepare(self) -> None:
        """Lower the tree and work out what decisions ask of it, so that no request pays for it."""
        _ = self._start, self.size, self.variables  # each is kept

    def evaluate(self, variables: Mapping[str, Any]) -> Value:
        """
        Give the value of the expression for these variables, plain JSON values and timestamps.

        Raises:
            CelError: it has none.  No other exception comes out.

        """
        try:
            return self._start(variables)
        except CelError:
            raise
        except Exception as error:
            raise self._failure(error) from error

    def holds(self, variables: Mapping[str, Any]) -> bool:
        """
        Tell whether the expression is true: nothing but `true` holds.

        Raises:
            CelError: it has no value.

        """
        try:
            return self._start(variables) is True
        except CelError:
            raise
        except Exception as error:
            raise self._failure(error) from error

    def trace(self, variables: Mapping[str, Any]) -> Trace:
        """Evaluate every part of the expression; errors become part of the answer."""
        return Tracer(self.source, self.definitions).trace(self.node, variables, self.scope)

    def _failure(self, error: Exception) -> CelError:
        """Callers decide by CelError.  Any other failure must not look like an answer."""
        if isinstance(error, RecursionError):
            return CelError(CelErrorCode.LIMIT, "a value nests too deep", 0, len(self.text))
        return CelError(CelErrorCode.INTERNAL, type(error).__name__, 0, len(self.text))

    @property
    def table(self) -> Mapping[str, TableValue] | None:
        """What it holds by key, if it is a table."""
        return self.node.entries if isinstance(self.node, Table) else None

    @cached_property
    def has_macros(self) -> bool:
        """Whether it walks a list, itself or in a definition."""
        return any(isinstance(part, Comprehension) for part in walk(self.node)) or any(
            program.has_macros for program in self.definitions.values()
        )

    @cached_property
    def paths(self) -> frozenset[Path]:
        """The paths it reads from its variables, those of the definitions it uses included."""
        found: set[Path] = set()
        for path in analysis.references(self.node):
            if path[0] == DEFINITIONS:
                found |= self.definitions[path[1]].paths
            else:
                found.add(path)
        return frozenset(found)

    @cached_property
    def variables(self) -> frozenset[str]:
        """The variables it reads, those of the definitions it uses included."""
        return frozenset(path[0] for path in self.paths)

    @cached_property
    def equalities(self) -> Equalities:
        """
        For some paths, the strings without one of which the condition is false.

        Whenever the value at a path is a string outside its set, the expression evaluates to
        false, not to true and not to an error.
        """
        known = {name: program.equalities for name, program in self.definitions.items()}
        return analysis.equalities(self.node, known)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The atomic conditions, left to right; those of definitions belong to the definitions."""
        return tuple(
            Part(node.start, node.end, self.source(node), node)
            for node in analysis.atoms(self.node)
        )

    @cached_property
    def size(self) -> int:
        """The number of nodes, every `defs.NAME` counted as what it stands for."""
        return weight(self.node, self.scope)

    @cached_property
    def depth(self) -> int:
        """The levels of operators inside operators, with those of definitions."""
        known = {name: program.depth for name, program in self.definitions.items()}
        return analysis.depth(self.node, known)

    def evaluate_part(self, node: Node) -> Value:
        """
        Give the value of a part of the expression that reads no variable.

        Raises:
            CelError: it has none.

        """
        return lower(node, self.scope)(budget())

    def alike(self, text: str, node: Node) -> "Program":
        """
        Return the program of another tree that was checked, and reads the same by the same names.

        The two differ in offsets, and in the words of strings that are no names.
        """
        made = Program(text, self.type, node, self.definitions)
        made.__dict__["paths"] = self.paths
        return made

    @property
    def scope(self) -> NameBindings:
        """What the names of the expression mean, for lowering a part of it."""
        return _scope(self.definitions)

    def source(self, node: Node) -> str:
        """Give the text of one of the expression's nodes."""
        return self.text[node.start : node.end] or unparse(node)


def _scope(definitions: Mapping[str, Program]) -> NameBindings:
    return NameBindings(
        {name: program._run for name, program in definitions.items()},  # noqa: SLF001 - own class
        {name: program.size for name, program in definitions.items()},
    )


def make(text: str, node: Node, result: Type, definitions: Mapping[str, Program]) -> Program:
    """Make the program of a checked tree; it keeps those of all `definitions` that it uses."""
    used = {
        path[1]: definitions[path[1]]
        for path in analysis.references(node)
        if path[0] == DEFINITIONS
    }
    return Program(text, result, node, used)


def too_large(program: Program) -> bool:
    """Whether a program is over the bounds that hold with its definitions written out."""
    # It has no more levels than nodes.
    few = limits.EXPANDED_LEVELS
    if not program.definitions and sum(1 for _ in islice(walk(program.node), few + 1)) <= few:
        return False
    return program.size > limits.EXPANDED_NODES or program.depth > limits.EXPANDED_LEVELS
