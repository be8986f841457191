"""
Sessions in PostgreSQL: shared by servers on several machines.

What lives here: the tables and their statements.
Not here: what a session means (`sessions`), and how the database is reached
(`regauth.servers.sessions.postgresql_connections`).
"""

import time
from collections.abc import Callable
from dataclasses import astuple
from datetime import datetime
from typing import Final

import psycopg

from regauth.servers.configuration.settings import PostgresqlSettings

from .postgresql_connections import Connection, Database
from .store import SessionRecord, id_range

VERSION: Final = 1
"""The version of the tables' form."""

PRUNED: Final = 1000
"""Ended sessions that one call removes, so that no call waits for many."""

_LOCK: Final = 0x72656761757468  # "regauth": while tables are made, servers wait for each other
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS regauth_sessions (
    digest bytea PRIMARY KEY,
    provider text NOT NULL,
    subject text NOT NULL,
    service text NOT NULL,
    claims text NOT NULL,
    began timestamptz NOT NULL,
    ends timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS regauth_sessions_by_end ON regauth_sessions (ends);
CREATE INDEX IF NOT EXISTS regauth_sessions_by_subject ON regauth_sessions (provider, subject);
CREATE TABLE IF NOT EXISTS regauth_sessions_version (version integer NOT NULL);
INSERT INTO regauth_sessions_version
    SELECT 1 WHERE NOT EXISTS (SELECT FROM regauth_sessions_version);
"""
_ADD: Final = """
INSERT INTO regauth_sessions (digest, provider, subject, service, claims, began, ends)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (digest) DO NOTHING
"""
_FIND: Final = """
SELECT digest, provider, subject, service, claims, began, ends FROM regauth_sessions
    WHERE digest = %s
"""
_ALL: Final = """
SELECT digest, provider, subject, service, claims, began, ends FROM regauth_sessions
    ORDER BY began DESC
"""
_PRUNE: Final = """
DELETE FROM regauth_sessions WHERE digest IN
    (SELECT digest FROM regauth_sessions WHERE ends <= %s
        ORDER BY ends LIMIT %s FOR UPDATE SKIP LOCKED)
"""
_REVOKE_ID: Final = "DELETE FROM regauth_sessions WHERE digest BETWEEN %s AND %s"
_REVOKE: Final = """
DELETE FROM regauth_sessions
    WHERE provider = coalesce(%s, provider) AND subject = coalesce(%s, subject)
"""


class PostgresqlSessions:
    """
    A store in a database, whose tables are made when they are not there.

    Args:
        settings: Which database.
        seconds: How long a call takes at most.
        connections: How many there are at most.
        clock: Monotonic seconds.

    Raises:
        StoreSettingsError: The settings cannot be used.
    """

    def __init__(
        self,
        settings: PostgresqlSettings,
        seconds: float,
        connections: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = Database(settings, _prepare, seconds, connections, clock)

    def add(self, record: SessionRecord) -> None:
        """Keep a session, and forget some that have ended."""

        def work(connection: Connection) -> None:
            connection.execute(_PRUNE, (record.began, PRUNED))
            connection.execute(_ADD, astuple(record))

        self._database.call(work)

    def find(self, digest: bytes) -> SessionRecord | None:
        """Return a session by its digest."""
        row = self._database.call(lambda one: one.execute(_FIND, (digest,)).fetchone())
        return None if row is None else SessionRecord(*row)

    def all(self) -> list[SessionRecord]:
        """Return every session, the newest first."""
        rows = self._database.call(lambda one: one.execute(_ALL).fetchall())
        return [SessionRecord(*row) for row in rows]

    def revoke(self, provider: str | None, subject: str | None) -> int:
        """Forget sessions; the database has it before this returns."""
        values = (provider, subject)
        # This is not repeated when the connection is lost, because the count would be wrong.
        return self._database.call(lambda one: one.execute(_REVOKE, values).rowcount, again=False)

    def revoke_id(self, session_id: str) -> int:
        """Forget one session; the database has it before this returns."""
        between = id_range(session_id)
        return self._database.call(lambda one: one.execute(_REVOKE_ID, between).rowcount)

    def prune(self, now: datetime) -> int:
        """Forget sessions that have ended."""
        return self._database.call(lambda one: one.execute(_PRUNE, (now, PRUNED)).rowcount)

    def close(self) -> None:
        """Close all connections."""
        self._database.close()


def _prepare(connection: Connection) -> None:
    """
    Make the tables when they are not there, and check that their form is ours.

    Only a server that finds no tables needs the right to make them.
    """
    query = "SELECT to_regclass('regauth_sessions_version') IS NOT NULL"
    if connection.execute(query).fetchone() != (True,):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute(_TABLES)
    versions = connection.execute("SELECT version FROM regauth_sessions_version").fetchall()
    if versions != [(VERSION,)]:
        raise psycopg.NotSupportedError(
            f"its tables are of version {versions}; this server knows {VERSION}"
        )
