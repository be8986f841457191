"""
Docker credentials: the configuration file that `docker login` writes, and credential helpers.

What lives here: what is known of a registry in `config.json` (docker/cli docs, "Credential store")
and by the helpers' protocol (docker-credential-helpers): `docker-credential-NAME get`, the
registry's address on standard input, JSON on standard output.  Not here: using what is found
(`credentials`).
"""

import base64
import binascii
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from regauth.engine.compiler import json_faults
from regauth.engine.source.foreign_text import quoted

MAX_CONFIG: Final = 1024 * 1024
MAX_ANSWER: Final = 256 * 1024
MAX_KEYS: Final = 20
"""Keys of a configuration that a message names."""

HELPER_SECONDS: Final = 30.0
"""Seconds that a helper may take.  The helpers of clouds ask a server."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_NOT_FOUND: Final = "credentials not found in native keychain"
_KNOWN_MEMBERS: Final = frozenset(("auths", "credHelpers", "credsStore"))
_DOCKER_HUB: Final = ("docker.io", "index.docker.io", "registry-1.docker.io")


class CredentialsError(Exception):
    """There are no credentials to use.  The message says why, and holds no secret."""


@dataclass(frozen=True, slots=True)
class UpstreamLogin:
    """
    A login at a registry; empty where there is none.

    `identity_token` is a refresh token for the registry's token server, `registry_token` is sent to
    the registry as it is.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    because: str = field(default="", compare=False)
    """Where a login was looked for, as the end of a sentence, when there is none."""

    @property
    def basic(self) -> str:
        """The credentials as RFC 7617 writes them; empty when there are none."""
        if not self.username and not self.password:
            return ""
        pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return f"Basic {pair}"


def read_config(path: Path, registry: str, search: str | None = None) -> UpstreamLogin:
    """
    Return what a `config.json` says of a registry: `credHelpers`, `credsStore`, then `auths`.

    Args:
        path: The file.
        registry: The registry's host, with its port if it has one.
        search: The PATH that helpers are looked for on; this process's by default.

    Raises:
        CredentialsError: The file or what it says cannot be used.
    """
    config = _load(path)
    helpers = _mapping(config, "credHelpers", path)
    for address in _addresses(registry):
        helper = helpers.get(address)
        if isinstance(helper, str) and helper:
            return ask_helper(helper, address, search)
    store = config.get("credsStore")
    if isinstance(store, str) and store:
        for address in _addresses(registry):
            found = ask_helper(store, address, search)
            if found != UpstreamLogin():
                return found
    logins = _mapping(config, "auths", path)
    if not _KNOWN_MEMBERS & set(config):
        # The form before `auths`, `.dockercfg`: the registries are the members of the file.
        logins = config
    return _login_of(logins, registry, path)


def _login_of(logins: Mapping[str, object], registry: str, path: Path) -> UpstreamLogin:
    """
    Return the login of a registry.

    A key that equals the address comes first.  Otherwise docker compares hosts, after it has cut
    scheme and path off a key; podman writes `HOST/NAMESPACE`.  Several such keys with different
    logins are an error, because nothing says which one docker would use.
    """
    entries = {key: entry for key, entry in logins.items() if isinstance(entry, Mapping) and entry}
    for address in _addresses(registry):
        if address in entries:
            return _entry(entries[address], path, address)
    hosts = set(_DOCKER_HUB) if registry in _DOCKER_HUB else {registry}
    found = {key: _entry(one, path, key) for key, one in entries.items() if _host(key) in hosts}
    if not found:
        keys = ", ".join(map(quoted, list(entries)[:MAX_KEYS])) or "none"
        return UpstreamLogin(
            because=f": {path} has no login for {quoted(registry)}; its keys are {keys}"
        )
    first, *others = found.values()
    if any(other != first for other in others):
        keys = ", ".join(map(quoted, list(found)[:MAX_KEYS]))
        raise CredentialsError(
            f"{path} has different logins for {quoted(registry)}, under {keys}; "
            f"leave one, under {quoted(registry)}"
        )
    return first


def _host(key: str) -> str:
    """Return the host of a key as docker does: without a scheme and a path."""
    return key.removeprefix("http://").removeprefix("https://").partition("/")[0]


def _load(path: Path) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG)
    except OSError as error:
        raise CredentialsError(f"{path} cannot be read: {error.strerror}") from error
    try:
        config = json.loads(text)
    except ValueError:
        # The error has the text with it, which has passwords.
        raise CredentialsError(
            json_faults.located(text, str(path)) or f"{path} is not JSON"
        ) from None
    if not isinstance(config, Mapping):
        raise CredentialsError(f"{path} is not a JSON object")
    return config


def _mapping(config: Mapping[str, object], name: str, path: Path) -> Mapping[str, object]:
    found = config.get(name, {})
    if not isinstance(found, Mapping):
        raise CredentialsError(f"`{name}` in {path} is not a JSON object")
    return found


def _addresses(registry: str) -> Sequence[str]:
    """Return the names that a registry may stand under, the one that is written today first."""
    if registry in _DOCKER_HUB:
        return ("https://index.docker.io/v1/", *_DOCKER_HUB)
    forms = (registry, f"https://{registry}", f"http://{registry}")
    return (*forms, *(f"{form}{end}" for form in forms for end in ("/", "/v1/", "/v2/")))


def _entry(entry: Mapping[str, object], path: Path, address: str) -> UpstreamLogin:
    def text(name: str) -> str:
        value = entry.get(name, "")
        return value if isinstance(value, str) else ""

    username, password = text("username"), text("password")
    if auth := text("auth"):
        username, colon, password = _decoded(auth).partition(":")
        if not colon:
            raise CredentialsError(
                f"`auth` of {quoted(address)} in {path} is not base64 of a user name and a password"
            )
    return UpstreamLogin(username, password, text("identitytoken"), text("registrytoken"))


def _decoded(text: str) -> str:
    """
    Return what base64 stands for; empty when it is none.

    Go's decoder, which docker and kubelet use, passes over line ends, and kubelet takes text
    without padding too (RFC 4648, sections 3.1 and 3.2, leave both to the format).
    """
    text = text.replace("\r", "").replace("\n", "").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode().rstrip("\0")
    except (binascii.Error, ValueError):
        return ""


def ask_helper(name: str, address: str, search: str | None = None) -> UpstreamLogin:
    """
    Ask `docker-credential-NAME` for a registry's credentials; nobody's when it knows none.

    Raises:
        CredentialsError: There is no such helper, it failed or took too long, or its answer is none
            of the protocol.
    """
    if _NAME.fullmatch(name) is None:
        raise CredentialsError(f"{name[:64]!r} is not the name of a credential helper")
    program = f"docker-credential-{name}"
    done = _run(program, address, search)
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip()
        if said == _NOT_FOUND:
            return UpstreamLogin(because=f": {program} knows none for {quoted(address)}")
        # the helper's output may hold a secret
        raise CredentialsError(f"{program} ended with {done.returncode}")
    try:
        answer = json.loads(done.stdout[:MAX_ANSWER])
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError):
        username = secret = None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise CredentialsError(f"{program} did not answer with `Username` and `Secret` in JSON")
    if username == "<token>":
        return UpstreamLogin(identity_token=secret)
    return UpstreamLogin(username, secret)


def _run(program: str, address: str, search: str | None) -> "subprocess.CompletedProcess[bytes]":
    path = _find(program, search)
    try:
        return subprocess.run(  # noqa: S603 - the operator names it, and its name is checked
            [path, "get"],
            input=address.encode(),
            capture_output=True,
            timeout=HELPER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CredentialsError(f"{program} did not answer within {HELPER_SECONDS:g} s") from error
    except OSError as error:
        raise CredentialsError(f"{program} cannot be run: {error.strerror}") from error


def _find(program: str, search: str | None) -> str:
    entries = (search or os.environ.get("PATH", os.defpath)).split(os.pathsep)
    # An empty or a relative entry is a folder of the current directory.
    kept = [entry for entry in entries if Path(entry).is_absolute()]
    found = shutil.which(program, path=os.pathsep.join(kept)) if kept else None
    if found is None:
        raise CredentialsError(f"{program} is not on the PATH")
    return found
