"""
The lint of conditions that no token satisfies because its claims depend on one another.

What lives here: which claims a conjunction settles, and the relations of a claim schema that they
break.  Not here: one claim by itself (`values`), and relations that need a search (`policytest
check --prove` has the prover).

Only what a conjunction says of a claim in full counts: that it equals a literal, is there, or is
not.  A relation that also depends on anything else is left alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from regauth.engine.cel.syntax.nodes import (
    Binary,
    Constant,
    Has,
    ListLiteral,
    Logic,
    Node,
    Unary,
    path_of,
)
from regauth.engine.issuers import ClaimSchema, Constraint, Relation, Template
from regauth.engine.issuers.relations import ClaimReference, value_at
from regauth.engine.source.problems import Severity

from .subject import Condition, LintFinding, Path


@dataclass(slots=True)
class _Settled:
    """What a conjunction says of a token's claims."""

    claims: dict[str, Any] = field(default_factory=dict)
    """The values, members of objects in objects."""
    values: dict[Path, Node] = field(default_factory=dict)
    """The claims with a value, and where the condition says so."""
    there: dict[Path, Node] = field(default_factory=dict)
    """The claims that are there."""
    absent: dict[Path, Node] = field(default_factory=dict)
    """The claims that are not."""

    def copy(self) -> "_Settled":
        return _Settled(_copied(self.claims), {**self.values}, {**self.there}, {**self.absent})

    def put(self, path: Path, value: object, node: Node) -> None:
        at = self.claims
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = value
        self.values[path] = node

    def knows(self, path: Path) -> bool:
        """Whether it says all of a claim: its value, or that it is not there."""
        return path in self.values or path in self.absent


def _copied(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: _copied(one) if isinstance(one, dict) else one for name, one in claims.items()}


def impossible_together(condition: Condition) -> Iterator[LintFinding]:
    """Values of several claims that no token has at once."""
    told: set[Node] = set()
    for settled in _conjunctions(condition.program.node, _Settled()):
        found = [_broken(schema, settled) for schema in condition.claims]
        if not found or None in found:
            continue
        broken = next(one for one in found if one is not None)
        if broken.node in told:
            continue
        told.add(broken.node)
        yield LintFinding(
            f"no token is like this: {broken.relation.description}",
            _hint(broken, settled),
            broken.node.start,
            broken.node.end,
            Severity.ERROR if condition.denial else Severity.WARNING,
        )


def _conjunctions(node: Node, above: _Settled) -> Iterator[_Settled]:
    """Yield what each `&&` settles, with what the `&&` around it does."""
    if isinstance(node, Logic) and node.operator == "&&":
        settled = above.copy()
        for operand in node.operands:
            _settle(operand, settled)
        yield settled
        for operand in node.operands:
            yield from _conjunctions(operand, settled)
    elif isinstance(node, Logic):
        for operand in node.operands:
            inner = above.copy()
            if _settle(operand, inner) and above.values:
                yield inner
            else:
                yield from _conjunctions(operand, above)


def _settle(node: Node, settled: _Settled) -> bool:
    """Take what one condition says of a claim in full, and tell whether it does."""
    negated = isinstance(node, Unary) and node.operator == "!"
    path = _asked(node.operand if isinstance(node, Unary) else node)
    if path is not None:
        (settled.absent if negated else settled.there)[path] = node
        return True
    if negated or not isinstance(node, Binary):
        return False
    sides = ((node.left, node.right), (node.right, node.left))
    for side, other in sides if node.operator == "==" else sides[:1]:
        literal = _single(other) if node.operator == "in" else other
        claim = _claim(side)
        if claim is not None and isinstance(literal, Constant) and node.operator in ("==", "in"):
            settled.put(claim, literal.value, node)
            return True
    return False


def _single(node: Node) -> Node | None:
    return node.items[0] if isinstance(node, ListLiteral) and len(node.items) == 1 else None


def _claim(node: Node) -> Path | None:
    path = path_of(node)
    return path[1:] if path is not None and path[0] == "claims" and len(path) > 1 else None


def _asked(node: Node) -> Path | None:
    """Return the claim that a condition asks for, as `has()` and `in` do."""
    if isinstance(node, Has):
        path = path_of(node.operand)
        return (*path[1:], node.field) if path is not None and path[0] == "claims" else None
    if isinstance(node, Binary) and node.operator == "in" and isinstance(node.left, Constant):
        path = path_of(node.right)
        if path is not None and path[0] == "claims" and isinstance(node.left.value, str):
            return (*path[1:], node.left.value)
    return None


@dataclass(frozen=True, slots=True)
class _Broken:
    relation: Relation
    path: Path
    constraint: Constraint
    node: Node


def _broken(schema: ClaimSchema, settled: _Settled) -> _Broken | None:
    for path in settled.values:
        known = schema.claims.get(path)
        value = value_at(settled.claims, path)
        if known is None or (value is not None and not known.values.can_equal(value)):
            return None  # `impossible-value` reports it, or nothing is known of it
    for relation in schema.relations:
        if relation.usual or not all(
            _holds(constraint, path, settled) for path, constraint in relation.when
        ):
            continue
        for path, constraint in relation.then:
            node = _breaking(constraint, path, settled)
            if node is not None:
                return _Broken(relation, path, constraint, node)
    return None


def _holds(constraint: Constraint, path: Path, settled: _Settled) -> bool:
    """Whether it is certain that a relation speaks of every such token."""
    if settled.knows(path):
        return constraint.holds(settled.claims, path)
    return path in settled.there and constraint == Constraint(present=True)


def _breaking(constraint: Constraint, path: Path, settled: _Settled) -> Node | None:
    """Return the condition that certainly breaks what a relation asks of a claim, if one does."""
    if path in settled.there and path not in settled.values:
        return settled.there[path] if constraint.present is False else None
    if not settled.knows(path):
        return None
    if not all(_is_settled(one, settled) for one in (*constraint.templates, *constraint.parts)):
        return None
    if not constraint.is_broken(settled.claims, path):
        return None
    return settled.values.get(path) or settled.absent.get(path)


def _is_settled(template: Template, settled: _Settled) -> bool:
    """Whether nothing that is open decides if and how a template is filled."""
    return all(settled.knows(path) for path, _ in template.when) and all(
        one.always or settled.knows(one.path)
        for one in template.pieces
        if isinstance(one, ClaimReference)
    )


def _hint(broken: _Broken, settled: _Settled) -> str:
    proposed = broken.constraint.proposed(settled.claims)
    values = broken.constraint.values
    if proposed is None and values is not None and len(values.enum) == 1:
        proposed = str(values.enum[0])
    name = "/".join(broken.path)
    if proposed is not None and broken.path in settled.values:
        return f"`{name}` would be {proposed!r}"
    return "correct one of the conditions, or remove it"
