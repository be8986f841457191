"""
Mutants: the policy with one thing changed.

What lives here: all changes of a policy, and the policy after each.  Not here: how a condition or
a pattern is changed (`weakening`), and finding the cases that notice (`mutation`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from regauth.engine.access.scope import REPOSITORY_ACTIONS
from regauth.engine.cel import BOOL, Node, Program, TableValue, compile_table
from regauth.engine.cel.evaluation.program import make
from regauth.engine.cel.syntax.analysis import references
from regauth.engine.policy.patterns.names import Pattern
from regauth.engine.policy.patterns.tags import TagPattern
from regauth.engine.policy.policy import Denial, Policy, Provider, Rule, Statement
from regauth.engine.source.problems import Location

from .places import Places
from .variations import sampled
from .weakening import conditions, wider_patterns, wider_tags

AnyPattern = TypeVar("AnyPattern", Pattern, TagPattern)


@dataclass(frozen=True, slots=True)
class Mutant:
    """
    One change of a policy.

    `owner` is the rule, grant, denial, provider or definition that changes; `before` and `after`
    its text, the latter empty for what is removed.  `statements` and `providers` name those whose
    answers can differ.
    """

    operator: str
    owner: str
    location: Location
    before: str
    after: str
    policy: Policy = field(repr=False)
    statements: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()
    program: Program | None = field(default=None, repr=False)
    """The condition before the change, when it is one that changes."""

    def diff(self) -> str:
        """Return the change as lines with `-` and `+`."""
        lines = [f"- {line}" for line in self.before.split("\n")]
        lines += [f"+ {line}" for line in self.after.split("\n") if self.after]
        return "\n".join(lines)


def mutants(policy: Policy, places: Places) -> Iterator[Mutant]:
    """Yield every mutant of a policy."""
    maker = _Maker(policy, places)
    for statement in (*policy.grants, *policy.denials):
        yield from maker.statement(statement)
    for provider in policy.providers.values():
        yield from maker.provider(provider)
    yield from maker.definitions()


def untried_entries(policy: Policy) -> int:
    """Return how many entries of large tables no mutant leaves out."""
    tables = (one.table for one in policy.definitions.values() if one.table is not None)
    return sum(len(table) - len(sampled(table)) for table in tables)


class _Maker:
    def __init__(self, policy: Policy, places: Places) -> None:
        self._policy = policy
        self._places = places

    def _is_mutable(self, part: Node) -> bool:
        """Tell whether a part compares a claim whose value a person chooses."""
        for path in references(part):
            for provider in self._policy.providers.values():
                claim = provider.claims.claims.get(path[1:])
                if path[0] == "claims" and (claim is None or claim.mutable):
                    return True
        return False

    # -- statements

    def statement(self, statement: Statement) -> Iterator[Mutant]:
        """Yield the mutants of a grant or a denial."""
        kind = "denial" if isinstance(statement, Denial) else "grant"
        yield self._changed(f"remove-{kind}", statement, None, f"{kind} {statement.name}", "")
        if statement.when is not None:
            for operator, program, part, after in conditions(statement.when, self._is_mutable):
                place = self._places.part(kind, statement.name, part.start, part.end)
                before = statement.when.source(part)
                yield self._changed(
                    operator, statement, replace(statement, when=program), before, after, place
                )
        yield from self._patterns(statement)
        yield from self._tags(statement)
        yield from self._lists(statement)

    def _patterns(self, statement: Statement) -> Iterator[Mutant]:
        for number, pattern in enumerate(statement.patterns):
            place = self._places.item(statement.name, "repositories", pattern.text)
            others = statement.patterns[:number] + statement.patterns[number + 1 :]
            if others:
                less = replace(statement, patterns=others)
                yield self._changed("drop-pattern", statement, less, pattern.text, "", place)
            for operator, wider in wider_patterns(pattern):
                patterns = (*statement.patterns[:number], wider, *statement.patterns[number + 1 :])
                changed = replace(statement, patterns=patterns)
                yield self._changed(operator, statement, changed, pattern.text, wider.text, place)

    def _tags(self, statement: Statement) -> Iterator[Mutant]:
        for number, tag in enumerate(statement.tags):
            place = self._places.item(statement.name, "tags", tag.text)
            before, after = statement.tags[:number], statement.tags[number + 1 :]
            if before or after:
                less = replace(statement, tags=before + after)
                yield self._changed("drop-tag", statement, less, tag.text, "", place)
            for operator, wider in wider_tags(tag):
                changed = replace(statement, tags=(*before, wider, *after))
                yield self._changed(operator, statement, changed, tag.text, wider.text, place)
        if statement.tags:
            text = f"tags: [{', '.join(tag.text for tag in statement.tags)}]"
            without = replace(statement, tags=(), new_tags_only=False)
            yield self._changed("drop-tags", statement, without, text, "")
        if statement.new_tags_only:
            moving = replace(statement, new_tags_only=False)
            place = self._places.key(statement.name, "newTagsOnly")
            yield self._changed(
                "drop-new-tags-only", statement, moving, "newTagsOnly: true", "", place
            )

    def _lists(self, statement: Statement) -> Iterator[Mutant]:
        if not statement.catalog:
            for action in REPOSITORY_ACTIONS:
                actions = statement.actions ^ {action}
                operator = "drop-action" if action in statement.actions else "add-action"
                if actions:
                    before, after = _actions(statement.actions), _actions(actions)
                    changed = replace(statement, actions=actions)
                    yield self._changed(operator, statement, changed, before, after)
        if statement.providers is not None and len(self._policy.providers) > len(
            statement.providers
        ):
            before = f"providers: [{', '.join(sorted(statement.providers))}]"
            changed = replace(statement, providers=None)
            yield self._changed("drop-providers", statement, changed, before, "")
        if statement.services != self._policy.services:
            before = f"services: [{', '.join(sorted(statement.services))}]"
            changed = replace(statement, services=self._policy.services)
            yield self._changed("drop-services", statement, changed, before, "")
        if statement.expires is not None:
            before = f"expires: {statement.expires:%Y-%m-%dT%H:%M:%SZ}"
            changed = replace(statement, expires=None)
            yield self._changed("drop-expires", statement, changed, before, "")
        if statement.token_lifetime is not None:
            before = f"tokenLifetime: {int(statement.token_lifetime.total_seconds())}s"
            changed = replace(statement, token_lifetime=None)
            yield self._changed("drop-token-lifetime", statement, changed, before, "")

    def _changed(
        self,
        operator: str,
        statement: Statement,
        changed: Statement | None,
        before: str,
        after: str,
        place: Location | None = None,
    ) -> Mutant:
        policy = with_statements(
            self._policy, lambda one: changed if one.name == statement.name else one
        )
        return Mutant(
            operator,
            statement.name,
            place or statement.location,
            before,
            after,
            policy,
            statements=frozenset({statement.name}),
            program=statement.when,
        )

    # -- providers

    def provider(self, provider: Provider) -> Iterator[Mutant]:
        """Yield the mutants of a provider and its rules."""
        for number, rule in enumerate(provider.rules):
            others = provider.rules[:number] + provider.rules[number + 1 :]
            less = replace(provider, rules=others)
            before = f"rule {rule.name}"
            yield self._moved("remove-rule", rule.name, rule.location, before, "", less, rule)
            for operator, program, part, after in conditions(rule.check, self._is_mutable):
                place = self._places.part("rule", rule.name, part.start, part.end)
                changed = replace(rule, check=program)
                rules = (*provider.rules[:number], changed, *provider.rules[number + 1 :])
                before = rule.check.source(part)
                moved = replace(provider, rules=rules)
                where = place or rule.location
                yield self._moved(operator, rule.name, where, before, after, moved, rule)
        yield from self._limits(provider)

    def _limits(self, provider: Provider) -> Iterator[Mutant]:
        name, location = provider.name, provider.location
        before = f"audience: {', '.join(sorted(provider.audiences))}"
        anyone = replace(provider, audiences=ANY)
        yield self._moved("drop-audience", name, location, before, "", anyone)
        if provider.max_token_age is not None:
            before = f"maxTokenAge: {int(provider.max_token_age.total_seconds())}s"
            older = replace(provider, max_token_age=None)
            yield self._moved("drop-max-token-age", name, location, before, "", older)

    def _moved(
        self,
        operator: str,
        owner: str,
        location: Location,
        before: str,
        after: str,
        provider: Provider,
        rule: Rule | None = None,
    ) -> Mutant:
        providers = {**self._policy.providers, provider.name: provider}
        return Mutant(
            operator,
            owner,
            location,
            before,
            after,
            replace(self._policy, providers=providers),
            providers=frozenset({provider.name}),
            program=rule.check if rule else None,
        )

    # -- definitions

    def definitions(self) -> Iterator[Mutant]:
        """Yield the mutants of the definitions."""
        for name, definition in self._policy.definitions.items():
            if definition.table is not None:
                yield from self._tables(name, definition.table)
            if definition.type != BOOL:
                continue
            for operator, program, part, after in conditions(definition, self._is_mutable):
                place = self._places.part("definition", name, part.start, part.end)
                before = definition.source(part)
                yield self._redefined(operator, name, program, before, after, place)

    def _tables(self, name: str, table: Mapping[str, TableValue]) -> Iterator[Mutant]:
        """Yield a table without one of its entries, and with each value at another key."""
        for key in sampled(table) if len(table) > 1 else ():
            value = table[key]
            less = compile_table({one: its for one, its in table.items() if one != key})
            before, place = f"{key}: {value}", self._places.entry(name, key)
            yield self._redefined("drop-entry", name, less, before, "", place)
        values = list(table.values())
        moved = compile_table(dict(zip(table, [*values[1:], values[0]], strict=True)))
        if moved.table != table:
            before = f"{next(iter(table))}: {values[0]}"
            after = f"{next(iter(table))}: {values[1]}"
            place = self._places.table(name)
            yield self._redefined("exchange-values", name, moved, before, after, place)

    def _redefined(
        self,
        operator: str,
        name: str,
        program: Program,
        before: str,
        after: str,
        place: Location | None,
    ) -> Mutant:
        again = _redefining(name, program)
        statements: set[str] = set()

        def with_definition(statement: Statement) -> Statement:
            when = again(statement.when) if statement.when is not None else None
            patterns = tuple(_changed_parts(one, again) for one in statement.patterns)
            tags = tuple(_changed_parts(one, again) for one in statement.tags)
            same = patterns == statement.patterns and tags == statement.tags
            if when is statement.when and same:
                return statement
            statements.add(statement.name)
            return replace(statement, when=when, patterns=patterns, tags=tags)

        policy = with_statements(self._policy, with_definition)
        providers = dict(policy.providers)
        moved = set()
        for provider in policy.providers.values():
            rules = tuple(replace(rule, check=again(rule.check)) for rule in provider.rules)
            if any(
                one.check is not two.check for one, two in zip(rules, provider.rules, strict=True)
            ):
                providers[provider.name] = replace(provider, rules=rules)
                moved.add(provider.name)
        return Mutant(
            operator,
            f"defs.{name}",
            place or Location(""),
            before,
            after,
            replace(policy, providers=providers),
            statements=frozenset(statements),
            providers=frozenset(moved),
            program=self._policy.definitions[name],
        )


def _redefining(name: str, program: Program) -> Callable[[Program], Program]:
    """Return what makes a program again that uses a definition, with another in its place."""

    def again(used: Program) -> Program:
        if name in used.definitions:
            others = {one: again(its) for one, its in used.definitions.items()}
            return make(used.text, used.node, used.type, {**others, name: program})
        if not used.definitions:
            return used
        others = {one: again(its) for one, its in used.definitions.items()}
        if all(others[one] is its for one, its in used.definitions.items()):
            return used
        return make(used.text, used.node, used.type, others)

    return again


def _changed_parts(pattern: AnyPattern, change: Callable[[Program], Program]) -> AnyPattern:
    """Return a pattern with each of its expressions changed."""
    parts = tuple(change(one) if isinstance(one, Program) else one for one in pattern.parts)
    return replace(pattern, parts=parts)


class _Anything(frozenset[str]):
    """A list of audiences that contains one of every token's."""

    __slots__ = ()

    def intersection(self, *others: object) -> frozenset[str]:
        """Equal to every audience."""
        return frozenset(str(one) for other in others for one in other)  # type: ignore[attr-defined]  # as in frozenset

    def __bool__(self) -> bool:
        return True


ANY: Final[frozenset[str]] = _Anything({"anything"})


def with_statements(policy: Policy, change: Callable[[Statement], Statement | None]) -> Policy:
    """Return the policy with each grant and denial changed, or removed for None."""
    grants = tuple(new for one in policy.grants if (new := change(one)) is not None)
    denials = tuple(new for one in policy.denials if (new := change(one)) is not None)
    return replace(policy, grants=grants, denials=denials)  # type: ignore[arg-type]  # a grant's change is a grant


def _actions(actions: frozenset[str]) -> str:
    return f"actions: [{', '.join(one for one in REPOSITORY_ACTIONS if one in actions)}]"
