"""
Deciding: which of the accesses asked for a verified identity gets.

What lives here: the meaning of grants and denials (policy language, "Meaning", 3).  What must
not: who the identity is (`authentication`), or anything a host does with the answer.

Every access is decided alone: a denial that matches, or that cannot be evaluated, refuses; else
the first grant that matches allows; else it is refused.
"""

from collections.abc import Sequence
from datetime import datetime

from .cel import CelError, Program, timestamp
from .index import Index, Lookup
from .jwt import Claims
from .outcomes import ConditionError, Decision, Identity, Verdict, Why
from .patterns import Pattern, PatternValueError
from .policy import Denial, Policy, Statement
from .scope import (
    CATALOG,
    REGISTRY,
    REPOSITORY,
    REPOSITORY_ACTIONS,
    Access,
    is_repository_name,
)

NO_CLAIMS: Claims = Claims({})
"""The claims of a request without credentials."""

Match = bool | ConditionError
"""Whether a statement matches, or the error that keeps it from being known."""


def decide(
    policy: Policy,
    identity: Identity,
    claims: Claims,
    service: str,
    accesses: Sequence[Access],
    now: datetime,
    *,
    exhaustive: bool = False,
) -> Decision:
    """
    Decide each access for an identity.

    Args:
        policy: The policy.
        identity: Who asks; `Identity()` for a request without credentials.
        claims: The verified claims of its token; `NO_CLAIMS` for a request without credentials.
        service: The service asked for, one of the policy's.
        accesses: What is asked for.
        now: The time, with its zone.
        exhaustive: Look at every statement, also those that the index rules out.  The decision is
            the same; errors of conditions that cannot matter to it are reported too.
    """
    request = Request(policy, identity, claims, service, now, exhaustive=exhaustive)
    return Decision(identity, service, tuple(map(request.verdict, accesses)))


class Request:
    """One identity's request: the variables its conditions see and what is known of them so far."""

    __slots__ = (
        *("_candidates", "_exhaustive", "_index", "_known", "_policy"),
        *("all_grants", "now", "variables"),
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
    ) -> None:
        self._policy = policy
        self._index: Index = policy.index[identity.provider]
        self._exhaustive = exhaustive
        self._known: dict[int, bool | CelError] = {}
        self._candidates: dict[tuple[int, str], list[Statement]] = {}
        self.all_grants: tuple[Statement, ...] = policy.grants
        if identity.anonymous:
            self.all_grants = (policy.anonymous,) if policy.anonymous else ()
        self.now = now
        self.variables: dict[str, object] = {
            "claims": claims,
            "service": service,
            "provider": identity.provider,
            "now": timestamp(now),
        }

    def verdict(self, access: Access) -> Verdict:
        """Decide one access."""
        nothing = unknown(access)
        if nothing is not None:
            return Verdict(access, nothing)
        errors: tuple[ConditionError, ...] = ()
        for denial in self.denials(access):
            match = self.match(denial, access)
            if match is False:
                continue
            errors = () if match is True else (match,)
            return Verdict(access, Why.DENIED, denial.name, errors)
        for grant in self.grants(access):
            match = self.match(grant, access)
            if match is True:
                return Verdict(access, Why.GRANTED, grant.name, errors)
            if match is not False:
                errors = (*errors, match)
        return Verdict(access, Why.NO_GRANT, errors=errors)

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

    def _named(self, lookup: Lookup, all_: Sequence[Statement], name: str) -> list[Statement]:
        """Return what could match a name: looked up once for all actions on it."""
        key = (id(lookup), name)
        found = self._candidates.get(key)
        if found is None:
            claims: Claims = self.variables["claims"]  # type: ignore[assignment]
            found = [all_[position] for position in lookup.candidates(claims, name)]
            self._candidates[key] = found
        return found

    def match(self, statement: Statement, access: Access) -> Match:
        """Tell whether a statement matches, where a certain "no" outweighs an error."""
        if self.mismatch(statement, access):
            return False
        self.see(access)
        named = self.named(statement, access)
        if named is False or statement.when is None:
            return named
        holds = self._holds(statement.when, statement.name)
        return holds if holds is not True else named

    def see(self, access: Access) -> None:
        """Show an access to the conditions, as `scope`."""
        resource = access.resource
        self.variables["scope"] = {
            "type": resource.type,
            "class": resource.class_,
            "name": resource.name,
            "action": access.action,
        }

    def mismatch(self, statement: Statement, access: Access) -> str:
        """Compare everything that cannot fail; return what differs, or nothing."""
        resource = access.resource
        if statement.catalog != (resource.type == REGISTRY):
            return "type"
        if not statement.catalog and access.action not in statement.actions:
            return "action"
        # A registry takes a token for one class of a repository as one for the repository itself
        # (distribution registry/auth/token/accesscontroller.go, `newAccessSet`).
        any_class = isinstance(statement, Denial) and not statement.class_
        if statement.class_ != resource.class_ and not any_class:
            return "class"
        if self.variables["service"] not in statement.services:
            return "service"
        providers = statement.providers
        if providers is not None and self.variables["provider"] not in providers:
            return "provider"
        if statement.expires is not None and self.now >= statement.expires:
            return "expires"
        return ""

    def named(self, statement: Statement, access: Access) -> Match:
        """Tell whether a statement is about the access's name, or the catalog."""
        if statement.catalog:
            return True
        error: Match = False
        for pattern in statement.patterns:
            matches = self.pattern_matches(pattern, statement, access)
            if matches is True:
                return True
            error = error or matches
        return error

    def pattern_matches(self, pattern: Pattern, statement: Statement, access: Access) -> Match:
        """Tell whether one pattern of a statement matches the access's name."""
        try:
            return pattern.matches(access.resource.name, self.variables)
        except CelError as failure:
            return ConditionError(statement.name, failure.code, str(failure))
        except PatternValueError as failure:
            return ConditionError(statement.name, "pattern-value", str(failure))

    def _holds(self, program: Program, source: str) -> Match:
        """Evaluate a condition; one that does not see the scope, once in a request."""
        holds = self._known.get(id(program))
        if holds is None:
            try:
                holds = program.holds(self.variables)
            except CelError as failure:
                holds = failure
            if "scope" not in program.variables:
                self._known[id(program)] = holds
        if isinstance(holds, CelError):
            return ConditionError(source, holds.code, str(holds))
        return holds


def unknown(access: Access) -> Why | None:
    """Say what the language does not know about an access, if anything; no policy allows it."""
    resource = access.resource
    if resource.type == REPOSITORY:
        if access.action not in REPOSITORY_ACTIONS:
            return Why.UNKNOWN_ACTION
        return None if is_repository_name(resource.name) else Why.INVALID_NAME
    if resource.type == REGISTRY and resource.name == CATALOG and not resource.class_:
        return None if access.action == "*" else Why.UNKNOWN_ACTION
    return Why.UNKNOWN_TYPE
