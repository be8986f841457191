"""
Opening the session store that a configuration names.

What lives here: the choice, and how long calls may take.  Not here: what a store is asked to do
(`store`).  Each kind is imported when it is chosen: the libraries of PostgreSQL are an extra.
"""

from typing import Final

from regauth.servers.configuration.settings import PostgresqlSettings, SessionSettings

from .store import SessionStore, StoreSettingsError

STORE_SECONDS: Final = 2.0
"""Seconds that a request waits for a store in all; then it is answered without it."""

COMMAND_SECONDS: Final = 60.0
"""Seconds that a command waits, which may read many sessions."""


def open_store(
    settings: SessionSettings, seconds: float = STORE_SECONDS, connections: int = 4
) -> SessionStore:
    """
    Return the store that is configured; nothing is read or connected yet.

    Args:
        settings: Where sessions are kept.
        seconds: How long one call may take.
        connections: How many calls at a time, where each needs a connection.

    Raises:
        StoreSettingsError: It cannot be used as it is configured.
    """
    if isinstance(settings, PostgresqlSettings):
        try:
            from .postgresql import PostgresqlSessions  # noqa: PLC0415 - optional libraries
        except ImportError as error:
            raise StoreSettingsError(
                f"`refreshTokens.postgresql` needs psycopg, which is not here ({error}); "
                "install it: pip install 'jwt-registry-auth[postgresql]'"
            ) from error
        return PostgresqlSessions(settings, seconds, connections)
    from .sqlite import SqliteSessions  # noqa: PLC0415 - one of the two is enough

    return SqliteSessions(settings, seconds)
