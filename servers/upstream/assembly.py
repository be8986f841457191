"""
Assembly: from settings to the upstream registry.

What lives here: which part gets which, and where the proxy's own login is read.
Not here: requests (`registry`), and the login that a registry asks for (`credentials`).
"""

import os
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from regauth.servers.configuration.proxy_settings import (
    DockerConfigLogin,
    EnvironmentLogin,
    HelperLogin,
    LoginSettings,
    StaticLogin,
    UpstreamSettings,
)
from regauth.servers.http_client.pool import Connecting

from .credentials import UpstreamCredentials
from .docker_login import CredentialsError, UpstreamLogin, ask_helper, read_config
from .registry import Upstream
from .upload_locations import SealedLocations, read_key

MAX_PASSWORD: Final = 64 * 1024
"""Bytes of a password file."""


def make_upstream(settings: UpstreamSettings) -> Upstream:
    """
    Return the upstream that settings describe.

    Raises:
        UpstreamError: Its CA file cannot be used.
        UploadKeyError: Its upload key cannot be used.
    """
    connecting = Connecting(
        settings.ca_file, settings.connect_seconds, settings.read_seconds, settings.connections
    )
    parts = urlsplit(settings.url)
    credentials = UpstreamCredentials(
        f"{parts.scheme}://{parts.netloc}", connecting, login_of(settings.login, parts.netloc)
    )
    key = None if settings.upload_key_file is None else read_key(settings.upload_key_file)
    return Upstream(settings.url, connecting, credentials, SealedLocations(settings.url, key))


def login_of(settings: LoginSettings, registry: str) -> Callable[[], UpstreamLogin]:
    """Return a function that reads the proxy's own login anew at each call."""

    def read() -> UpstreamLogin:
        match settings:
            case None:
                return UpstreamLogin()
            case StaticLogin(username, file):
                return UpstreamLogin(username, _password(file))
            case EnvironmentLogin(username, password):
                return UpstreamLogin(_variable(username), _variable(password))
            case DockerConfigLogin(file):
                return read_config(file, registry)
            case HelperLogin(name):
                return ask_helper(name, registry)

    return read


def _password(file: os.PathLike[str]) -> str:
    try:
        with open(file, encoding="utf-8") as opened:  # noqa: PTH123 - bounded below
            return opened.read(MAX_PASSWORD).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"the password file {file} cannot be read") from error


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise CredentialsError(f"the environment variable {name} is not set")
    return value
