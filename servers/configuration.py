"""
Reading `server.yaml`.

What lives here: from the file's text to `Settings`, with everything that is wrong reported at its
line and column.  What must not: what the settings bring about.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from regauth.engine import schema
from regauth.engine.nodes import MappingNode, Node, ScalarNode, SequenceNode, parse
from regauth.engine.problems import Location, Problem, Problems
from regauth.engine.quantities import parse_duration

from .settings import (
    Address,
    FixedKeyId,
    KeyFiles,
    KeyFolder,
    KeyIdChoice,
    Settings,
    SigningSettings,
)

MAX_PORT: Final = 65535
MIN_LIFETIME: Final = timedelta(seconds=60)
MAX_LIFETIME: Final = timedelta(hours=24)


class ConfigurationError(Exception):
    """`server.yaml` cannot be used; `problems` say where and why, `sources` has its text."""

    def __init__(self, problems: tuple[Problem, ...], sources: Mapping[str, str]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
        self.sources = sources


def read_settings(file: Path) -> Settings:
    """
    Read a configuration file.

    Raises:
        ConfigurationError: It cannot be read, or something in it is wrong.
    """
    problems = Problems()
    name = str(file)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        hint = "`token-server init DIR` makes one" if isinstance(error, FileNotFoundError) else ""
        problems.error(Location(name), "file-unreadable", f"it cannot be read: {reason}", hint)
        raise ConfigurationError(tuple(problems), {}) from error
    settings = parse_settings(text, file, problems)
    if settings is None:
        raise ConfigurationError(tuple(problems), {name: text})
    return settings


def parse_settings(text: str, file: Path, problems: Problems) -> Settings | None:
    """Return the settings that a text holds, or None when something in it is wrong."""
    node = parse(text, str(file), problems)
    if node is None:
        if not problems.errors:
            problems.error(Location(str(file)), "missing-key", "the file is empty")
        return None
    if problems.errors or not schema.check(node, "server", problems):
        return None
    reader = _Reader(file.parent, problems)
    assert isinstance(node, MappingNode)  # noqa: S101 - the schema says so
    settings = reader.settings(node, file)
    return None if problems.errors else settings


class _Reader:
    """Turns checked nodes into values; what the schema cannot say is checked here."""

    def __init__(self, folder: Path, problems: Problems) -> None:
        self._folder = folder
        self._problems = problems

    def settings(self, node: MappingNode, file: Path) -> Settings:
        return Settings(
            file=file,
            policy=self._path(node["policy"]),
            issuer=_text(node["issuer"]),
            signing=self._signing(_mapping(node, "signing")),
            **_given(
                listen=self._addresses(node.get("listen")),
                threads=_plain(node, "threads"),
                lifetime=self._duration(node.get("tokenLifetime"), MIN_LIFETIME, MAX_LIFETIME),
                realm=_plain(node, "realm"),
                verbose_errors=_plain(node, "verboseErrors"),
                log_format=_plain(node, "logFormat"),
                log_level=_plain(node, "logLevel"),
            ),
        )

    def _signing(self, node: MappingNode) -> SigningSettings:
        folder, key, chain = (
            node.get(name) for name in ("keyFolder", "keyFile", "certificateFile")
        )
        source: KeyFolder | KeyFiles
        if folder is not None:
            source = KeyFolder(self._path(folder))
        else:
            source = KeyFiles(
                self._path(node["keyFile"] if key is None else key),
                None if chain is None else self._path(chain),
            )
        return SigningSettings(
            source,
            **_given(
                algorithm=_plain(node, "algorithm"),
                key_id=_key_id(node.get("keyId")),
                x5c=_plain(node, "x5c"),
            ),
        )

    def _path(self, node: Node) -> Path:
        return self._folder / _text(node)

    def _addresses(self, node: Node | None) -> tuple[Address, ...] | None:
        if node is None:
            return None
        listed = node.items if isinstance(node, SequenceNode) else (node,)
        return tuple(self._address(one) for one in listed)

    def _address(self, node: Node) -> Address:
        host, _, port = _text(node).rpartition(":")
        if int(port) > MAX_PORT:
            self._problems.error(
                node.location, "wrong-value", f"{port} is not a port; the highest is {MAX_PORT}"
            )
        return Address("" if host == "*" else host.strip("[]"), int(port))

    def _duration(self, node: Node | None, least: timedelta, most: timedelta) -> timedelta | None:
        if node is None:
            return None
        text = _text(node)
        value = parse_duration(text)
        if not least <= value <= most:
            self._problems.error(
                node.location,
                "wrong-value",
                f"{text} is out of bounds",
                f"{least.total_seconds():.0f} s to {most.total_seconds():.0f} s can be written",
            )
        return value


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


def _key_id(node: Node | None) -> KeyIdChoice | None:
    if isinstance(node, MappingNode):
        return FixedKeyId(_text(node["fixed"]))
    if node is None:
        return None
    return "rfc7638" if _text(node) == "rfc7638" else "libtrust"
