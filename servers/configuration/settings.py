"""
Settings: what `server.yaml` says, as values.

What lives here: the values and their defaults.  Not here: reading a file
(`regauth.servers.configuration.server_file`).
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from regauth.engine.source.addresses import Network

LogFormat = Literal["json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]
HostName = Literal["waitress", "granian"]
Explain = Literal["off", "reasons", "conditions"]

TOKEN_PATHS: Final = ("/auth/token", "/auth", "/token", "/v2/token")
"""Where clients of the known registries look for the token endpoint."""

WHY_PATH: Final = "/auth/why"
"""Where a caller asks why an access was refused."""


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


Registry = Literal[
    "distribution-2.8",
    "distribution-3.0",
    "distribution-3.1",
    "distribution-3-jwks",
    "zot",
    "harbor",
]


@dataclass(frozen=True, slots=True)
class SigningSettings:
    """The key that tokens are signed with, and the header form that the registry knows it by."""

    source: KeyFolder | KeyFiles
    algorithm: str | None = None
    """None: the one that fits the key."""
    key_id: KeyIdChoice | None = None
    """None: what `compat` asks for, else libtrust."""
    x5c: bool | None = None
    """None: when the key has certificates."""
    compat: tuple[Registry, ...] = ()
    """The registries that must accept the tokens."""
    accept: tuple[str, ...] = ()
    """The names of those registries' holes that the operator has accepted."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` on average, and `burst` at once."""

    per_second: float
    burst: float


@dataclass(frozen=True, slots=True)
class Rates:
    """How often one may ask, in each process; None is without limit."""

    client: Rate | None = Rate(100, 500)
    failures: Rate | None = Rate(10, 100)
    identity: Rate | None = Rate(100, 10_000)
    """Of a rollout all pods are one subject: 2,000 nodes that pull four images ask 8,000 times."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be, in each process."""

    per_client: int | None = 100
    """Of one client; None is without limit."""
    exempt: tuple[Network, ...] = ()
    """Clients that may have any number."""
    max_wait: float | None = 2.0
    """
    Seconds that the oldest request may wait before others are told to come again; None: for ever.
    """


@dataclass(frozen=True, slots=True)
class SqliteSettings:
    """Sessions in a file, for the processes of one machine."""

    file: Path


@dataclass(frozen=True, slots=True)
class PostgresqlSettings:
    """Sessions in a database, for servers on several machines."""

    conninfo: str
    """A connection string of libpq, without a password."""
    password_file: Path | None = None
    """Read anew for each connection; None: what libpq finds by itself."""


SessionSettings = SqliteSettings | PostgresqlSettings


STANDARD_OUTPUT: Final = Path("-")
"""The name of a log's file that means standard output."""


@dataclass(frozen=True, slots=True)
class OpenTelemetrySettings:
    """Where traces and decisions go, by OTLP over HTTP."""

    endpoint: str
    sample_ratio: float = 1.0
    """The share of new traces that are sent; a trusted proxy's trace says it for itself."""
    decisions: bool = False
    """Whether the records of the decision log are sent too."""
    claims: bool = False
    """Whether with their claims."""


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
    explain: Explain = "reasons"
    """How much `/auth/why` tells a caller about its own token; `off`: the path is not served."""
    browser_origins: frozenset[str] = frozenset()
    """The origins of pages that may ask for tokens from a browser."""
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"
    paths: tuple[str, ...] = TOKEN_PATHS
    trusted_proxies: tuple[Network, ...] = ()
    rfc7239: bool = False
    """Whether trusted proxies write `Forwarded` (RFC 7239); else they write `X-Forwarded-*`."""
    front_strips_underscores: bool = False
    """Whether they remove fields such as `X_Forwarded_For`."""
    rates: Rates = Rates()
    limits: ConnectionLimits = ConnectionLimits()
    shadow_policy: Path | None = None
    decision_log: Path | None = None
    """`-` is standard output."""
    decision_log_claims: bool = True
    open_telemetry: OpenTelemetrySettings | None = None
    server: HostName = "waitress"
    """What serves the application."""
    workers: int = 1
    pin_workers: bool = True
    login_cache: float = 30.0
    """Seconds for which a verified login is remembered; 0 for none."""
    answer_cache: float = 5.0
    """Seconds for which the same question gets the same token; 0 for none."""
    sessions: SessionSettings | None = None
    """Where sessions are kept; None: nobody gets a refresh token, whatever the policy allows."""
    sees_references: bool = False
    """
    Whether this server is embedded in a proxy, which sees tags and decides statements with `tags`.
    """
    creates_tags: bool = False
    """Whether that proxy sends pushes to the registry itself, and so can tell that a tag is new."""
    filter_catalog: bool = False
    """Whether tokens for the catalog name their workload, for a proxy that filters the catalog."""
