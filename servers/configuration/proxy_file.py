"""
Reading `proxy.yaml`, and the command line that says the same.

What lives here: from the file's text to `ProxySettings`, with every error reported at its line and
column.  Not here: the values (`proxy_settings`), and what the settings do (`proxy.app`).
"""

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from regauth.engine.files import read_configuration
from regauth.engine.source import schema
from regauth.engine.source.addresses import is_loopback
from regauth.engine.source.configuration_file import ValueReader, mapping, only_given, plain
from regauth.engine.source.nodes import MappingNode, Node
from regauth.engine.source.problems import Problems
from regauth.engine.source.quantities import parse_duration

from .proxy_settings import (
    MIB,
    REDIRECT_PATH,
    BodyLimits,
    BundleKeys,
    DockerConfigLogin,
    EmbeddedKeys,
    EnvironmentLogin,
    FileKeys,
    HelperLogin,
    LoginSettings,
    ProxySettings,
    StaticLogin,
    TokenSettings,
    UpstreamSettings,
    UriKeys,
)
from .server_file import connection_limits, decision_log, open_telemetry, rfc7239
from .settings import Address, KeyFolder, Settings, SigningSettings

_KEYS: Final = ("rootCertBundle", "jwksFile", "jwksUri")


def read_proxy_settings(file: Path) -> ProxySettings:
    """
    Read a configuration file.

    Raises:
        ConfigurationError: It cannot be read, or something in it is wrong.
    """
    return read_configuration(
        file, lambda text, problems: parse_proxy_settings(text, file, problems)
    )


def parse_proxy_settings(text: str, file: Path, problems: Problems) -> ProxySettings | None:
    """Return the settings that a text holds, or None when something in it is wrong."""
    node = schema.read(text, str(file), "proxy", problems)
    if node is None:
        return None
    settings = _ProxyReader(node, file, problems).settings()
    return None if problems.errors else settings


class _ProxyReader:
    """Turns checked nodes into values; what the schema cannot say is checked here."""

    def __init__(self, node: MappingNode, file: Path, problems: Problems) -> None:
        self._node = node
        self._file = file
        self._values = ValueReader(problems)

    def settings(self) -> ProxySettings:
        """Return the settings; what is wrong is reported."""
        node = self._node
        listen = self._values.addresses(node.get("listen"))
        upstream = node.get("upstream")
        return ProxySettings(
            self._token(mapping(node, "token")),
            self._upstream(upstream) if isinstance(upstream, MappingNode) else None,
            limits=BodyLimits(**only_given(max_body=self._size(), spool=self._path("spoolFolder"))),
            **only_given(
                listen=tuple(Address(*one) for one in listen) or None,
                server=self._server(),
                threads=plain(node, "threads"),
                drain=_seconds(node, "drain"),
                explain=plain(node, "explain"),
                open_telemetry=open_telemetry(node, self._values),
                connections=connection_limits(
                    node, self._values, waits=node.get("upstream") is not None
                ),
                trusted_proxies=self._values.networks(node.get("trustedProxies")),
                rfc7239=rfc7239(node),
                log_format=plain(node, "logFormat"),
                log_level=plain(node, "logLevel"),
            ),
        )

    def _server(self) -> object:
        given = self._node.get("server")
        if given is not None and given.plain() == "granian" and self._node.get("upstream"):
            self._values.wrong(
                given,
                "granian serves `/authorize` alone, and this file has an `upstream`",
                "write `server: waitress`, or leave it out",
            )
        return plain(self._node, "server")

    def _token(self, node: MappingNode) -> TokenSettings:
        service, issuer = str(plain(node, "service")), str(plain(node, "issuer"))
        redirect = plain(node, "autoRedirect") is True
        return TokenSettings(
            service,
            issuer,
            self._keys(node, issuer),
            str(plain(node, "realm") or ""),
            REDIRECT_PATH if redirect else "",
        )

    def _keys(self, node: MappingNode, issuer: str) -> Any:  # noqa: ANN401 - one of four
        given = [name for name in _KEYS if node.get(name) is not None]
        if plain(self._node, "embedded") is True:
            if given:
                self._values.wrong(node[given[0]], "an embedded token server's keys are its own")
            return self._embedded(issuer)
        for name in ("policy", "signing", "filterCatalog", "decisionLog"):
            beside = self._node.get(name)
            if beside is not None:
                self._values.wrong(beside, f"`{name}` belongs to `embedded: true`")
        if len(given) != 1:
            self._values.wrong(node, f"`token` needs exactly one of {', '.join(_KEYS)}")
            return BundleKeys(Path())
        key = given[0]
        if key == "jwksUri":
            uri = UriKeys(
                str(plain(node, key)),
                self._path_of(node, "caFile"),
                plain(node, "allowHttp") is True,
            )
            self._check_http(node[key], uri.uri, allowed=uri.allow_http, by="allowHttp")
            return uri
        file = self._file.parent / str(plain(node, key))
        return BundleKeys(file) if key == "rootCertBundle" else FileKeys(file)

    def _embedded(self, issuer: str) -> EmbeddedKeys:
        policy, signing = self._path("policy"), mapping(self._node, "signing")
        folder = self._path_of(signing, "keyFolder")
        if policy is None or folder is None:
            self._values.wrong(self._node["embedded"], "`embedded` needs `policy` and `signing`")
            return EmbeddedKeys(
                Settings(self._file, Path(), issuer, SigningSettings(KeyFolder(Path())))
            )
        return EmbeddedKeys(
            Settings(
                self._file,
                policy,
                issuer,
                SigningSettings(KeyFolder(Path(folder))),
                sees_references=True,
                creates_tags=self._node.get("upstream") is not None,
                **only_given(
                    **decision_log(mapping(self._node, "decisionLog"), self._file.parent),
                    filter_catalog=plain(self._node, "filterCatalog"),
                    explain=plain(self._node, "explain"),
                    trusted_proxies=self._values.networks(self._node.get("trustedProxies")),
                    rfc7239=rfc7239(self._node),
                    log_format=plain(self._node, "logFormat"),
                    log_level=plain(self._node, "logLevel"),
                ),
            )
        )

    def _upstream(self, node: MappingNode) -> UpstreamSettings:
        url = str(plain(node, "url"))
        insecure = plain(node, "insecure") is True
        self._check_http(node["url"], url, allowed=insecure, by="insecure")
        upload_key = self._path_of(node, "uploadKeyFile")
        return UpstreamSettings(
            url,
            self._login(mapping(node, "credentials")),
            **only_given(
                ca_file=self._path_of(node, "caFile"),
                connect_seconds=_seconds(node, "connectTimeout"),
                read_seconds=_seconds(node, "readTimeout"),
                connections=plain(node, "connections"),
                upload_key_file=None if upload_key is None else Path(upload_key),
            ),
        )

    def _login(self, node: MappingNode) -> LoginSettings:
        if (static := node.get("static")) is not None and isinstance(static, MappingNode):
            file = self._file.parent / str(plain(static, "passwordFile"))
            return StaticLogin(str(plain(static, "username")), file)
        if (named := node.get("environment")) is not None:
            if not isinstance(named, MappingNode):
                return EnvironmentLogin()
            return EnvironmentLogin(str(plain(named, "username")), str(plain(named, "password")))
        if (config := self._path_of(node, "dockerConfig")) is not None:
            return DockerConfigLogin(Path(config))
        helper = plain(node, "helper")
        return None if helper is None else HelperLogin(str(helper))

    def _check_http(self, node: Node, url: str, *, allowed: bool, by: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "http" and not allowed and not is_loopback(parts.hostname or ""):
            self._values.wrong(node, f"plain HTTP to another machine; `{by}: true` admits it")

    def _size(self) -> int | None:
        text = plain(self._node, "maxBodySize")
        if text is None:
            return None
        number, unit = str(text)[:-3], str(text)[-3:]
        return int(number) * MIB * (1024 if unit == "GiB" else 1)

    def _path(self, name: str) -> Path | None:
        found = self._path_of(self._node, name)
        return None if found is None else Path(found)

    def _path_of(self, node: MappingNode, name: str) -> str | None:
        text = plain(node, name)
        return None if text is None else str(self._file.parent / str(text))


def _seconds(node: MappingNode, name: str) -> float | None:
    text = plain(node, name)
    return None if text is None else parse_duration(str(text)).total_seconds()
