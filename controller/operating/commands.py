"""
The commands `manifests`, `status` and `uninstall`, and what they print.

What lives here: their options, their tables and JSON, and their exit codes.  Not here: the work
they do (`status`, `uninstall`, `installing.manifests`), which is imported only when one of them
runs.
"""

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubernetes.client import Configuration as Connection

    from regauth.controller.observing.cluster import Object
    from regauth.controller.settings import Election
    from regauth.engine.source.configuration_file import ConfigurationError

    from .status import AccountLine, InstanceStatus

    Connect = Callable[[Path | None], Connection]
    Fail = Callable[[str, int], NoReturn]

EXIT_WRONG: Final = 1
EXIT_USAGE: Final = 2
MIN_VERSION: Final = (1, 33)
"""The first Kubernetes whose kubelets give credential providers a pod's token (KEP-4412)."""
_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_COLUMNS: Final = ("NAMESPACE", "ACCOUNT", "STANDING", "EXPIRES", "WHY")


@dataclass(frozen=True, slots=True)
class Hands:
    """What the group's own module knows, and these commands need; the context's `obj`."""

    connect: "Connect"
    """Returns the way to the cluster."""
    fail: "Fail"
    """Says what is wrong, and ends with a code."""
    fail_with_problems: "Callable[[ConfigurationError], NoReturn]"
    """Shows what is wrong with a configuration, and ends."""


@click.command()
@click.option("--config", "file", type=_FILE, required=True, help="controller.yaml.")
@click.option("--image", help="The image that has kube-controller.")
@click.option(
    "--namespace", default="regauth", show_default=True, help="The namespace that it runs in."
)
@click.option(
    "--plugin",
    is_flag=True,
    help="Print the permission of the kubelets' credential provider instead.",
)
@click.option(
    "--monitoring",
    is_flag=True,
    help="Print the PodMonitor and the alerts for Prometheus's operator instead.",
)
@click.option(
    "--kubelet",
    metavar="VERSION",
    help="Print the file for --image-credential-provider-config of kubelets of this version, such "
    "as 1.34.",
)
@click.option(
    "--kubernetes",
    default="1.36",
    show_default=True,
    metavar="VERSION",
    help="The API server's version; before 1.36 `attachTo: pods` needs v1beta1.",
)
@click.pass_obj
def manifests(hands: Hands, /, file: Path, **options: Any) -> None:  # noqa: ANN401 - click's
    """
    Print the manifests that install the controller, or the kubelets' credential provider.

    \b
    Examples:
      kube-controller manifests --config controller.yaml --image IMAGE | kubectl apply -f -
      kube-controller manifests --config controller.yaml --plugin | kubectl apply -f -
      kube-controller manifests --config controller.yaml --kubelet 1.34 > providers.yaml
    """  # noqa: D301 - click reads \b
    from regauth.controller.installing.manifests import ManifestError
    from regauth.controller.installing.yaml_blocks import to_yaml
    from regauth.engine.source.configuration_file import ConfigurationError

    try:
        click.echo(to_yaml(_manifests(hands, file, options)))
    except ConfigurationError as error:
        hands.fail_with_problems(error)
    except ManifestError as error:
        hands.fail(str(error), EXIT_USAGE)


def _manifests(hands: Hands, file: Path, options: dict[str, Any]) -> "list[Object]":
    from regauth.controller.configuration import read_configuration
    from regauth.controller.installing.manifests import controller_manifests
    from regauth.controller.installing.monitoring import monitoring
    from regauth.controller.installing.plugin import (
        kubelet_configuration,
        plugin_manifests,
    )

    settings = read_configuration(file).settings
    if options["kubelet"] is not None:
        return [kubelet_configuration(settings, _version(hands, options, "kubelet"))]
    if options["plugin"]:
        return plugin_manifests(settings)
    if options["monitoring"]:
        return monitoring(settings, options["namespace"])
    if options["image"] is None:
        hands.fail("say which image has kube-controller: --image IMAGE", EXIT_USAGE)
    version = _version(hands, options, "kubernetes")
    return controller_manifests(settings, file, options["image"], options["namespace"], version)


def _version(hands: Hands, options: dict[str, Any], name: str) -> tuple[int, int]:
    major, _, rest = options[name].removeprefix("v").partition(".")
    minor = rest.partition(".")[0]
    if not (major.isdecimal() and minor.isdecimal()) or (int(major), int(minor)) < MIN_VERSION:
        first = ".".join(map(str, MIN_VERSION))
        hands.fail(f"--{name} is a version such as 1.34, from {first} on", EXIT_USAGE)
    return int(major), int(minor)


def _common(command: Any) -> Any:  # noqa: ANN401 - click's decorators
    """Add the options that say which instance is meant."""
    for option in (
        click.option(
            "--lease-namespace",
            default="regauth",
            show_default=True,
            help="The namespace of its Lease.",
        ),
        click.option(
            "--instance", default="default", show_default=True, help="The controller's name."
        ),
        click.option("--kubeconfig", type=_FILE, help="How to reach the cluster from outside."),
    ):
        command = option(command)
    return command


@click.command()
@_common
@click.option("-n", "--namespace", default="", help="Only this namespace.  Default: all.")
@click.option("--all", "everything", is_flag=True, help="Also list the accounts without a problem.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def status(hands: Hands, /, namespace: str, output: str, *, everything: bool, **which: Any) -> None:  # noqa: ANN401 - click's
    """
    Show who has a pull secret, until when, and what is in the way.

    It reads service accounts, the controller's Secrets and Events with your own rights, and
    writes nothing.  It exits with 1 when something needs attention.

    \b
    Examples:
      kube-controller status
      kubectl regauth status -n team-a --all
    """  # noqa: D301 - click reads \b
    from regauth.controller.observing.api_errors import ApiError
    from regauth.controller.observing.cluster import Cluster

    from .status import status as read

    instance, election = which["instance"], _election(**which)
    try:
        cluster = Cluster(hands.connect(which["kubeconfig"]))
        found = read(cluster, instance, election, namespace, datetime.now(UTC))
    except ApiError as error:
        hands.fail(f"the cluster cannot be asked: {error}", EXIT_WRONG)
    shown = found.lines if everything else found.wrong
    click.echo(_as_json(found, shown) if output == "json" else _as_text(found, shown))
    sys.exit(EXIT_WRONG if found.wrong or not found.leader else 0)


@click.command()
@_common
@click.option("--config-maps", is_flag=True, help="The controller has `memory: configMaps`.")
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    multiple=True,
    help="Only this namespace; may be repeated.  Default: all.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed.")
@click.pass_obj
def uninstall(
    hands: Hands,
    /,
    namespaces: tuple[str, ...],
    *,
    config_maps: bool,
    dry_run: bool,
    **which: Any,  # noqa: ANN401 - click's
) -> None:
    """
    Remove what the controller has made in the cluster, and nothing else.

    These are its pull secrets, their names in the lists of service accounts, its ConfigMaps and
    its Lease.  No controller may be running: scale it to 0 first.  `kubectl delete -f` removes what
    the manifests made.

    \b
    Examples:
      kubectl -n regauth scale deployment/regauth-controller --replicas=0
      kube-controller uninstall --dry-run
      kube-controller uninstall && kubectl delete -f install.yaml
    """  # noqa: D301 - click reads \b
    from regauth.controller.event_log import ControllerLog
    from regauth.controller.observing.api_errors import ApiError
    from regauth.controller.settings import Memory

    from .uninstall import RunningError, Uninstaller

    memory = Memory.CONFIG_MAPS if config_maps else Memory.SECRETS
    connection = hands.connect(which["kubeconfig"])
    election, log = _election(**which), ControllerLog()
    work = Uninstaller(connection, which["instance"], election, memory, log, namespaces)
    try:
        if dry_run:
            click.echo("\n".join(work.plan()) or "nothing")
            return
        failed = work.run()
    except (ApiError, RunningError) as error:
        hands.fail(f"nothing more is taken away: {error}", EXIT_WRONG)
    if failed:
        hands.fail(f"{failed} accounts could not be dealt with; run it again", EXIT_WRONG)


def _election(instance: str, lease_namespace: str, **_: object) -> "Election":
    from regauth.controller.naming import installed_name
    from regauth.controller.settings import Election

    return Election(lease_namespace, installed_name(instance))


def _as_text(found: "InstanceStatus", shown: "tuple[AccountLine, ...]") -> str:
    count = len([one for one in found.lines if one.expires])
    soonest = f", the first until {_moment(found.soonest)}" if found.soonest else ""
    lines = [
        f"leader        {found.leader or 'none: no controller holds the Lease'}",
        f"pull secrets  {count}{soonest}",
        f"wrong         {len(found.wrong)}",
    ]
    if shown:
        rows = [_COLUMNS, *map(_row, shown)]
        widths = [max(len(row[index]) for row in rows) for index in range(len(_COLUMNS))]
        lines.append("")
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(one: "AccountLine") -> tuple[str, ...]:
    return (
        one.key.namespace,
        one.key.name,
        str(one.standing),
        _moment(one.expires) if one.expires else "-",
        one.why,
    )


def _as_json(found: "InstanceStatus", shown: "tuple[AccountLine, ...]") -> str:
    said = {
        "leader": found.leader or None,
        "soonestExpiry": _moment(found.soonest) if found.soonest else None,
        "wrong": len(found.wrong),
        "accounts": [
            {
                "namespace": one.key.namespace,
                "name": one.key.name,
                "standing": str(one.standing),
                "expires": _moment(one.expires) if one.expires else None,
                "why": one.why,
            }
            for one in shown
        ],
    }
    return json.dumps(said, indent=2)


def _moment(moment: datetime | None) -> str:
    assert moment is not None  # noqa: S101 - asked before
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
