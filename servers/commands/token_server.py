"""
The `token-server` command.

What lives here: commands and their options.  Not here: the work they do (`token.process`, `setup`).
What a command needs is imported by that command, so that `--help` is fast.
"""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .keys import keys
from .sessions import sessions
from .terminal import EXIT_REFUSED, fail, shown_token, startup_errors_shown

if TYPE_CHECKING:
    from regauth.servers.configuration.settings import Settings

_HELP: Final = """\
Exchange the JWTs of workloads for registry tokens, by a policy.

\b
Try it without any identity provider:
  token-server init trial
  token-server --config trial/server.yaml &
  token-server sample-jwt trial |
    token-server exchange http://localhost:5001/auth/token --username sample \\
      --service registry.example.com --scope repository:acme/app:pull,push

\b
Serve:
  token-server --config server.yaml

Errors of the policy or the configuration are shown with file, line and column, and the server does
not start: exit code 10 for the policy, 2 for the configuration.

An environment variable can replace each option: TOKEN_SERVER_LISTEN for --listen, and so on.
"""

_FOLDER: Final = click.Path(file_okay=False, path_type=Path)


@click.group(
    invoke_without_command=True,
    help=_HELP,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "auto_envvar_prefix": "TOKEN_SERVER",
    },
)
@click.version_option(package_name="jwt-registry-auth", message="%(prog)s %(version)s")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="TOKEN_SERVER_CONFIG",
    help="Serve by this file, such as server.yaml.",
)
@click.option("--policy", type=_FOLDER, help="Overrides `policy`.")
@click.option(
    "--listen", multiple=True, metavar="HOST:PORT", help="Overrides `listen`; repeatable."
)
@click.option(
    "--server",
    type=click.Choice(["waitress", "granian"]),
    help="Overrides `server`; granian needs the extra `granian`.",
)
@click.option("--workers", type=click.IntRange(1, 128), help="Overrides `workers`.")
@click.option("--threads", type=click.IntRange(1, 256), help="Overrides `threads`.")
@click.option("--log-format", type=click.Choice(["json", "text"]), help="Overrides `logFormat`.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Overrides `logLevel`.",
)
@click.pass_context
def main(context: click.Context, /, config: Path | None, **overrides: object) -> None:
    """Serve, or run a command."""
    if context.invoked_subcommand is not None:
        if config is not None and context.get_parameter_source("config") is not _ENVIRONMENT:
            fail("--config goes without a command; it serves")
        return
    if config is None:
        click.echo(context.get_help(), err=True)
        fail("say what to serve by: --config FILE")
    settings = _overridden(_settings(config), overrides)
    from regauth.servers.telemetry.shared_metrics import shared_metrics

    with shared_metrics(processes=settings.workers):
        from regauth.servers.token.process import run

        with startup_errors_shown():
            run(settings)


def _overridden(settings: "Settings", overrides: Mapping[str, object]) -> "Settings":
    """Put the options of the command line and the environment over the file."""
    from regauth.servers.configuration.server_file import override

    try:
        return override(settings, overrides)
    except ValueError as error:
        fail(str(error))


_ENVIRONMENT: Final = click.core.ParameterSource.ENVIRONMENT


def _settings(file: Path) -> "Settings":
    from regauth.servers.configuration.server_file import read_settings

    with startup_errors_shown():
        return read_settings(file)


@main.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option(
    "--service",
    default="registry.example.com",
    show_default=True,
    help="The registry's auth.token.service.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5001,
    show_default=True,
    help="Where the token server will listen.",
)
@click.option(
    "--registry-port",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    help="Where the registry will listen.",
)
@click.option(
    "--algorithm",
    default="ES256",
    show_default=True,
    type=click.Choice(["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]),
    help="What tokens are signed with; Distribution 2 knows no other.",
)
def init(folder: Path, service: str, port: int, registry_port: int, algorithm: str) -> None:
    """
    Fill DIR with everything that a token server and a registry need to run.

    It writes throw-away keys and certificates, a policy, server.yaml, the matching registry.yml for
    docker-registry, and a sample issuer to make JWTs with.  It overwrites nothing.

    \b
    Example:
      token-server init trial
    """  # noqa: D301 - click reads \b
    from regauth.servers.setup import starter

    choices = starter.Choices(service, port, registry_port, algorithm)
    with startup_errors_shown():
        written = starter.create(folder, choices, datetime.now(UTC))
    for place in written:
        click.echo(f"wrote {place}", err=True)
    click.echo(f"\n{starter.next_steps(folder, choices)}", err=True)


@main.command("sample-jwt")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--repository", default="acme/app", show_default=True, help="OWNER/NAME.")
@click.option("--ref", default="refs/heads/main", show_default=True, help="The git ref.")
@click.option("--event", default="push", show_default=True, help="The event that started the job.")
@click.option("--lifetime", default="10m", show_default=True, help="How long the token is valid.")
@click.option(
    "--claim",
    "claims",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other claim; VALUE is JSON, or else a string.  May be repeated.",
)
def sample_jwt(
    folder: Path, repository: str, ref: str, event: str, lifetime: str, claims: tuple[str, ...]
) -> None:
    """
    Print a JWT as a GitHub Actions job has it, signed by the sample issuer of DIR.

    \b
    Examples:
      token-server sample-jwt trial
      token-server sample-jwt trial --event pull_request --ref refs/pull/7/merge
      token-server sample-jwt trial --claim aud=https://elsewhere.example.com
    """  # noqa: D301 - click reads \b
    from regauth.engine.source.quantities import parse_duration
    from regauth.servers.setup import sample

    try:
        life = parse_duration(lifetime)
        everything = sample.sample_claims(repository, ref, event) | dict(map(_claim, claims))
    except ValueError as error:
        fail(str(error))
    with startup_errors_shown():
        token = sample.sample_token(folder, everything, datetime.now(UTC), life)
    click.echo(token)


def _claim(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@main.command()
@click.argument("url")
@click.option("--username", default="", help="The provider's name; empty routes by issuer.")
@click.option("--service", required=True, help="The registry's auth.token.service.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help="Such as repository:acme/app:pull.  May be repeated.",
)
@click.option("--raw", is_flag=True, help="Print the registry token itself.")
def exchange(url: str, username: str, service: str, scopes: tuple[str, ...], *, raw: bool) -> None:
    """
    Exchange the JWT on standard input at the token server URL, and show what it gives.

    It ends with 0 and the decoded registry token, or with 1 and the reason of the refusal.

    \b
    Example:
      token-server sample-jwt trial |
        token-server exchange http://localhost:5001/auth/token --username sample \\
          --service registry.example.com --scope repository:acme/app:pull,push
    """  # noqa: D301 - click reads \b
    from regauth.servers.setup.token_client import AskError, RefusedError, ask_for_token

    password = "" if sys.stdin.isatty() else sys.stdin.read().strip()
    try:
        token = ask_for_token(url, username, password, service, scopes)
    except AskError as error:
        fail(str(error))
    except RefusedError as error:
        fail(f"refused: {error}", EXIT_REFUSED)
    try:
        click.echo(token if raw else shown_token(token))
    except ValueError as error:
        fail(str(error))


@main.command()
@click.argument("url", metavar="REGISTRY_URL")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="This server's server.yaml.",
)
@click.option(
    "--registry-config",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="The registry's own configuration file, to compare it too: Distribution's, zot's, or "
    "the proxy.yaml of registry-auth-proxy.",
)
@click.option(
    "--registry-env",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="A file of NAME=VALUE with the variables that Distribution runs with.",
)
@click.option("--ca-file", help="Trust these authorities instead of the system's.")
@click.option("--allow-http", is_flag=True, help="Reach hosts other than this one without TLS.")
def doctor(
    url: str,
    config: Path,
    registry_config: Path | None,
    registry_env: Path | None,
    ca_file: str | None,
    *,
    allow_http: bool,
) -> None:
    """
    Find out why a registry does not accept this server's tokens.

    It asks the registry for its challenge, compares realm, service, issuer, clock and keys with
    server.yaml, and tries tokens on it.  It changes nothing.  It ends with 0 if all is right, else
    with 1.

    \b
    Example:
      token-server doctor http://localhost:5000 --config trial/server.yaml
    """  # noqa: D301 - click reads \b
    settings = _settings(config)
    from regauth.engine.policy.policy import RemoteAccess
    from regauth.engine.source.foreign_text import visible
    from regauth.servers.setup.doctor import Examined, examine
    from regauth.servers.state.reloading import load_state

    place = RemoteAccess(ca_file=ca_file, allow_http=allow_http)
    well = True
    with startup_errors_shown():
        state = load_state(settings)
    for finding in examine(Examined(url, settings, state, place, registry_config, registry_env)):
        well = well and finding.right
        click.echo(f"{'ok   ' if finding.right else 'WRONG'} {visible(finding.fact)}")
        if finding.remedy:
            click.echo(f"      {visible(finding.remedy)}")
    sys.exit(0 if well else EXIT_REFUSED)


main.add_command(keys)
main.add_command(sessions)

if __name__ == "__main__":
    main()
