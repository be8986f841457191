"""
The `token-server sessions` commands.

What lives here: their options and what they print.  Not here: how sessions are kept
(`regauth.servers.sessions.store`).  What a command needs is imported when it runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .terminal import fail, startup_errors_shown

if TYPE_CHECKING:
    from regauth.servers.sessions.store import SessionStore

_CONFIG: Final = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="TOKEN_SERVER_CONFIG",
    required=True,
    help="The server's file, which says where sessions are kept.",
)


@click.group()
def sessions() -> None:
    """
    Show and end the sessions that refresh tokens stand for.

    \b
    Example:
      token-server sessions list --config server.yaml
      token-server sessions revoke --config server.yaml --provider github --subject repo:acme/app
    """  # noqa: D301 - click reads \b


@sessions.command("list")
@_CONFIG
def list_(config: Path) -> None:
    """Show all sessions, the newest first; a policy that allows less ends them earlier."""
    with _store(config) as store:
        for one in store.all():
            click.echo(
                f"{one.id}  {_shown(one.provider)}  {_shown(one.subject)}  {_shown(one.service)}  "
                f"began {_moment(one.began)}  ends {_moment(one.ends)}"
            )


@sessions.command()
@_CONFIG
@click.option("--provider", help="The sessions of this provider.")
@click.option("--subject", help="Only those of this subject; needs --provider.")
@click.option("--id", "session_id", help="One session, by the id that `sessions list` shows.")
@click.option("--all", "everything", is_flag=True, help="All sessions.")
def revoke(
    config: Path,
    provider: str | None,
    subject: str | None,
    session_id: str | None,
    *,
    everything: bool,
) -> None:
    """End sessions; a registry token that was already issued stays valid until it expires."""
    ways = (everything, provider is not None, session_id is not None)
    if sum(ways) != 1 or (subject is not None and provider is None):
        fail("say one of --all, --id, and --provider with or without --subject")
    with _store(config) as store:
        try:
            ended = store.revoke(provider, subject) if session_id is None else 0
            ended += 0 if session_id is None else store.revoke_id(session_id)
        except ValueError:
            fail(f"{session_id!r} is not an id; `token-server sessions list` shows them")
    click.echo(f"{_counted(ended)} ended")


@sessions.command()
@_CONFIG
def prune(config: Path) -> None:
    """Remove sessions that have ended; servers do it too, some at each new session."""
    now, removed = datetime.now(UTC), 0
    with _store(config) as store:
        while some := store.prune(now):
            removed += some
    click.echo(f"{_counted(removed)} removed")


@contextmanager
def _store(config: Path) -> "Iterator[SessionStore]":
    """Open the store of a server's configuration; end the process when it cannot be used."""
    from regauth.servers.configuration.server_file import read_settings
    from regauth.servers.sessions.opening import COMMAND_SECONDS, open_store
    from regauth.servers.sessions.store import SessionsError, StoreSettingsError

    with startup_errors_shown():
        settings = read_settings(config).sessions
        if settings is None:
            fail(f"{config} has no `refreshTokens`, so this server keeps no sessions")
        try:
            store = open_store(settings, COMMAND_SECONDS, connections=1)
        except StoreSettingsError as error:
            fail(f"{config}: {error}")
    try:
        yield store
    except SessionsError as error:
        fail(str(error))
    finally:
        store.close()


def _counted(number: int) -> str:
    return f"{number} session{'s' * (number != 1)}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _shown(text: str) -> str:
    """Return a claim's text as one line, without control characters for this terminal."""
    return text if text.isprintable() else ascii(text)
