"""
Ways in: under which conditions somebody may do something, for every possible token.

What lives here: the grants that give an access, and for each of them what a token must say, as
short as a proof allows.  Not here: how it is shown (`regauth.policytests.commands.who_can`).

The prover says which grants give the access at all, each with a token that the engine has
confirmed.  What is shown of a grant's conditions is only a text for readers: the parts that follow
from the others are left out, and that they follow is proved.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from msgspec import structs

from regauth.engine.access.references import TagState, is_tag
from regauth.engine.access.scope import Access
from regauth.engine.cel import BOOL, Node, Program, unparse
from regauth.engine.cel.evaluation.program import make
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Constant,
    Has,
    ListLiteral,
    Logic,
    Name,
    Select,
)
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.patterns.tags import STAR, TagPattern
from regauth.engine.policy.policy import Denial, Grant, Policy, Provider, Statement
from regauth.engine.source.problems import Location
from regauth.policytests.execution.believable import believable
from regauth.policytests.proofs import About, Answer, Question, Unknown, Witness, more_access
from regauth.policytests.proofs.comparison import are_apart

from .readable import Known, conjuncts, filled, program_of

STEPS: Final = 6_000_000
"""Steps of the solver for the question which grants give an access."""

_PART_STEPS: Final = 300_000
"""Steps for the question whether a part of a condition follows from the others."""


@dataclass(frozen=True, slots=True)
class WayIn:
    """
    A grant that gives an access to some tokens of a provider.

    Attributes:
        grant: The grant.
        provider: The provider; empty for requests without credentials.
        conditions: What the token must meet, all of it.
        exceptions: What a denial refuses nevertheless: its name, and its conditions.
        tags: The patterns of the tags that it is about, where no tag is asked for, or where the
            conditions do not say when they match; empty for everything.
        names: Patterns of names of which the conditions do not say when they match.
        example: A request of such a token; the engine allows it.
    """

    grant: Grant
    provider: str
    conditions: tuple[str, ...]
    exceptions: tuple[tuple[str, tuple[str, ...]], ...]
    tags: tuple[str, ...]
    names: tuple[str, ...]
    example: Witness


@dataclass(frozen=True, slots=True)
class WaysIn:
    """All ways to an access, and what is not known."""

    ways: tuple[WayIn, ...]
    unknown: tuple[Unknown, ...]


def ways_in(policy: Policy, access: Access, service: str, at: datetime | None = None) -> WaysIn:
    """
    Return the ways to an access on a repository.

    Args:
        policy: The policy.
        access: What is asked for; without a tag or digest it may be any.
        service: The service that is asked.
        at: The time that is preferred for examples.
    """
    finder = _WaysFinder(policy, access, service)
    ways: list[WayIn] = []
    unknown: list[Unknown] = []
    for provider in (*policy.providers, ""):
        found, left = finder.grants(provider, at)
        ways += [finder.way(provider, grant, example) for grant, example in found]
        unknown += left
    return WaysIn(tuple(ways), tuple(dict.fromkeys(unknown)))


class _WaysFinder:
    """Says under which conditions each grant gives an access."""

    def __init__(self, policy: Policy, access: Access, service: str) -> None:
        self._policy = policy
        self._access = access
        self._service = service
        self._nothing = replace(policy, grants=(), denials=(), anonymous=None)
        self._asked = self._grant(frozenset(policy.providers) or frozenset({""}), None)

    # -- grants

    def grants(
        self, provider: str, at: datetime | None
    ) -> tuple[list[tuple[Grant, Witness]], list[Unknown]]:
        """Return the grants by which a provider's tokens get the access, none of them needless."""
        found: dict[str, tuple[Grant, Witness]] = {}
        unknown: list[Unknown] = []
        anonymous = () if self._policy.anonymous is None else (self._policy.anonymous,)
        for grant in self._policy.grants if provider else anonymous:
            if not self._is_about(grant, provider) or are_apart(grant, self._asked):
                continue
            if grant.new_tags_only and self._access.tag_state is TagState.EXISTING:
                continue
            answer = self._more(provider, grant, [one for one, _ in found.values()], at)
            unknown += answer.unknown
            if answer.witnesses:
                found[grant.name] = (grant, self._possible_example(answer.witnesses[0], grant))
        for name, (grant, _) in list(found.items()):
            others = [one for other, (one, _) in found.items() if other != name]
            if others and self._more(provider, grant, others, at).proved:
                del found[name]
        return list(found.values()), unknown

    def _possible_example(self, witness: Witness, grant: Grant) -> Witness:
        """Return a witness by a token that its issuer can make, where there is one."""
        alone = self._with(witness.provider, [self._of_asked(grant)])
        return believable(witness, alone, self._nothing, ())

    def _more(
        self, provider: str, grant: Grant, others: Sequence[Grant], at: datetime | None
    ) -> Answer:
        """Return whether a grant gives the access to more tokens than others."""
        new, bound = (
            self._with(provider, [self._of_asked(one) for one in listed])
            for listed in ([grant], others)
        )
        return more_access(Question(new, bound, (About.SCHEMA,), steps=STEPS, at=at, first=True))

    def _with(self, provider: str, grants: Sequence[Grant]) -> Policy:
        """Return the policy with some grants alone."""
        login = self._policy.providers.get(provider)
        return replace(
            self._policy,
            services=frozenset({self._service}),
            providers={} if login is None else {provider: login},
            grants=tuple(grants) if provider else (),
            anonymous=None if provider else next(iter(grants), None),
        )

    def _of_asked(self, grant: Grant) -> Grant:
        """Return a grant that gives the access alone."""
        parts: list[Node] = [_scope_is("name", self._access.resource.name)]
        if grant.tags or any(denial.tags for denial in self._policy.denials):
            parts += self._referred()
        definitions: Mapping[str, Program] = {}
        if grant.when is not None:
            parts.append(grant.when.node)
            definitions = grant.when.definitions
        when = parts[0] if len(parts) == 1 else Logic(0, 0, "&&", tuple(parts))
        program = make(unparse(when), when, BOOL, definitions)
        return replace(grant, when=program, actions=frozenset({self._access.action}))

    def _referred(self) -> list[Node]:
        """Return the condition that the reference is what is asked for, if one is."""
        reference = self._access.reference
        return [_scope_is("reference", reference)] if reference else []

    # -- one way

    def way(self, provider: str, grant: Grant, example: Witness) -> WayIn:
        """Return the way by one grant with one provider's tokens."""
        tags = self._tags(grant)
        if not provider:
            exceptions = tuple(self._exceptions("", ()))
            return WayIn(grant, "", (), exceptions, tags, (), example)
        known = self._known(provider)
        login = self._policy.providers[provider]
        wanted = [filled(rule.check, known) for rule in login.rules]
        wanted += [*([] if grant.when is None else [filled(grant.when, known)])]
        wanted += self._named(grant.patterns, known)
        wanted += self._tagged(grant, known)
        parts = tuple(dict.fromkeys(each for one in wanted for each in conjuncts(one)))
        parts = self._needed(provider, parts)
        exceptions = tuple(self._exceptions(provider, parts))
        names = tuple(one.text for one in grant.patterns if _is_open(one))
        said = tuple(map(unparse, parts))
        return WayIn(grant, provider, said, exceptions, tags, names, example)

    def _known(self, provider: str) -> Known:
        resource, reference = self._access.resource, self._access.reference
        return {
            ("provider",): provider,
            ("service",): self._service,
            ("scope", "type"): resource.type,
            ("scope", "name"): resource.name,
            ("scope", "class"): resource.class_,
            ("scope", "action"): self._access.action,
            **({("scope", "reference"): reference} if reference else {}),
        }

    # -- patterns

    def _tags(self, statement: Statement) -> tuple[str, ...]:
        """Return the patterns of tags that no condition says anything of."""
        if is_tag(self._access.reference) and not any(map(_is_open, statement.tags)):
            return ()
        return tuple(one.text for one in statement.tags)

    def _tagged(self, statement: Statement, known: Known) -> Iterator[Node]:
        """Yield the condition that one of some patterns matches the tag, if it is one."""
        if is_tag(self._access.reference):
            yield from self._fitting(statement.tags, self._access.reference, known)

    def _named(self, patterns: Sequence[Pattern], known: Known) -> Iterator[Node]:
        """Yield the condition that one of some patterns matches the name, if it is one."""
        yield from self._fitting(patterns, self._access.resource.name, known)

    @staticmethod
    def _fitting(
        patterns: Sequence[Pattern] | Sequence[TagPattern], name: str, known: Known
    ) -> Iterator[Node]:
        """Yield the condition that one of some patterns matches a text, if it is one."""
        options: dict[Node, dict[str, None]] = {}
        for pattern in patterns:
            if _is_open(pattern) or (not pattern.programs and pattern.matches(name, {})):
                return
            if pattern.programs:
                expression, values = _values(pattern, name, known)
                options.setdefault(expression, {}).update(dict.fromkeys(values))
        found = [_is_one_of(one, list(values)) for one, values in options.items() if values]
        if found:
            yield _some(found)

    # -- what follows

    def _needed(self, provider: str, parts: tuple[Node, ...]) -> tuple[Node, ...]:
        """Return the parts without those that follow from the others."""
        kept = list(parts)
        for part in sorted(parts, key=_dispensable):
            rest = tuple(one for one in kept if one is not part)
            if self._is_none(provider, rest, (*rest, part)):
                kept.remove(part)
        return tuple(self._possible(provider, kept, part) for part in kept)

    def _possible(self, provider: str, parts: Sequence[Node], part: Node) -> Node:
        """Return alternatives without what the other parts exclude."""
        rest = tuple(one for one in parts if one is not part)
        match part:
            case Logic(operator="||", operands=operands):
                left = [one for one in operands if not self._is_none(provider, (*rest, one), None)]
                return _some(left) if left else part
            case Binary(operator="in", left=tested, right=ListLiteral(items=items)):
                equal = {one: Binary(0, 0, "==", tested, one) for one in items}
                kept = [
                    one
                    for one, each in equal.items()
                    if not self._is_none(provider, (*rest, each), None)
                ]
                if len(kept) == 1:
                    return equal[kept[0]]
                return structs.replace(part, right=ListLiteral(0, 0, tuple(kept))) if kept else part
            case _:
                return part

    def _is_none(
        self, provider: str, new: tuple[Node, ...], bound: tuple[Node, ...] | None
    ) -> bool:
        """Tell whether no token meets some conditions and not others; None: none can be met."""
        old = self._nothing if bound is None else self._giving(provider, bound)
        question = Question(
            self._giving(provider, new), old, (About.SCHEMA,), steps=_PART_STEPS, first=True
        )
        return more_access(question).proved

    def _giving(self, provider: str, parts: tuple[Node, ...], *denials: Denial) -> Policy:
        """Return a policy that gives the access to the tokens that meet some conditions."""
        grant = self._grant(frozenset({provider}), program_of(parts, self._policy.definitions))
        login = self._policy.providers.get(provider)
        providers = {} if login is None else {provider: _open(login)}
        anonymous = None if provider else replace(grant, providers=frozenset({""}))
        grants = (grant,) if provider else ()
        return replace(
            self._nothing, providers=providers, grants=grants, anonymous=anonymous, denials=denials
        )

    def _grant(self, providers: frozenset[str], when: Program | None) -> Grant:
        """Return a grant of the access."""
        resource = self._access.resource
        return Grant(
            "asked",
            providers,
            frozenset({self._service}),
            when,
            (Pattern(resource.name, (resource.name,)),),
            frozenset({self._access.action}),
            catalog=False,
            class_=resource.class_,
            expires=None,
            location=Location(""),
        )

    # -- denials

    def _exceptions(
        self, provider: str, parts: tuple[Node, ...]
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the denials that refuse some of the tokens that meet the conditions."""
        for denial in self._policy.denials:
            if not self._is_about(denial, provider):
                continue
            asked = (*parts, *(self._referred() if denial.tags else ()))
            without, with_it = (self._giving(provider, asked, *more) for more in ((), (denial,)))
            question = Question(without, with_it, (About.SCHEMA,), steps=_PART_STEPS, first=True)
            if more_access(question).proved:
                continue
            known = self._known(provider)
            wanted = [] if denial.when is None else [filled(denial.when, known)]
            wanted += self._named(denial.patterns, known)
            wanted += self._tagged(denial, known)
            told = [unparse(each) for one in wanted for each in conjuncts(one) if each not in parts]
            tags = self._tags(denial)
            yield denial.name, (*told, *([f"the tag is one of {', '.join(tags)}"] if tags else ()))

    def _is_about(self, statement: Statement, provider: str) -> bool:
        class_ = self._access.resource.class_
        any_class = isinstance(statement, Denial) and not statement.class_
        return (
            self._access.action in statement.actions
            and (statement.class_ == class_ or any_class)
            and self._service in statement.services
            and (statement.providers is None or provider in statement.providers)
        )


def _open(provider: Provider) -> Provider:
    """Return a provider without rules: they are among the conditions."""
    return replace(provider, rules=())


def _dispensable(part: Node) -> int:
    """Return how soon a part is tried to be left out: guards and negations tell readers least."""
    match part:
        case Has() | Binary(operator="!=" | "in", left=Constant()):
            return 0
        case Binary(operator="!="):
            return 1
        case Logic():
            return 2
        case Binary(operator="=="):
            return 4
        case _:
            return 3


def _scope_is(member: str, value: str) -> Node:
    """Return the condition that a member of `scope` is a text."""
    named = Select(0, 0, Name(0, 0, "scope"), member, 0)
    return Binary(0, 0, "==", named, Constant(0, 0, value))


def _values(pattern: Pattern | TagPattern, name: str, known: Known) -> tuple[Node, list[str]]:
    """Return the expression in a pattern, and the values with which the pattern matches a name."""
    programs = pattern.programs
    if len(programs) > 1:
        # Without a wildcard the name is put together from the parts.
        spelled = [
            filled(one, known) if isinstance(one, Program) else Constant(0, 0, str(one))
            for one in pattern.parts
        ]
        return _joined(spelled), [name]
    values = [
        name[start:end]
        for start in range(len(name))
        for end in range(start + 1, len(name) + 1)
        if _with(pattern, name[start:end]).matches(name, {})
    ]
    return filled(programs[0], known), list(dict.fromkeys(values))


def _is_one_of(expression: Node, values: Sequence[str]) -> Node:
    if len(values) == 1:
        return Binary(0, 0, "==", expression, Constant(0, 0, values[0]))
    items = tuple(Constant(0, 0, value) for value in values)
    return Binary(0, 0, "in", expression, ListLiteral(0, 0, items))


def _some(nodes: Sequence[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else Logic(0, 0, "||", tuple(nodes))


def _is_open(pattern: Pattern | TagPattern) -> bool:
    """Tell whether no condition says when a pattern matches: several expressions and wildcards."""
    wild = any(isinstance(one, Wildcard) or one == STAR for one in pattern.parts)
    return wild and len(pattern.programs) > 1


def _joined(parts: Sequence[Node]) -> Node:
    joined = parts[0]
    for part in parts[1:]:
        joined = Binary(0, 0, "+", joined, part)
    return joined


def _with(pattern: Pattern | TagPattern, value: str) -> Pattern | TagPattern:
    if isinstance(pattern, TagPattern):
        tag_parts = tuple(value if isinstance(one, Program) else one for one in pattern.parts)
        return TagPattern(pattern.text, tag_parts)
    parts = tuple(value if isinstance(one, Program) else one for one in pattern.parts)
    return Pattern(pattern.text, parts)
