"""
Lints: policies that compile, but probably do not say what their author meant.

What lives here: which lints there are, and walking a policy with them.  Not here: the errors of the
language (`regauth.engine.compiler.compiler`), and type findings (`regauth.engine.cel`).

Each code has one function, one test and one section in docs/problems.md.

A lint that is not sure stays silent.  A false warning costs more than a missing one, because it
teaches authors to ignore warnings.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from regauth.engine.cel import Program
from regauth.engine.cel.syntax.nodes import definition_of
from regauth.engine.compiler.document import Document
from regauth.engine.languages import Work, allowed
from regauth.engine.policy.policy import Denial, Grant, Policy, Provider, Statement
from regauth.engine.source.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Location, Problem

from .addresses import foreign_audience, impossible_issuer, known_issuer, near_issuer, service_host
from .choices import CHOICE_LINTS
from .conditions import CONDITION_LINTS
from .lookups import CODE as UNGUARDED_LOOKUP
from .lookups import lookup_findings
from .namespaces import template_collision, template_of_strangers
from .narrowing import only_excluded, open_issuer
from .per_provider import each_provider, findings_of_each
from .statements import GRANTS_LINTS, PROVIDER_LINTS, STATEMENT_LINTS
from .strangers import caused_by_strangers, fork_builds
from .subject import CHANGING, Condition, LintFinding, Served, Shared, named_by, pinned_by
from .templates import TEMPLATE_CASE, template_case
from .together import impossible_together
from .values import VALUE_CODES, value_findings

_MAX_WORK_OF_CONDITION: Final = 400_000
"""How much work one condition's lints do in comparing languages; usual ones take a twentieth."""
_MAX_WORK: Final = 10_000_000
"""How much work the lints of a whole policy do, or more if it has very many statements."""
_MAX_WORK_OF_STATEMENT: Final = 40_000
"""How much of it each statement of a large policy may take on average."""

_OF_CONDITIONS: Final = {
    **CONDITION_LINTS,
    **CHOICE_LINTS,
    "caused-by-strangers": caused_by_strangers,
    "only-excluded": only_excluded,
}
_OF_PROVIDERS: Final = {
    **PROVIDER_LINTS,
    "open-issuer": open_issuer,
    "near-issuer": near_issuer,
    "known-issuer": known_issuer,
    "impossible-issuer": impossible_issuer,
    "foreign-audience": foreign_audience,
}
_OF_GRANTS: Final = {
    **GRANTS_LINTS,
    "template-of-strangers": template_of_strangers,
    "template-collision": template_collision,
    "fork-builds": fork_builds,
}
IMPOSSIBLE_TOGETHER: Final = "impossible-together"
SERVICE_HOST: Final = "service-host"
UNCHECKED_CONDITION: Final = "unchecked-condition"
CODES: Final = (
    *_OF_CONDITIONS,
    IMPOSSIBLE_TOGETHER,
    *VALUE_CODES,
    UNGUARDED_LOOKUP,
    *_OF_PROVIDERS,
    *STATEMENT_LINTS,
    *_OF_GRANTS,
    TEMPLATE_CASE,
    SERVICE_HOST,
    UNCHECKED_CONDITION,
)
"""The codes of all lints."""

SILENCEABLE: Final = tuple(code for code in CODES if code != UNGUARDED_LOOKUP)
"""The lints whose errors a comment can silence: they rest on what is known of an issuer."""


def lint(policy: Policy, written: Document, now: datetime | None) -> Iterator[Problem]:
    """
    Look over a policy that compiled.

    Args:
        policy: The policy.
        written: The same as written, for positions.
        now: The time, with its zone; without it nothing is said about what has expired.
    """
    statements = len(policy.grants) + len(policy.denials)
    work = Work(max(_MAX_WORK, _MAX_WORK_OF_STATEMENT * statements))
    yield from _lint_conditions(policy, written, work)
    yield from lookup_findings(policy, written)
    with allowed(work):
        found = [*_lint_providers(policy, written), *_lint_statements(policy, now)]
    yield from found
    for node, offset, case in template_case(policy, written):
        place = node.locate(offset + case.start, offset + case.end)
        yield _problem(place, TEMPLATE_CASE, case)


def _lint_providers(policy: Policy, written: Document) -> Iterator[Problem]:
    for entry, provider in _providers(policy, written):
        for code, check in _OF_PROVIDERS.items():
            for found in check(provider, policy):
                yield _problem(entry.key.location, code, found)


def _lint_statements(policy: Policy, now: datetime | None) -> Iterator[Problem]:
    for statement in (*policy.grants, *policy.denials):
        for code, check_statement in STATEMENT_LINTS.items():
            for found in check_statement(statement, now):
                yield _problem(statement.location, code, found)
    for code, check_all in _OF_GRANTS.items():
        for grant, found in check_all(policy):
            yield _problem(grant.location, code, found)
    for statement, found in service_host(policy):
        yield _problem(statement.location, SERVICE_HOST, found)


def _lint_conditions(policy: Policy, written: Document, whole: Work) -> Iterator[Problem]:
    for node, condition in _conditions(policy, written):
        work = Work(_MAX_WORK_OF_CONDITION, whole)
        with allowed(work):
            findings = list(_findings(condition))
        for code, found in findings:
            yield _problem(node.locate(found.start, found.end), code, found)
        if work.is_used_up:
            yield _problem(node.location, UNCHECKED_CONDITION, _UNCHECKED)


def _findings(condition: Condition) -> Iterator[tuple[str, LintFinding]]:
    each = each_provider(condition)
    for code, check in _OF_CONDITIONS.items():
        for found in findings_of_each(check, each):
            yield code, found
    for found in impossible_together(condition):
        yield IMPOSSIBLE_TOGETHER, found
    yield from value_findings(condition)


_UNCHECKED: Final = LintFinding(
    "it takes too much work to compare this condition with what its claims can be, "
    "so some mistakes in it are not reported",
    "write simpler patterns, or make several grants of it",
)


def _problem(location: Location, code: str, found: LintFinding) -> Problem:
    return Problem(location, code, found.message, found.hint, found.severity)


def _providers(policy: Policy, written: Document) -> Iterator[tuple[Entry, Provider]]:
    for name, entry in written.providers.items():
        yield entry, policy.providers[name]


def _conditions(policy: Policy, written: Document) -> Iterator[tuple[ScalarNode, Condition]]:
    """Return every condition with the place it is written at, definitions where they stand."""
    used: set[str] = set()
    shared = Shared()
    for entry, provider in _providers(policy, written):
        pinned = pinned_by(provider.rules)
        body = entry.value
        rules = body.get("rules") if isinstance(body, MappingNode) else None
        items = rules.items if isinstance(rules, SequenceNode) else ()
        for number, (rule, node) in enumerate(zip(provider.rules, items, strict=True)):
            check = node["check"] if isinstance(node, MappingNode) else node
            condition = Condition(
                rule.check,
                [provider.claims],
                pinned,
                denial=False,
                admits=True,
                before=[provider.rules[:number]],
                providers=[provider.name],
                issuers=[provider.issuer],
                shared=shared,
            )
            yield from _with_definitions(check, condition, policy, written, used)
    pairs: list[tuple[Statement, MappingNode]] = [
        *zip(policy.grants, written.grants, strict=True),
        *zip(policy.denials, written.denials, strict=True),
    ]
    for statement, mapping in pairs:
        if statement.when is not None:
            condition = _of_statement(statement, statement.when, policy, shared)
            yield from _with_definitions(mapping["when"], condition, policy, written, used)


def _of_statement(statement: Statement, when: Program, policy: Policy, shared: Shared) -> Condition:
    served = shared.served.get(statement.providers)
    if served is None:
        served = shared.served[statement.providers] = _served(statement.providers, policy)
    return Condition(
        when,
        served.claims,
        when.paths | served.pinned,
        denial=isinstance(statement, Denial),
        admits=not isinstance(statement, Denial),
        named=named_by(statement),
        before=served.rules,
        changes=isinstance(statement, Grant) and bool(statement.actions & CHANGING),
        providers=served.names,
        issuers=served.issuers,
        shared=shared,
    )


def _served(names: frozenset[str] | None, policy: Policy) -> Served:
    found = [
        provider for name, provider in policy.providers.items() if names is None or name in names
    ]
    rules_pin = [pinned_by(provider.rules) for provider in found]
    return Served(
        [provider.claims for provider in found],
        [provider.rules for provider in found],
        [provider.name for provider in found],
        [provider.issuer for provider in found],
        frozenset.intersection(*rules_pin) if rules_pin else frozenset(),
    )


def _with_definitions(
    node: Node, condition: Condition, policy: Policy, written: Document, used: set[str]
) -> Iterator[tuple[ScalarNode, Condition]]:
    if isinstance(node, ScalarNode):
        yield node, condition
    for part, admits in condition.parts:
        name = definition_of(part)
        if name is None or name in used or name not in policy.definitions:
            continue
        used.add(name)
        nothing = [()] * len(condition.claims)
        inner = replace(
            condition,
            program=policy.definitions[name],
            admits=admits,
            before=nothing,
            changes=False,
        )
        yield from _with_definitions(written.definitions[name].value, inner, policy, written, used)
