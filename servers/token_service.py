"""
The token service: from a token request to a signed registry token or a refusal.

What lives here: driving the engine with this process's keys, clock and random numbers, on one
consistent state of policy and signing keys.  What must not: HTTP, and a decision about access.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from regauth.engine.exchange import exchange, run
from regauth.engine.outcomes import Decision, Refusal
from regauth.engine.policy import Policy
from regauth.engine.registry_token import registry_token
from regauth.engine.scope import accesses

from .provider_keys import ProviderKeys
from .signing import Signer
from .token_request import TokenRequest

Now = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class State:
    """What a request is decided and signed with; replaced as a whole."""

    policy: Policy
    signer: Signer


@dataclass(frozen=True, slots=True)
class Issued:
    """A registry token and the decision that it carries."""

    decision: Decision
    token: str = field(repr=False)
    jti: str
    issued_at: datetime
    lifetime: timedelta


class TokenService:
    """
    Issues registry tokens.  Safe to use from many threads.

    Args:
        state: The policy and the keys to begin with.
        keys: The providers' keys.
        issuer: The `iss` of the tokens.
        lifetime: How long they are good for.
        now: The clock.
    """

    def __init__(
        self,
        state: State,
        keys: ProviderKeys,
        *,
        issuer: str,
        lifetime: timedelta,
        now: Now = utc_now,
    ) -> None:
        self.state = state
        self._keys = keys
        self._issuer = issuer
        self._lifetime = lifetime
        self._now = now

    def answer(self, request: TokenRequest) -> Issued | Refusal:
        """Decide a request and, unless the login is refused, sign what was granted."""
        state, now = self.state, self._now()
        steps = exchange(
            state.policy, request.credentials, request.service, accesses(request.scopes), now
        )
        outcome = run(steps, self._keys.keys_for)
        if isinstance(outcome, Refusal):
            return outcome
        jti = secrets.token_urlsafe(16)
        token = registry_token(
            outcome,
            issuer=self._issuer,
            key=state.signer.key,
            now=now,
            lifetime=self._lifetime,
            jti=jti,
        )
        return Issued(outcome, token, jti, now, self._lifetime)
