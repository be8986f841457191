"""
Reading `controller.yaml`, and the policy it names.

What lives here: from files to `Settings` and a `Policy` that fit together, with everything that is
wrong reported at its line and column.  Not here: what the settings bring about
(`planning.planning`, `running`), and their values (`settings`).
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from regauth.controller.planning.entitlements import Entitlements
from regauth.engine import (
    Location,
    Policy,
    Problem,
    Problems,
    Provider,
    Statement,
    compile_policy,
    files,
)
from regauth.engine.files import PolicyFolderError, read_policy_folder
from regauth.engine.source import schema
from regauth.engine.source.configuration_file import (
    ConfigurationError,
    ValueReader,
    mapping,
    only_given,
    plain,
    text_of,
)
from regauth.engine.source.nodes import MappingNode, Node, SequenceNode

from .naming import DEFAULT_INSTANCE, SYSTEM_NAMESPACES, installed_name
from .settings import (
    MIN_TOKEN,
    Attachment,
    ControllerSettings,
    Election,
    Memory,
    Registry,
    RequestLimits,
    Selection,
)

MAX_TOKEN: Final = timedelta(hours=48)
MIN_LEASE: Final = timedelta(seconds=3)
MAX_LEASE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings, and what they and the policy come to."""

    settings: ControllerSettings
    entitlements: Entitlements


def read_configuration(file: Path) -> Configuration:
    """
    Read a configuration file and the policy that it names.

    Raises:
        ConfigurationError: One of them cannot be read, or something in it is wrong.
    """
    return files.read_configuration(file, lambda text, problems: _parsed(text, file, problems))


def _parsed(text: str, file: Path, problems: Problems) -> Configuration | None:
    node = schema.read(text, str(file), "controller", problems)
    if node is None:
        return None
    folder = file.parent / text_of(node["policy"])
    policy = load_policy(folder, node["policy"].location)
    reader = _ControllerReader(problems, policy)
    settings = reader.settings(node, folder)
    if problems.errors:
        return None
    return Configuration(settings, entitlements(settings, policy))


def entitlements(settings: ControllerSettings, policy: Policy | None) -> Entitlements:
    """Return what settings and a policy come to."""
    attach = settings.attach_to == Attachment.ACCOUNTS
    return Entitlements(settings.registries, settings.selection, policy, settings.instance, attach)


def load_policy(folder: Path, location: Location) -> Policy:
    """
    Read and compile a policy.

    Args:
        folder: Where it is.
        location: What names it, for the case that it cannot be read.

    Raises:
        ConfigurationError: It cannot be read or has errors.
    """
    try:
        compilation = compile_policy(read_policy_folder(folder))
    except PolicyFolderError as error:
        problem = Problems()
        problem.error(location, "policy-unreadable", str(error))
        raise ConfigurationError(problem, {}) from error
    found = [*compilation.problems]
    if compilation.policy is not None:
        found = [_client_unknown(one) for one in compilation.policy.by_client]
    if compilation.policy is None or found:
        problems = Problems()
        problems.extend(
            replace(one, location=replace(one.location, file=str(folder / one.location.file)))
            for one in found
        )
        raise ConfigurationError(
            problems,
            {str(folder / name): text for name, text in compilation.sources.items()},
        )
    return compilation.policy


def _client_unknown(statement: Statement) -> Problem:
    """Return the problem of a statement that reads the client's address: a workload has none."""
    return Problem(
        statement.location,
        "client-unknown",
        f"the controller cannot know the address of a client, which `{statement.name}` reads",
        "leave `client` out of the policy of the controller",
    )


class _ControllerReader:
    """Turns checked nodes into values; what the schema cannot say is checked here."""

    def __init__(self, problems: Problems, policy: Policy) -> None:
        self._values = ValueReader(problems)
        self._policy = policy

    def settings(self, node: MappingNode, policy: Path) -> ControllerSettings:
        registries = node["registries"]
        assert isinstance(registries, SequenceNode)  # noqa: S101 - the schema says so
        election = mapping(node, "election")
        instance = str(plain(node, "instance") or DEFAULT_INSTANCE)
        enabled = plain(election, "enabled") is not False
        elected = self._election(election, instance) if enabled else None
        return ControllerSettings(
            tuple(self._registry(one) for one in registries if isinstance(one, MappingNode)),
            policy,
            **only_given(
                instance=plain(node, "instance"),
                selection=self._selection(mapping(node, "select")),
                limits=_limits(mapping(node, "limits")),
                listen=self._address(node.get("listen")),
            ),
            election=elected,
            attach_to=self._attachment(node),
            memory=Memory(str(plain(node, "memory") or Memory.SECRETS)),
        )

    def _attachment(self, node: MappingNode) -> Attachment:
        """A policy cannot look an account up: the ConfigMap tells it which have a pull secret."""
        found = Attachment(str(plain(node, "attachTo") or Attachment.ACCOUNTS))
        if found == Attachment.PODS and plain(node, "memory") != Memory.CONFIG_MAPS:
            message = "`attachTo: pods` needs the ConfigMaps that say who has a pull secret"
            self._values.wrong(node["attachTo"], message, "write `memory: configMaps`")
        return found

    def _selection(self, node: MappingNode) -> Selection:
        found = Selection(
            **only_given(
                opt_in=plain(node, "optIn"),
                namespace_labels=plain(node, "namespaceLabels"),
                kube_namespaces=plain(node, "kubeNamespaces"),
                namespaces=self._namespaces(node),
            )
        )
        if found.namespaces and found.namespace_labels:
            message = "with `namespaces` the controller may not read the labels of namespaces"
            self._values.wrong(
                node["namespaceLabels"], message, "leave one of the two out of `select`"
            )
        return found

    def _namespaces(self, node: MappingNode) -> tuple[str, ...] | None:
        listed = node.get("namespaces")
        if not isinstance(listed, SequenceNode):
            return None
        if plain(node, "kubeNamespaces") is not True:
            for one in listed:
                if text_of(one).startswith(SYSTEM_NAMESPACES):
                    message = f"{text_of(one)!r} belongs to the cluster itself"
                    self._values.wrong(one, message, "take it out, or say `kubeNamespaces: true`")
        return tuple(text_of(one) for one in listed)

    def _registry(self, node: MappingNode) -> Registry:
        host, name = text_of(node["host"]), text_of(node["provider"])
        provider = self._policy.providers.get(name)
        if provider is None:
            known = ", ".join(self._policy.providers)
            self._values.wrong(
                node["provider"], f"the policy has no provider {name!r}", f"it has {known}"
            )
            return Registry(host)
        service = str(plain(node, "service") or host)
        if service not in self._policy.services:
            place = node.get("service") or node["host"]
            known = ", ".join(sorted(self._policy.services))
            self._values.wrong(place, f"the policy has no service {service!r}", f"it has {known}")
        duration = self._values.duration(node.get("tokenDuration"), MIN_TOKEN, MAX_TOKEN)
        return Registry(
            host,
            service,
            name,
            name,
            self._audience(node, provider),
            **only_given(token_duration=duration),
        )

    def _audience(self, node: MappingNode, provider: Provider) -> str:
        listed = sorted(provider.audiences)
        given = node.get("audience")
        if given is None:
            if len(listed) > 1:
                message = f"the provider {provider.name!r} has several audiences"
                self._values.wrong(
                    node["provider"], message, f"write `audience: {listed[0]}`, or another"
                )
            return listed[0]
        if text_of(given) not in provider.audiences:
            message = f"it is no audience of the provider {provider.name!r}"
            self._values.wrong(given, message, f"it has {', '.join(listed)}")
        return text_of(given)

    def _election(self, node: MappingNode, instance: str) -> Election:
        duration = self._values.duration(node.get("duration"), MIN_LEASE, MAX_LEASE)
        return Election(
            **only_given(
                namespace=plain(node, "namespace"),
                name=plain(node, "name") or installed_name(instance),
                duration=duration,
                renew=None if duration is None else duration / 3,
            )
        )

    def _address(self, node: Node | None) -> tuple[str, int] | None:
        found = None if node is None else self._values.address(node)
        if found is None:
            return None
        host, port = found
        return host or "0.0.0.0", port  # noqa: S104 - asked for


def _limits(node: MappingNode) -> RequestLimits:
    return RequestLimits(
        **only_given(
            per_second=plain(node, "perSecond"),
            burst=plain(node, "burst"),
            workers=plain(node, "workers"),
        )
    )
