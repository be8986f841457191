"""
The proxy's WSGI application, and the parts it is made of.

What lives here: which part gets which, and the routes that are not the registry's.  Not here:
processes and sockets (`commands.registry_auth_proxy`, `http_server`).
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import falcon

from regauth.engine.policy.policy import JwksUri, RemoteAccess
from regauth.engine.tokens.registry_trust import RegistryTrust
from regauth.servers.configuration.proxy_settings import (
    BundleKeys,
    EmbeddedKeys,
    FileKeys,
    ProxySettings,
)
from regauth.servers.configuration.settings import WHY_PATH, Settings
from regauth.servers.fair_queue import wait_bounds
from regauth.servers.http_server.connections import ClientBounds, Clients
from regauth.servers.http_server.forwarded import ForwardedFields, WithRequestInfo
from regauth.servers.http_server.shedding import Shedding
from regauth.servers.protocol.errors import error_body
from regauth.servers.protocol.request_info import request_info
from regauth.servers.state.reloading import load_state
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.open_telemetry import OpenTelemetry
from regauth.servers.telemetry.turned_away import RejectionLog, warn_of_ignored
from regauth.servers.token.app import HealthResource, MetricsResource, ReadyResource
from regauth.servers.token.assembly import Assembly, assemble, tell_of_sessions
from regauth.servers.upstream.assembly import make_upstream

from . import authorize as authorize_resource
from . import trust as registry_trust_source
from .forwarding import RegistryProxy
from .gate import Challenger, Gate
from .measures import ProxyMetrics
from .policy import ProxyPolicy
from .readiness import ProxyMetricsResource, ProxyReadyResource, UpstreamState
from .trust import TrustSource, Verifier

App = falcon.App[falcon.Request, falcon.Response]
Wsgi = Callable[..., Any]

BODY_RATE: Final = 1024.0
"""The lowest rate of an upload's body, in bytes a second, after its first half minute."""


class Proxy:
    """
    One process's parts.

    Raises:
        TrustError: The keys of the token server cannot be used.
        UpstreamError: The upstream's CA file cannot be used.
        OSError, PolicyFolderError, PolicyProblemsError, SigningError: As the token server's.
    """

    def __init__(
        self,
        settings: ProxySettings,
        log: EventLog,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.embedded: Assembly | None = None
        self._telemetry: OpenTelemetry | None = None
        if settings.open_telemetry is not None:
            self._telemetry = OpenTelemetry(settings.open_telemetry, "registry-auth-proxy")
        keys = settings.token.keys
        if isinstance(keys, EmbeddedKeys):
            self.embedded = _embedded(keys.server, log, self._telemetry)
        policy, decisions = None, None
        if self.embedded is not None and isinstance(keys, EmbeddedKeys):
            policy = _policy(self.embedded, settings, keys, now)
            decisions = self.embedded.observer.decisions
        metrics = ProxyMetrics()
        source = _trust(settings, self.embedded)
        gate = Gate(
            Verifier(source, now),
            Challenger(settings.token.realm, settings.token.service, settings.token.redirect_path),
            policy,
            decisions,
            metrics,
            tells_reasons=settings.explain != "off",
        )
        self._upstream = None if settings.upstream is None else make_upstream(settings.upstream)
        found = registry = None
        if self._upstream is not None:
            found = UpstreamState(self._upstream.look, log, metrics)
            registry = RegistryProxy(gate, self._upstream, log, metrics, found)
        app = _app(gate, log, registry)
        self._observe(app, source, found, metrics, log)
        forwarded = ForwardedFields(
            settings.trusted_proxies, rfc7239=settings.rfc7239, ignored=warn_of_ignored(log)
        )
        both: Wsgi = app
        if self.embedded is not None and isinstance(keys, EmbeddedKeys):
            both = _Beside(app, self.embedded.app, keys.server.paths)
        traced = both if self._telemetry is None else self._telemetry.wrap(both)
        self.app = WithRequestInfo(traced, forwarded)
        self.clients = _clients(settings, log, metrics)

    def _observe(
        self,
        app: App,
        source: TrustSource,
        found: UpstreamState | None,
        metrics: ProxyMetrics,
        log: EventLog,
    ) -> None:
        """Serve readiness and metrics, the embedded token server's among them."""
        beside = self.embedded
        ready_beside = metrics_beside = None
        if beside is not None:
            ready_beside = ReadyResource(
                beside.service, beside.keys, lambda: beside.reloader.problem
            ).on_get
            metrics_beside = MetricsResource(beside.service, beside.keys, beside.observer).on_get
        ready = ProxyReadyResource(source, found, ready_beside)
        app.add_route("/readyz", ready)
        app.add_route("/metrics", ProxyMetricsResource(metrics, ready, log, metrics_beside))

    def start(self) -> None:
        """Start the background threads."""
        if self.embedded is not None:
            self.embedded.start()

    def reload(self) -> None:
        """Ask for policy and keys to be loaded again soon; safe in a signal handler."""
        if self.embedded is not None:
            self.embedded.reloader.ask()

    def close(self) -> None:
        """End the background threads."""
        if self.embedded is not None:
            self.embedded.close()
        if self._upstream is not None:
            self._upstream.close()
        if self._telemetry is not None:
            self._telemetry.close()


def _policy(
    embedded: Assembly, settings: ProxySettings, keys: EmbeddedKeys, now: Callable[[], datetime]
) -> ProxyPolicy:
    service = embedded.service
    return ProxyPolicy(
        lambda: service.state.policy,
        settings.token.service,
        filter_catalog=keys.server.filter_catalog,
        now=now,
    )


def _clients(settings: ProxySettings, log: EventLog, metrics: ProxyMetrics) -> Clients:
    bounds = ClientBounds(
        settings.connections.per_client,
        (*settings.trusted_proxies, *settings.connections.exempt),
        body_rate=BODY_RATE,
    )
    rejections = RejectionLog(log, metrics)
    fields = ForwardedFields(settings.trusted_proxies, rfc7239=settings.rfc7239)
    shedding = Shedding[Any](wait_bounds(settings.connections.max_wait), fields, rejections)
    return Clients(bounds, rejections, shedding=shedding)


class _Beside:
    """Two applications on one address: the token server's paths, and the rest."""

    def __init__(self, app: App, token_server: App, paths: tuple[str, ...]) -> None:
        self._app = app
        self._token_server = token_server
        self._paths = frozenset((*paths, WHY_PATH, "/.well-known/jwks.json"))

    def __call__(self, environ: dict[str, Any], start_response: Wsgi) -> Any:  # noqa: ANN401 - WSGI
        """Answer by the application whose path it is (PEP 3333)."""
        # granian tells the decoded path alone.
        target = environ.get("REQUEST_URI", environ["PATH_INFO"])
        mine = target.partition("?")[0] in self._paths
        return (self._token_server if mine else self._app)(environ, start_response)


def _embedded(settings: Settings, log: EventLog, telemetry: OpenTelemetry | None) -> Assembly:
    """Assemble the token server that the proxy runs beside itself."""
    state = load_state(settings)
    tell_of_sessions(settings, state, log)
    return assemble(settings, state, log, telemetry)


def _app(gate: Gate, log: EventLog, registry: RegistryProxy | None) -> App:
    app = falcon.App()
    app.resp_options.default_media_type = None  # type: ignore[assignment]  # an answer without a body has no type
    app.add_error_handler(Exception, _failed)
    app.set_error_serializer(_serialize)
    app.add_route("/healthz", HealthResource())
    if registry is not None:  # this comes first, because the sink that is added last is asked first
        app.add_sink(registry, r"/|\*")
    # Sinks take every method; a route would answer 405 to those it has no responder for.
    app.add_sink(authorize_resource.nginx(gate, log), r"/authorize(?:/nginx)?\Z")
    app.add_sink(authorize_resource.traefik(gate, log), r"/authorize/traefik\Z")
    app.add_sink(
        authorize_resource.EnvoyAuthorization(gate, log),
        authorize_resource.ENVOY_PREFIX + "/",
    )
    return app


def _trust(settings: ProxySettings, embedded: Assembly | None) -> TrustSource:
    token = settings.token
    trust = RegistryTrust(token.issuer, token.service)
    if embedded is not None:
        service = embedded.service
        return registry_trust_source.from_signer(trust, lambda: service.state.signer)
    keys = token.keys
    if isinstance(keys, BundleKeys):
        return registry_trust_source.from_bundle(trust, keys.file)
    if isinstance(keys, FileKeys):
        return registry_trust_source.from_file(trust, keys.file)
    if isinstance(keys, EmbeddedKeys):
        raise TypeError("an embedded token server is assembled before its keys are asked for")
    access = RemoteAccess(ca_file=keys.ca_file, allow_http=keys.allow_http)
    return registry_trust_source.from_uri(trust, JwksUri(keys.uri, access))


def _serialize(request: falcon.Request, response: falcon.Response, error: falcon.HTTPError) -> None:
    message = error.title or "the request cannot be answered"
    info = request_info(request.env)
    response.set_header("X-Request-Id", info.request_id)
    response.text = error_body(error.status_code, message, request_id=info.request_id)
    response.content_type = falcon.MEDIA_JSON


def _failed(
    request: falcon.Request, response: falcon.Response, error: Exception, _: dict[str, Any]
) -> None:
    """Answer when our own code fails: nothing passes, and the client learns no details."""
    if isinstance(error, falcon.HTTPError):
        raise error
    info = request_info(request.env)
    logging.getLogger(__name__).error("the request %s failed", info.request_id, exc_info=error)
    response.status = falcon.HTTP_500
    response.content_type = falcon.MEDIA_JSON
    response.set_header("X-Request-Id", info.request_id)
    message = "the proxy failed; its log says why"
    response.text = error_body(500, message, request_id=info.request_id)
