"""
Which claim a part of a condition reads, and which values it can have there.

What lives here: finding the claim behind an operand, through `lowerAscii()` and the variables of
macros.  Not here: what is said about it (`values`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from regauth.engine.cel.syntax.nodes import Call, Comprehension, Name, Node, path_of, walk
from regauth.engine.issuers import Claim, Values
from regauth.engine.languages import Nfa

from .subject import Condition

_BEFORE: Final[dict[str, Callable[[Nfa], Nfa]]] = {
    "lowerAscii": Nfa.before_lowering,
    "upperAscii": Nfa.before_raising,
}
"""The texts that a function turns into texts of a language."""


@dataclass(frozen=True, slots=True)
class Operand:
    """
    A claim where a condition uses it.

    `values` are those of the claim, or of the items of a list; `changed` are the functions between
    the claim and the comparison, the outermost first.
    """

    name: str
    claims: tuple[Claim, ...]
    values: tuple[Values, ...]
    changed: tuple[str, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether anything is known of the values, for every issuer that has the claim."""
        return bool(self.changed) or all(one.limited for one in self.values)

    def before(self, language: Nfa) -> Nfa:
        """Return the values of the claim that are in a language once they are changed."""
        for function in self.changed:
            language = _BEFORE[function](language)
        return language

    def can_be_in(self, language: Nfa) -> bool:
        """Whether a value can be in a language, for any issuer that has the claim."""
        before = self.before(language)
        return any(one.can_be_in(before) for one in self.values)

    def is_always_in(self, language: Nfa) -> bool:
        """Whether every value is in a language, for every issuer that has the claim."""
        before = self.before(language)
        return all(one.is_always_in(before) for one in self.values)


def operand_of(condition: Condition, node: Node) -> Operand | None:
    """Return the claim that an expression reads, or None where it reads no claim that is known."""
    changed: list[str] = []
    while isinstance(node, Call) and node.function in _BEFORE and node.target is not None:
        changed.append(node.function)
        node = node.target
    found = _item(condition, node) if isinstance(node, Name) else _claim(condition, node)
    if found is None:
        return None
    name, claims, values = found
    calls = "".join(f".{function}()" for function in reversed(changed))
    return Operand(f"{name}{calls}", claims, values, tuple(changed))


def items_of(condition: Condition, node: Node) -> Operand | None:
    """Return the items of the list that an expression reads, or None where it reads none."""
    found = _claim(condition, node)
    if found is None or any(claim.type != "list" for claim in found[1]):
        return None
    return Operand(found[0], found[1], tuple(claim.items for claim in found[1]))


_Found = tuple[str, tuple[Claim, ...], tuple[Values, ...]]


def _claim(condition: Condition, node: Node) -> _Found | None:
    path = path_of(node)
    if path is None or path[0] != "claims" or len(path) == 1:
        return None
    claims: list[Claim] = []
    for schema in condition.claims:
        known = schema.claim(path[1:])
        if known is None:
            return None  # an open schema: nothing is known of its claims
        claims.append(known)
    values = tuple(claim.values for claim in claims)
    return (written(path), tuple(claims), values) if claims else None


def _item(condition: Condition, node: Name) -> _Found | None:
    """Return the items of the one list that a macro's variable goes over."""
    sources = list(_sources(condition.program.node, node.name))
    found = _claim(condition, sources[0]) if len(sources) == 1 else None
    if found is None or any(claim.type != "list" for claim in found[1]):
        return None
    return found[0], found[1], tuple(claim.items for claim in found[1])


def _sources(root: Node, variable: str) -> Iterator[Node]:
    for part in walk(root):
        if isinstance(part, Comprehension) and part.variable == variable:
            yield part.source


def written(path: tuple[str, ...]) -> str:
    """Return a path as CEL reads it, such as `claims["kubernetes.io"].namespace`."""
    parts = (f".{part}" if part.isidentifier() else f'["{part}"]' for part in path[1:])
    return path[0] + "".join(parts)
