"""
Sessions: what a refresh token stands for.

What lives here: making opaque tokens, and finding again the login that each stands for.
Not here: where sessions are kept (`regauth.servers.sessions.store`), and whether a session goes on,
which the current policy says at every use (`regauth.engine.decisions.session`).
"""

import hashlib
import json
import secrets
from datetime import datetime
from typing import Final

from regauth.engine import Authenticated, Policy, Refusal
from regauth.engine.access.outcomes import Reason
from regauth.engine.decisions.authentication import refusal
from regauth.engine.decisions.session import Begun, resume
from regauth.engine.tokens.jwt import recalled

from .store import SessionRecord, SessionStore

PREFIX: Final = "regauth-session-"
"""
The beginning of these tokens, which tells them from JWTs and which secret scanners can look for.
"""


class Sessions:
    """
    The sessions of a server.  Safe to use from many threads.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    def begin(self, login: Authenticated, service: str, now: datetime) -> str:
        """
        Begin a session for a login and return its refresh token; "" when the policy gives none.

        Raises:
            SessionsError: It cannot be stored.
        """
        longest = login.provider.max_session
        if longest is None:
            return ""
        token = PREFIX + secrets.token_urlsafe(32)
        record = SessionRecord(
            _digest(token),
            login.identity.provider,
            login.identity.subject,
            service,
            json.dumps(login.claims),
            now,
            now + longest,
        )
        self._store.add(record)
        return token

    def resume(
        self, token: str, policy: Policy, service: str, now: datetime
    ) -> Authenticated | Refusal:
        """
        Return whose session a refresh token is, if the current policy lets it go on.

        Raises:
            SessionsError: It cannot be looked up.
        """
        record = self._store.find(_digest(token))
        if record is None:
            return refusal(Reason.UNKNOWN_SESSION, "no session has this token")
        if now >= record.ends:  # a policy that allows longer sessions allows them for new ones only
            return refusal(Reason.UNKNOWN_SESSION, f"it ended at {record.ends.isoformat()}")
        claims = recalled(json.loads(record.claims))
        return resume(
            policy, Begun(record.provider, claims, record.service, record.began), service, now
        )

    def warm(self, now: datetime) -> None:
        """
        Make the store ready, and forget sessions that have ended.

        Raises:
            SessionsError: It cannot be used.
        """
        self._store.prune(now)

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def is_session(token: str) -> bool:
    """Tell whether a text has the form of our refresh tokens; the store is not asked."""
    return token.startswith(PREFIX)


def _digest(token: str) -> bytes:
    """Return what is stored: a token of 256 random bits needs no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
