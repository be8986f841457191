"""
The `token-server keys` commands.

What lives here: their options and what they print.  Not here: the folder's layout
(`regauth.servers.signing.key_folder`), which is imported when a command runs.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .terminal import startup_errors_shown

if TYPE_CHECKING:
    from regauth.servers.signing.key_folder import StoredKey, StoredKeys

_FOLDER: Final = click.argument(
    "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path)
)
_ALGORITHM: Final = click.option(
    "--algorithm",
    default="ES256",
    show_default=True,
    type=click.Choice(["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]),
    help="What the key signs with; Distribution 2 does not know EdDSA.",
)
_DAYS: Final = click.option(
    "--days",
    default=397,
    show_default=True,
    type=click.IntRange(1, 3650),
    help="How long the key's certificate is valid.",
)

_CONFIGURATION: Final = """\
server.yaml:
  signing:
    keyFolder: {folder}

Distribution 2.8, and 3 with certificates in the token (no restart when the key rotates):
  auth:
    token:
      realm: https://TOKEN-SERVER/auth/token
      service: SERVICE
      issuer: ISSUER
      rootcertbundle: {folder}/root.crt

Distribution 3 without certificates in the token (`signing: {{x5c: false}}`), to be restarted when
the key rotates:
  auth:
    token:
      realm: https://TOKEN-SERVER/auth/token
      service: SERVICE
      issuer: ISSUER
      jwks: {folder}/jwks.json
"""


@click.group()
def keys() -> None:
    """
    Make, rotate and show the keys that tokens are signed with.

    \b
    Example:
      token-server keys new keys
      token-server keys rotate keys
      token-server keys show keys
    """  # noqa: D301 - click reads \b


@keys.command()
@_FOLDER
@_ALGORITHM
@_DAYS
def new(folder: Path, algorithm: str, days: int) -> None:
    """
    Make a folder with a private authority and a first signing key.

    The registry trusts the authority (root.crt), so that signing keys can change without it.
    """
    from regauth.servers.signing import key_folder

    with startup_errors_shown():
        stored = key_folder.create(folder, algorithm, _now(), timedelta(days=days))
    _show(folder, stored)


@keys.command()
@_FOLDER
@_ALGORITHM
@_DAYS
@click.option(
    "--retire-after",
    type=click.IntRange(1, 3650),
    metavar="DAYS",
    help="Also remove keys that are older than this many days.",
)
def rotate(folder: Path, algorithm: str, days: int, retire_after: int | None) -> None:
    """
    Add a signing key and sign with it from now on.

    A running server begins to use it by itself.  The earlier keys stay published until you retire
    them.
    """
    from regauth.servers.signing import key_folder

    with startup_errors_shown():
        stored = key_folder.rotate(folder, algorithm, _now(), timedelta(days=days))
        removed: tuple[str, ...] = ()
        if retire_after is not None:
            removed = key_folder.retire(folder, _now() - timedelta(days=retire_after))
            stored = key_folder.read(folder)
    for name in removed:
        click.echo(f"removed {name}")
    _show(folder, stored)


@keys.command()
@_FOLDER
def show(folder: Path) -> None:
    """Show the keys, the ids that registries know them by, and the registry's configuration."""
    from regauth.servers.signing import key_folder

    with startup_errors_shown():
        stored = key_folder.read(folder)
    _show(folder, stored)


def _show(folder: Path, stored: "StoredKeys") -> None:
    for one in stored.all:
        click.echo(_described(one, current=one is stored.current))
    click.echo(_CONFIGURATION.format(folder=folder.resolve()))


def _described(stored: "StoredKey", *, current: bool) -> str:
    from regauth.engine.tokens.key_ids import key_id
    from regauth.engine.tokens.keys import algorithms_of

    public = stored.key.public_key()
    ends = stored.chain[0].not_valid_after_utc
    return (
        f"{stored.name}  {algorithms_of(public)[0]}  {'signs now' if current else 'published'}\n"
        f"  kid (libtrust)  {key_id(public, 'libtrust')}\n"
        f"  kid (rfc7638)   {key_id(public, 'rfc7638')}\n"
        f"  certificate     until {ends:%Y-%m-%d}{' (expired)' * (ends < _now())}\n"
    )


def _now() -> datetime:
    return datetime.now(UTC)
