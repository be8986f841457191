"""
The token server's WSGI application.

What lives here: routes, and the HTTP form of answers (Distribution's docs/spec/auth/token.md and
oauth.md; RFC 9110).  What must not: deciding, signing, fetching.
"""

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import falcon

from regauth.engine.outcomes import Decision, Refusal

from .event_log import EventLog
from .settings import Settings
from .token_request import BadCredentialsError, BadRequestError, TokenRequest, read_get
from .token_service import Issued, TokenService

RETRY_AFTER: Final = 5
"""Seconds after which a client may try again when a provider cannot be reached."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_CODES: Final[Mapping[int, str]] = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NOT_FOUND",
    405: "UNSUPPORTED",
    413: "SIZE_INVALID",
    414: "SIZE_INVALID",
    429: "TOOMANYREQUESTS",
    503: "UNAVAILABLE",
}
_encode = json.JSONEncoder(separators=(",", ":")).encode


def create_app(
    settings: Settings, service: TokenService, log: EventLog
) -> falcon.App[falcon.Request, falcon.Response]:
    """
    Make the application.

    Args:
        settings: The configuration.
        service: Issues the tokens.
        log: Takes one event for each request.
    """
    app = falcon.App(media_type=falcon.MEDIA_JSON, cors_enable=False)
    app.req_options.strip_url_path_trailing_slash = False
    app.set_error_serializer(_serialize_error)
    app.add_error_handler(Exception, _unexpected(log))
    token = TokenResource(settings, service, log)
    for path in settings.paths:
        app.add_route(path, token)
    app.add_route("/healthz", HealthResource())
    return app


class HealthResource:
    """Whether the process answers at all."""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Answer 200."""
        response.text = '{"status":"ok"}'


class TokenResource:
    """The token endpoint."""

    def __init__(self, settings: Settings, service: TokenService, log: EventLog) -> None:
        self._service = service
        self._log = log
        self._verbose = settings.verbose_errors
        self._challenge = f'Basic realm="{settings.realm}", charset="UTF-8"'

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer a token request (docs/spec/auth/token.md)."""
        began = time.perf_counter()
        event = _Event(self._log, request, began)
        response.set_header("Cache-Control", "no-store")
        response.set_header("X-Request-Id", event.request_id)
        try:
            asked = read_get(request.params, request.get_header("Authorization"))
        except BadRequestError as error:
            self._error(response, 400, "bad-request", str(error))
            event.write("bad-request", 400, reason=str(error))
        except BadCredentialsError as error:
            self._error(response, 401, "malformed-credentials", str(error))
            event.write("refused", 401, reason="malformed-credentials")
        else:
            self._answer(asked, response, event)

    def _answer(self, asked: TokenRequest, response: falcon.Response, event: "_Event") -> None:
        outcome = self._service.answer(asked)
        if isinstance(outcome, Refusal):
            status = 503 if outcome.upstream else 401
            message = outcome.message
            if self._verbose and outcome.detail:
                message = f"{message}: {outcome.detail}"
            self._error(response, status, outcome.reason, message)
            event.refused(asked, outcome, status)
            return
        response.text = _reply(outcome)
        event.issued(outcome)

    def _error(self, response: falcon.Response, status: int, reason: str, message: str) -> None:
        response.status = HTTPStatus(status)
        response.text = error_body(status, message, reason)
        if status == HTTPStatus.UNAUTHORIZED:
            response.set_header("WWW-Authenticate", self._challenge)
        elif status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.set_header("Retry-After", str(RETRY_AFTER))


def _reply(issued: Issued) -> str:
    return _encode(
        {
            "token": issued.token,
            "access_token": issued.token,
            "expires_in": int(issued.lifetime.total_seconds()),
            "issued_at": _rfc3339(issued.issued_at),
            "scope": " ".join(map(str, issued.decision.granted)),
        }
    )


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def error_body(status: int, message: str, reason: str = "") -> str:
    """Return an error in Distribution's form, which clients show to people."""
    detail = {"detail": {"reason": reason}} if reason else {}
    code = _CODES.get(status, "UNKNOWN")
    return _encode({"errors": [{"code": code, "message": message, **detail}]})


def _serialize_error(
    _request: falcon.Request, response: falcon.Response, error: falcon.HTTPError
) -> None:
    message = error.description or error.title or "the request cannot be answered"
    if error.status_code == HTTPStatus.NOT_FOUND:
        message = "there is nothing at this address; the token endpoint is /auth/token"
    response.text = error_body(error.status_code, message)
    response.content_type = falcon.MEDIA_JSON


def _unexpected(
    log: EventLog,
) -> Callable[[falcon.Request, falcon.Response, Exception, dict[str, Any]], None]:
    """Return what answers when our own code fails: nothing is granted and nothing is told."""

    def answer(
        request: falcon.Request, response: falcon.Response, error: Exception, _: dict[str, Any]
    ) -> None:
        if isinstance(error, falcon.HTTPError):
            raise error
        logging.getLogger(__name__).error("a request failed", exc_info=error)
        log.event("failed", "error", path=request.path, client=request.remote_addr)
        response.status = HTTPStatus.INTERNAL_SERVER_ERROR
        response.text = error_body(500, "the server failed; its log says why")
        response.set_header("Cache-Control", "no-store")

    return answer


class _Event:
    """The log line of one request."""

    def __init__(self, log: EventLog, request: falcon.Request, began: float) -> None:
        given = request.get_header("X-Request-Id")
        good = given is not None and _REQUEST_ID.fullmatch(given)
        self.request_id = given if given and good else secrets.token_hex(8)
        self._log = log
        self._began = began
        self._client = request.remote_addr
        self._agent = (request.user_agent or "")[:200]

    def write(self, outcome: str, status: int, /, **fields: object) -> None:
        level = "info" if status == HTTPStatus.OK else "warning"
        self._log.event(
            "token",
            level,
            outcome=outcome,
            status=status,
            **fields,
            client=self._client,
            agent=self._agent,
            request_id=self.request_id,
            ms=round((time.perf_counter() - self._began) * 1000, 2),
        )

    def refused(self, asked: TokenRequest, refusal: Refusal, status: int) -> None:
        identity = refusal.identity
        self.write(
            "unavailable" if refusal.upstream else "refused",
            status,
            reason=refusal.reason,
            detail=refusal.detail,
            provider=refusal.provider,
            subject=identity.subject if identity else "",
            service=asked.service,
            asked=[str(scope) for scope in asked.scopes],
        )

    def issued(self, issued: Issued) -> None:
        decision = issued.decision
        identity = decision.identity
        self.write(
            "issued",
            200,
            provider=identity.provider,
            subject=identity.subject or ("anonymous" if identity.anonymous else ""),
            service=decision.service,
            granted=[str(scope) for scope in decision.granted],
            refused=_refused(decision),
            jti=issued.jti,
        )


def _refused(decision: Decision) -> list[str]:
    return [
        f"{verdict.access} {verdict.why}{f' {verdict.source}' if verdict.source else ''}"
        for verdict in decision.verdicts
        if not verdict.allowed
    ]
