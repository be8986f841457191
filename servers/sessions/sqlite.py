"""
Sessions in SQLite: one file, shared by the processes of one machine.

What lives here: the file's form and its statements.
Not here: what a session means (`sessions`).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Final

from regauth.servers.configuration.settings import SqliteSettings

from .store import SessionRecord, SessionsError, StoreSettingsError, id_range

VERSION: Final = 1
"""The version of the file's form, kept in its `user_version`."""

PRUNED: Final = 1000
"""Ended sessions that one call removes, so that no call waits for many."""

_TABLES: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS sessions (
    digest BLOB PRIMARY KEY,
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    service TEXT NOT NULL,
    claims TEXT NOT NULL,
    began TEXT NOT NULL,
    ends TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions (ends);
CREATE INDEX IF NOT EXISTS sessions_by_subject ON sessions (provider, subject);
PRAGMA user_version = 1;
COMMIT;
"""
_ADD: Final = "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)"
_FIND: Final = "SELECT * FROM sessions WHERE digest = ?"
_ALL: Final = "SELECT * FROM sessions ORDER BY began DESC"
_REVOKE: Final = """
DELETE FROM sessions WHERE provider = coalesce(?, provider) AND subject = coalesce(?, subject)
"""
_REVOKE_ID: Final = "DELETE FROM sessions WHERE digest BETWEEN ? AND ?"
_PRUNE: Final = """
DELETE FROM sessions WHERE digest IN
    (SELECT digest FROM sessions WHERE ends <= ? ORDER BY ends LIMIT ?)
"""

Row = tuple[bytes, str, str, str, str, str, str]


class SqliteSessions:
    """
    A store in a file, which is made when it is not there.

    Args:
        settings: Which file.
        seconds: How long a call waits for other writers.

    Raises:
        StoreSettingsError: The file's folder is not there.
    """

    def __init__(self, settings: SqliteSettings, seconds: float) -> None:
        self._file = settings.file
        self._seconds = seconds
        self._local = threading.local()
        if not self._file.parent.is_dir():
            raise StoreSettingsError(
                f"`refreshTokens.file` is {self._file}, whose folder is not there; make it"
            )

    def add(self, record: SessionRecord) -> None:
        """Keep a session, and forget some that have ended."""
        row = (*astuple(record)[:5], _text(record.began), _text(record.ends))
        with self._connection() as connection:
            connection.execute(_PRUNE, (_text(record.began), PRUNED))
            connection.execute(_ADD, row)

    def find(self, digest: bytes) -> SessionRecord | None:
        """Return a session by its digest."""
        with self._connection() as connection:
            row = connection.execute(_FIND, (digest,)).fetchone()
        return None if row is None else _record(row)

    def all(self) -> list[SessionRecord]:
        """Return every session, the newest first."""
        with self._connection() as connection:
            return [_record(row) for row in connection.execute(_ALL)]

    def revoke(self, provider: str | None, subject: str | None) -> int:
        """Forget sessions; the disk has it before this returns."""
        with self._connection(durable=True) as connection:
            return connection.execute(_REVOKE, (provider, subject)).rowcount

    def revoke_id(self, session_id: str) -> int:
        """Forget one session; the disk has it before this returns."""
        between = id_range(session_id)
        with self._connection(durable=True) as connection:
            return connection.execute(_REVOKE_ID, between).rowcount

    def prune(self, now: datetime) -> int:
        """Forget sessions that have ended."""
        with self._connection() as connection:
            return connection.execute(_PRUNE, (_text(now), PRUNED)).rowcount

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    @contextmanager
    def _connection(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """
        Yield this thread's connection, in a transaction.

        A `durable` one survives a power failure.  A lost session can begin again, but a revoked one
        must not come back.
        """
        try:
            connection = self._current()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with connection:
                yield connection
        except (sqlite3.Error, OSError, UnicodeError) as error:
            self.close()
            raise SessionsError(f"the sessions in {self._file} cannot be used: {error}") from error

    def _current(self) -> sqlite3.Connection:
        """Return this thread's connection; a file that was removed takes its sessions with it."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            try:
                found = self._file.stat()
            except FileNotFoundError:
                found = None
            if found is not None and (found.st_dev, found.st_ino) == self._local.place:
                return connection
            self.close()
        connection = self._local.connection = self._open()
        found = self._file.stat()
        self._local.place = (found.st_dev, found.st_ino)
        return connection

    def _open(self) -> sqlite3.Connection:
        self._file.touch(mode=0o600)
        connection = sqlite3.connect(self._file, timeout=self._seconds)
        try:
            _prepare(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables when they are not there, and check that their form is ours."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_TABLES)
    elif version != VERSION:
        raise sqlite3.NotSupportedError(f"it is of version {version}; this server knows {VERSION}")


def _record(row: Row) -> SessionRecord:
    return SessionRecord(
        *row[:5], began=datetime.fromisoformat(row[5]), ends=datetime.fromisoformat(row[6])
    )


def _text(moment: datetime) -> str:
    """Write a time so that texts sort as the times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
