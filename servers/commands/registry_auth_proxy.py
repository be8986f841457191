"""
The `registry-auth-proxy` command.

What lives here: options, and serving until the process is told to end.  Not here: what is served
(`proxy.app`), and reading its configuration (`configuration.proxy_file`).
"""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from .terminal import EXIT_USAGE, startup_errors_shown

if TYPE_CHECKING:
    from regauth.servers.configuration.proxy_settings import LoginSettings, ProxySettings
    from regauth.servers.proxy.app import Proxy
    from regauth.servers.telemetry.event_log import EventLog

_HELP: Final = """\
Put token authentication in front of a registry that has none.

\b
With a file:
  registry-auth-proxy --config proxy.yaml

\b
Or, for the common case, with options:
  registry-auth-proxy http://127.0.0.1:5001 \\
    --token-realm https://auth.example.com/auth/token \\
    --token-service registry.example.com \\
    --token-issuer registry-token-issuer \\
    --token-root-cert-bundle root.crt --listen-address :5000

With options, the proxy logs in to UPSTREAM with what `docker login` has stored, if anything.
"""

_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command(
    help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="jwt-registry-auth", message="%(prog)s %(version)s")
@click.argument("upstream", required=False)
@click.option("--config", type=_FILE, envvar="REGISTRY_AUTH_PROXY_CONFIG", help="Serve by a file.")
@click.option("--token-realm", default="", help="The address of the token endpoint.")
@click.option("--token-service", default="", help="The `aud` of tokens.")
@click.option("--token-issuer", default="", help="The `iss` of tokens.")
@click.option("--token-root-cert-bundle", type=_FILE, help="PEM certificates of the token server.")
@click.option(
    "--token-auto-redirect",
    is_flag=True,
    help="Use /auth/token at the address that the client asked as the realm.",
)
@click.option("--registry-insecure", is_flag=True, help="Speak plain HTTP to UPSTREAM.")
@click.option("--listen-address", default=":5000", show_default=True, help="HOST:PORT.")
def main(config: Path | None, upstream: str | None, **options: object) -> None:
    """Serve by a file or by options."""
    if (config is None) == (upstream is None):
        _fail("give either UPSTREAM with options, or --config")
    settings = _from_file(config) if config is not None else _from_options(upstream or "", options)
    _serve(settings)


def _fail(message: str, code: int = EXIT_USAGE) -> NoReturn:
    click.echo(f"registry-auth-proxy: {message}", err=True)
    sys.exit(code)


def _from_file(config: Path) -> "ProxySettings":
    from regauth.servers.configuration.proxy_file import read_proxy_settings

    with startup_errors_shown("registry-auth-proxy"):
        return read_proxy_settings(config)


def _from_options(upstream: str, options: dict[str, object]) -> "ProxySettings":
    from regauth.engine.source.addresses import parse_address
    from regauth.servers.configuration.proxy_settings import (
        REDIRECT_PATH,
        BundleKeys,
        ProxySettings,
        TokenSettings,
        UpstreamSettings,
    )
    from regauth.servers.configuration.settings import Address, ConnectionLimits

    bundle, redirect = options["token_root_cert_bundle"], bool(options["token_auto_redirect"])
    realm = str(options["token_realm"])
    missing = [] if realm or redirect else ["--token-realm or --token-auto-redirect"]
    required = ("token_service", "token_issuer", "token_root_cert_bundle")
    missing += [f"--{name.replace('_', '-')}" for name in required if not options[name]]
    if missing:
        _fail(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    if any(
        set('"\\') & set(text) or not text.isprintable()
        for text in (realm, str(options["token_service"]))
    ):
        _fail("--token-realm and --token-service are printable, without quotes and backslashes")
    try:
        listen = Address(*parse_address(str(options["listen_address"])))
        url = _upstream_url(upstream, insecure=bool(options["registry_insecure"]))
    except ValueError as error:
        _fail(str(error))
    return ProxySettings(
        TokenSettings(
            str(options["token_service"]),
            str(options["token_issuer"]),
            BundleKeys(Path(str(bundle))),
            realm,
            REDIRECT_PATH if redirect else "",
        ),
        UpstreamSettings(url, _docker_login()),
        listen=(listen,),
        connections=ConnectionLimits(max_wait=None),
    )


def _upstream_url(upstream: str, *, insecure: bool) -> str:
    """
    Return UPSTREAM as an address; it may be a host alone.

    Raises:
        ValueError: It is none, or says the contrary of --registry-insecure.
    """
    from urllib.parse import urlsplit

    from regauth.engine.source.addresses import is_loopback

    url = upstream if "://" in upstream else f"{'http' if insecure else 'https'}://{upstream}"
    parts = urlsplit(url)
    host = re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", parts.hostname or "", re.ASCII)
    if parts.scheme not in ("http", "https") or host is None or parts.port == 0:
        raise ValueError(f"{upstream!r} is not a registry's address")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("UPSTREAM is an address without a user, a query and a fragment")
    if parts.scheme == "http" and not insecure and not is_loopback(host[0]):
        raise ValueError("plain HTTP to another machine; --registry-insecure admits it")
    return url.rstrip("/")


def _docker_login() -> "LoginSettings":
    from regauth.servers.configuration.proxy_settings import DockerConfigLogin

    folder = os.environ.get("DOCKER_CONFIG")
    file = (Path(folder) if folder else Path.home() / ".docker") / "config.json"
    return DockerConfigLogin(file) if file.exists() else None


def _serve(settings: "ProxySettings") -> None:
    """Serve until SIGTERM or SIGINT; end the process when something is wrong."""
    from regauth.servers.http_server import hosts
    from regauth.servers.http_server import server as hosting
    from regauth.servers.http_server.signals import obey_signals
    from regauth.servers.telemetry.event_log import EventLog

    log = EventLog(settings.log_format, settings.log_level)
    with startup_errors_shown("registry-auth-proxy"):
        hosts.check_host(settings.server, settings.connections.per_client)
    hosts.prepare(settings.server)
    proxy = _proxy_or_exit(settings, log)
    log.take_over_logging()
    if settings.limits.spool is not None:
        tempfile.tempdir = str(settings.limits.spool)
    with startup_errors_shown("registry-auth-proxy"):
        listeners = hosting.bind(settings.listen)
    server = hosts.make_host(
        settings.server,
        proxy.app,
        listeners,
        proxy.clients,
        threads=settings.threads,
        drain=settings.drain,
        adjustments=hosting.streaming(settings.limits.max_body, settings.threads),
    )

    obey_signals(server, log, proxy.reload)
    # A supervisor that reads "listening" may send signals.
    upstream = settings.upstream.url if settings.upstream is not None else ""
    log.event("listening", addresses=hosting.addresses_of(listeners), upstream=upstream)
    proxy.start()
    server.run()
    proxy.close()
    log.event("ended")


def _proxy_or_exit(settings: "ProxySettings", log: "EventLog") -> "Proxy":
    from regauth.servers.http_client.pool import UpstreamError
    from regauth.servers.proxy.app import Proxy

    spool = settings.limits.spool
    if spool is not None and not os.access(spool, os.W_OK | os.X_OK):
        _fail(f"the spool folder {spool} cannot be written")
    with startup_errors_shown("registry-auth-proxy"):
        try:
            return Proxy(settings, log)
        except (UpstreamError, OSError) as error:
            _fail(str(error))


if __name__ == "__main__":
    main()
