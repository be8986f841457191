"""
Keys of expressions: equal when two expressions mean the same for every token.

What lives here: the text of an expression together with that of all definitions it reads.
Not here: expressions that mean the same and are written otherwise (`question`).

The text of an expression alone is not enough: `defs.on_main` means what the policy it stands in
says, and two policies may say otherwise.
"""

from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

from regauth.engine.cel import Node, Program, unparse
from regauth.engine.cel.syntax.analysis import references
from regauth.engine.cel.syntax.nodes import DEFINITIONS

Key = tuple[str, tuple[tuple[str, "Key"], ...]]
"""A text, and the keys of the definitions it reads by name."""

_keys: WeakKeyDictionary[Program, Key] = WeakKeyDictionary()


def key_of(program: Program) -> Key:
    """Return the key of an expression."""
    found = _keys.get(program)
    if found is None:
        found = _keys[program] = key_of_node(program.node, program.definitions)
    return found


def key_of_node(node: Node, definitions: Mapping[str, Program]) -> Key:
    """Return the key of a part of an expression; the variables of macros around it stay open."""
    if not definitions:
        return unparse(node), ()
    names = sorted({path[1] for path in references(node) if path[0] == DEFINITIONS})
    return unparse(node), tuple(
        (name, key_of(definitions[name])) for name in names if name in definitions
    )


def read_from(node: Node, variables: Iterable[str]) -> list[str]:
    """Return which variables of the macros around a part of an expression it reads, in order."""
    return sorted({path[0] for path in references(node)}.intersection(variables))
