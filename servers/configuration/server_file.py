"""
Reading `server.yaml`.

What lives here: from the file's text to `Settings`, with everything that is wrong reported at its
line and column.  What must not: what the settings bring about.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from regauth.engine.files import read_text
from regauth.engine.source import schema
from regauth.engine.source.addresses import Network, parse_address, parse_network
from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Problem, Problems
from regauth.engine.source.quantities import parse_duration

from .settings import (
    STANDARD_OUTPUT,
    TOKEN_PATHS,
    Address,
    ConnectionLimits,
    FixedKeyId,
    KeyFiles,
    KeyFolder,
    KeyIdChoice,
    PostgresqlSettings,
    Rate,
    Rates,
    SessionSettings,
    Settings,
    SigningSettings,
    SqliteSettings,
)

MIN_LIFETIME: Final = timedelta(seconds=60)
MAX_LIFETIME: Final = timedelta(hours=24)
MAX_LOGIN_CACHE: Final = timedelta(minutes=5)
MAX_ANSWER_CACHE: Final = timedelta(seconds=30)


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
    text = read_text(file, problems, "`token-server init DIR` makes one")
    if text is None:
        raise ConfigurationError(tuple(problems), {})
    settings = parse_settings(text, file, problems)
    if settings is None:
        raise ConfigurationError(tuple(problems), {name: text})
    return settings


def parse_settings(text: str, file: Path, problems: Problems) -> Settings | None:
    """Return the settings that a text holds, or None when something in it is wrong."""
    node = schema.read(text, str(file), "server", problems)
    if node is None:
        return None
    reader = _Reader(file.parent, problems)
    settings = reader.settings(node, file)
    return None if problems.errors else settings


def override(settings: Settings, given: Mapping[str, object]) -> Settings:
    """
    Put values by the settings' own names over those of the file; None and () change nothing.

    Raises:
        ValueError: An address of `listen` is none.
    """
    values = {name: value for name, value in given.items() if value not in (None, ())}
    listen = values.get("listen")
    if isinstance(listen, tuple):
        values["listen"] = tuple(Address(*parse_address(str(one))) for one in listen)
    return replace(settings, **values)  # type: ignore[arg-type]


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
                paths=_paths(node),
                workers=_plain(node, "workers"),
                pin_workers=_plain(node, "pinWorkers"),
                trusted_proxies=self._networks(node.get("trustedProxies")),
                rates=_rates(_mapping(node, "rateLimits")),
                limits=connection_limits(node),
                **self._caches(_mapping(node, "caches")),
                shadow_policy=self._optional_path(node.get("shadowPolicy")),
                **decision_log(_mapping(node, "decisionLog"), self._folder),
                sessions=self._sessions(node.get("refreshTokens")),
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
                compat=_strings(node.get("compat")),
            ),
        )

    def _networks(self, node: Node | None) -> tuple[Network, ...] | None:
        if not isinstance(node, SequenceNode):
            return None
        networks = []
        for one in node:
            try:
                networks.append(parse_network(_text(one)))
            except ValueError as error:
                self._problems.error(one.location, "wrong-value", str(error))
        return tuple(networks)

    def _caches(self, node: MappingNode) -> dict[str, float | None]:
        return {
            "login_cache": self._seconds(node.get("logins"), MAX_LOGIN_CACHE),
            "answer_cache": self._seconds(node.get("answers"), MAX_ANSWER_CACHE),
        }

    def _sessions(self, node: Node | None) -> SessionSettings | None:
        if not isinstance(node, MappingNode):
            return None
        database = node.get("postgresql")
        if database is None:
            return SqliteSettings(self._path(node["file"]))
        return PostgresqlSettings(_text(database), self._optional_path(node.get("passwordFile")))

    def _optional_path(self, node: Node | None) -> Path | None:
        return None if node is None else self._path(node)

    def _seconds(self, node: Node | None, most: timedelta) -> float | None:
        found = self._duration(node, timedelta(0), most)
        return None if found is None else found.total_seconds()

    def _path(self, node: Node) -> Path:
        return self._folder / _text(node)

    def _addresses(self, node: Node | None) -> tuple[Address, ...] | None:
        if node is None:
            return None
        listed = node.items if isinstance(node, SequenceNode) else (node,)
        return tuple(self._address(one) for one in listed)

    def _address(self, node: Node) -> Address:
        try:
            return Address(*parse_address(_text(node)))
        except ValueError as error:
            self._problems.error(node.location, "wrong-value", str(error))
            return Address("", 0)

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


def decision_log(node: MappingNode, folder: Path) -> dict[str, object]:
    """Return the settings of `decisionLog`, which the proxy's file has too."""
    file = _plain(node, "file")
    there = None if file is None else STANDARD_OUTPUT if file == "-" else folder / str(file)
    return {"decision_log": there, "decision_log_claims": _plain(node, "claims")}


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


def _paths(node: MappingNode) -> tuple[str, ...] | None:
    more = _plain(node, "tokenPath")
    return None if more is None else tuple(dict.fromkeys((*TOKEN_PATHS, str(more))))


def _rates(node: MappingNode) -> Rates:
    given: dict[str, Rate | None] = {}
    for name, entry in node.entries.items():
        rate = entry.value
        if isinstance(rate, MappingNode):
            per_second, burst = rate["perSecond"].plain(), rate["burst"].plain()
            given[name] = Rate(float(str(per_second)), float(str(burst)))
        else:
            given[name] = None
    return replace(Rates(), **given)


def connection_limits(node: MappingNode) -> ConnectionLimits:
    """Return the `limits` of a server's or a proxy's configuration."""
    found = _plain(_mapping(node, "limits"), "connectionsPerClient")
    if found is None:
        return ConnectionLimits()
    return ConnectionLimits(None if found is False else int(str(found)))


def _strings(node: Node | None) -> tuple[str, ...] | None:
    return tuple(_text(one) for one in node) if isinstance(node, SequenceNode) else None


def _key_id(node: Node | None) -> KeyIdChoice | None:
    if isinstance(node, MappingNode):
        return FixedKeyId(_text(node["fixed"]))
    if node is None:
        return None
    return "rfc7638" if _text(node) == "rfc7638" else "libtrust"
