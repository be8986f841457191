"""
Members that are there and null.

What lives here: which expressions can be null, by the types of the variables.  Not here: what a
condition proves of them (`guards`), and where a null is an error (`checking`).
"""

from collections.abc import Mapping

from regauth.engine.cel.library.types import RecordType, Type
from regauth.engine.cel.syntax.analysis import Path
from regauth.engine.cel.syntax.nodes import Conditional, Constant, Node, definition_of, path_of

from .guards import NOT_NULL, Paths, proven


def null_path(
    node: Node, variables: Mapping[str, Type], definitions: Mapping[str, Node], known: Paths
) -> Path | None:
    """
    Return the path of the member that makes an expression null, or None where none does.

    Args:
        node: The expression.
        variables: The types of the variables.
        definitions: The trees of the definitions.
        known: What is known where it stands, as `guards` proves it.
    """
    if isinstance(node, Conditional):
        for branch, value in ((node.yes, True), (node.no, False)):
            here = known | proven(node.test, definitions, value=value)
            path = null_path(branch, variables, definitions, here)
            if path is not None:
                return path
        return None
    name = definition_of(node)
    if name is not None:
        inner = definitions.get(name)
        return None if inner is None else null_path(inner, variables, definitions, known)
    path = path_of(node)
    if path is None or (*path, NOT_NULL) in known or not is_nullable(path, variables):
        return None
    return path


def is_nullable(path: Path, variables: Mapping[str, Type]) -> bool:
    """Whether the member at a path can be null, by the type of the record that it is in."""
    at = variables.get(path[0])
    nullable = False
    for name in path[1:]:
        member = at.field(name) if isinstance(at, RecordType) else None
        if member is None:
            return False
        at, nullable = member.type, member.nullable
    return nullable


def is_null(node: Node) -> bool:
    """Whether an expression is the literal `null`."""
    return isinstance(node, Constant) and node.value is None
