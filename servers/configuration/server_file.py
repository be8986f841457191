"""
Reading `server.yaml`.

What lives here: from the file's text to `Settings`, with every error reported at its line and
column.  Not here: the values (`settings`), and what the settings do (`token.assembly`).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from regauth.engine.files import read_configuration
from regauth.engine.source import schema
from regauth.engine.source.addresses import parse_address
from regauth.engine.source.configuration_file import (
    ValueReader,
    mapping,
    only_given,
    plain,
    text_of,
)
from regauth.engine.source.nodes import MappingNode, Node, SequenceNode
from regauth.engine.source.problems import Problems

from .settings import (
    STANDARD_OUTPUT,
    TOKEN_PATHS,
    Address,
    ConnectionLimits,
    FixedKeyId,
    KeyFiles,
    KeyFolder,
    KeyIdChoice,
    OpenTelemetrySettings,
    PostgresqlSettings,
    Rate,
    Rates,
    SessionSettings,
    Settings,
    SigningSettings,
    SqliteSettings,
)

ZOT_HOLE: Final = "zot-opens-other-repositories"
"""The word by which an operator accepts zot's bearer mode."""

MIN_LIFETIME: Final = timedelta(seconds=60)
MAX_LIFETIME: Final = timedelta(hours=24)
MAX_LOGIN_CACHE: Final = timedelta(minutes=5)
MAX_ANSWER_CACHE: Final = timedelta(seconds=30)
MIN_WAIT: Final = timedelta(milliseconds=100)
MAX_WAIT: Final = timedelta(seconds=60)


def read_settings(file: Path) -> Settings:
    """
    Read a configuration file.

    Raises:
        ConfigurationError: It cannot be read, or something in it is wrong.
    """
    return read_configuration(
        file,
        lambda text, problems: parse_settings(text, file, problems),
        "`token-server init DIR` makes one",
    )


def parse_settings(text: str, file: Path, problems: Problems) -> Settings | None:
    """Return the settings that a text holds, or None when something in it is wrong."""
    node = schema.read(text, str(file), "server", problems)
    if node is None:
        return None
    reader = _ServerReader(file.parent, problems)
    settings = reader.settings(node, file)
    return None if problems.errors else settings


def override(settings: Settings, given: Mapping[str, object]) -> Settings:
    """
    Replace values of the file, by the settings' own names; None and () change nothing.

    Raises:
        ValueError: An address of `listen` is none.
    """
    values = {name: value for name, value in given.items() if value not in (None, ())}
    listen = values.get("listen")
    if isinstance(listen, tuple):
        values["listen"] = tuple(Address(*parse_address(str(one))) for one in listen)
    return replace(settings, **values)  # type: ignore[arg-type]  # click made each option of its field's type


class _ServerReader:
    """Turns checked nodes into values; what the schema cannot say is checked here."""

    def __init__(self, folder: Path, problems: Problems) -> None:
        self._folder = folder
        self._values = ValueReader(problems)

    def settings(self, node: MappingNode, file: Path) -> Settings:
        return Settings(
            file=file,
            policy=self._path(node["policy"]),
            issuer=text_of(node["issuer"]),
            signing=self._signing(mapping(node, "signing")),
            **only_given(
                listen=self._addresses(node.get("listen")),
                threads=plain(node, "threads"),
                lifetime=self._values.duration(
                    node.get("tokenLifetime"), MIN_LIFETIME, MAX_LIFETIME
                ),
                realm=plain(node, "realm"),
                verbose_errors=plain(node, "verboseErrors"),
                explain=plain(node, "explain"),
                browser_origins=_origins(node.get("browserOrigins")),
                paths=_paths(node),
                server=plain(node, "server"),
                workers=plain(node, "workers"),
                pin_workers=plain(node, "pinWorkers"),
                trusted_proxies=self._values.networks(node.get("trustedProxies")),
                rfc7239=rfc7239(node),
                front_strips_underscores=plain(node, "frontStripsUnderscores"),
                rates=_rates(mapping(node, "rateLimits")),
                limits=connection_limits(node, self._values),
                **self._caches(mapping(node, "caches")),
                shadow_policy=self._optional_path(node.get("shadowPolicy")),
                **decision_log(mapping(node, "decisionLog"), self._folder),
                open_telemetry=open_telemetry(node, self._values),
                sessions=self._sessions(node.get("refreshTokens")),
                log_format=plain(node, "logFormat"),
                log_level=plain(node, "logLevel"),
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
        self._check_zot(node)
        return SigningSettings(
            source,
            **only_given(
                algorithm=plain(node, "algorithm"),
                key_id=_key_id(node.get("keyId")),
                x5c=plain(node, "x5c"),
                compat=_strings(node.get("compat")),
                accept=_strings(node.get("accept")),
            ),
        )

    def _check_zot(self, node: MappingNode) -> None:
        """Refuse zot's bearer mode unless the operator accepts what it opens."""
        compat = node.get("compat")
        if "zot" in (_strings(compat) or ()) and ZOT_HOLE not in (
            _strings(node.get("accept")) or ()
        ):
            assert compat is not None  # noqa: S101 - for the type checker
            self._values.wrong(
                compat,
                "zot's bearer mode opens other repositories: it checks neither a token's audience "
                "nor the source of a mount, so a token for one repository reads another's blobs",
                "put registry-auth-proxy before zot (docs/howto/zot.md), "
                f"or write `accept: [{ZOT_HOLE}]`",
            )

    def _caches(self, node: MappingNode) -> dict[str, float | None]:
        return {
            "login_cache": self._values.seconds(node.get("logins"), timedelta(0), MAX_LOGIN_CACHE),
            "answer_cache": self._values.seconds(
                node.get("answers"), timedelta(0), MAX_ANSWER_CACHE
            ),
        }

    def _sessions(self, node: Node | None) -> SessionSettings | None:
        if not isinstance(node, MappingNode):
            return None
        database = node.get("postgresql")
        if database is None:
            return SqliteSettings(self._path(node["file"]))
        return PostgresqlSettings(text_of(database), self._optional_path(node.get("passwordFile")))

    def _optional_path(self, node: Node | None) -> Path | None:
        return None if node is None else self._path(node)

    def _path(self, node: Node) -> Path:
        return self._folder / text_of(node)

    def _addresses(self, node: Node | None) -> tuple[Address, ...] | None:
        if node is None:
            return None
        return tuple(Address(*one) for one in self._values.addresses(node))


def decision_log(node: MappingNode, folder: Path) -> dict[str, object]:
    """Return the settings of `decisionLog`, which the proxy's file has too."""
    file = plain(node, "file")
    there = None if file is None else STANDARD_OUTPUT if file == "-" else folder / str(file)
    return {"decision_log": there, "decision_log_claims": plain(node, "claims")}


def open_telemetry(node: MappingNode, values: ValueReader) -> OpenTelemetrySettings | None:
    """Return the settings of `openTelemetry`, which the proxy's file has too."""
    given = node.get("openTelemetry")
    if not isinstance(given, MappingNode):
        return None
    endpoint = given["endpoint"]
    if not _is_origin(text_of(endpoint)):
        values.wrong(endpoint, "the endpoint is not an address such as http://collector:4318")
    decisions = plain(given, "decisions") is True
    log = mapping(node, "decisionLog")
    if decisions and log.get("file") is None:
        values.wrong(given["decisions"], "`decisions` sends what `decisionLog` writes")
    claims = plain(given, "claims") is True
    if claims and (not decisions or plain(log, "claims") is False):
        values.wrong(
            given["claims"], "`claims` needs `decisions`, and a decision log that has the claims"
        )
    return OpenTelemetrySettings(
        text_of(endpoint),
        decisions=decisions,
        claims=claims,
        **only_given(sample_ratio=_number(given, "sampleRatio")),
    )


def _number(node: MappingNode, name: str) -> float | None:
    found = plain(node, name)
    return None if found is None else float(str(found))


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and "@" not in parts.netloc
            and not parts.query
            and not parts.fragment
        )
    except ValueError:
        return False


def _origins(node: Node | None) -> frozenset[str] | None:
    listed = _strings(node)
    return None if listed is None else frozenset(listed)


def _paths(node: MappingNode) -> tuple[str, ...] | None:
    more = plain(node, "tokenPath")
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


def rfc7239(node: MappingNode) -> bool | None:
    """Return what `forwardedFields` says, which the proxy's file has too."""
    found = plain(node, "forwardedFields")
    return None if found is None else found == "Forwarded"


def connection_limits(
    node: MappingNode, values: ValueReader, *, waits: bool = False
) -> ConnectionLimits:
    """
    Return the `limits` of a server's or a proxy's configuration.

    Args:
        node: The configuration.
        values: Reads the values.
        waits: Whether requests wait for ever unless the file says how long.
    """
    limits = mapping(node, "limits")
    per_client = plain(limits, "connectionsPerClient")
    given: dict[str, Any] = only_given(exempt=values.networks(limits.get("exemptClients")))
    if per_client is not None:
        given["per_client"] = None if per_client is False else int(str(per_client))
    max_wait = limits.get("maxWait")
    if max_wait is None and waits:
        given["max_wait"] = None
    if max_wait is not None:
        never = plain(limits, "maxWait") is False
        given["max_wait"] = None if never else values.seconds(max_wait, MIN_WAIT, MAX_WAIT)
    return ConnectionLimits(**given)


def _strings(node: Node | None) -> tuple[str, ...] | None:
    return tuple(text_of(one) for one in node) if isinstance(node, SequenceNode) else None


def _key_id(node: Node | None) -> KeyIdChoice | None:
    if isinstance(node, MappingNode):
        return FixedKeyId(text_of(node["fixed"]))
    if node is None:
        return None
    return "rfc7638" if text_of(node) == "rfc7638" else "libtrust"
