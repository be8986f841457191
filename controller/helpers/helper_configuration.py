"""
The configuration of the docker credential helper.

What lives here: reading the file, a JSON document of which an editor knows
`schemas/credential-helper.schema.json`, and finding a registry in it.  Not here: getting a token
(`token_sources`).

The shape is checked here and not by the schema: loading a validator takes longer than docker
should wait for a helper.  The tests hold the two equal.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .strict_input import HelperError, is_one_line, read_file, read_object

VARIABLE: Final = "REGAUTH_CREDENTIAL_HELPER_CONFIG"
"""The environment variable that names the file."""

_OPTIONS: Final[Mapping[str, str]] = {
    "githubActions": "audience",
    "gitlab": "variable",
    "environment": "variable",
    "file": "path",
    "spiffe": "path",
    "command": "command",
}
"""The one option of each source."""

_HOST: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
    r"|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?",
    re.ASCII,
)
_PATH: Final = re.compile(r"(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_MAX_ADDRESS: Final = 2048


@dataclass(frozen=True)
class HelperRegistry:
    """A registry: its user name, and the source of its tokens with the source's options."""

    username: str
    source: str
    options: Mapping[str, object]


def default_path(environment: Mapping[str, str]) -> str:
    """
    Return where the file is: `$REGAUTH_CREDENTIAL_HELPER_CONFIG`, or in the user's configuration.

    Source: XDG Base Directory Specification, section 3.
    """
    named = environment.get(VARIABLE)
    if named:
        return named
    folder = environment.get("XDG_CONFIG_HOME", "")
    if not folder.startswith("/"):
        # The specification ignores a relative path.  It would be a file of the checkout that a
        # client runs in, and a configuration can name a command.
        folder = f"{environment.get('HOME', '')}/.config"
    return f"{folder}/regauth/credential-helper.json"


def read_configuration(path: str) -> dict[str, HelperRegistry]:
    """
    Read the file; return the registries by their host, and path if there is one.

    Raises:
        HelperError: It cannot be read, or something in it is wrong.
    """
    what = f"the configuration {path}"
    document = read_object(read_file(path, "the configuration"), what, by_hand=True)
    document.pop("$schema", None)
    registries = document.pop("registries", None)
    if document:
        raise HelperError(f"{what} has an unknown key {next(iter(document))!r}")
    if not isinstance(registries, dict) or not registries:
        raise HelperError(f"{what} names no registry: write `registries`")
    return {name: _registry(name, value, what) for name, value in registries.items()}


def _registry(name: str, value: object, what: str) -> HelperRegistry:
    host, slash, path = name.partition("/")
    if not _HOST.fullmatch(host) or not _PATH.fullmatch(slash + path):
        raise HelperError(f"{what}: {name!r} is not a registry's host, in lower case")
    if not isinstance(value, dict) or set(value) != {"username", "source"}:
        raise HelperError(f"{what}: {name} needs `username` and `source`, and nothing else")
    username, source = value["username"], value["source"]
    if not isinstance(username, str) or not is_one_line(username) or ":" in username:
        raise HelperError(f"{what}: `username` of {name} is not a user name")
    if not isinstance(source, dict) or len(source) != 1 or next(iter(source)) not in _OPTIONS:
        raise HelperError(f"{what}: `source` of {name} is one of {', '.join(_OPTIONS)}")
    ((kind, options),) = source.items()
    option = _OPTIONS[kind]
    if not isinstance(options, dict) or set(options) != {option}:
        raise HelperError(f"{what}: `{kind}` of {name} needs `{option}`, and nothing else")
    if not _option_fits(option, options[option]):
        raise HelperError(f"{what}: `{option}` of {name} has a wrong value")
    return HelperRegistry(username, kind, options)


def _option_fits(option: str, value: object) -> bool:
    if option == "command":
        return (
            isinstance(value, list)
            and bool(value)
            and all(isinstance(one, str) and "\0" not in one for one in value)
            and bool(value[0])
        )
    if not isinstance(value, str) or not is_one_line(value):
        return False
    return option != "variable" or _VARIABLE.fullmatch(value) is not None


def find_registry(
    registries: Mapping[str, HelperRegistry], address: str
) -> tuple[str, HelperRegistry] | None:
    """
    Find the registry that a client means; the longest path wins, as in containers' auth.json.

    Clients send a host, a host with a path, or an address with a scheme.

    Raises:
        HelperError: The address is none that a registry can have.
    """
    rest = address
    for scheme in ("https://", "http://"):
        rest = rest.removeprefix(scheme)
    if len(address) > _MAX_ADDRESS or not is_one_line(rest):
        raise HelperError("the server address is not that of a registry")
    host, _, path = rest.rstrip("/").partition("/")
    host = host.lower()
    if not _HOST.fullmatch(host):
        raise HelperError("the server address is not that of a registry")
    steps = [step for step in path.split("/") if step]
    for count in range(len(steps), -1, -1):
        name = "/".join((host, *steps[:count]))
        if name in registries:
            return name, registries[name]
    return None
