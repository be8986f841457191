"""
Reading a host's configuration file, once its schema has passed it.

What lives here: from checked nodes to plain values, durations, addresses and networks, with what
the schema cannot say reported at its place.  Not here: which keys there are and what they mean
(`regauth.servers.configuration`, `regauth.controller.configuration`), and the reading of files
(`regauth.engine.files`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .addresses import Network, parse_address, parse_network
from .nodes import MappingNode, Node, ScalarNode, SequenceNode
from .problems import Problem, Problems
from .quantities import parse_duration
from .startup import StartupError


class ConfigurationError(StartupError):
    """A configuration cannot be used; `problems` say where and why, `sources` has the texts."""

    def __init__(self, problems: Problems, sources: Mapping[str, str]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.sources = sources


def only_given(**values: object) -> dict[str, Any]:
    """Leave out settings that the file does not have, so that the defaults stand in one place."""
    return {name: value for name, value in values.items() if value is not None}


def mapping(node: MappingNode, name: str) -> MappingNode:
    """Return the mapping under a key; an empty one where the file does not have it."""
    found = node.get(name)
    return found if isinstance(found, MappingNode) else MappingNode({}, node.location)


def plain(node: MappingNode, name: str) -> object:
    """Return the value under a key, without its places; None where the file does not have it."""
    found = node.get(name)
    return None if found is None else found.plain()


def text_of(node: Node) -> str:
    """Return a scalar as it is written; "" for anything else."""
    return node.text if isinstance(node, ScalarNode) else ""


def listed(node: Node | None) -> tuple[Node, ...]:
    """Return the items of a list; the one node where no list is written; none for None."""
    if node is None:
        return ()
    return tuple(node.items) if isinstance(node, SequenceNode) else (node,)


@dataclass(frozen=True, slots=True)
class ValueReader:
    """Reads values that a schema has passed; what is wrong with one is reported at its place."""

    problems: Problems

    def wrong(self, node: Node, message: str, hint: str = "") -> None:
        """Report that a value cannot be used."""
        self.problems.error(node.location, "wrong-value", message, hint)

    def duration(self, node: Node | None, least: timedelta, most: timedelta) -> timedelta | None:
        """Return a duration within bounds, or None where the file has none."""
        if node is None:
            return None
        value = parse_duration(text_of(node))
        if not least <= value <= most:
            bounds = f"{least.total_seconds():.0f} s to {most.total_seconds():.0f} s can be written"
            self.wrong(node, f"{text_of(node)} is out of bounds", bounds)
        return value

    def seconds(self, node: Node | None, least: timedelta, most: timedelta) -> float | None:
        """Return a duration within bounds in seconds, or None where the file has none."""
        found = self.duration(node, least, most)
        return None if found is None else found.total_seconds()

    def address(self, node: Node) -> tuple[str, int] | None:
        """Return an address to listen on, or None where it is wrong; "" is every address."""
        try:
            return parse_address(text_of(node))
        except ValueError as error:
            self.wrong(node, str(error))
            return None

    def addresses(self, node: Node | None) -> tuple[tuple[str, int], ...]:
        """Return the addresses to listen on, written as one or as a list, without wrong ones."""
        found = (self.address(one) for one in listed(node))
        return tuple(address for address in found if address is not None)

    def networks(self, node: Node | None) -> tuple[Network, ...] | None:
        """Return a list of networks without wrong ones, or None where the file has none."""
        if node is None:
            return None
        networks = []
        for one in listed(node):
            try:
                networks.append(parse_network(text_of(one)))
            except ValueError as error:
                self.wrong(one, str(error))
        return tuple(networks)
