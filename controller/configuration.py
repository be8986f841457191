"""
Reading `controller.yaml`, and the policy it names.

What lives here: from files to `Settings` and a `Policy` that fit together, with everything that is
wrong reported at its line and column.  What must not: what the settings bring about.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from regauth.controller.planning.entitlements import Entitlements
from regauth.engine import Location, Policy, Problem, Problems, Provider, compile_policy
from regauth.engine.files import PolicyFolderError, read_policy_folder, read_text
from regauth.engine.source import schema
from regauth.engine.source.addresses import parse_address
from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.quantities import parse_duration

from .settings import MIN_TOKEN, Election, Limits, Registry, Selection, Settings

MAX_TOKEN: Final = timedelta(hours=48)
MIN_LEASE: Final = timedelta(seconds=3)
MAX_LEASE: Final = timedelta(minutes=5)


class ConfigurationError(Exception):
    """Settings or policy cannot be used; `problems` say where and why, `sources` has the texts."""

    def __init__(self, problems: tuple[Problem, ...], sources: Mapping[str, str]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
        self.sources = sources


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings, and what they and the policy come to."""

    settings: Settings
    entitlements: Entitlements


def read_configuration(file: Path) -> Configuration:
    """
    Read a configuration file and the policy that it names.

    Raises:
        ConfigurationError: One of them cannot be read, or something in it is wrong.
    """
    problems = Problems()
    name = str(file)
    text = read_text(file, problems)
    if text is None:
        raise ConfigurationError(tuple(problems), {})
    found = _parsed(text, file, problems)
    if found is None:
        raise ConfigurationError(tuple(problems), {name: text})
    return found


def _parsed(text: str, file: Path, problems: Problems) -> Configuration | None:
    node = schema.read(text, str(file), "controller", problems)
    if node is None:
        return None
    folder = file.parent / _text(node["policy"])
    policy = load_policy(folder, node["policy"].location)
    reader = _Reader(problems, policy)
    settings = reader.settings(node, folder)
    if problems.errors:
        return None
    return Configuration(settings, entitlements(settings, policy))


def entitlements(settings: Settings, policy: Policy | None) -> Entitlements:
    """Return what settings and a policy come to."""
    return Entitlements(settings.registries, settings.selection, policy, settings.instance)


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
        raise ConfigurationError(tuple(problem), {}) from error
    if compilation.policy is None:
        raise ConfigurationError(
            tuple(
                replace(one, location=replace(one.location, file=str(folder / one.location.file)))
                for one in compilation.problems
            ),
            {str(folder / name): text for name, text in compilation.sources.items()},
        )
    return compilation.policy


class _Reader:
    """Turns checked nodes into values; what the schema cannot say is checked here."""

    def __init__(self, problems: Problems, policy: Policy) -> None:
        self._problems = problems
        self._policy = policy

    def settings(self, node: MappingNode, policy: Path) -> Settings:
        registries = node["registries"]
        assert isinstance(registries, SequenceNode)  # noqa: S101 - the schema says so
        election = _mapping(node, "election")
        return Settings(
            tuple(self._registry(one) for one in registries if isinstance(one, MappingNode)),
            policy,
            **_given(
                instance=_plain(node, "instance"),
                selection=_selection(_mapping(node, "select")),
                limits=_limits(_mapping(node, "limits")),
                listen=self._address(node.get("listen")),
            ),
            election=None if _plain(election, "enabled") is False else self._election(election),
        )

    def _registry(self, node: MappingNode) -> Registry:
        host, name = _text(node["host"]), _text(node["provider"])
        provider = self._policy.providers.get(name)
        if provider is None:
            known = ", ".join(self._policy.providers)
            self._wrong(node["provider"], f"the policy has no provider {name!r}", f"it has {known}")
            return Registry(host)
        service = str(_plain(node, "service") or host)
        if service not in self._policy.services:
            place = node.get("service") or node["host"]
            known = ", ".join(sorted(self._policy.services))
            self._wrong(place, f"the policy has no service {service!r}", f"it has {known}")
        duration = self._duration(node.get("tokenDuration"), MIN_TOKEN, MAX_TOKEN)
        return Registry(
            host,
            service,
            name,
            name,
            self._audience(node, provider),
            **_given(token_duration=duration),
        )

    def _audience(self, node: MappingNode, provider: Provider) -> str:
        listed = sorted(provider.audiences)
        given = node.get("audience")
        if given is None:
            if len(listed) > 1:
                message = f"the provider {provider.name!r} has several audiences"
                self._wrong(node["provider"], message, f"write `audience: {listed[0]}`, or another")
            return listed[0]
        if _text(given) not in provider.audiences:
            message = f"it is no audience of the provider {provider.name!r}"
            self._wrong(given, message, f"it has {', '.join(listed)}")
        return _text(given)

    def _election(self, node: MappingNode) -> Election:
        duration = self._duration(node.get("duration"), MIN_LEASE, MAX_LEASE)
        return Election(
            **_given(
                namespace=_plain(node, "namespace"),
                name=_plain(node, "name"),
                duration=duration,
                renew=None if duration is None else duration / 3,
            )
        )

    def _address(self, node: Node | None) -> tuple[str, int] | None:
        if node is None:
            return None
        try:
            host, port = parse_address(_text(node))
        except ValueError as error:
            self._wrong(node, str(error), "")
            return None
        return host or "0.0.0.0", port  # noqa: S104 - asked for

    def _duration(self, node: Node | None, least: timedelta, most: timedelta) -> timedelta | None:
        if node is None:
            return None
        value = parse_duration(_text(node))
        if not least <= value <= most:
            bounds = f"{least.total_seconds():.0f} s to {most.total_seconds():.0f} s can be written"
            self._wrong(node, f"{_text(node)} is out of bounds", bounds)
        return value

    def _wrong(self, node: Node, message: str, hint: str) -> None:
        self._problems.error(node.location, "wrong-value", message, hint)


def _selection(node: MappingNode) -> Selection:
    return Selection(
        **_given(
            opt_in=_plain(node, "optIn"),
            namespace_labels=_plain(node, "namespaceLabels"),
            kube_namespaces=_plain(node, "kubeNamespaces"),
        )
    )


def _limits(node: MappingNode) -> Limits:
    return Limits(
        **_given(
            per_second=_plain(node, "perSecond"),
            burst=_plain(node, "burst"),
            workers=_plain(node, "workers"),
        )
    )


def _given(**values: object) -> dict[str, Any]:
    """Leave out what the file does not say, so that the defaults stand in one place."""
    return {name: value for name, value in values.items() if value is not None}


def _mapping(node: MappingNode, name: str) -> MappingNode:
    found = node.get(name)
    return found if isinstance(found, MappingNode) else MappingNode({}, node.location)


def _plain(node: MappingNode, name: str) -> object:
    found = node.get(name)
    return None if found is None else found.plain()


def _text(node: Node) -> str:
    return node.text if isinstance(node, ScalarNode) else ""
