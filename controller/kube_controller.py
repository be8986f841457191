"""
The `kube-controller` command.

What lives here: commands and their options.  Not here: the work they do (`running`, `operating`).
A command imports what it needs when it runs, so that `--help` is fast.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from .operating.commands import Hands, manifests, status, uninstall

if TYPE_CHECKING:
    from kubernetes.client import Configuration as Connection

    from regauth.engine.source.configuration_file import ConfigurationError

    from .configuration import Configuration

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_POLICY: Final = 10

_HELP: Final = """\
Give service accounts pull secrets with short-lived tokens, by a policy.

\b
By a policy, for the accounts that it gives something:
  kube-controller --config controller.yaml
  kube-controller --config controller.yaml --dry-run

\b
For every account, without a policy:
  kube-controller --registry-host registry.example.com --registry-username cluster

\b
Print the manifests that install it:
  kube-controller manifests --config controller.yaml --image IMAGE
"""
_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.group(
    invoke_without_command=True,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="jwt-registry-auth", message="%(prog)s %(version)s")
@click.option("--config", type=_FILE, envvar="KUBE_CONTROLLER_CONFIG", help="controller.yaml.")
@click.option("--registry-host", help="The registry, when there is no --config.")
@click.option("--registry-username", help="The user name to log in to it with.")
@click.option(
    "--registry-audience", help="The audience of the tokens.  Default: https:// and the host."
)
@click.option(
    "--token-duration", default="12h", show_default=True, help="The lifetime of the tokens."
)
@click.option("--kubeconfig", type=_FILE, help="How to reach the cluster from outside.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and end.")
@click.option("--once", is_flag=True, help="Do one pass, and end: for a CronJob.")
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click's
    """Run, or run a command."""
    context.obj = Hands(_connection, fail, fail_with_problems)
    if context.invoked_subcommand is not None:
        return
    if not options["config"] and not options["registry_host"]:
        click.echo(context.get_help(), err=True)
        fail("say what to do: --config FILE, or --registry-host and --registry-username")
    configuration, reload = _configuration(options)
    sys.exit(_run(options, configuration, reload))


def _run(
    options: dict[str, Any],
    configuration: "Configuration",
    reload: "Callable[[], Configuration | None]",
) -> int:
    from regauth.controller.observing.api_errors import ApiError
    from regauth.engine.source.foreign_text import visible

    from .event_log import ControllerLog
    from .operating.once import dry_run, run_once
    from .running import Process

    log = ControllerLog()
    connection = _connection(options["kubeconfig"])
    try:
        if options["dry_run"]:
            for line in dry_run(connection, configuration, log):
                click.echo(visible(line))
            return 0
        if options["once"]:
            return run_once(connection, configuration, log)
        identity = f"{os.uname().nodename}_{os.getpid()}_{os.urandom(4).hex()}"
        return Process(connection, configuration, reload, identity, log).run()
    except ApiError as error:
        fail(f"the cluster cannot be asked: {error}", EXIT_FAILED)
    except OSError as error:
        fail(f"cannot listen: {error.strerror}")


def _configuration(
    options: dict[str, Any],
) -> "tuple[Configuration, Callable[[], Configuration | None]]":
    from regauth.engine.source.configuration_file import ConfigurationError

    from .configuration import Configuration, entitlements, read_configuration

    file = options["config"]
    if file is None:
        settings = _settings(options)
        return Configuration(settings, entitlements(settings, None)), lambda: None
    if options["registry_host"] or options["registry_username"]:
        fail("--config and --registry-host exclude each other")
    try:
        current = [read_configuration(file)]
    except ConfigurationError as error:
        fail_with_problems(error)

    def reload() -> Configuration | None:
        """Read both again; raises ConfigurationError when they cannot be used."""
        found = read_configuration(file)
        if _same(found, current[0]):
            return None
        current[0] = found
        return found

    return current[0], reload


def _same(one: "Configuration", other: "Configuration") -> bool:
    policies = (one.entitlements.policy, other.entitlements.policy)
    hashes = [policy.hash if policy else "" for policy in policies]
    return hashes[0] == hashes[1] and one.settings == other.settings


def _settings(options: dict[str, Any]) -> Any:  # noqa: ANN401 - imported below
    """Return the settings of the proof of concept: one registry, no policy."""
    from regauth.engine.source.quantities import parse_duration

    from .configuration import MAX_TOKEN
    from .settings import MIN_TOKEN, ControllerSettings, Registry

    host, username = options["registry_host"], options["registry_username"]
    if not username or ":" in username:
        fail("--registry-host needs --registry-username, a name without a colon")
    try:
        duration = parse_duration(options["token_duration"])
    except ValueError as error:
        fail(str(error))
    if not MIN_TOKEN <= duration <= MAX_TOKEN:
        fail("--token-duration is 10m to 48h")
    audience = options["registry_audience"] or f"https://{host}"
    registry = Registry(host, host, "", username, audience, duration)
    return ControllerSettings((registry,))


def _connection(kubeconfig: Path | None) -> "Connection":
    from kubernetes.config.config_exception import ConfigException

    from regauth.controller.observing.connection import connect

    try:
        return connect(kubeconfig)
    except (ConfigException, OSError) as error:
        fail(f"there is no way to the cluster: {error}")


def fail(message: str, code: int = EXIT_USAGE) -> NoReturn:
    """Say what is wrong and end."""
    complain(message)
    sys.exit(code)


def complain(message: str) -> None:
    """Say what is wrong; what a cluster or a file wrote steers no terminal."""
    from regauth.engine.source.foreign_text import visible

    shown = visible(message, keep="\n")
    click.echo(f"kube-controller: {shown}", err=True)


def fail_with_problems(error: "ConfigurationError") -> NoReturn:
    """Show all problems with their lines and end."""
    from regauth.engine.source.rendering import render_text, wants_color

    color = wants_color(os.environ, terminal=sys.stderr.isatty())
    click.echo(render_text(error.problems, error.sources, color=color), err=True, color=color)
    sys.exit(EXIT_POLICY)


main.add_command(manifests)
main.add_command(status)
main.add_command(uninstall)


if __name__ == "__main__":
    main()
