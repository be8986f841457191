"""
The lint of issuers that serve everybody.

What lives here: whether the rules of a provider, or the conditions of its grants, narrow such an
issuer to one customer.  Not here: which issuers serve everybody, and which claims narrow one; claim
schemas say so.
"""

from collections.abc import Iterator, Mapping

from regauth.engine.cel import Program
from regauth.engine.cel.syntax.analysis import references
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Conditional,
    Constant,
    Has,
    Logic,
    Node,
    Unary,
    definition_of,
    path_of,
    walk,
)
from regauth.engine.issuers import ClaimSchema
from regauth.engine.policy.policy import Policy, Provider

from .conjunctions import TESTS as _TESTS
from .subject import LintFinding, Path


def open_issuer(provider: Provider, policy: Policy) -> Iterator[LintFinding]:
    """An issuer that also gives tokens to strangers, without a rule that says who may log in."""
    schema = provider.claims
    if not schema.serves_everybody(provider.issuer):
        return
    narrowing = _Narrowing(schema, policy.definitions)
    if any(narrowing.of(rule.check) for rule in provider.rules):
        return
    grants = [
        grant
        for grant in policy.grants
        if grant.providers is None or provider.name in grant.providers
    ]
    if all(grant.when is not None and narrowing.of(grant.when) for grant in grants):
        return
    yield LintFinding(
        f"`{provider.issuer}` serves everybody: strangers can log in as `{provider.name}`",
        f"add a rule that says who may, such as one that compares {_usual(schema)}",
    )


def _usual(schema: ClaimSchema) -> str:
    """Return the claim to ask for: the id of what no other name is unique within."""
    outermost = {
        claim.twin for claim in schema.claims.values() if claim.narrows and not claim.within
    }
    ids = [claim for claim in schema.claims.values() if claim.narrows and not claim.mutable]
    ids.sort(key=lambda claim: (claim.name not in outermost, not claim.always))
    return f"claims.{ids[0].name}" if ids else "a claim of yours"


class _Narrowing:
    """Whether a condition can hold only for tokens of one customer."""

    def __init__(self, schema: ClaimSchema, definitions: Mapping[str, Program]) -> None:
        self._definitions = definitions
        self._schema = schema
        self._paths: frozenset[Path] = frozenset(
            ("claims", *claim.path) for claim in schema.claims.values() if claim.narrows
        )

    def of(self, program: Program) -> bool:
        return self._narrows(program.node, value=True)

    def _narrows(self, node: Node, *, value: bool) -> bool:
        """Whether `node` having this value narrows."""
        match node:
            case Unary(operator="!"):
                return self._narrows(node.operand, value=not value)
            case Logic():
                parts = [self._narrows(operand, value=value) for operand in node.operands]
                return any(parts) if (node.operator == "&&") == value else all(parts)
            case Conditional():
                return self._narrows(node.yes, value=value) and self._narrows(node.no, value=value)
            case Has():
                return False
            case Binary() if _asks_for_null(node):
                return False
            case Binary(operator="!="):
                return not value and self._compares(node)
            case Binary():
                return value and node.operator in ("==", "in") and self._compares(node)
            case Call() if node.function in _TESTS:
                return value and self._tests(node)
            case _:
                pass
        name = definition_of(node)
        if name is not None and name in self._definitions:
            return self._narrows(self._definitions[name].node, value=value)
        return value and self._reads(node)

    def _compares(self, node: Binary) -> bool:
        """Whether one side is a claim that narrows, and the other says which value is wanted."""
        sides = ((node.left, node.right), (node.right, node.left))
        return any(
            self._reads(side) and not _is_counted(side) and not _reads_claims(other)
            for side, other in sides
        )

    def _tests(self, node: Call) -> bool:
        """Whether some value of a claim that narrows fails a test."""
        path = None if node.target is None else path_of(node.target)
        claim = None if path is None else self._schema.claims.get(path[1:])
        literal = node.arguments[0] if node.arguments else None
        if claim is None or not isinstance(literal, Constant):
            return self._reads(node)
        language = _TESTS[node.function](str(literal.value))
        # Where an issuer's own form is asked for, or a text that every value can have.
        return self._reads(node) and not (language and claim.values.is_always_in(language))

    def _reads(self, node: Node) -> bool:
        return any(path in self._paths for path in references(node))


def _reads_claims(node: Node) -> bool:
    return any(path[0] == "claims" for path in references(node))


def _is_counted(node: Node) -> bool:
    """Whether only the length of a value is looked at."""
    return any(isinstance(one, Call) and one.function == "size" for one in walk(node))


def _asks_for_null(comparison: Binary) -> bool:
    """Whether a claim is compared with null, which many customers can have."""
    sides = (comparison.left, comparison.right)
    return any(isinstance(side, Constant) and side.value is None for side in sides)
