"""
Connections to PostgreSQL: made beside requests, cut off when they are late.

What lives here: which connection strings are taken, the pool, and what happens while the database
is away.
Not here: what is kept in it (`regauth.servers.sessions.postgresql`).

A call ends in time whatever the database does.  psycopg's pool makes connections in threads of its
own, and a late statement is cut off by shutting its socket.  When the database is away, requests
fail at once, and one of them tries again every few seconds.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar

import psycopg
import psycopg_pool

from regauth.engine.source.addresses import is_loopback
from regauth.servers.configuration.settings import PostgresqlSettings

from .store import SessionsError, StoreSettingsError

PAUSE_SECONDS: Final = 5.0
"""
Seconds after a failure in which no request asks the database.  Clients are told to wait as long.
"""

MAX_PASSWORD: Final = 64 * 1024

_CONNECT_SECONDS: Final = 2
"""Seconds.  libpq has no shorter time-out."""

_RECONNECT_SECONDS: Final = 4.0
_WAIT_SECONDS: Final = 5.0
"""Seconds to make a connection, however long the statements may take."""

logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # logged here, once

Row = tuple[Any, ...]
Result = TypeVar("Result")


class LateError(psycopg.OperationalError):
    """A statement was cut off."""


class Connection(psycopg.Connection[Row]):
    """A connection that reports why it failed; the pool alone reports only a time-out."""

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


class Database:
    """
    A database that may be away.  Safe to use from many threads.

    Args:
        settings: Which database.
        prepare: Called with each new connection; raises `psycopg.Error`.
        seconds: How long a call takes at most.
        connections: How many there are at most.
        clock: Monotonic seconds.

    Raises:
        StoreSettingsError: The settings cannot be used.
    """

    def __init__(
        self,
        settings: PostgresqlSettings,
        prepare: Callable[[Connection], None],
        seconds: float,
        connections: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check(settings)
        self._settings = settings
        self._prepare = prepare
        self._seconds = seconds
        self._connections = connections
        self._clock = clock
        self._lock = threading.Lock()
        self._away_until = 0.0
        self._problem = ""
        self._pool: psycopg_pool.ConnectionPool[Connection] | None = None

    def call(self, work: Callable[[Connection], Result], *, again: bool = True) -> Result:
        """
        Do some statements, each in a transaction of its own.

        Args:
            work: Does them.
            again: Whether they may be done again when the connection turns out to be lost.

        Raises:
            SessionsError: The database is away, or refuses.
        """
        self._admit()
        deadline = self._clock() + self._seconds
        lost = 0
        while True:
            try:
                with (
                    self._opened().connection(self._patience(deadline)) as connection,
                    _in_time(connection, deadline - self._clock()),
                ):
                    result = work(connection)
            except psycopg_pool.PoolTimeout as error:
                raise self._failed(self._problem or _line(error)) from error
            except LateError as error:
                raise self._failed(_line(error)) from error
            except psycopg.OperationalError as error:
                lost += 1
                self._remember(error)
                if again and lost <= self._connections and self._clock() < deadline:
                    continue
                raise self._failed(_line(error)) from error
            except (psycopg.Error, UnicodeError) as error:
                raise SessionsError(f"the sessions' database refuses: {_line(error)}") from error
            self._away_until, self._problem = 0.0, ""
            return result

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(timeout=self._seconds)

    def _patience(self, deadline: float) -> float:
        return min(deadline - self._clock(), _WAIT_SECONDS)

    def _admit(self) -> None:
        """Let one call try again after a failure, and turn the others away at once."""
        with self._lock:
            now = self._clock()
            if now < self._away_until:
                raise SessionsError(f"the sessions' database is away: {self._problem}")
            if self._away_until:
                self._away_until = now + PAUSE_SECONDS

    def _failed(self, problem: str) -> SessionsError:
        with self._lock:
            self._away_until, self._problem = self._clock() + PAUSE_SECONDS, problem
        return SessionsError(f"the sessions' database is away: {problem}")

    def _opened(self) -> psycopg_pool.ConnectionPool[Connection]:
        with self._lock:
            if self._pool is None:
                self._pool = psycopg_pool.ConnectionPool(
                    self._settings.conninfo,
                    connection_class=Connection,
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
            "prepare_threshold": None,  # a pooler in front of the database may not support any
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

    def _configure(self, connection: Connection) -> None:
        """Make a new connection ready, in the pool's own thread."""
        try:
            with _in_time(connection, _CONNECT_SECONDS):
                connection.execute(f"SET statement_timeout = {int(self._seconds * 1000)}")
                self._prepare(connection)
        except psycopg.Error as error:
            self._remember(error)
            connection.close()
            raise


@contextmanager
def _in_time(connection: Connection, seconds: float) -> Iterator[None]:
    """
    Cut a connection off when the block takes longer.

    Otherwise a database that stopped in the middle of an answer would hold the request for ever:
    its kernel still acknowledges what we send, so no TCP time-out ends the wait.
    """
    late = threading.Event()

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError):  # the peer closed it first
            copy.shutdown(socket.SHUT_RDWR)

    # This duplicates the descriptor: the connection's own may be closed meanwhile and belong to
    # another file.
    with socket.socket(fileno=os.dup(connection.fileno())) as copy:
        timer = threading.Timer(max(seconds, 0), cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except psycopg.OperationalError as error:
            if late.is_set():
                raise LateError("it does not answer in time") from error
            raise
        finally:
            timer.cancel()
            timer.join()


def _check(settings: PostgresqlSettings) -> None:
    """
    Check a connection string before it is used.

    The database says who is logged in.  So the settings of a remote database must say how it proves
    its identity.
    """
    where = "`refreshTokens.postgresql`"
    try:
        given = psycopg.conninfo.conninfo_to_dict(settings.conninfo)
    except psycopg.ProgrammingError:  # its text may quote a secret
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
    said = given.get("sslmode") or given.get("service") or os.environ.get("PGSSLMODE")
    if elsewhere and not said:
        raise StoreSettingsError(
            f"{where} names another machine and no `sslmode`: anybody in the network between"
            " could answer for the database and log in as anybody; add `sslmode=verify-full` and"
            " `sslrootcert`"
        )


def _line(error: psycopg.Error | UnicodeError) -> str:
    """Return an error in one line, without its details, which may quote a row."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((primary or str(error)).split())[:500] or type(error).__name__
