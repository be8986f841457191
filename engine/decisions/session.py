"""
Sessions: whether an earlier login still counts.

What lives here: what a refresh token stands for, by the current policy.
Not here: the refresh token (`regauth.servers.sessions.sessions`), and where sessions are kept
(`regauth.servers.sessions.store`).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from regauth.engine.access.outcomes import Reason, Refusal
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import Claims

from .authentication import Authenticated, authenticate, refusal


@dataclass(frozen=True, slots=True)
class Begun:
    """The login that began a session."""

    provider: str
    """The name of the provider whose login it was."""
    claims: Claims
    service: str
    """The one service that the session is good for."""
    at: datetime


def resume(policy: Policy, begun: Begun, service: str, now: datetime) -> Authenticated | Refusal:
    """
    Check whether a session, which a refresh token stands for, goes on.

    The claims' times are checked as of the moment the session began, since when the token they
    came in has expired; everything else as of now.  A session lasts as long as the provider's
    current `refreshTokens` says, not as it said when the session began.

    Args:
        policy: The current policy.
        begun: The login that began the session.
        service: The service asked for.
        now: The time, with its zone.
    """
    outcome = _resume(policy, begun, service, now)
    if isinstance(outcome, Refusal):
        return replace(outcome, claims=begun.claims, at=begun.at)
    return outcome


def _resume(policy: Policy, begun: Begun, service: str, now: datetime) -> Authenticated | Refusal:
    if service not in policy.services:
        return refusal(Reason.UNKNOWN_SERVICE, f"service {service!r}")
    provider = policy.providers.get(begun.provider)
    if provider is None or provider.max_session is None:
        detail = f"the policy gives {begun.provider!r} no refresh tokens"
        return refusal(Reason.UNKNOWN_SESSION, detail)
    # A refresh token that leaks from the clients of one registry must not open another one.
    if service != begun.service:
        detail = f"it is good for the service {begun.service!r}, not for {service!r}"
        return refusal(Reason.UNKNOWN_SESSION, detail, provider=provider.name)
    # Servers share sessions, and the clock of the one that began it may be ahead of this one's.
    if not -provider.clock_skew <= now - begun.at < provider.max_session:
        detail = f"it began at {begun.at.isoformat()} and may last {provider.max_session}"
        return refusal(Reason.UNKNOWN_SESSION, detail, provider=provider.name)
    return authenticate(provider, begun.claims, service, now, at=begun.at)
