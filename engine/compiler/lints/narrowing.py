"""
Lints of what narrows too little: issuers that serve everybody, and refs that are only excluded.

What lives here: whether the rules of a provider, or the conditions of its grants, narrow such an
issuer to one customer; and whether a condition on refs says which are meant.  Not here: which
issuers serve everybody, and which claims narrow one.  Claim schemas say so (`issuers.claims`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from regauth.engine import languages
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
from regauth.engine.issuers import Claim, ClaimSchema
from regauth.engine.policy.policy import Policy, Provider

from .choices import is_ref, names_file
from .conjunctions import TESTS as _TESTS
from .conjunctions import SaidOfClaim, facts_of, said_by, said_by_rule, said_in
from .operands import written
from .subject import Condition, LintFinding, Path

_MAX_ALTERNATIVES: Final = 32
"""How many ways of being true are looked at in one condition."""
_COMMIT: Final = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_TELLING: Final = frozenset({"ref_type", "ref_protected", "environment"})
"""Claims beside a ref that say which refs are meant too."""


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
        return self._reads(node) and not (language and claim.is_always_in(language))

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


def only_excluded(condition: Condition) -> Iterator[LintFinding]:
    """A ref of which a grant to change something only says what it is not."""
    if not condition.changes:
        return
    rules = [rule for rules in condition.before for rule in rules]
    before = [it for rule in rules for it in said_by_rule(rule)]
    if any(_may_say_which(node, condition) for rule in rules for node in _unread(rule.check)):
        return
    seen: set[Path] = set()
    for nodes in ways(condition.program.node):
        each = [(node, said_in(condition, node)) for node in nodes]
        said = [it for _, found in each for it in found]
        unread = (node for node, found in each if not found)
        if any(_says_which(one, condition) for one in (*before, *said)):
            continue
        if any(_may_say_which(node, condition) for node in unread):
            continue
        for one in said:
            node = one.places[0].node
            if node is None or one.path in seen or one.outside is None or "" in one.outside:
                continue
            for claim in filter(is_ref, _known(one, condition)):
                seen.add(one.path)
                yield LintFinding(
                    f"this only says what `{written(('claims', *one.path))}` is not: "
                    "whoever can push can choose any other name",
                    _which(claim, condition),
                    node.start,
                    node.end,
                )


def _unread(program: Program) -> Iterator[Node]:
    """Yield the conditions that always hold where a program does, and that are not understood."""
    ways_ = list(ways(program.node))
    for node in ways_[0] if len(ways_) == 1 else ():
        if not any(said_by(node, program.definitions)):
            yield node


def _which(claim: Claim, condition: Condition) -> str:
    """Return how to say which refs are meant, as the issuer writes them."""
    name = written(("claims", *claim.path))
    is_whole = any(str(one).startswith("refs/heads/") for one in claim.examples)
    hint = f'say which refs are meant, such as `{name} == "{"refs/heads/" * is_whole}main"`'
    if any(("ref_protected",) in schema.claims for schema in condition.claims):
        hint += ', or ask for a protected one with `claims.ref_protected == "true"`'
    return hint


def ways(node: Node) -> Iterator[Sequence[Node]]:
    """Yield the conditions that hold together, for each of the first ways of being true."""
    yield from islice(_ways(node), _MAX_ALTERNATIVES)


def _ways(node: Node) -> Iterator[Sequence[Node]]:
    if not isinstance(node, Logic):
        yield (node,)
    elif node.operator == "||":
        for operand in node.operands:
            yield from _ways(operand)
    else:
        yield from _together(node.operands)


def _together(nodes: Sequence[Node]) -> Iterator[Sequence[Node]]:
    """Yield the ways in which all of some conditions can be true."""
    if not nodes:
        yield ()
        return
    for way in _ways(nodes[0]):
        for rest in _together(nodes[1:]):
            yield (*way, *rest)


def _known(said: SaidOfClaim, condition: Condition) -> Iterator[Claim]:
    known = (schema.claims.get(said.path) for schema in condition.claims)
    return (claim for claim in known if claim is not None)


def _says_which(said: SaidOfClaim, condition: Condition) -> bool:
    """Whether it says which refs are meant, or asks for what only some refs have."""
    for claim in _known(said, condition):
        facts = facts_of(claim, condition).adding(said)
        if facts.narrows is None:
            facts.narrows = _tells(claim) and _narrows(claim, said)
        if facts.narrows:
            return True
    return False


def _tells(claim: Claim) -> bool:
    return claim.path[-1] in _TELLING or is_ref(claim) or names_file(claim) or _is_commit(claim)


def _is_commit(claim: Claim) -> bool:
    """Whether a claim's values are commits, of which each has its own content."""
    return bool(claim.examples) and all(_COMMIT.fullmatch(str(one)) for one in claim.examples)


def _narrows(claim: Claim, said: SaidOfClaim) -> bool:
    """Whether some value that says something of a ref is not what is asked for."""
    if said.options is not None:
        texts = [one for one in said.options if isinstance(one, str)]
    elif said.inside is not None:
        texts = []
    else:
        return False
    asked = [languages.literals(["", *texts]), *([] if said.inside is None else [said.inside])]
    return not (claim.values.limited and claim.is_always_in(languages.either(asked)))


def _may_say_which(node: Node, condition: Condition) -> bool:
    """Whether a condition that is not understood asks something of a ref, as a macro does."""
    if isinstance(node, Unary | Has) or (isinstance(node, Binary) and node.operator == "!="):
        return False
    known = (
        schema.claims.get(path[1:]) for path in references(node) for schema in condition.claims
    )
    return any(_tells(claim) for claim in known if claim is not None)
