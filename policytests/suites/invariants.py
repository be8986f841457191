"""
The invariants of a suite: what must hold for every token, and what is known of every token.

What lives here: reading `invariants` and compiling it against the suite's policy.  Not here: the
proof (`regauth.policytests.proofs`) and its judgement (`regauth.policytests.execution.invariants`).

An invariant is a denial that the policy does not have: it names what nobody may do.  It sees none
of the policy's definitions, so that one change cannot weaken the policy and what guards it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from msgspec import structs

from regauth.engine.cel import BOOL, Program
from regauth.engine.cel.evaluation.program import make
from regauth.engine.cel.syntax.nodes import Unary
from regauth.engine.compiler.expressions import Expressions, VisibleNames
from regauth.engine.compiler.lints.subject import Condition
from regauth.engine.compiler.lints.values import value_findings
from regauth.engine.compiler.statements import Statements
from regauth.engine.policy.policy import Denial, Policy, Provider
from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Location, Problems

from .suite import FORBIDDEN_IN_NAMES, WrittenInvariant

GROUP: Final = "invariants"
"""What ids of cases have in the place of a test's name."""

ASSUME: Final = "assume"
"""The list of assumptions."""

_MISTAKES: Final = frozenset({"impossible-value", "glob-in-comparison"})
"""Findings about a literal that make a condition mean something else than its author thinks."""


class InvariantKind(StrEnum):
    """How an invariant says what nobody may do."""

    NEVER = "never"
    """Nobody for whom `when` holds may."""
    ONLY = "only"
    """Nobody for whom `to` does not hold may."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """
    What no token may do.

    Attributes:
        kind: Which list of the suite it stands in.
        name: What it says, in words.
        location: Where its name stands.
        condition: `when` or `to` as it is written; None: always.
        denial: It as a denial, which matches what must not be allowed.
        node: The condition's text, for positions.
    """

    kind: InvariantKind
    name: str
    location: Location
    condition: Program | None
    denial: Denial
    node: ScalarNode | None


@dataclass(frozen=True, slots=True)
class SuiteAssumption:
    """What is known of every token of some providers: where `when` holds, `then` does."""

    name: str
    location: Location
    then: Program
    when: Program | None
    providers: frozenset[str] | None


def read_invariants(
    node: Node | None, tests: Mapping[str, Location], problems: Problems
) -> tuple[WrittenInvariant, ...]:
    """
    Read the names of `invariants`; the schema has told of other faults of its shape.

    The codes are `bad-name` and `duplicate-name`.
    """
    known = dict(tests)
    found = []
    for kind, item in _items(node):
        name = item.get("name")
        location = name.location if isinstance(name, ScalarNode) else item.location
        text = name.text if isinstance(name, ScalarNode) else ""
        found.append(WrittenInvariant(kind, text, location, item))
        for part in FORBIDDEN_IN_NAMES:
            if part in text:
                message = f"an invariant's name cannot hold `{part}`: it is a part of case ids"
                problems.error(location, "bad-name", message)
        if text in known:
            message = f"`{text}` is the name of something in line {known[text].line} already"
            problems.error(location, "duplicate-name", message, "give each a name of its own")
        if text:
            known.setdefault(text, location)
    return tuple(found)


def _items(node: Node | None) -> Iterator[tuple[str, MappingNode]]:
    if not isinstance(node, MappingNode):
        return
    for kind, entry in node.entries.items():
        for item in entry.value.items if isinstance(entry.value, SequenceNode) else ():
            if isinstance(item, MappingNode):
                yield kind, item


def compile_invariants(
    written: tuple[WrittenInvariant, ...], policy: Policy, problems: Problems
) -> tuple[tuple[Invariant, ...], tuple[SuiteAssumption, ...]]:
    """
    Compile invariants and assumptions against a policy's services, providers and claim schemas.

    The codes are those of the policy's statements and expressions, `impossible-value`,
    `glob-in-comparison`, and `assumption-beyond-claims`.
    """
    compiler = _InvariantCompiler(policy, problems)
    invariants: list[Invariant] = []
    assumptions: list[SuiteAssumption] = []
    for one in written:
        if one.kind != ASSUME:
            invariant = compiler.invariant(InvariantKind(one.kind), one)
            invariants += [] if invariant is None else [invariant]
        else:
            assumption = compiler.assumption(one)
            assumptions += [] if assumption is None else [assumption]
    return tuple(invariants), tuple(assumptions)


class _InvariantCompiler:
    def __init__(self, policy: Policy, problems: Problems) -> None:
        self._policy = policy
        self._problems = problems
        # Each statement compiles by itself: what is wrong with one says nothing of the others.
        self._found = Problems()
        self._expressions = Expressions(self._found, {})
        claims = {name: provider.claims for name, provider in policy.providers.items()}
        self._statements = Statements(policy.services, claims, self._found, self._expressions)

    def invariant(self, kind: InvariantKind, one: WrittenInvariant) -> Invariant | None:
        self._begin()
        key = "to" if kind is InvariantKind.ONLY else "when"
        node = one.node.get(key)
        entries = {name: entry for name, entry in one.node.entries.items() if name != "to"}
        denial = self._statements.compile(structs.replace(one.node, entries=entries), Denial)
        condition = None if denial is None else denial.when
        if kind is InvariantKind.ONLY and isinstance(node, ScalarNode):
            sights = self._sights(one, scope=True)
            condition = self._expressions.compile(node, sights, BOOL)
        if condition is not None and isinstance(node, ScalarNode):
            self._check_values(node, condition, self._providers(one))
        self._problems.extend(self._found)
        if denial is None or (condition is None and node is not None) or self._failed:
            return None
        when = condition
        if kind is InvariantKind.ONLY and condition is not None:
            when = negated(condition)
        # No statement of a policy has a colon in its name.
        denial = replace(denial, name=f"invariant:{one.name}", when=when, location=one.location)
        text = node if isinstance(node, ScalarNode) else None
        return Invariant(kind, one.name, one.location, condition, denial, text)

    def assumption(self, one: WrittenInvariant) -> SuiteAssumption | None:
        self._begin()
        programs: dict[str, Program | None] = {}
        for key in ("when", "then"):
            node = one.node.get(key)
            if isinstance(node, ScalarNode):
                programs[key] = self._about_claims(one, node)
        providers = self._statements.named_providers(one.node.get("providers"))
        self._problems.extend(self._found)
        then, when = programs.get("then"), programs.get("when")
        if then is None or ("when" in programs and when is None) or self._failed:
            return None
        name = one.name or _said(when, then)
        return SuiteAssumption(name, one.location, then, when, providers)

    def _begin(self) -> None:
        self._found = self._expressions.problems = self._statements.problems = Problems()

    @property
    def _failed(self) -> bool:
        return bool(self._found.error_count)

    def _about_claims(self, one: WrittenInvariant, node: ScalarNode) -> Program | None:
        program = self._expressions.compile(node, self._sights(one, scope=False), BOOL)
        if program is None:
            return None
        for name in sorted(program.variables - {"claims"}):
            message = f"an assumption is about tokens; it cannot read `{name}`"
            hint = "read `claims` alone; `providers` says whose tokens it is about"
            self._found.error(node.location, "assumption-beyond-claims", message, hint)
        self._check_values(node, program, self._providers(one))
        return program

    def _named(self, one: WrittenInvariant) -> list[str] | None:
        node = one.node.get("providers")
        if not isinstance(node, SequenceNode):
            return None
        return [str(item.plain()) for item in node.items]

    def _providers(self, one: WrittenInvariant) -> list[Provider]:
        named = self._named(one)
        known = self._policy.providers
        return [one for name, one in known.items() if named is None or name in named]

    def _sights(self, one: WrittenInvariant, *, scope: bool) -> list[VisibleNames]:
        schemas = {id(each.claims): each.claims for each in self._providers(one)}
        return [VisibleNames(schema, scope=scope) for schema in schemas.values()]

    def _check_values(self, node: ScalarNode, program: Program, providers: list[Provider]) -> None:
        """Report a literal that a claim can never have: what is said of it says nothing."""
        schemas = [one.claims for one in providers]
        condition = Condition(program, schemas, frozenset(), denial=True, admits=False)
        for code, found in value_findings(condition):
            if code in _MISTAKES:
                place = node.locate(found.start, found.end)
                self._found.error(place, code, found.message, found.hint)


def negated(program: Program) -> Program:
    """Return a condition that holds where another does not; both fail for the same tokens."""
    node = Unary(program.node.start, program.node.end, "!", program.node)
    return make(f"!({program.text})", node, BOOL, program.definitions)


def _said(when: Program | None, then: Program) -> str:
    """Return an assumption in its own words."""
    return then.text if when is None else f"{when.text} => {then.text}"
