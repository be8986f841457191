"""
The token service: from a token request to a signed registry token or a refusal.

What lives here: driving the engine with this process's keys, clock and random numbers, on one
consistent state of policy and signing keys.
Not here: HTTP (`resource`), and a decision about access (`regauth.engine.decisions.exchange`).
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct, structs

from regauth.engine import (
    Authenticated,
    Credentials,
    Decision,
    Identity,
    KeySet,
    Policy,
    Reason,
    Refusal,
    decide,
    registry_token,
)
from regauth.engine.access.scope import REGISTRY
from regauth.engine.decisions.exchange import anonymous
from regauth.engine.decisions.prospects import is_out_of_reach
from regauth.engine.decisions.workload import workload_of
from regauth.engine.tokens.jwt import NO_CLAIMS, Claims
from regauth.servers.sessions.sessions import Sessions, is_session
from regauth.servers.sessions.store import SessionsError
from regauth.servers.state.state import State

from .login_cache import LoginCache
from .request import TokenRequest

_log = logging.getLogger(__name__)

_NO_SESSIONS: Final = Refusal(
    Reason.UNKNOWN_SESSION, "this server gives no refresh tokens; log in again with a JWT"
)
_UNAVAILABLE: Final = Refusal(
    Reason.PROVIDER_UNAVAILABLE, "sessions cannot be looked up right now; try again later"
)

Now = Callable[[], datetime]
Admit = Callable[[Identity], object]


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


class Issued(Struct, frozen=True):
    """A registry token and the decision that it carries."""

    decision: Decision
    token: str
    jti: str
    login: Authenticated | None
    """Whose login it was; None for an anonymous request."""
    keys: KeySet | None
    """The provider's keys that verified it; None where a session or nobody logged in."""
    lifetime: timedelta
    """How long the token is valid: as long as the server's are, or shorter by its grants."""
    max_lifetime: timedelta
    """How long the server's tokens are valid."""
    refresh_token: str = ""

    def __repr__(self) -> str:  # neither token may come into a log
        return f"Issued(decision={self.decision!r}, jti={self.jti!r})"


class TokenAnswer(Struct, frozen=True):
    """The result of a request, and everything that it was decided by."""

    asked: TokenRequest
    outcome: Issued | Refusal
    policy: Policy
    now: datetime
    shadow_policy: Policy | None = None
    shadow: Decision | Refusal | None = None
    """What the shadow policy would have said."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a request is decided as, with the claims that it was decided by; nothing is signed."""

    asked: TokenRequest
    outcome: Decision | Refusal
    claims: Claims
    policy: Policy
    now: datetime


class TokenService:
    """
    Issues registry tokens.  Safe to use from many threads.

    Args:
        state: The policy and the keys to begin with; replace it to change them.
        logins: Verifies logins.
        issuer: The `iss` of the tokens.
        lifetime: How long they are good for, unless a grant shortens it.
        now: The clock.
        sessions: What refresh tokens stand for; None where none are given.
        filter_catalog: Whether tokens for the catalog say whose they are.
    """

    def __init__(
        self,
        state: State,
        logins: LoginCache,
        *,
        issuer: str,
        lifetime: timedelta,
        now: Now = utc_now,
        sessions: Sessions | None = None,
        filter_catalog: bool = False,
    ) -> None:
        self.state = state
        self.now = now
        self.lifetime = lifetime
        self._logins = logins
        self._shadow_logins = logins.beside()
        self._anew = logins.without_memory()
        self._issuer = issuer
        self._sessions = sessions
        self._filter_catalog = filter_catalog

    def answer(
        self, asked: TokenRequest, state: State, admit: Admit = lambda _: None
    ) -> TokenAnswer:
        """
        Decide a request and, unless it is refused, sign what was granted.

        Args:
            asked: The request.
            state: What it is decided and signed with.
            admit: Is told who logged in before anything is decided for them; raises when they ask
                too often.
        """
        now = self.now()
        login, keys, decided = self._decide(state.policy, asked, now, self._logins, admit)
        shadow = None
        if state.shadow is not None:
            _, _, shadow = self._decide(state.shadow, asked, now, self._shadow_logins)
        outcome: Issued | Refusal
        if isinstance(decided, Refusal):
            outcome = decided
        else:
            issued = self._sign(state, decided, login, keys, now)
            outcome = self._with_session(issued, asked, state.policy, now)
        return TokenAnswer(asked, outcome, state.policy, now, state.shadow, shadow)

    def decide_anew(self, asked: TokenRequest, admit: Admit) -> Verified:
        """
        Decide a request as `answer` does, by the current policy, and issue nothing.

        The login is verified anew and not remembered, and no session begins.
        """
        policy, now = self.state.policy, self.now()
        login, _, decided = self._decide(policy, asked, now, self._anew, admit)
        return Verified(asked, decided, NO_CLAIMS if login is None else login.claims, policy, now)

    def _with_session(
        self, issued: Issued, asked: TokenRequest, policy: Policy, now: datetime
    ) -> Issued:
        """
        Begin a session where one is asked for and allowed; otherwise return what was issued.

        A session is kept for hours.  So none is begun for a login whose claims rule out every
        grant: anybody has tokens of some issuers.
        """
        login = issued.login
        if self._sessions is None or login is None or not asked.offline or asked.refreshing:
            return issued
        if is_out_of_reach(policy, login):
            return issued
        try:
            token = self._sessions.begin(login, asked.service, now)
        except SessionsError as error:  # the client keeps its password, which serves as well
            _log.error("a session cannot be stored: %s", error)
            return issued
        return structs.replace(issued, refresh_token=token)

    def _decide(
        self,
        policy: Policy,
        asked: TokenRequest,
        now: datetime,
        logins: LoginCache,
        admit: Admit = lambda _: None,
    ) -> tuple[Authenticated | None, KeySet | None, Decision | Refusal]:
        wanted = asked.accesses
        if asked.credentials is None:
            return None, None, anonymous(policy, asked.service, wanted, now, asked.client)
        login, keys = self._login(policy, asked, asked.credentials, now, logins)
        if isinstance(login, Refusal):
            return None, None, login
        # Deciding and signing cost more than a login that is remembered, so the rate comes first.
        admit(login.identity)
        # The decision is never remembered with the login: every access is decided by the current
        # policy.
        identity = login.identity.from_client(asked.client)
        decided = decide(policy, identity, login.claims, asked.service, wanted, now)
        if isinstance(decided, Refusal):  # a session's login was checked as of its beginning
            decided = replace(decided, at=login.at)
        return login, keys, decided

    def _login(
        self,
        policy: Policy,
        asked: TokenRequest,
        credentials: Credentials,
        now: datetime,
        logins: LoginCache,
    ) -> tuple[Authenticated | Refusal, KeySet | None]:
        token = credentials.password
        if not asked.refreshing or not is_session(token):
            return logins.login(policy, credentials, asked.service, now)
        if self._sessions is None:
            return _NO_SESSIONS, None
        try:
            return self._sessions.resume(token, policy, asked.service, now), None
        except SessionsError as error:
            _log.error("a session cannot be looked up: %s", error)
            return _UNAVAILABLE, None

    def _sign(
        self,
        state: State,
        decision: Decision,
        login: Authenticated | None,
        keys: KeySet | None,
        now: datetime,
    ) -> Issued:
        # Nobody can guess it, and no two tokens have the same (RFC 7519, section 4.1.7): an audit
        # finds the decision by it.
        jti = secrets.token_hex(16)
        shown = decision.deferred or (self._filter_catalog and _lists(decision))
        lifetime = self.lifetime
        if decision.lifetime is not None:
            lifetime = min(lifetime, decision.lifetime)
        token = registry_token(
            decision,
            issuer=self._issuer,
            key=state.signer.key,
            now=now,
            lifetime=lifetime,
            jti=jti,
            workload=workload_of(login, now) if shown else None,
        )
        return Issued(decision, token, jti, login, keys, lifetime, self.lifetime)


def _lists(decision: Decision) -> bool:
    """Tell whether a decision lets its token list the catalog."""
    return any(scope.resource.type == REGISTRY for scope in decision.granted)
