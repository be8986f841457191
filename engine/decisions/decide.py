"""
Deciding: which accesses a verified identity gets, of those that it asks for.

What lives here: the meaning of grants and denials (policy language, "Meaning", 3).
Not here: who the identity is (`authentication`), and what a host does with the answer.

Every access is decided alone.  A denial that matches, or that cannot be evaluated, refuses it.
Otherwise the first grant that matches allows it.  Otherwise it is refused.  Of all grants that
match, the longest `tokenLifetime` holds, so that the order of the grants decides nothing.

All accesses of one request share a count of steps.  When it is used up, the whole request is
refused.  If only some accesses were decided, the answer would depend on their order.

A statement with `tags` is about tags.  Requests by digest and uploads move no tag: a grant with
`tags` matches them, and a denial with `tags` does not.  Deleting by digest removes tags too, and
listing shows all tags: there a denial with `tags` matches, and a grant with `tags` does not.  While
the reference is unknown, such a statement is not decided, and what depends on it is refused.

A grant with `newTagsOnly` allows to push a tag only if the tag is new.  That is an input
(`Access.tag_state`): the host finds it out, and keeps it true until the push is done.  While it is
unknown, the grant does not match.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from msgspec import structs

from regauth.engine.access import references
from regauth.engine.access.outcomes import (
    ConditionError,
    Decision,
    Identity,
    Reason,
    Refusal,
    Verdict,
    Why,
)
from regauth.engine.access.references import TagState
from regauth.engine.access.scope import (
    CATALOG,
    REGISTRY,
    REPOSITORY,
    REPOSITORY_ACTIONS,
    Access,
    is_repository_name,
)
from regauth.engine.cel import STEPS, CelError, Program, request_budget, timestamp
from regauth.engine.cel.syntax.limits import REQUEST_STEPS
from regauth.engine.policy.index import ProviderIndex, StatementLookup, ruled_out
from regauth.engine.policy.patterns.names import Pattern
from regauth.engine.policy.patterns.tags import TagPattern
from regauth.engine.policy.patterns.text import PATTERN_VALUE, PatternValueError
from regauth.engine.policy.policy import Denial, Policy, Statement
from regauth.engine.tokens.jwt import Claims

from .authentication import refusal, seen_by_conditions

STATEMENT_STEPS: Final = 20
"""Steps that looking at one statement takes, its condition not counted."""

PATTERN_STEPS: Final = 15
"""Steps that comparing one pattern takes, its expressions not counted."""


class TooCostlyError(Exception):
    """A request took more steps than one may; only `decide` makes such requests."""

    def __init__(self, source: str) -> None:
        super().__init__(f"its steps were used up at {source}")


class Unseen(Enum):
    """What must be known before a statement can be said to match or not."""

    REFERENCE = "reference"
    TAG_STATE = "tag state"


Match = bool | ConditionError | Unseen
"""Whether a statement matches; or the error, or what is not known, that keeps this unknown."""


def decide(
    policy: Policy,
    identity: Identity,
    claims: Claims,
    service: str,
    accesses: Sequence[Access],
    now: datetime,
    *,
    exhaustive: bool = False,
) -> Decision | Refusal:
    """
    Decide each access for an identity, or refuse all of them as too costly.

    Args:
        policy: The policy.
        identity: Who asks; `Identity()` for a request without credentials.
        claims: The verified claims of its token; `NO_CLAIMS` for a request without credentials.
        service: The service asked for, one of the policy's.
        accesses: What is asked for.
        now: The time, with its zone.
        exhaustive: Look at every statement, also at those that the index rules out.  The decision
            is the same.  Errors in conditions that do not matter to it are reported too.
    """
    request = Request(policy, identity, claims, service, now, exhaustive=exhaustive, bounded=True)
    try:
        verdicts = tuple(map(request.verdict, accesses))
        request.check_steps("the last access")
    except TooCostlyError as error:
        if exhaustive:  # `exhaustive` costs more steps; the limit counts those of a normal decision
            return decide(policy, identity, claims, service, accesses, now)
        refused = refusal(
            Reason.TOO_COSTLY, str(error), provider=identity.provider, identity=identity
        )
        return refused if identity.anonymous else replace(refused, claims=claims, at=now)
    return Decision(identity, service, verdicts)


class Request:
    """
    One identity's request: the variables its conditions see and what is known of them so far.

    A `bounded` one raises `TooCostlyError` when it has taken more steps than a request may.
    """

    __slots__ = (
        *("_candidates", "_exhaustive", "_fitting", "_index", "_known", "_left", "_policy"),
        *("_seen", "_spent", "all_grants", "now", "variables"),
    )

    def __init__(
        self,
        policy: Policy,
        identity: Identity,
        claims: Claims,
        service: str,
        now: datetime,
        *,
        exhaustive: bool = False,
        bounded: bool = False,
    ) -> None:
        self._policy = policy
        self._index: ProviderIndex = policy.index[identity.provider]
        self._exhaustive = exhaustive
        self._known: dict[Program, bool | CelError] = {}
        self._fitting: dict[tuple[int, str], bool | ConditionError] = {}
        self._spent = 0
        self._seen: Access | None = None
        self._candidates: dict[tuple[int, str], list[Statement]] = {}
        self.all_grants: tuple[Statement, ...] = policy.grants
        if identity.anonymous:
            self.all_grants = (policy.anonymous,) if policy.anonymous else ()
        self.now = now
        self.variables: dict[str, object] = {
            "claims": seen_by_conditions(claims),
            "service": service,
            "provider": identity.provider,
            "now": timestamp(now),
        }
        if identity.client is not None:
            # Without it, a condition that reads it fails: a grant does not match, a denial does.
            self.variables["client"] = identity.client
        self._left: list[int] = [sys.maxsize]
        if bounded:
            self._left = self.variables[STEPS] = request_budget()

    def count_anew(self) -> None:
        """
        Count the steps of a bounded request from the beginning, for other accesses.

        The conditions that are known count in full, so the new count is never below that of a
        request of its own.  Patterns are compared anew: of names there is no end.
        """
        self._fitting.clear()
        self._left[0] = REQUEST_STEPS - self._spent

    def check_steps(self, source: str) -> None:
        """
        Check that the request has steps left; `source` says where it is.

        Raises:
            TooCostlyError: There are none.
        """
        if self._left[0] < 0:
            raise TooCostlyError(source)

    def verdict(self, access: Access) -> Verdict:
        """Decide one access."""
        # Before the grants: a wildcard must not allow an action or a name that nobody has thought
        # of.
        nothing = unknown(access)
        if nothing is not None:
            return Verdict(access, nothing)
        denied = self._denied(access)
        # Denials come first and in any order: no grant can outweigh one.
        if denied is not None and denied.why is Why.DENIED:
            return denied
        granted = self.granted(access)
        # A denial that waits for the tag matters only to an access that would be allowed.
        if denied is not None and granted.allowed:
            lifetime = granted.lifetime
            return Verdict(access, denied.why, denied.source, granted.errors, lifetime)
        return granted

    def _denied(self, access: Access) -> Verdict | None:
        """Return the verdict of the denials: refused, or waiting for the reference, or None."""
        waiting: Verdict | None = None
        for denial in self.denials(access):
            match = self.match(denial, access)
            if match is False:
                continue
            if not isinstance(match, Unseen):
                errors = () if match is True else (match,)
                # A denial that fails also refuses.  Otherwise a token could switch a denial off by
                # lacking a claim.
                return Verdict(access, Why.DENIED, denial.name, errors)
            waiting = waiting or Verdict(access, Why.DEPENDS_ON_REFERENCE, denial.name)
        return waiting

    def granted(self, access: Access) -> Verdict:
        """Return the verdict of the grants, as if there were no denial."""
        failed: list[ConditionError] = []
        waiting: list[tuple[Statement, Unseen]] = []
        matching: list[Statement] = []
        kept: list[Statement] = []
        for grant in self.grants(access):
            match = self.match(grant, access)
            if match is True:
                matching.append(grant)
                if grant.token_lifetime is None:
                    break  # no lifetime is longer
            elif isinstance(match, ConditionError):
                # A grant that fails allows nothing, but the next grant may.  The error goes into
                # the log.
                failed.append(match)
            elif isinstance(match, Unseen):
                waiting.append((grant, match))
            elif self._keeps_tag(grant, access):
                kept.append(grant)
        errors = tuple(failed)
        if matching:
            return Verdict(access, Why.GRANTED, matching[0].name, errors, _longest(matching))
        if waiting:
            lifetime = _shortest([grant for grant, _ in waiting])
            first, unseen = waiting[0]
            return Verdict(access, _OPEN[unseen], first.name, errors, lifetime)
        if kept:
            return Verdict(access, Why.TAG_EXISTS, kept[0].name, errors)
        return Verdict(access, Why.NO_GRANT, errors=errors)

    def _keeps_tag(self, grant: Statement, access: Access) -> bool:
        """Tell whether a grant does not match only because the tag exists."""
        if access.tag_state is not TagState.EXISTING or not creates_tag(grant, access):
            return False
        return self.match(grant, structs.replace(access, tag_state=TagState.NEW)) is True

    def denials(self, access: Access) -> list[Statement]:
        """Return the denials that could match."""
        index = self._index
        if self._exhaustive or not self._policy.denials:
            return list(self._policy.denials)
        if access.resource.type == REGISTRY:
            return [self._policy.denials[position] for position in index.catalog_denials]
        return self._named(index.denials, self._policy.denials, access.resource.name)

    def grants(self, access: Access) -> list[Statement]:
        """Return the grants that could match."""
        index = self._index
        if self._exhaustive:
            return list(self.all_grants)
        if access.resource.type == REGISTRY:
            return [self.all_grants[position] for position in index.catalog_grants]
        return self._named(index.grants, self.all_grants, access.resource.name)

    def _named(
        self, lookup: StatementLookup, all_: Sequence[Statement], name: str
    ) -> list[Statement]:
        """Return what could match a name: looked up once for all actions on it."""
        key = (id(lookup), name)
        found = self._candidates.get(key)
        if found is None:
            found = [all_[position] for position in lookup.candidates(self.claims, name)]
            self._candidates[key] = found
        return found

    @property
    def claims(self) -> Mapping[str, object]:
        """The claims as conditions see them."""
        return self.variables["claims"]  # type: ignore[return-value]  # a mapping by construction

    @property
    def anonymous(self) -> bool:
        """Whether it came without credentials."""
        return not self.variables["provider"]

    def look_at(self, statement: Statement, access: Access) -> None:
        """
        Take the steps that looking at a statement costs, and show the access to conditions.

        Raises:
            TooCostlyError: There are none left.
        """
        self._take_steps(statement)
        self.see(access)

    def _take_steps(self, statement: Statement) -> None:
        left = self._left
        left[0] -= STATEMENT_STEPS + PATTERN_STEPS * len(statement.patterns)
        if left[0] < 0:
            raise TooCostlyError(repr(statement.name))

    def match(self, statement: Statement, access: Access) -> Match:
        """Tell whether a statement matches; a part that is false outweighs an unknown one."""
        found = self._match_any_state(statement, access)
        if found is not True or not statement.new_tags_only or not creates_tag(statement, access):
            return found
        if access.tag_state is TagState.UNKNOWN:
            return Unseen.TAG_STATE
        return access.tag_state is TagState.NEW

    def _match_any_state(self, statement: Statement, access: Access) -> Match:
        """Tell whether a statement matches, be the tag new or not."""
        self._take_steps(statement)
        if self.mismatch(statement, access):
            return False
        self.see(access)
        named: Match = self.named(statement, access)
        if named is not False and statement.tags:
            named = _both(named, self.tagged(statement, access), statement)
        if named is False or statement.when is None:
            return named
        return _both(named, self._condition(statement, statement.when, access), statement)

    def see(self, access: Access) -> None:
        """Show an access to the conditions, as `scope`."""
        if access is self._seen:
            return
        self._seen = access
        resource = access.resource
        self.variables["scope"] = {
            "type": resource.type,
            "class": resource.class_,
            "name": resource.name,
            "action": access.action,
            "reference": "" if access.reference == references.UPLOAD else access.reference,
        }

    def mismatch(self, statement: Statement, access: Access) -> str:
        """Compare everything that cannot fail; return the first part that differs, or ""."""
        resource = access.resource
        if statement.catalog != (resource.type == REGISTRY):
            return "type"
        if not statement.catalog and access.action not in statement.actions:
            return "action"
        # A registry takes a token for one class of a repository as one for the repository itself
        # (distribution registry/auth/token/accesscontroller.go, `newAccessSet`).
        # So a denial without a class covers all classes, and a grant without one covers none.
        any_class = isinstance(statement, Denial) and not statement.class_
        if statement.class_ != resource.class_ and not any_class:
            return "class"
        if self.variables["service"] not in statement.services:
            return "service"
        providers = statement.providers
        if providers is not None and self.variables["provider"] not in providers:
            return "provider"
        # An expired denial also ends here; the lint `expired` warns of it.
        if statement.expires is not None and self.now >= statement.expires:
            return "expires"
        return ""

    def named(self, statement: Statement, access: Access) -> bool | ConditionError:
        """Tell whether a statement is about the access's name, or the catalog."""
        return statement.catalog or self._any(statement.patterns, statement, access.resource.name)

    def tagged(self, statement: Statement, access: Access) -> Match:
        """Tell whether a statement with `tags` is about the access's reference."""
        reference = access.reference
        if reference == references.UNKNOWN:
            return Unseen.REFERENCE
        if references.is_tag(reference):
            return self._any(statement.tags, statement, reference)
        grants = not isinstance(statement, Denial)
        if reference == references.ALL_TAGS:
            return not grants or any(tag.everything for tag in statement.tags)
        takes_tags_along = access.action == "delete" and reference != references.UPLOAD
        return grants is not takes_tags_along

    def _any(
        self, patterns: Sequence[Pattern | TagPattern], statement: Statement, text: str
    ) -> bool | ConditionError:
        error: bool | ConditionError = False
        for pattern in patterns:
            matches = self.pattern_matches(pattern, statement, text)
            if matches is True:
                return True
            error = error or matches
        return error

    def pattern_matches(
        self, pattern: Pattern | TagPattern, statement: Statement, text: str
    ) -> bool | ConditionError:
        """
        Tell whether one pattern of a statement matches a repository's name or a tag.

        One that does not see the scope is evaluated once for a name, as conditions are.
        """
        key = (id(pattern), text)
        known = self._fitting.get(key)
        if known is not None:
            return known
        try:
            matches: bool | ConditionError = pattern.matches(text, self.variables)
        except (CelError, PatternValueError) as failure:
            code = failure.code if isinstance(failure, CelError) else PATTERN_VALUE
            everywhere = not pattern.reads_scope
            matches = ConditionError(statement.name, code, str(failure), everywhere)
        if not pattern.reads_scope:
            self._fitting[key] = matches
        return matches

    def is_open(self, statement: Statement, when: Program, access: Access) -> bool:
        """Tell whether a grant's condition may ask for a reference that nobody has named."""
        if not statement.tags or access.reference or isinstance(statement, Denial):
            return False
        return "scope" in when.variables

    def _condition(self, statement: Statement, when: Program, access: Access) -> Match:
        if self.is_open(statement, when, access):
            return False if ruled_out(statement, self.claims) else Unseen.REFERENCE
        return self._holds(when, statement.name)

    def _holds(self, program: Program, source: str) -> bool | ConditionError:
        """Evaluate a condition; one that does not see the scope, once in a request."""
        # The result of a condition that reads no scope is the same for every access of the request.
        holds = self._known.get(program)
        if holds is None:
            before = self._left[0]
            self._left[0] -= program.size
            try:
                holds = program.holds(self.variables)
            except CelError as failure:
                holds = failure
            if "scope" not in program.variables:
                self._known[program] = holds
                self._spent += before - self._left[0]
        if isinstance(holds, CelError):
            everywhere = "scope" not in program.variables
            return ConditionError(source, holds.code, str(holds), everywhere)
        return holds


def _both(first: Match, second: Match, statement: Statement) -> Match:
    """
    Join two parts of a statement, of which the first is not false.

    An error keeps a grant from matching, whatever the reference is.  A denial that fails may still
    be about another reference.
    """
    if first is True or second is False:
        return second
    if second is True:
        return first
    unseen = Unseen.REFERENCE in (first, second)
    if unseen and isinstance(statement, Denial):
        return Unseen.REFERENCE
    return second if isinstance(second, ConditionError) else first


def creates_tag(statement: Statement, access: Access) -> bool:
    """Tell whether a statement is about an access only where the access's tag is new."""
    return (
        statement.new_tags_only and access.action == "push" and references.is_tag(access.reference)
    )


_OPEN: Final = {
    Unseen.REFERENCE: Why.DEPENDS_ON_REFERENCE,
    Unseen.TAG_STATE: Why.DEPENDS_ON_NEW_TAG,
}


def _longest(grants: Sequence[Statement]) -> timedelta | None:
    """Return the longest lifetime of some grants; None, the server's, is longer than any."""
    if grants[-1].token_lifetime is None:  # no other was looked at after it
        return None
    given = [grant.token_lifetime for grant in grants]
    lifetimes = [one for one in given if one is not None]
    return max(lifetimes) if len(lifetimes) == len(given) else None


def _shortest(grants: Sequence[Statement]) -> timedelta | None:
    given = (grant.token_lifetime for grant in grants)
    return min((one for one in given if one is not None), default=None)


def unknown(access: Access) -> Why | None:
    """Return why an access can never be allowed, or None."""
    resource = access.resource
    if access.reference and not _can_be_referred_to(access):
        return Why.INVALID_REFERENCE
    if access.tag_state and not references.is_tag(access.reference):
        return Why.INVALID_REFERENCE
    if resource.type == REPOSITORY:
        if access.action not in REPOSITORY_ACTIONS:
            return Why.UNKNOWN_ACTION
        return None if is_repository_name(resource.name) else Why.INVALID_NAME
    if resource.type == REGISTRY and resource.name == CATALOG and not resource.class_:
        return None if access.action == "*" else Why.UNKNOWN_ACTION
    return Why.UNKNOWN_TYPE


def _can_be_referred_to(access: Access) -> bool:
    known = access.reference in (references.ALL_TAGS, references.UPLOAD)
    text = access.reference
    return access.resource.type == REPOSITORY and (
        known or references.is_tag(text) or references.is_digest(text)
    )
