"""
The token server's WSGI application.

What lives here: routes, and answers to what no route takes.
Not here: the token protocol (`regauth.servers.token.resource`).
"""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import falcon

from regauth.engine.explaining.disclosure import Level
from regauth.servers.configuration.settings import WHY_PATH, Settings
from regauth.servers.protocol.errors import error_body
from regauth.servers.protocol.request_info import request_info
from regauth.servers.provider_keys.providers import ProviderKeys
from regauth.servers.telemetry.metrics import CONTENT_TYPE

from .browser_origins import BrowserOrigins
from .observer import Observer
from .rate_limit import RateLimit
from .refusals import Limits, Refusals, ResponseStyle
from .resource import TokenResource
from .service import TokenService
from .why import WhyResource

App = falcon.App[falcon.Request, falcon.Response]


def create_app(
    settings: Settings,
    service: TokenService,
    keys: ProviderKeys,
    observer: Observer,
    reload_problem: Callable[[], str] = lambda: "",
) -> App:
    """
    Make the application.  Its host puts `request_info` into each request's environment.

    Args:
        settings: The configuration.
        service: Issues the tokens.
        keys: The providers' keys, for readiness.
        observer: Is told of each request.
        reload_problem: Tells why changed files are not served, for readiness.
    """
    app = falcon.App(media_type=falcon.MEDIA_JSON)
    app.set_error_serializer(_serialize_error)
    app.add_error_handler(Exception, _unexpected(observer))
    style = ResponseStyle(settings.realm, settings.verbose_errors)
    limits = Limits(
        RateLimit(settings.rates.client),
        RateLimit(settings.rates.failures),
        RateLimit(settings.rates.identity),
    )
    refusals = Refusals(style, limits, BrowserOrigins(settings.browser_origins))
    token = TokenResource(service, keys, observer, refusals, settings.answer_cache)
    for path in settings.paths:
        app.add_route(path, token)
    if settings.explain != "off":
        app.add_route(WHY_PATH, WhyResource(service, observer, refusals, Level(settings.explain)))
    app.add_route("/healthz", HealthResource())
    app.add_route("/readyz", ReadyResource(service, keys, reload_problem))
    app.add_route("/metrics", MetricsResource(service, keys, observer))
    app.add_route("/.well-known/jwks.json", KeysResource(service))
    return app


class HealthResource:
    """Whether the process answers at all."""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Answer 200."""
        response.text = '{"status":"ok"}'

    on_head = on_get  # load balancers use HEAD too


class ReadyResource:
    """
    Whether every provider's tokens can be verified.

    Answers 503 only when none can: a provider that is down must not take the server away from the
    others' users.  It answers 503 too when the certificates in the tokens have expired, because
    registries then refuse every token.
    """

    def __init__(
        self, service: TokenService, keys: ProviderKeys, reload_problem: Callable[[], str]
    ) -> None:
        self._service = service
        self._keys = keys
        self._reload_problem = reload_problem

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Answer with the state of each provider's keys, of the certificate and of reloading."""
        state = self._service.state
        found = self._keys.states(state.policy)
        usable = [one.usable for one in found.values()]
        expires = state.signer.expires
        expired = expires is not None and self._service.now() >= expires
        ready = (any(usable) or not usable) and not expired
        providers = {
            name: {
                "usable": one.usable,
                **({"age": round(one.age)} if one.age is not None else {}),
                **({"problem": one.problem} if one.problem else {}),
            }
            for name, one in found.items()
        }
        problem = self._reload_problem()
        well = all(usable) and not problem
        status = "ready" if well else "degraded" if ready else "unavailable"
        response.status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        response.set_header("Cache-Control", "no-store")
        response.text = json.dumps(
            {
                "status": status,
                "policy": state.policy.hash,
                "providers": providers,
                **({"certificateExpires": expires.isoformat()} if expires else {}),
                **({"reloadRefused": problem} if problem else {}),
            }
        )

    on_head = on_get


class MetricsResource:
    """The metrics, for Prometheus."""

    def __init__(self, service: TokenService, keys: ProviderKeys, observer: Observer) -> None:
        self._service = service
        self._keys = keys
        self._observer = observer

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Answer with all processes' metrics."""
        metrics = self._observer.metrics
        if metrics is None:
            raise falcon.HTTPNotFound
        metrics.keys(self._keys.states(self._service.state.policy))
        decisions = self._observer.decisions
        metrics.dropped(self._observer.log.dropped + (decisions.dropped if decisions else 0))
        response.data = metrics.page()
        response.content_type = CONTENT_TYPE


class KeysResource:
    """The public keys that tokens are signed with (RFC 7517, section 5)."""

    def __init__(self, service: TokenService) -> None:
        self._service = service

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Answer with the current key and those before it."""
        response.set_header("Cache-Control", "public, max-age=300")
        response.content_type = "application/jwk-set+json"
        response.text = json.dumps(self._service.state.signer.jwks())


def _serialize_error(
    request: falcon.Request, response: falcon.Response, error: falcon.HTTPError
) -> None:
    message = error.description or error.title or "the request cannot be answered"
    if error.status_code == HTTPStatus.NOT_FOUND:
        message = "there is nothing at this address; the token endpoint is /auth/token"
    info = request_info(request.env)
    response.set_header("X-Request-Id", info.request_id)
    response.text = error_body(error.status_code, message, request_id=info.request_id)
    response.content_type = falcon.MEDIA_JSON


def _unexpected(
    observer: Observer,
) -> Callable[[falcon.Request, falcon.Response, Exception, dict[str, Any]], None]:
    """Return the handler for a failure of our own code: it grants nothing and tells no details."""

    def answer(
        request: falcon.Request, response: falcon.Response, error: Exception, _: dict[str, Any]
    ) -> None:
        if isinstance(error, falcon.HTTPError):
            raise error
        logging.getLogger(__name__).error("a request failed", exc_info=error)
        info = request_info(request.env)
        observer.log.event(
            "failed",
            "error",
            path=request.path[:500],
            client=request.remote_addr,
            request_id=info.request_id,
        )
        response.status = HTTPStatus.INTERNAL_SERVER_ERROR
        response.set_header("X-Request-Id", info.request_id)
        message = "the server failed; its log says why"
        response.text = error_body(500, message, request_id=info.request_id)
        response.set_header("Cache-Control", "no-store")

    return answer
