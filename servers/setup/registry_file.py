"""
A registry's own configuration, read as the registry reads it.

What lives here: what Distribution (docs/about/configuration.md), zot (`http.auth.bearer`) and our
proxy (`proxy.yaml`) say about tokens, from their files and from environment variables.
Not here: comparing it with ours (`regauth.servers.setup.comparison`), and asking a live registry
(`doctor`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import yaml

from regauth.engine.source.configuration_file import ConfigurationError
from regauth.engine.source.foreign_text import visible
from regauth.servers.configuration.proxy_file import read_proxy_settings
from regauth.servers.configuration.proxy_settings import BundleKeys, FileKeys

MAX_FILE: Final = 1024 * 1024
VARIABLE: Final = "REGISTRY_AUTH_TOKEN_"
"""The beginning of the variables that set `auth: token:` in Distribution."""


class RegistryKind(StrEnum):
    """The program that the configuration is for."""

    DISTRIBUTION = "Distribution"
    ZOT = "zot"
    PROXY = "registry-auth-proxy"


class RegistryFileError(Exception):
    """
    A registry's configuration cannot be read; the message says why.

    Args:
        message: What is wrong, and where.
        remedy: What to do about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class RegistryConfiguration:
    """What a registry's configuration says about tokens; empty and None where it says nothing."""

    kind: RegistryKind
    realm: str = ""
    service: str = ""
    issuer: str | None = None
    certificates: Path | None = None
    key_set: Path | None = None
    algorithms: tuple[str, ...] | None = None


def read_registry_configuration(
    file: Path | None, environment: Path | None
) -> RegistryConfiguration:
    """
    Read a registry's file, or the variables that it runs with, or both.

    Args:
        file: The configuration file.
        environment: A file of lines NAME=VALUE, as `docker --env-file` takes it; Distribution's
            `REGISTRY_AUTH_TOKEN_...` go before the file.

    Raises:
        RegistryFileError: One cannot be read, or says nothing about tokens.
    """
    content = {} if file is None else _content(file)
    if file is not None and "token" in content and "auth" not in content:
        return _of_proxy(file)
    http = _mapping(content.get("http"))
    bearer = _mapping(_mapping(http.get("auth")).get("bearer"))
    if bearer:
        return RegistryConfiguration(
            RegistryKind.ZOT,
            _text(bearer.get("realm")),
            _text(bearer.get("service")),
            certificates=_path(bearer.get("cert"), file),
        )
    if "distSpecVersion" in content:
        raise RegistryFileError(
            f"{file} has no `http.auth.bearer`",
            "zot asks for no tokens so: put registry-auth-proxy before it, and reach it alone",
        )
    token = dict(_mapping(_mapping(content.get("auth")).get("token")))
    if environment is not None:
        token |= _variables(environment)
    if not token:
        places = " and ".join(str(one) for one in (file, environment) if one is not None)
        raise RegistryFileError(
            f"{places} has no `auth: token:`",
            "configure it in the registry; for variables alone give --registry-env",
        )
    return _of_distribution(token, file)


def _of_distribution(token: Mapping[str, object], file: Path | None) -> RegistryConfiguration:
    algorithms = token.get("signingalgorithms")
    if isinstance(algorithms, str):
        algorithms = yaml.safe_load(algorithms)
    return RegistryConfiguration(
        RegistryKind.DISTRIBUTION,
        _text(token.get("realm")),
        _text(token.get("service")),
        _text(token.get("issuer")),
        _path(token.get("rootcertbundle"), file),
        _path(token.get("jwks"), file),
        tuple(map(str, algorithms)) if isinstance(algorithms, list) else None,
    )


def _of_proxy(file: Path) -> RegistryConfiguration:
    try:
        token = read_proxy_settings(file).token
    except ConfigurationError as error:
        first = error.problems[0]
        raise RegistryFileError(
            f"{first.location}: {first.message}", first.hint or "correct it there"
        ) from error
    keys = token.keys
    return RegistryConfiguration(
        RegistryKind.PROXY,
        token.realm,
        token.service,
        token.issuer,
        keys.file if isinstance(keys, BundleKeys) else None,
        keys.file if isinstance(keys, FileKeys) else None,
    )


def _content(file: Path) -> Mapping[str, object]:
    """Read YAML, which JSON is too, with the aliases and merge keys that registries take."""
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_FILE)
        content = yaml.safe_load(text)
    except OSError as error:
        raise RegistryFileError(f"{file} cannot be read: {error.strerror}", "correct it") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f":{mark.line + 1}:{mark.column + 1}"
        why = visible(str(getattr(error, "problem", None) or "it is not YAML"))
        raise RegistryFileError(f"{file}{where}: {why}", "correct it there") from error
    return _mapping(content)


def _variables(file: Path) -> dict[str, object]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryFileError(f"{file} cannot be read", "correct its path") from error
    pairs = (line.strip().removeprefix("export ").partition("=") for line in text.splitlines())
    return {
        name.removeprefix(VARIABLE).lower(): value.strip("\"'")
        for name, equals, value in pairs
        if equals and name.startswith(VARIABLE)
    }


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _path(value: object, file: Path | None) -> Path | None:
    """Return a file that is named; a relative one counts from where the registry's own file is."""
    if not isinstance(value, str) or not value:
        return None
    path = Path(value)
    return path if path.is_absolute() or file is None else file.parent / path
