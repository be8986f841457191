"""
The macros that walk a list, or the keys of a map.

What lives here: the closures of `all`, `exists`, `exists_one`, `filter` and `map`, and how many
steps each takes.  Not here: other nodes (`lowering`), and the count of the steps (`budget`).
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from regauth.engine.cel.library.values import Value, kind
from regauth.engine.cel.syntax.errors import CelError, CelErrorCode
from regauth.engine.cel.syntax.nodes import Comprehension, Node, definition_of, walk

from .budget import charge
from .lowering import LOWERINGS, Closure, Frame, NameBindings, lower, naming_null, not_bool


def weight(node: Node, scope: NameBindings) -> int:
    """Count the nodes below a node, with the definitions it reads."""
    return sum(1 + scope.weights.get(definition_of(part) or "", 0) for part in walk(node))


def _comprehension(node: Comprehension, scope: NameBindings) -> Closure:
    key = f"@{len(scope.local)}:{node.variable}"
    inner = replace(scope, local={**scope.local, node.variable: key})
    body = lower(node.body, inner)
    enter = _entrance(node, key, lower(node.source, scope), weight(node.body, inner))
    if node.kind == "map":
        transform = lower(node.transform or node.body, inner)
        return _map(node, key, enter, body, transform)
    return MACROS[node.kind](node, key, enter, body)


Entrance = Callable[[Frame], tuple[Iterable[Value], dict[str, Any]]]


def _entrance(node: Comprehension, key: str, source: Closure, cost: int) -> Entrance:
    """Make what evaluates the source, charges for it, and gives the elements and a new frame."""

    def enter(frame: Frame) -> tuple[Iterable[Value], dict[str, Any]]:
        elements = source(frame)
        if type(elements) is not list and type(elements) is not dict:
            message = f"{node.kind}() needs a list or a map, not {kind(elements)}"
            raise naming_null(
                CelError(CelErrorCode.TYPE, message, node.start, node.end),
                (node.source,),
                (elements,),
            )
        charge(frame, len(elements) * cost, node)
        return elements, {**frame, key: None}

    return enter


def _quantifier(
    node: Comprehension, key: str, enter: Entrance, body: Closure, *, decides: bool
) -> Closure:
    def quantifier(frame: Frame) -> bool:
        # One element that decides gives the result, whatever errors the others have.
        elements, inner = enter(frame)
        failed: CelError | None = None
        for element in elements:
            inner[key] = element
            try:
                value = body(inner)
            except CelError as error:
                failed = failed or error
                continue
            if type(value) is not bool:
                failed = failed or not_bool(node.body, value)
            elif value is decides:
                return decides
        if failed is not None:
            raise failed
        return not decides

    return quantifier


def _all(node: Comprehension, key: str, enter: Entrance, body: Closure) -> Closure:
    return _quantifier(node, key, enter, body, decides=False)


def _exists(node: Comprehension, key: str, enter: Entrance, body: Closure) -> Closure:
    return _quantifier(node, key, enter, body, decides=True)


def _exists_one(node: Comprehension, key: str, enter: Entrance, body: Closure) -> Closure:
    def exists_one(frame: Frame) -> bool:
        elements, inner = enter(frame)
        found = 0
        for element in elements:
            inner[key] = element
            found += _holds(node, body(inner))
        return found == 1

    return exists_one


def _filter(node: Comprehension, key: str, enter: Entrance, body: Closure) -> Closure:
    def filtered(frame: Frame) -> list[Value]:
        elements, inner = enter(frame)
        kept: list[Value] = []
        for element in elements:
            inner[key] = element
            if _holds(node, body(inner)):
                kept.append(element)
        return kept

    return filtered


def _map(
    node: Comprehension, key: str, enter: Entrance, body: Closure, transform: Closure
) -> Closure:
    def mapped(frame: Frame) -> list[Value]:
        elements, inner = enter(frame)
        made: list[Value] = []
        for element in elements:
            inner[key] = element
            if _holds(node, body(inner)):
                made.append(transform(inner))
        return made

    return mapped


def _holds(node: Comprehension, value: Value) -> bool:
    """Take a condition's value; unlike in `all` and `exists`, every element must have one."""
    if type(value) is bool:
        return value
    raise not_bool(node.body, value)


MACROS: Final[dict[str, Callable[[Comprehension, str, Entrance, Closure], Closure]]] = {
    "all": _all,
    "exists": _exists,
    "exists_one": _exists_one,
    "filter": _filter,
}
LOWERINGS[Comprehension] = _comprehension
