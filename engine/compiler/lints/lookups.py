"""
Lints of look-ups in tables: those that can miss.

What lives here: where such a look-up stands, and how bad it is there.  Not here: which look-ups are
guarded (`regauth.engine.cel.checks.lookups`).

A look-up that misses is an error.  A grant then does not match, and a login is refused: that is a
warning.  A denial then refuses what nobody meant to refuse: that is an error of the policy.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from regauth.engine.cel import Lookup, Program, unguarded_lookups
from regauth.engine.compiler.document import Document
from regauth.engine.policy.patterns.names import Pattern
from regauth.engine.policy.patterns.tags import TagPattern
from regauth.engine.policy.policy import Denial, Policy, Provider, Statement
from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Location, Problem, Severity

CODE: Final = "unguarded-lookup"


def lookup_findings(policy: Policy, written: Document) -> Iterator[Problem]:
    """Return what is found about every look-up of a policy, each place once."""
    found: dict[Location, Problem] = {}
    for problem in _problems(policy, written):
        known = found.get(problem.location)
        if known is None or known.severity is Severity.WARNING:
            found[problem.location] = problem
    yield from found.values()


def _problems(policy: Policy, written: Document) -> Iterator[Problem]:
    for name, entry in written.providers.items():
        if isinstance(entry.value, MappingNode):
            yield from _of_provider(policy.providers[name], entry.value, written)
    for statements, nodes in ((policy.grants, written.grants), (policy.denials, written.denials)):
        for statement, node in zip(statements, nodes, strict=True):
            for provider in policy.providers.values():
                if statement.providers is None or provider.name in statement.providers:
                    yield from _of_statement(statement, node, provider, written)


def _of_provider(provider: Provider, node: MappingNode, written: Document) -> Iterator[Problem]:
    before: list[Program] = []
    for rule, item in zip(provider.rules, _items(node.get("rules")), strict=True):
        check = item.get("check") if isinstance(item, MappingNode) else None
        yield from _found(rule.check, before, check, written, denial=False)
        before.append(rule.check)
    # The subject is computed before the rules.
    yield from _found(provider.subject, (), node.get("subject"), written, denial=False)


def _of_statement(
    statement: Statement, node: MappingNode, provider: Provider, written: Document
) -> Iterator[Problem]:
    denial = isinstance(statement, Denial)
    rules = [rule.check for rule in provider.rules]
    if statement.when is not None:
        yield from _found(statement.when, rules, node.get("when"), written, denial=denial)
    # A condition that is false decides, whatever error a pattern has.
    beside = rules if statement.when is None else [*rules, statement.when]
    items = (*_items(node.get("repositories")), *_items(node.get("tags")))
    patterns: list[Pattern | TagPattern] = [*statement.patterns, *statement.tags]
    for pattern, item in zip(patterns, items, strict=True):
        for program in pattern.programs:
            yield from _found(program, beside, item, written, denial=denial, whole=True)


def _found(
    program: Program,
    beside: Iterable[Program],
    node: Node | None,
    written: Document,
    *,
    denial: bool,
    whole: bool = False,
) -> Iterator[Problem]:
    """Yield the problems of one expression; `whole`: the node holds more than the expression."""
    for lookup in unguarded_lookups(program, beside):
        place = node
        if lookup.definition:
            place = written.definitions[lookup.definition].value
        if not isinstance(place, ScalarNode):
            continue
        location = place.location
        if lookup.definition or not whole:
            location = place.locate(lookup.node.start, lookup.node.end)
        yield _problem(lookup, location, denial=denial)


def _problem(lookup: Lookup, location: Location, *, denial: bool) -> Problem:
    message = f"`defs.{lookup.table}` may not have this key, and then this is an error"
    if denial:
        message += "; a denial then refuses whoever it is about"
    severity = Severity.ERROR if denial else Severity.WARNING
    return Problem(location, CODE, message, f"ask first: {lookup.guard} && ...", severity)


def _items(node: Node | None) -> Iterable[Node]:
    return node.items if isinstance(node, SequenceNode) else ()
