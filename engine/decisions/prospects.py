"""
Prospects: whether a policy can give an identity anything at all.

What lives here: asking `decide` about names that a policy's own patterns match, for hosts that
prepare a login before anybody asks for a repository.
Not here: a decision.  What an identity gets is decided when it asks (`decide`).

When in doubt the answer is "yes": a login that turns out to get nothing does no harm.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from regauth.engine.access.outcomes import Why
from regauth.engine.access.scope import (
    CATALOG,
    REGISTRY,
    REPOSITORY,
    Access,
    Resource,
    is_repository_path,
)
from regauth.engine.cel import CelError
from regauth.engine.policy.index import ruled_out
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.policy import Policy, Statement

from .authentication import Authenticated
from .decide import Request

_WORD: Final = "any-name"
"""The name that stands for a wildcard.  Few policies deny a repository of this name."""


def is_out_of_reach(policy: Policy, login: Authenticated) -> bool:
    """
    Tell whether a login's claims keep every grant from matching, for every access and time.

    It costs one look-up, however many grants there are.  It sees only comparisons with literals, so
    False says nothing; then ask `may_be_granted`.
    """
    index, claims = policy.index[login.identity.provider], login.claims
    return not index.grants.any_for(claims) and all(
        ruled_out(policy.grants[position], claims) for position in index.catalog_grants
    )


def may_be_granted(policy: Policy, login: Authenticated, service: str, now: datetime) -> bool:
    """
    Tell whether there can be an access that `decide` grants to a login.

    Args:
        policy: The policy.
        login: Who it is, as `login` or `authenticate` found.
        service: The service the login is for, one of the policy's.
        now: The time, with its zone.
    """
    if is_out_of_reach(policy, login):
        return False
    request = Request(policy, login.identity, login.claims, service, now)
    return any(_may_grant(request, grant) for grant in policy.grants)


def _may_grant(request: Request, grant: Statement) -> bool:
    for access in _samples(request, grant):
        verdict = request.verdict(access)
        if verdict.allowed or verdict.why is Why.DEPENDS_ON_REFERENCE:
            return True
        if _depends_on_scope(grant) and not request.mismatch(grant, access):
            return True
    return False


def _depends_on_scope(grant: Statement) -> bool:
    """Tell whether a grant's condition or names depend on the repository."""
    return any("scope" in program.variables for program in grant.programs)


def _samples(request: Request, grant: Statement) -> Iterator[Access]:
    """Yield accesses that the grant is about."""
    if grant.catalog:
        yield Access(Resource(REGISTRY, CATALOG), "*")
        return
    names = {_sample(pattern, request.variables) for pattern in grant.patterns}
    for name in sorted(name for name in names if name is not None):
        for action in sorted(grant.actions):
            yield Access(Resource(REPOSITORY, name, grant.class_), action)


def _sample(pattern: Pattern, variables: dict[str, object]) -> str | None:
    """Return a name that the pattern matches, or None when it cannot match."""
    parts = []
    for part in pattern.parts:
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, Wildcard):
            parts.append("" if part is Wildcard.SEGMENTS else _WORD)
        elif "scope" in part.variables:
            parts.append(_WORD)
        else:
            try:
                value = part.evaluate(variables)
            except CelError:
                return None
            if not isinstance(value, str) or not is_repository_path(value):
                return None
            parts.append(value)
    return "".join(parts)
