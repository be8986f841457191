"""
Session stores: where sessions are kept.

What lives here: what a store is asked to do, and how it fails.  Not here: which one a configuration
names (`opening`), how each keeps them (`sqlite`, `postgresql`), and what a session allows
(`sessions`).
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from regauth.engine.source.startup import StartupError

ID_BYTES: Final = 8
"""Bytes of a digest that are a session's id; two sessions of one id are not expected."""


def id_range(session_id: str) -> tuple[bytes, bytes]:
    """
    Return the first and the last digest that an id stands for.

    Raises:
        ValueError: This is not an id.
    """
    beginning = bytes.fromhex(session_id)
    if len(beginning) != ID_BYTES:
        raise ValueError(f"an id has {2 * ID_BYTES} hexadecimal digits")
    rest = hashlib.sha256().digest_size - ID_BYTES
    return beginning + b"\x00" * rest, beginning + b"\xff" * rest


class SessionsError(Exception):
    """A store cannot be used now: the database is away, the file is broken, or the disk is full."""


class StoreSettingsError(StartupError):
    """A store cannot be used as it is configured; the message says where, what, and what to do."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as it is kept."""

    digest: bytes = field(repr=False)
    """The SHA-256 of its refresh token.  The token itself is not stored."""
    provider: str
    subject: str
    service: str
    claims: str = field(repr=False)
    """The claims of the login that began it, as JSON."""
    began: datetime
    ends: datetime
    """When it ends, by the policy under which it began."""

    @property
    def id(self) -> str:
        """The beginning of the digest, in hexadecimal: a name with which nobody can log in."""
        return self.digest[:ID_BYTES].hex()


class SessionStore(Protocol):
    """
    Keeps sessions.  Safe to use from many threads and processes.

    Each method raises `SessionsError` when it cannot do its work in time, and then has done all or
    nothing of it.
    """

    def add(self, record: SessionRecord) -> None:
        """Keep a session."""

    def find(self, digest: bytes) -> SessionRecord | None:
        """Return the session of a token's digest, ended or not, if it is kept."""

    def all(self) -> list[SessionRecord]:
        """Return every session, the newest first."""

    def revoke(self, provider: str | None, subject: str | None) -> int:
        """
        Forget the sessions of a provider, of one subject of it, or all; return how many.

        When it returns, no other process finds them.
        """

    def revoke_id(self, session_id: str) -> int:
        """
        Forget the session of an id; return how many that were, one or none.

        When it returns, no other process finds it.  Raises `ValueError` when this is not an id.
        """

    def prune(self, now: datetime) -> int:
        """Forget sessions that have ended, perhaps not all of many; return how many."""

    def close(self) -> None:
        """Close what is open."""
