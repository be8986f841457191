"""
Settings: what `proxy.yaml` says, as values.

What lives here: the values and their defaults.  Not here: reading a file
(`regauth.servers.configuration.proxy_file`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from regauth.engine.source.addresses import Network

from .settings import (
    Address,
    ConnectionLimits,
    Explain,
    HostName,
    LogFormat,
    LogLevel,
    OpenTelemetrySettings,
    Settings,
)

MIB: Final = 1024 * 1024
REDIRECT_PATH: Final = "/auth/token"
"""The token endpoint's path at the registry's own address, as in Distribution's `autoredirect`."""


@dataclass(frozen=True, slots=True)
class StaticLogin:
    """A user name, and a file with the password or token, which is read again when needed."""

    username: str
    password_file: Path


@dataclass(frozen=True, slots=True)
class EnvironmentLogin:
    """The names of the environment variables that hold user name and password."""

    username: str = "REGISTRY_USERNAME"
    password: str = "REGISTRY_PASSWORD"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class DockerConfigLogin:
    """A docker `config.json`, with the credential helpers that it names."""

    file: Path


@dataclass(frozen=True, slots=True)
class HelperLogin:
    """A credential helper: NAME of `docker-credential-NAME`."""

    name: str


LoginSettings = StaticLogin | EnvironmentLogin | DockerConfigLogin | HelperLogin | None


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """The registry that requests go to."""

    url: str
    login: LoginSettings = None
    ca_file: str | None = None
    connect_seconds: float = 5.0
    read_seconds: float = 900.0
    """
    Seconds, as in the shipped nginx files: a registry may take minutes to commit a large layer.
    """
    connections: int = 64
    upload_key_file: Path | None = None
    """The file of the key that seals addresses of uploads; None: each process makes its own."""


@dataclass(frozen=True, slots=True)
class BundleKeys:
    """Root certificates, in PEM."""

    file: Path


@dataclass(frozen=True, slots=True)
class FileKeys:
    """A JWK set in a file."""

    file: Path


@dataclass(frozen=True, slots=True)
class UriKeys:
    """A JWK set at an address."""

    uri: str
    ca_file: str | None = None
    allow_http: bool = False


@dataclass(frozen=True, slots=True)
class EmbeddedKeys:
    """The keys of the token server in this process."""

    server: Settings


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Which tokens are accepted, and where clients get them."""

    service: str
    issuer: str
    keys: BundleKeys | FileKeys | UriKeys | EmbeddedKeys
    realm: str = ""
    redirect_path: str = ""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a request may take of this machine."""

    max_body: int = 16 * 1024 * MIB
    """Bytes in a request's body."""
    spool: Path | None = None
    """
    The folder in which bodies wait until they are whole; None is the system's temporary folder.
    """


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The configuration of a proxy."""

    token: TokenSettings
    upstream: UpstreamSettings | None = None
    """None: only `/authorize` is served."""
    listen: tuple[Address, ...] = (Address("127.0.0.1", 5000),)
    server: HostName = "waitress"
    """What serves the application; granian serves only `/authorize`."""
    threads: int = 256
    trusted_proxies: tuple[Network, ...] = ()
    rfc7239: bool = False
    """Whether trusted proxies write `Forwarded` (RFC 7239); else they write `X-Forwarded-*`."""
    limits: BodyLimits = field(default_factory=BodyLimits)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    drain: float = 300.0
    """Seconds that transfers under way have to end after SIGTERM."""
    explain: Explain = "reasons"
    """Whether 401 and 403 say their reason, and how much `/auth/why` tells, with a policy."""
    open_telemetry: OpenTelemetrySettings | None = None
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"
