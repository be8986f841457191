"""
What lints look at and what they find.

What lives here: the values that every lint takes and gives.  Not here: lints.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from regauth.engine.cel import Program
from regauth.engine.cel.syntax.nodes import (
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


@dataclass(frozen=True, slots=True)
class LintFinding:
    """Something a lint found, between two offsets of an expression or at a whole node."""

    message: str
    hint: str
    start: int = 0
    end: int = 0
    severity: Severity = Severity.WARNING


@dataclass(frozen=True, slots=True)
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
    dead: frozenset[Node] = frozenset()
    """What is never true of these tokens: its parts are not looked at."""

    _parts: list[tuple[Node, bool | None]] = field(default_factory=list, init=False, compare=False)

    def parts(self) -> Sequence[tuple[Node, bool | None]]:
        """Return every part of the expression, and whether that admits by being true."""
        if not self._parts:  # every lint walks them
            self._parts.extend(self._walk())
        return self._parts

    def _walk(self) -> Iterator[tuple[Node, bool | None]]:
        for atom, admits in _atoms(self.program.node, self.admits, self.dead):
            yield atom, admits
            for part in walk(atom):
                if part is not atom:
                    yield part, None

    def claim(self, node: Node) -> Claim | None:
        """Return what is known of the claim that an expression reads, if it reads just one."""
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
