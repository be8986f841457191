"""
What lints look at and what they find.

What lives here: the values that every lint takes and gives.  Not here: the lints (`conditions`,
`choices`, `statements`, `values`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from regauth.engine.access.once import once
from regauth.engine.cel import Program
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Comprehension,
    Conditional,
    Logic,
    Node,
    Unary,
    path_of,
    walk,
)
from regauth.engine.issuers import Claim, ClaimSchema
from regauth.engine.policy.policy import Rule, Statement
from regauth.engine.source.problems import Severity

Path = tuple[str, ...]

CHANGING: Final = frozenset({"push", "delete"})
"""The actions that change what is in a repository."""

_CASE: Final = frozenset({"lowerAscii", "upperAscii"})
_TESTS: Final = frozenset({"startsWith", "endsWith", "contains", "matches"})


@dataclass(frozen=True, slots=True)
class LintFinding:
    """Something a lint found, between two offsets of an expression or at a whole node."""

    message: str
    hint: str
    start: int = 0
    end: int = 0
    severity: Severity = Severity.WARNING


class ClaimTest(NamedTuple):
    """A part of a condition that compares one claim with something."""

    node: Binary | Call
    claim: Claim
    other: Node
    """What the claim is compared with."""
    how: str
    """The operator, or the function's name."""
    admits: bool | None
    """Whether it lets something through by being true; None where that is unknown."""


@dataclass(frozen=True, slots=True)
class Served:
    """The providers that a statement is for: what is known of each, and what all rules compare."""

    claims: Sequence[ClaimSchema]
    rules: Sequence[Sequence[Rule]]
    names: Sequence[str]
    issuers: Sequence[str]
    pinned: frozenset[Path]


@dataclass(frozen=True, slots=True)
class Shared:
    """What is worked out once for all conditions of a policy."""

    facts: dict[int, Any] = field(default_factory=dict)
    """What is known of claims, by their identity (`conjunctions.facts_of`)."""
    served: dict[frozenset[str] | None, Served] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """A CEL condition with what stands around it."""

    program: Program
    claims: Sequence[ClaimSchema]
    """The schemas of the tokens that it is evaluated with."""
    pinned: frozenset[Path]
    """The claims that it, or every rule before it, compares with literals or other values."""
    denial: bool
    """Whether it is a denial's."""
    admits: bool | None
    """Whether it lets something through by being true; None where that is unknown."""
    named: frozenset[Path] = frozenset()
    """The claims that the repositories of its statement are named by."""
    before: Sequence[Sequence[Rule]] = ()
    """For each of `claims`, the rules that hold of every token that comes so far."""
    changes: bool = False
    """Whether it is the whole condition of a grant that lets somebody push or delete."""
    providers: Sequence[str] = ()
    """For each of `claims`, the name of the provider."""
    issuers: Sequence[str] = ()
    """For each of `claims`, what `iss` is in every token of the provider."""
    dead: frozenset[Node] = frozenset()
    """What is never true of these tokens: its parts are not looked at."""
    shared: Shared = field(default_factory=Shared)

    # Worked out once, because every lint looks at them.

    @once
    def parts(self) -> Sequence[tuple[Node, bool | None]]:
        """Every part of the expression, and whether that admits by being true."""
        return tuple(self._walk())

    @once
    def tests(self) -> Sequence[ClaimTest]:
        """Every part that compares one claim: by `==`, `in`, or a function that tests a text."""
        return tuple(self._tests())

    @once
    def calls(self) -> Sequence[tuple[Call, bool | None]]:
        """Every part that calls a function, and whether that admits by being true."""
        return tuple([(part, admits) for part, admits in self.parts if isinstance(part, Call)])

    @once
    def said(self) -> dict[int, Any]:
        """What the parts say of claims, as far as it was asked for (`conjunctions.said_in`)."""
        return {}

    def _walk(self) -> Iterator[tuple[Node, bool | None]]:
        for atom, admits in _atoms(self.program.node, self.admits, self.dead):
            yield atom, admits
            for part in walk(atom):
                if part is not atom:
                    yield part, None

    def _tests(self) -> Iterator[ClaimTest]:
        for part, admits in self.parts:
            if isinstance(part, Binary) and part.operator in ("==", "in"):
                for side, other in ((part.left, part.right), (part.right, part.left)):
                    claim = self.claim(side)
                    if claim is not None:
                        yield ClaimTest(part, claim, other, part.operator, admits)
                        break
            elif isinstance(part, Call) and part.function in _TESTS and part.target is not None:
                claim = self.claim(part.target)
                if claim is not None and part.arguments:
                    yield ClaimTest(part, claim, part.arguments[0], part.function, admits)

    def claim(self, node: Node) -> Claim | None:
        """
        Return what is known of the claim that an expression reads, if it reads just one.

        A claim whose capitals are changed is still the same claim.
        """
        while isinstance(node, Call) and node.function in _CASE and node.target is not None:
            node = node.target
        path = path_of(node)
        if path is None or path[0] != "claims":
            return None
        for schema in self.claims:
            if (known := schema.claims.get(path[1:])) is not None:
                return known
        return None


def pinned_by(rules: Sequence[Rule]) -> frozenset[Path]:
    """Return the claims that rules compare with something."""
    return frozenset(path for rule in rules for path in rule.check.paths)


def named_by(statement: Statement) -> frozenset[Path]:
    """Return the claims that a statement's repositories are named by."""
    return frozenset(
        path
        for pattern in statement.patterns
        for part in pattern.parts
        if isinstance(part, Program)
        for path in part.paths
    )


def _atoms(
    node: Node,
    admits: bool | None,  # noqa: FBT001 - a value
    dead: frozenset[Node],
) -> Iterator[tuple[Node, bool | None]]:
    """Follow what an expression's truth depends on, through negations, down to its conditions."""
    if dead and node in dead:
        return
    match node:
        case Logic():
            for operand in node.operands:
                yield from _atoms(operand, admits, dead)
        case Unary(operator="!"):
            yield from _atoms(node.operand, None if admits is None else not admits, dead)
        case Conditional():
            yield from _atoms(node.test, None, dead)
            yield from _atoms(node.yes, admits, dead)
            yield from _atoms(node.no, admits, dead)
        case Comprehension(kind="all" | "exists"):
            yield from _atoms(node.source, None, dead)
            yield from _atoms(node.body, admits, dead)
        case _:
            yield node, admits
