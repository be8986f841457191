"""
The engine's bound on the steps of one evaluation, as far as it can be reached.

What lives here: the most steps that an expression can take for any token.  Not here: the bound
(`regauth.engine.cel.syntax.limits`) and what charges (`regauth.engine.cel.evaluation.budget`).

An expression that cannot reach the bound is evaluated as if there were none.  In any other, each
place that charges may fail, whatever else is known.
"""

from collections.abc import Mapping
from typing import Final

from regauth.engine.cel import Node, Program
from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Comprehension,
    Constant,
    ListLiteral,
    children,
    definition_of,
    path_of,
    walk,
)
from regauth.policytests.proofs.logic.universe import MAX_ELEMENTS, Kind, Universe

_LOOKING: Final = frozenset({"==", "!=", "in"})
_HOLDERS: Final = frozenset({Kind.LIST, Kind.MAP})


def may_run_out(program: Program, universe: Universe) -> bool:
    """Tell whether there may be a token for which an evaluation takes too many steps."""
    if not program.has_macros:
        return False
    return _most(program.node, program.definitions, universe) > limits.STEPS


def _most(node: Node, definitions: Mapping[str, Program], universe: Universe) -> int:
    """Return the most steps that one evaluation of a node takes."""
    name = definition_of(node)
    if name is not None and name in definitions:
        used = definitions[name]
        return _most(used.node, used.definitions, universe)
    if isinstance(node, Comprehension):
        elements = _elements(node.source)
        inside = _most(node.body, definitions, universe)
        if node.transform is not None:
            inside += _most(node.transform, definitions, universe)
        weight = sum(1 + _size(part, definitions) for part in walk(node.body))
        return _most(node.source, definitions, universe) + elements * (weight + inside)
    taken = sum(_most(child, definitions, universe) for child in children(node))
    if isinstance(node, Binary) and node.operator in _LOOKING:
        taken += _looked_at(node.right, universe)
    return taken


def _size(node: Node, definitions: Mapping[str, Program]) -> int:
    name = definition_of(node)
    return definitions[name].size if name is not None and name in definitions else 0


def _elements(source: Node) -> int:
    if isinstance(source, ListLiteral):
        return len(source.items)
    return MAX_ELEMENTS if path_of(source) is not None else limits.LIST


def _looked_at(right: Node, universe: Universe) -> int:
    """Return the most elements of what stands right of a comparison."""
    if isinstance(right, Constant):
        return 0
    if isinstance(right, ListLiteral) and all(isinstance(item, Constant) for item in right.items):
        return len(right.items)
    path = path_of(right)
    if path is None:
        return limits.LIST
    if path[0] != "claims" or _HOLDERS.intersection(universe.kinds(path[1:])):
        return MAX_ELEMENTS
    return 0
