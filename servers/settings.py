"""
Settings: what `server.yaml` says, as values.

What lives here: the values and their defaults.  What must not: reading a file
(`regauth.servers.configuration`).
"""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

LogFormat = Literal["json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]

TOKEN_PATHS = ("/auth/token", "/auth", "/token", "/v2/token")
"""Where clients of the known registries look for the token endpoint."""


@dataclass(frozen=True, slots=True)
class Address:
    """A place to listen on; an empty host is every address of the machine."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "*"
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """A folder that `token-server keys` keeps."""

    folder: Path


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """A private key and, if it has any, its certificates."""

    key: Path
    chain: Path | None = None


@dataclass(frozen=True, slots=True)
class FixedKeyId:
    """A key id that is a name of the operator's choice."""

    name: str


KeyIdChoice = Literal["libtrust", "rfc7638"] | FixedKeyId


@dataclass(frozen=True, slots=True)
class SigningSettings:
    """The key that tokens are signed with, and the header form that the registry knows it by."""

    source: KeyFolder | KeyFiles
    algorithm: str | None = None
    """None: the one that fits the key."""
    key_id: KeyIdChoice = "libtrust"
    x5c: bool | None = None
    """None: when the key has certificates."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of a token server."""

    file: Path
    policy: Path
    issuer: str
    signing: SigningSettings
    listen: tuple[Address, ...] = (Address("127.0.0.1", 5001),)
    threads: int = 4
    lifetime: timedelta = timedelta(minutes=5)
    realm: str = "token-server"
    verbose_errors: bool = False
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"
    paths: tuple[str, ...] = field(default=TOKEN_PATHS)
