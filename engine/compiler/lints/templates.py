"""
The lint of `${...}` in names of repositories.

What lives here: claims that come into a repository's name with their capitals.  Not here: what a
pattern may be (`policy.patterns.names`).

Only claims are told of whose issuer ignores case: for another issuer `App` and `app` can be two
projects, and `lowerAscii()` would give both the same images.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from regauth.engine.cel import Program
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Conditional,
    Index,
    Node,
    Table,
    definition_of,
    path_of,
    walk,
)
from regauth.engine.compiler.document import Document
from regauth.engine.issuers import Claim
from regauth.engine.issuers.values import language_of
from regauth.engine.policy.patterns.text import Piece, split
from regauth.engine.policy.policy import Policy, Provider, Statement
from regauth.engine.source.nodes import MappingNode, ScalarNode, SequenceNode

from .subject import LintFinding, Path

TEMPLATE_CASE: Final = "template-case"

_KEEP_CAPITALS: Final = frozenset({"replace", "substring", "trim"})
"""The functions that return a part of a text as it is written."""

Located = tuple[ScalarNode, int, LintFinding]
"""The node that a finding is in, where the expression begins in it, and the finding."""


def template_case(policy: Policy, written: Document) -> Iterator[Located]:
    """Find a claim with capitals that is not lowered, once a statement and once a definition."""
    told: set[str] = set()
    pairs: list[tuple[Statement, MappingNode]] = [
        *zip(policy.grants, written.grants, strict=True),
        *zip(policy.denials, written.denials, strict=True),
    ]
    for statement, mapping in pairs:
        if not any(pattern.programs for pattern in statement.patterns):
            continue
        yield from _of_statement(statement, mapping, policy, written, told)


def _of_statement(
    statement: Statement,
    mapping: MappingNode,
    policy: Policy,
    written: Document,
    told: set[str],
) -> Iterator[Located]:
    providers = [
        provider
        for name, provider in policy.providers.items()
        if statement.providers is None or name in statement.providers
    ]
    found: set[Path] = set()
    for node, offset, program in _expressions(statement, mapping):
        for name, part in sources(program.node, policy.definitions):
            path = path_of(part)
            if path is None or path in found or (name and name in told):
                continue
            if not _has_capitals(path, statement, providers):
                continue
            found.add(path)
            told.update({name} - {""})
            finding = _finding(path, part)
            if not name:
                yield node, offset, finding
            elif isinstance(value := written.definitions[name].value, ScalarNode):
                yield value, 0, finding


def _expressions(
    statement: Statement, mapping: MappingNode
) -> Iterator[tuple[ScalarNode, int, Program]]:
    repositories = mapping.get("repositories")
    items = repositories.items if isinstance(repositories, SequenceNode) else ()
    for pattern, item in zip(statement.patterns, items, strict=True):
        pieces = split(pattern.text)
        if not isinstance(item, ScalarNode) or not isinstance(pieces, list):
            continue
        yield from (
            (item, piece.start + len("${"), program)
            for piece, program in zip(_in_braces(pieces), pattern.programs, strict=True)
        )


def _in_braces(pieces: list[Piece]) -> list[Piece]:
    return [piece for piece in pieces if piece.kind == "expression"]


def sources(
    node: Node, definitions: Mapping[str, Program], inside: str = ""
) -> Iterator[tuple[str, Node]]:
    """Return what gives an expression's text, as it is written, with the definition it is in."""
    match node:
        case Binary(operator="+"):
            yield from sources(node.left, definitions, inside)
            yield from sources(node.right, definitions, inside)
        case Conditional():
            yield from sources(node.yes, definitions, inside)
            yield from sources(node.no, definitions, inside)
        case Call() if node.function in _KEEP_CAPITALS and node.target is not None:
            yield from sources(node.target, definitions, inside)
        case Index() if _is_table(node.operand, definitions):
            # The key only chooses among values that the policy writes.
            return
        case _:
            name = definition_of(node)
            if name is None:
                yield inside, node
            elif name in definitions:
                yield from sources(definitions[name].node, definitions, name)


def _is_table(node: Node, definitions: Mapping[str, Program]) -> bool:
    name = definition_of(node)
    return name is not None and name in definitions and isinstance(definitions[name].node, Table)


def _has_capitals(path: Path, statement: Statement, providers: list[Provider]) -> bool:
    """Whether a token can come here with capitals that mean nothing to its issuer."""
    return any(
        claim.ignores_case and claim.values.can_be_in(capitals)
        for provider in providers
        if (claim := _claim(provider, path)) is not None
        and not _is_limited(path, [statement.when, *(rule.check for rule in provider.rules)])
        if (capitals := language_of("[A-Z]")) is not None
    )


def _claim(provider: Provider, path: Path) -> Claim | None:
    return provider.claims.claim(path[1:]) if path[0] == "claims" and len(path) > 1 else None


def _is_limited(path: Path, programs: list[Program | None]) -> bool:
    """Whether a condition leaves no capitals, or asks for a form that may leave none."""
    for program in filter(None, programs):
        equal = program.equalities.get(path)
        if equal is not None and not any(one.lower() != one for one in equal):
            return True
        if path in program.paths and any(_asks_for_form(path, one) for one in _all(program)):
            return True
    return False


def _all(program: Program) -> Iterator[Node]:
    yield from walk(program.node)
    for name in map(definition_of, walk(program.node)):
        if name is not None and name in program.definitions:
            yield from _all(program.definitions[name])


def _asks_for_form(path: Path, node: Node) -> bool:
    return (
        isinstance(node, Call)
        and node.function == "matches"
        and node.target is not None
        and path_of(node.target) == path
    )


def _finding(path: Path, node: Node) -> LintFinding:
    fields = "".join(f".{field}" if field.isidentifier() else f'["{field}"]' for field in path[1:])
    claim = f"claims{fields}"
    return LintFinding(
        f"`{claim}` can have capital letters, and the names of repositories have none",
        f"write {claim}.lowerAscii()",
        node.start,
        node.end,
    )
