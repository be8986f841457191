"""
Sessions: what a refresh token stands for.

What lives here: opaque tokens, kept as digests in SQLite, with the claims of the login that began
the session.  What must not: deciding what a session may do, which is the current policy's, asked
anew at every use.

A session never outlives `max_session`, is good for the service it was begun for, and ends when it
is revoked, or when its provider, a rule or the session's provider in the configuration goes.
"""

import hashlib
import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from regauth.engine import Authenticated, Claims, Policy, Refusal
from regauth.engine.authentication import authenticate

from .settings import RefreshSettings

PREFIX: Final = "regauth-session-"
"""What tells these tokens from JWTs, and what secret scanners can look for."""

_UNKNOWN: Final = Refusal(
    "unknown-session", "the refresh token is not known here or has ended; log in again"
)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sessions (
    digest BLOB PRIMARY KEY,
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    service TEXT NOT NULL,
    claims TEXT NOT NULL,
    began INTEGER NOT NULL,
    ends INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions (ends);
CREATE INDEX IF NOT EXISTS sessions_by_subject ON sessions (provider, subject);
"""
_BUSY_SECONDS: Final = 2.0


class SessionsError(Exception):
    """The sessions' file cannot be read or written; the operator's fault, or a full disk."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as an operator sees it."""

    provider: str
    subject: str
    service: str
    began: datetime
    ends: datetime


class Sessions:
    """
    The sessions of a server.  Safe to use from many threads and processes.

    Args:
        file: The SQLite database; made when it is not there.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._local = threading.local()

    def begin(
        self, login: Authenticated, service: str, settings: RefreshSettings, now: datetime
    ) -> str:
        """
        Begin a session for a login and return its refresh token.

        Raises:
            SessionsError: It cannot be stored.
        """
        token = PREFIX + secrets.token_urlsafe(32)
        ends = now + settings.max_session
        row = (
            _digest(token),
            login.identity.provider,
            login.identity.subject,
            service,
            json.dumps(login.claims),
            int(now.timestamp()),
            int(ends.timestamp()),
        )
        with self._connection() as connection:
            connection.execute("DELETE FROM sessions WHERE ends <= ?", (int(now.timestamp()),))
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return token

    def resume(
        self, token: str, policy: Policy, service: str, settings: RefreshSettings, now: datetime
    ) -> Authenticated | Refusal:
        """
        Return whose session a refresh token is, if the current policy still lets that login in.

        The login is checked again as if it were made when the session began: the token it was made
        with has expired since.

        Raises:
            SessionsError: It cannot be looked up.
        """
        with self._connection() as connection:
            row = connection.execute(
                "SELECT provider, service, claims, began, ends FROM sessions WHERE digest = ?",
                (_digest(token),),
            ).fetchone()
        if row is None:
            return _UNKNOWN
        name, for_service, claims, began, ends = row
        provider = policy.providers.get(name)
        age = now.timestamp() - began
        if (
            provider is None
            or name not in settings.providers
            or service != for_service
            or now.timestamp() >= ends
            or age >= settings.max_session.total_seconds()
        ):
            return _UNKNOWN
        then = datetime.fromtimestamp(began, UTC)
        return authenticate(provider, Claims(json.loads(claims)), service, then)

    def all(self) -> list[Session]:
        """
        Return every session, the newest first.

        Raises:
            SessionsError: They cannot be read.
        """
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT provider, subject, service, began, ends FROM sessions ORDER BY began DESC"
            ).fetchall()
        return [
            Session(
                provider,
                subject,
                service,
                datetime.fromtimestamp(began, UTC),
                datetime.fromtimestamp(ends, UTC),
            )
            for provider, subject, service, began, ends in rows
        ]

    def revoke(self, provider: str | None = None, subject: str | None = None) -> int:
        """
        End the sessions of a provider, of one subject of it, or all; return how many.

        Raises:
            SessionsError: They cannot be written.
        """
        with self._connection() as connection:
            return connection.execute(
                "DELETE FROM sessions WHERE provider = coalesce(?, provider)"
                " AND subject = coalesce(?, subject)",
                (provider, subject),
            ).rowcount

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = self._open()
            with connection:
                yield connection
        except sqlite3.Error as error:
            self.close()
            message = f"the sessions in {self._file} cannot be used: {error}"
            raise SessionsError(message) from error

    def _open(self) -> sqlite3.Connection:
        if not self._file.exists():
            self._file.touch(mode=0o600)
        connection = sqlite3.connect(self._file, timeout=_BUSY_SECONDS)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
        return connection


def is_session(token: str) -> bool:
    """Tell a refresh token of ours from a JWT by its form; whether it is known is not looked at."""
    return token.startswith(PREFIX)


def _digest(token: str) -> bytes:
    """Return what is stored: a token of 256 random bits needs no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
