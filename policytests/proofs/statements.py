"""
A policy for a login that is not known: when a grant allows and when a denial refuses.

What lives here: statements as formulas, with the meaning that the engine's `decide` gives them, and
the names and tags that a grant can be about.  Not here: logins (`logins`), and expressions
(`evaluation.evaluator`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Final

from regauth.engine.access.references import ALL_TAGS, TagState
from regauth.engine.access.scope import CATALOG, MAX_NAME_LENGTH, REGISTRY, REPOSITORY
from regauth.engine.cel import Program
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.patterns.tags import STAR, TagPattern
from regauth.engine.policy.policy import Denial, Grant, Policy, Statement

from .budget import spend
from .evaluation.evaluator import Context, Evaluator, ScopeTerms
from .evaluation.quantifiers import Lists
from .evaluation.values import Str, Unclear
from .instants import seconds
from .languages import language as languages
from .languages.language import Language
from .logic import atoms, formulas
from .logic.atoms import (
    Applied,
    Literal_,
    OpaqueText,
    Part,
    Text,
    TooLong,
    Unclaimed,
    Variable,
    Wild,
)
from .logic.formulas import FALSE, TRUE, Formula, both
from .logic.patterns import Ways, fits
from .logic.universe import Kind, Universe

MAX_TAG_PART: Final = 128
"""Characters of what can stand within a tag (`regauth.engine.access.references`)."""

NAME: Final = Variable((Unclaimed("$name"),))
TAG: Final = Variable((Unclaimed("$tag"),))
DIGEST: Final = Variable((Unclaimed("$digest"),))


class Reference(StrEnum):
    """What an access names within a repository."""

    NONE = "none"
    TAG = "tag"
    DIGEST = "digest"
    ALL_TAGS = "all tags"
    UPLOAD = "upload"
    PENDING = "not known yet"
    """A token is asked for: its accesses name no tag, and what depends on it waits."""


NAMED: Final = tuple(one for one in Reference if one is not Reference.PENDING)
"""The references of accesses, once it is known what they name."""


@dataclass(frozen=True, slots=True)
class Target:
    """An access that is not known: what is asked for, and in which service."""

    service: str
    action: str
    """`*` of the catalog."""
    class_: str = ""
    catalog: bool = False
    reference: Reference = Reference.NONE
    tag_state: TagState = TagState.UNKNOWN
    """Whether the tag exists; it is asked about only where a grant is of new tags alone."""
    name: Text = NAME
    tag: Text = TAG

    @property
    def scope(self) -> ScopeTerms:
        """What conditions see of it as `scope`."""
        seen = {
            Reference.TAG: self.tag,
            Reference.DIGEST: DIGEST,
            Reference.ALL_TAGS: Literal_(ALL_TAGS),
        }
        reference = seen.get(self.reference, atoms.EMPTY_TEXT)
        if self.catalog:
            return ScopeTerms(REGISTRY, "", Literal_(CATALOG), "*", reference)
        return ScopeTerms(REPOSITORY, self.class_, self.name, self.action, reference)


Template = list[tuple[Formula, Text]]
"""What `${...}` can stand for, and when."""

Made = tuple[Ways, Formula]
"""What a pattern can become, and when all of its expressions have values."""


class Side:
    """One policy, for the logins of one provider ("": requests without credentials)."""

    def __init__(
        self, policy: Policy, provider: str, universe: Universe, target: Target, lists: Lists
    ) -> None:
        self.policy = policy
        self.provider = provider
        self.target = target
        context = Context(provider, target.service, target.scope)
        self.evaluator = Evaluator(universe, context, lists)

    @property
    def grants(self) -> Sequence[Grant]:
        """The grants that can be about such requests."""
        if self.provider:
            return self.policy.grants
        return () if self.policy.anonymous is None else (self.policy.anonymous,)

    def applies(self, statement: Statement) -> bool:
        """Tell whether a statement can be about the target, by all that cannot fail."""
        target = self.target
        any_class = isinstance(statement, Denial) and not statement.class_
        class_ = "" if target.catalog else target.class_
        return (
            statement.catalog == target.catalog
            and (target.catalog or target.action in statement.actions)
            and (statement.class_ == class_ or any_class)
            and target.service in statement.services
            and (statement.providers is None or self.provider in statement.providers)
            and (not self._creates_tag(statement) or target.tag_state is TagState.NEW)
        )

    def _creates_tag(self, statement: Statement) -> bool:
        """Tell whether a statement is about the target only where the tag is new."""
        tag = self.target.reference is Reference.TAG
        return statement.new_tags_only and tag and self.target.action == "push"

    def statement(self, statement: Statement) -> Formula:
        """Return when a grant allows, or when a denial refuses."""
        if not self.applies(statement):
            return FALSE
        # The evaluator's context holds all else that it depends on: service, action, name and tag.
        key = ("statement", id(statement), self.target.reference)
        return self.evaluator.once(key, statement, lambda: self._statement(statement))

    def gives(self, grant: Grant) -> Formula:
        """Return when a grant allows a name and a tag that were made of its own patterns."""
        if not self.applies(grant):
            return FALSE
        made = self.target.reference is Reference.TAG
        parts = [not_expired(grant), TRUE if made or not grant.tags else self._tagged(grant)]
        return self._under(grant, parts)

    def _statement(self, statement: Statement) -> Formula:
        denies = isinstance(statement, Denial)
        parts = [
            not_expired(statement),
            TRUE if statement.catalog else self._named(statement.patterns, errors=denies),
            self._tagged(statement) if statement.tags else TRUE,
        ]
        return self._under(statement, parts)

    def _under(self, statement: Statement, parts: list[Formula]) -> Formula:
        """Return when all parts of a statement hold, its condition among them."""
        denies = isinstance(statement, Denial)
        if self._waits(statement):
            parts.append(self._not_ruled_out(statement))
        elif statement.when is not None and FALSE not in parts:
            when = self.evaluator.condition(self.evaluator.program(statement.when))
            # A denial holds unless it is certain not to: an error refuses.
            parts.append(when.false.negation if denies else when.true)
        return formulas.every(parts)

    def _waits(self, statement: Statement) -> bool:
        """Tell whether a condition is not evaluated before the tag is known (`decide.is_open`)."""
        return (
            self.target.reference is Reference.PENDING
            and isinstance(statement, Grant)
            and bool(statement.tags)
            and statement.when is not None
            and "scope" in statement.when.variables
        )

    def _not_ruled_out(self, statement: Statement) -> Formula:
        """Return when no claim alone keeps a condition from being true (`index.ruled_out`)."""
        if statement.when is None:
            return TRUE
        return formulas.every(
            self._is_one_of(path[1:], values)
            for path, values in statement.when.equalities.items()
            if path[0] == "claims" and len(path) > 1
        )

    def _is_one_of(self, path: tuple[str, ...], values: Iterable[str]) -> Formula:
        """Return when a claim is one of some texts, and all around it are maps."""
        kind_is = self.evaluator.is_kind
        around = [kind_is(path[:size], Kind.MAP) for size in range(1, len(path))]
        text = [kind_is(path, Kind.STRING), atoms.is_text(Variable(path), *sorted(values))]
        return formulas.every([*around, *text])

    def _named(self, patterns: Sequence[Pattern], *, errors: bool) -> Formula:
        found = []
        for pattern in patterns:
            parts = [_wild(part) if isinstance(part, Wildcard) else part for part in pattern.parts]
            fitting, failing = self._fits(self.target.name, parts, _PATHS)
            found.append(fitting)
            if errors and failing is not FALSE:
                first = pattern.parts[0]
                if isinstance(first, str) and len(parts) > 1:
                    # A name that does not begin so is ruled out before anything can fail.
                    start = atoms.is_in(self.target.name, languages.starts_with(first))
                    failing = both(failing, start)
                found.append(failing)
        return formulas.some(found)

    def _tagged(self, statement: Statement) -> Formula:
        denies = isinstance(statement, Denial)
        match self.target.reference:
            case Reference.NONE:
                # Who has not seen the reference decides nothing by it: what depends is refused.
                return formulas.of(denies)
            case Reference.ALL_TAGS:
                return formulas.of(denies or any(tag.everything for tag in statement.tags))
            case Reference.TAG:
                found = []
                for tag in statement.tags:
                    fitting, failing = self._fits(self.target.tag, _tag_parts(tag), _TAG_PARTS)
                    found += [fitting, failing] if denies else [fitting]
                return formulas.some(found)
            case Reference.DIGEST:
                return formulas.of(denies == (self.target.action == "delete"))
            case Reference.UPLOAD:
                return formulas.of(not denies)
            case Reference.PENDING:
                # A grant may match, so it counts; a denial refuses nothing before the tag is known.
                return formulas.of(not denies)

    def _fits(
        self, text: Text, parts: Sequence[str | Wild | Program], within: "Within"
    ) -> tuple[Formula, Formula]:
        """Return when a text fits a pattern, and when an expression in the pattern fails."""
        read = [part for part in parts if isinstance(part, Program)]
        ways, sound = self.evaluator.of_programs(
            read, ("ways", tuple(parts), within), lambda seen: _ways(seen, parts, within)
        )
        return ways.fit(text), sound.negation

    # -- what a grant can be about

    def names(self, grant: Statement) -> Iterator[tuple[Text, Formula]]:
        """Yield the names that a grant can be about, made from its own patterns."""
        if grant.catalog:
            yield NAME, TRUE
            return
        for pattern in grant.patterns:
            if any(isinstance(part, Program) for part in pattern.parts):
                parts = [
                    _wild(part) if isinstance(part, Wildcard) else part for part in pattern.parts
                ]
                whole = Within(languages.NAME, MAX_NAME_LENGTH)
                yield from self._made(parts, "$wildcard", _PATHS, whole)
            else:
                written = [
                    Literal_(part) if isinstance(part, str) else _wild(part)
                    for part in pattern.parts
                    if not isinstance(part, Program)
                ]
                yield NAME, both(atoms.is_in(NAME, languages.NAME), fits(NAME, written))

    def tags(self, grant: Statement) -> Iterator[tuple[Text, Formula]]:
        """Yield the tags that a grant can be about, made from its own patterns."""
        if self.target.reference is Reference.DIGEST:
            yield TAG, atoms.is_in(DIGEST, languages.DIGEST)
        elif self.target.reference is not Reference.TAG:
            yield TAG, TRUE
        elif not grant.tags:
            yield TAG, atoms.is_in(TAG, languages.TAG)
        else:
            for tag in grant.tags:
                whole = Within(languages.TAG, MAX_TAG_PART)
                yield from self._made(_tag_parts(tag), "$any", _TAG_PARTS, whole)

    def _made(
        self,
        parts: Sequence[str | Wild | Program],
        wildcard: str,
        within: "Within",
        whole: "Within",
    ) -> Iterator[tuple[Text, Formula]]:
        """Yield what a pattern makes, and when: each expression's value may stand within it."""
        combinations: list[tuple[Formula, list[Text]]] = [(TRUE, [])]
        for number, part in enumerate(parts):
            if isinstance(part, Program):
                template = [
                    (both(when, is_valid(text, within)), text)
                    for when, text in _template(self.evaluator, part)
                ]
            elif isinstance(part, Wild):
                made = Variable((Unclaimed(f"{wildcard}{number}"),))
                template = [(atoms.is_in(made, languages.wildcard(part.written)), made)]
            else:
                template = [(TRUE, Literal_(part))]
            spend(len(combinations) * len(template))
            combinations = [
                (both(when, also), [*before, text])
                for when, before in combinations
                for also, text in template
            ]
        for when, texts in combinations:
            text = atoms.joined(texts)
            constraint = both(when, is_valid(text, whole))
            if constraint is not FALSE:
                yield text, constraint


def _ways(evaluator: Evaluator, parts: Sequence[str | Wild | Program], within: "Within") -> Made:
    """Return what a pattern can become, and when all of its expressions have values."""
    combinations: list[tuple[Formula, list[Part]]] = [(TRUE, [])]
    sound = TRUE
    for part in parts:
        if isinstance(part, Program):
            template = _template(evaluator, part)
            checked = [(both(when, is_valid(one, within)), one) for when, one in template]
            sound = both(sound, formulas.some(when for when, _ in checked))
            spend(len(combinations) * len(checked))
            combinations = [
                (both(when, also), [*before, one])
                for when, before in combinations
                for also, one in checked
            ]
        else:
            one = Literal_(part) if isinstance(part, str) else part
            for _, before in combinations:
                before.append(one)
    return Ways((when, listed) for when, listed in combinations if when is not FALSE), sound


def _template(evaluator: Evaluator, program: Program) -> Template:
    """Return the texts that an expression can have."""
    found: Template = []
    for when, value in evaluator.program(program).cases:
        if isinstance(value, Str):
            found.append((when, value.text))
        elif isinstance(value, Unclear):
            opaque = evaluator.opaque(("text", value.key), Kind.STRING)
            found += [
                (both(when, own), text.text) for own, text in opaque.cases if isinstance(text, Str)
            ]
    return found


@dataclass(frozen=True, slots=True)
class Within:
    """What an expression's value must be to stand within a name or a tag."""

    language: Language
    bound: int


_PATHS: Final = Within(languages.PATH, MAX_NAME_LENGTH)
_TAG_PARTS: Final = Within(languages.TAG_PART, MAX_TAG_PART)


def is_valid(text: Text, within: Within) -> Formula:
    """Return whether a text can stand within a name or a tag."""
    return both(atoms.is_in(text, within.language), _too_long(text, within.bound).negation)


def _too_long(text: Text, bound: int) -> Formula:
    match text:
        case Literal_(text=known):
            return formulas.of(len(known) > bound)
        case Variable() | OpaqueText():
            return formulas.atom(TooLong(text, bound))
        case Applied(function=function, to=to) if function.name in ("lowerAscii", "upperAscii"):
            return _too_long(to, bound)
    return formulas.atom(atoms.Opaque(("too long", text, bound)))


def not_expired(statement: Statement) -> Formula:
    """Return when a statement has not ended by itself."""
    if statement.expires is None:
        return TRUE
    end: Fraction = seconds(statement.expires)
    return atoms.compares(atoms.quantity(atoms.NOW), "<", atoms.constant(end))


def _wild(wildcard: Wildcard) -> Wild:
    return Wild(wildcard.value)


def _tag_parts(tag: TagPattern) -> list[str | Wild | Program]:
    return [Wild("tag*") if part == STAR else part for part in tag.parts]


def retargeted(target: Target, name: Text, tag: Text) -> Target:
    """Return a target with the name and the tag that are asked about."""
    return replace(target, name=name, tag=tag)
