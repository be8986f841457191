"""
Sessions in PostgreSQL: shared by servers on several machines.

What lives here: the tables and their statements, connections to the database and what happens
while it is away.  What must not: what a session means.

A call ends in time whatever the database does: connections are made beside it by psycopg's pool,
and a statement that is late is cut off by its socket.  Once the database was found away, requests
are told so at once, and one of them tries again every few seconds.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Self, TypeVar

import psycopg
import psycopg_pool

from regauth.engine.providers import is_loopback

from .session_stores import SessionRecord, SessionsError, StoreSettingsError
from .settings import PostgresqlSettings

VERSION: Final = 1
"""Of the tables' form."""

PAUSE_SECONDS: Final = 5.0
"""After a failure, how long nobody asks the database; clients are told to wait as long."""

PRUNED: Final = 1000
"""Ended sessions that are forgotten at a time, so that nobody waits for many."""

MAX_PASSWORD: Final = 64 * 1024

_CONNECT_SECONDS: Final = 2
"""libpq knows no shorter time-out."""

_RECONNECT_SECONDS: Final = 4.0
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
_REVOKE: Final = """
DELETE FROM regauth_sessions
    WHERE provider = coalesce(%s, provider) AND subject = coalesce(%s, subject)
"""

Row = tuple[Any, ...]
Result = TypeVar("Result")


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
        _check(settings)
        self._settings = settings
        self._seconds = seconds
        self._clock = clock
        self._away_until = 0.0
        self._problem = ""
        self._lock = threading.Lock()
        self._connections = connections
        self._pool: psycopg_pool.ConnectionPool[_Connection] | None = None

    def add(self, record: SessionRecord) -> None:
        """Keep a session, and forget some that have ended."""
        row = (
            record.digest,
            record.provider,
            record.subject,
            record.service,
            record.claims,
            record.began,
            record.ends,
        )

        def work(connection: _Connection) -> None:
            connection.execute(_PRUNE, (record.began, PRUNED))
            connection.execute(_ADD, row)

        self._call(work)

    def find(self, digest: bytes) -> SessionRecord | None:
        """Return a session by its digest."""
        row = self._call(lambda connection: connection.execute(_FIND, (digest,)).fetchone())
        return None if row is None else SessionRecord(*row)

    def all(self) -> list[SessionRecord]:
        """Return every session, the newest first."""
        rows = self._call(lambda connection: connection.execute(_ALL).fetchall())
        return [SessionRecord(*row) for row in rows]

    def revoke(self, provider: str | None, subject: str | None) -> int:
        """Forget sessions; the database has it before this returns."""
        values = (provider, subject)
        # Not done again when the connection is lost: the count would be of what is left.
        return self._call(
            lambda connection: connection.execute(_REVOKE, values).rowcount, again=False
        )

    def prune(self, now: datetime) -> int:
        """Forget sessions that have ended."""
        return self._call(lambda connection: connection.execute(_PRUNE, (now, PRUNED)).rowcount)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(timeout=self._seconds)

    def _call(self, work: Callable[["_Connection"], Result], *, again: bool = True) -> Result:
        """Do some statements, again on another connection when one turns out to be lost."""
        self._admit()
        deadline = self._clock() + self._seconds
        lost = 0
        while True:
            try:
                with (
                    self._opened().connection(deadline - self._clock()) as connection,
                    _in_time(connection, deadline - self._clock()),
                ):
                    result = work(connection)
            except psycopg_pool.PoolTimeout as error:
                raise self._failed(error) from error
            except psycopg.OperationalError as error:
                lost += 1
                if again and lost <= self._connections and self._clock() < deadline:
                    self._problem = _line(error)
                    continue
                raise self._failed(error) from error
            except (psycopg.Error, UnicodeError) as error:
                raise SessionsError(f"the sessions' database refuses: {_line(error)}") from error
            self._away_until, self._problem = 0.0, ""
            return result

    def _admit(self) -> None:
        """Let one call try again after a failure, and turn the others away at once."""
        with self._lock:
            now = self._clock()
            if now < self._away_until:
                raise SessionsError(f"the sessions' database is away: {self._problem}")
            if self._away_until:
                self._away_until = now + PAUSE_SECONDS

    def _failed(self, error: psycopg.Error) -> SessionsError:
        with self._lock:
            self._away_until = self._clock() + PAUSE_SECONDS
            if not isinstance(error, psycopg_pool.PoolTimeout) or not self._problem:
                self._problem = _line(error)
        return SessionsError(f"the sessions' database is away: {self._problem}")

    def _opened(self) -> "psycopg_pool.ConnectionPool[_Connection]":
        with self._lock:
            if self._pool is None:
                self._pool = psycopg_pool.ConnectionPool(
                    self._settings.conninfo,
                    connection_class=_Connection,
                    kwargs=self._parameters,
                    configure=self._configure,
                    min_size=0,
                    max_size=self._connections,
                    reconnect_timeout=_RECONNECT_SECONDS,
                    name="sessions",
                    open=True,
                )
            return self._pool

    def _parameters(self) -> dict[str, Any]:
        """Return what each new connection is made with."""
        given = psycopg.conninfo.conninfo_to_dict(self._settings.conninfo)
        own = {
            "connect_timeout": _CONNECT_SECONDS,
            "tcp_user_timeout": int(self._seconds * 1000),
            "application_name": "token-server",
        }
        return {
            **{name: value for name, value in own.items() if name not in given},
            **self._password(),
            "autocommit": True,
            "prepare_threshold": None,  # poolers between us and the database need not know any
            "failed": self._remember,
        }

    def _password(self) -> dict[str, str]:
        file = self._settings.password_file
        if file is None:
            return {}
        try:
            with file.open(encoding="utf-8") as opened:
                return {"password": opened.read(MAX_PASSWORD).rstrip("\r\n")}
        except (OSError, UnicodeDecodeError) as error:
            self._problem = f"the password file {file} cannot be read"
            raise psycopg.OperationalError(self._problem) from error

    def _remember(self, error: psycopg.Error) -> None:
        self._problem = _line(error)

    def _configure(self, connection: "_Connection") -> None:
        """Make a new connection ready: its bounds, and the tables."""
        try:
            with _in_time(connection, _CONNECT_SECONDS):
                connection.execute(f"SET statement_timeout = {int(self._seconds * 1000)}")
                _prepare(connection)
        except psycopg.Error as error:
            self._remember(error)
            connection.close()
            raise


class _Connection(psycopg.Connection[Row]):
    """A connection that tells why it could not be made: the pool would only say that it is late."""

    @classmethod
    def connect(  # type: ignore[override]  # `failed` is none of psycopg's parameters
        cls,
        conninfo: str = "",
        *,
        failed: Callable[[psycopg.Error], None] = lambda _: None,
        **parameters: Any,  # noqa: ANN401 - psycopg's own
    ) -> Self:
        """
        Connect as psycopg does.

        Raises:
            psycopg.Error: It cannot; `failed` was told why.
        """
        try:
            return super().connect(conninfo, **parameters)
        except psycopg.Error as error:
            failed(error)
            raise


def _prepare(connection: _Connection) -> None:
    """
    Make the tables when they are not there, and check that their form is ours.

    Only who finds no tables needs the right to make some.
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


@contextmanager
def _in_time(connection: _Connection, seconds: float) -> Iterator[None]:
    """
    Cut a connection off when the block takes longer.

    A database that stopped in mid-answer would else hold the request for ever: its kernel goes on
    acknowledging what we send.
    """

    def cut() -> None:
        with contextlib.suppress(OSError):  # the peer was faster
            copy.shutdown(socket.SHUT_RDWR)

    # A descriptor of our own: the connection's may be closed meanwhile, and be somebody else's.
    with socket.socket(fileno=os.dup(connection.fileno())) as copy:
        timer = threading.Timer(max(seconds, 0), cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _check(settings: PostgresqlSettings) -> None:
    """
    Look at a connection string before anything is made of it.

    Whoever can answer for the database says who is logged in, so a database elsewhere must say how
    it proves itself.
    """
    where = "`refreshTokens.postgresql`"
    try:
        given = psycopg.conninfo.conninfo_to_dict(settings.conninfo)
    except psycopg.ProgrammingError:  # its text may quote what was meant to be secret
        raise StoreSettingsError(
            f"{where} is no connection string of PostgreSQL; write it such as"
            " `host=db.example.com dbname=regauth sslmode=verify-full`"
        ) from None
    if given.get("password"):
        raise StoreSettingsError(f"{where} holds a password; put it into a file: `passwordFile`")
    named = given.get("hostaddr") or given.get("host") or os.environ.get("PGHOST") or ""
    elsewhere = [
        host
        for host in str(named).split(",")
        if host and host[0] not in "/@" and not is_loopback(host)
    ]
    if elsewhere and not (
        given.get("sslmode") or given.get("service") or "PGSSLMODE" in os.environ
    ):
        raise StoreSettingsError(
            f"{where} names another machine and no `sslmode`: whoever is on the way could answer"
            " for the database and log in as anybody; add `sslmode=verify-full` and `sslrootcert`"
        )


def _line(error: psycopg.Error | UnicodeError) -> str:
    """Return an error in one line, without its details, which may quote a row."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((primary or str(error)).split())[:500] or type(error).__name__
