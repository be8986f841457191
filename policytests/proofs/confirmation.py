"""
Confirmation: what the engine itself says of a token that the prover has found.

What lives here: asking `authenticate` and `decide` about a token, by every login it may have.
Not here: anything that decides.  The prover only claims, and the engine decides
(`regauth.engine.decisions`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import structs

from regauth.engine.access.outcomes import Identity, Refusal
from regauth.engine.access.references import UNKNOWN, TagState, is_tag
from regauth.engine.access.scope import Access
from regauth.engine.cel import CelError, Program
from regauth.engine.decisions.authentication import Authenticated, authenticate
from regauth.engine.decisions.decide import Request, Unseen
from regauth.engine.decisions.session import Begun, resume
from regauth.engine.policy.patterns.tags import STAR
from regauth.engine.policy.policy import Policy, Provider, Statement
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


@dataclass(frozen=True, slots=True)
class TokenSaid:
    """
    What a policy says of a token for one access, which is asked for without its reference.

    Attributes:
        given: Whether the token is for the access, now or once its reference is known.
        source: The grant or denial that decides, by name; else the reason's code.
        lifetime: How long it is valid at most; None: as long as the server's are.
        matching: The grants that match.
        waiting: The grants that may match once the reference is known.
    """

    given: bool
    source: str
    lifetime: timedelta | None = None
    matching: tuple[Statement, ...] = ()
    waiting: tuple[Statement, ...] = ()

    @property
    def grants(self) -> tuple[Statement, ...]:
        """The grants that match or wait."""
        return (*self.matching, *self.waiting)

    @property
    def most(self) -> timedelta:
        """How long it is valid, to be compared; less than any lifetime where there is none."""
        if not self.given:
            return timedelta(0)
        return timedelta.max if self.lifetime is None else self.lifetime


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


def token_of(policy: Policy, asked: Asked, providers: Sequence[str]) -> TokenSaid:
    """Return what a policy says of the longest token for an access, by one of some providers."""
    pending = structs.replace(asked.access, reference=UNKNOWN, tag_state=TagState.UNKNOWN)
    best = TokenSaid(given=False, source="unknown-provider")
    if asked.service not in policy.services:
        return best
    for _, outcome in logins(policy, asked, providers):
        if isinstance(outcome, Refusal):
            said = TokenSaid(given=False, source=outcome.reason)
        else:
            said = _token(_request(policy, outcome.identity, outcome.claims, asked), pending)
        best = said if said.most > best.most or not best.given else best
    return best


def _token(request: Request, pending: Access) -> TokenSaid:
    verdict = request.verdict(pending)
    matches = [(one, request.match(one, pending)) for one in request.grants(pending)]
    return TokenSaid(
        verdict.allowed or verdict.why.is_open,
        verdict.source or str(verdict.why),
        verdict.lifetime,
        tuple(one for one, match in matches if match is True),
        tuple(one for one, match in matches if isinstance(match, Unseen)),
    )


def tags_of(policy: Policy, asked: Asked, providers: Sequence[str]) -> Iterator[str]:
    """Yield tags that the grants name which match or wait before the tag is known."""
    pending = structs.replace(asked.access, reference=UNKNOWN, tag_state=TagState.UNKNOWN)
    for _, outcome in logins(policy, asked, providers):
        if isinstance(outcome, Refusal):
            continue
        request = _request(policy, outcome.identity, outcome.claims, asked)
        said = _token(request, pending)
        for grant in said.grants:
            yield from filter(is_tag, _named(grant, request))


def _named(grant: Statement, request: Request) -> Iterator[str]:
    """Yield the texts that a grant asks for, or that fit a pattern of its tags."""
    if grant.when is not None:
        yield from sorted(grant.when.equalities.get(("scope", "reference"), ()))
    for tag in grant.tags:
        try:
            parts = [
                str(part.evaluate(request.variables)) if isinstance(part, Program) else part
                for part in tag.parts
            ]
        except CelError:
            continue
        yield "".join("x" if part == STAR else part for part in parts)


def _login(policy: Policy, provider: Provider, asked: Asked) -> Authenticated | Refusal:
    claims = supposed(dict(asked.claims or {}))
    if not asked.session:
        return authenticate(provider, claims, asked.service, asked.now)
    begun = Begun(asked.session, claims, asked.service, asked.at)
    return resume(policy, begun, asked.service, asked.now)


def _decided(policy: Policy, identity: Identity, claims: Claims, asked: Asked) -> Said:
    verdict = _request(policy, identity, claims, asked).verdict(asked.access)
    source = verdict.source or str(verdict.why)
    return Said(allowed=verdict.allowed, source=source, provider=identity.provider)


def _request(policy: Policy, identity: Identity, claims: Claims, asked: Asked) -> Request:
    placed = identity.from_client(asked.client)
    return Request(policy, placed, claims, asked.service, asked.now, exhaustive=True)
