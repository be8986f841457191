"""
The `token-server sessions` commands.

What lives here: their options and what they print.  What must not: how sessions are kept
(`regauth.servers.sessions`); it is imported when a command runs.
"""

from pathlib import Path

import click

from .terminal import fail

_FILE = click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE"
)


@click.group()
def sessions() -> None:
    """
    Show and end the sessions that refresh tokens stand for.

    \b
    Example:
      token-server sessions list sessions.db
      token-server sessions revoke sessions.db --provider github --subject repo:acme/app
    """  # noqa: D301 - click reads \b


@sessions.command("list")
@_FILE
def list_(file: Path) -> None:
    """Show all sessions, the newest first."""
    from .sessions import Sessions, SessionsError  # noqa: PLC0415

    kept = Sessions(file)
    try:
        found = kept.all()
    except SessionsError as error:
        fail(str(error))
    finally:
        kept.close()
    for one in found:
        click.echo(
            f"{one.provider}  {one.subject}  {one.service}  "
            f"began {one.began:%Y-%m-%dT%H:%M:%SZ}  ends {one.ends:%Y-%m-%dT%H:%M:%SZ}"
        )


@sessions.command()
@_FILE
@click.option("--provider", help="Whose sessions; all providers' without it.")
@click.option("--subject", help="One subject's; needs --provider.")
@click.option("--all", "everything", is_flag=True, help="Every session there is.")
def revoke(file: Path, provider: str | None, subject: str | None, *, everything: bool) -> None:
    """End sessions; a registry token that was issued already is good until it expires."""
    from .sessions import Sessions, SessionsError  # noqa: PLC0415

    if everything == (provider is not None) or (subject is not None and provider is None):
        fail("say either --all, or --provider and perhaps --subject")
    kept = Sessions(file)
    try:
        ended = kept.revoke(provider, subject)
    except SessionsError as error:
        fail(str(error))
    finally:
        kept.close()
    click.echo(f"{ended} session{'s' * (ended != 1)} ended")
