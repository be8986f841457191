"""
Confirmation: what the engine itself says of a token that the prover has found.

What lives here: asking `authenticate` and `decide` about a token, by every login it may have.
Not here: anything that decides.  The prover only claims, and the engine decides
(`regauth.engine.decisions`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from regauth.engine.access.outcomes import Identity, Refusal
from regauth.engine.access.scope import Access
from regauth.engine.decisions.authentication import Authenticated, authenticate
from regauth.engine.decisions.decide import Request
from regauth.engine.decisions.session import Begun, resume
from regauth.engine.policy.policy import Policy, Provider
from regauth.engine.source.addresses import IpAddress
from regauth.engine.tokens.jwt import NO_CLAIMS, Claims, supposed


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the token's claims (None: without credentials) and what it asks for."""

    claims: Mapping[str, object] | None
    service: str
    access: Access
    now: datetime
    at: datetime
    """When the login was; other than `now` in a session."""
    session: str = ""
    """The provider whose login began the session, in one."""
    client: IpAddress | None = None
    """The address that it comes from; None: it is not known."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a policy says of a request."""

    allowed: bool
    source: str
    """The grant that allows or the denial that refuses, by name; else the reason's code."""
    provider: str = ""


def ask(policy: Policy, asked: Asked, providers: Sequence[str]) -> Said:
    """
    Return what a policy says of a request by the first of some providers that allows it.

    Every statement is looked at, whatever the policy's index says: a policy that was changed in
    memory has an index of before.
    """
    if asked.service not in policy.services:
        return Said(allowed=False, source="unknown-service")
    if asked.claims is None:
        if policy.anonymous is None:
            return Said(allowed=False, source="no-credentials")
        return _decided(policy, Identity(), NO_CLAIMS, asked)
    refused = Said(allowed=False, source="unknown-provider")
    for name, outcome in logins(policy, asked, providers):
        if isinstance(outcome, Refusal):
            refused = Said(allowed=False, source=outcome.reason, provider=name)
            continue
        said = decided(policy, outcome, asked)
        if said.allowed:
            return said
        refused = said
    return refused


def logins(
    policy: Policy, asked: Asked, providers: Sequence[str]
) -> Iterator[tuple[str, Authenticated | Refusal]]:
    """Yield what comes of a login by each of some providers; in a session, by the session's own."""
    for name in (asked.session,) if asked.session else providers:
        if name in policy.providers:
            yield name, _login(policy, policy.providers[name], asked)


def decided(policy: Policy, login: Authenticated, asked: Asked) -> Said:
    """Return what a policy says of a request after a login."""
    return _decided(policy, login.identity, login.claims, asked)


def _login(policy: Policy, provider: Provider, asked: Asked) -> Authenticated | Refusal:
    claims = supposed(dict(asked.claims or {}))
    if not asked.session:
        return authenticate(provider, claims, asked.service, asked.now)
    begun = Begun(asked.session, claims, asked.service, asked.at)
    return resume(policy, begun, asked.service, asked.now)


def _decided(policy: Policy, identity: Identity, claims: Claims, asked: Asked) -> Said:
    placed = identity.from_client(asked.client)
    request = Request(policy, placed, claims, asked.service, asked.now, exhaustive=True)
    verdict = request.verdict(asked.access)
    source = verdict.source or str(verdict.why)
    return Said(allowed=verdict.allowed, source=source, provider=identity.provider)
