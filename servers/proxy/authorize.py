"""
`/authorize`: the decision about one request, for gateways that move the bytes themselves.

What lives here: how nginx (`auth_request`), Traefik (`forwardAuth`) and Envoy (`ext_authz`, HTTP)
say what they were asked, and answers that they understand: 204 or 200, 401 with the challenge, 403,
and nothing else, because nginx makes an error 500 of it.  Not here: the decision (`gate`).

Each gateway has its own address.  So no header of a client can stand in for a header of the
gateway.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import falcon

from regauth.servers.protocol.errors import ErrorCode
from regauth.servers.protocol.request_info import RequestInfo, request_info
from regauth.servers.telemetry.event_log import EventLog

from .gate import Admitted, Gate, RawRequest, TurnedAway

ENVOY_PREFIX: Final = "/authorize/envoy"
"""Envoy's `path_prefix`: the path that it was asked for comes after it."""


class AuthorizeResource:
    """
    Decides for a gateway that says the request in headers.

    Args:
        gate: Decides.
        log: Is told of each decision.
        method: The header with the method, as WSGI names it.
        target: The header with the target.
        host: The header with the host that the client asked.
    """

    def __init__(
        self,
        gate: Gate,
        log: EventLog,
        *,
        method: str,
        target: str,
        host: str,
    ) -> None:
        self._gate = gate
        self._log = log
        self._method = method
        self._target = target
        self._host = host

    def __call__(self, req: falcon.Request, resp: falcon.Response, **_: object) -> None:
        """
        Answer for the request that the headers describe.

        The method of the gateway's own request does not count: some gateways keep the client's
        method, others always ask by GET.
        """
        environ = req.env
        method, target = environ.get(self._method, ""), environ.get(self._target, "")
        host = self._host if environ.get(self._host) else "HTTP_HOST"
        name = host.removeprefix("HTTP_").replace("_", "-").title()
        info = request_info(environ).at_host(environ.get(host, ""), name)
        asked = _asked(method, target, environ, info)
        answer(self._gate, self._log, asked, (info, resp, HTTPStatus.NO_CONTENT))


class EnvoyAuthorization:
    """Decides for Envoy, which sends the client's method, path and headers as they are."""

    def __init__(self, gate: Gate, log: EventLog) -> None:
        self._gate = gate
        self._log = log

    def __call__(self, req: falcon.Request, resp: falcon.Response, **_: object) -> None:
        """Answer for the request itself, without the prefix of its path."""
        environ = req.env
        # granian tells the decoded path alone.  An empty target is none of the registry's, and is
        # refused.
        target = str(environ.get("REQUEST_URI", "")).removeprefix(ENVOY_PREFIX)
        info = request_info(environ)
        asked = _asked(req.method, target, environ, info)
        answer(self._gate, self._log, asked, (info, resp, HTTPStatus.OK))


def nginx(gate: Gate, log: EventLog) -> AuthorizeResource:
    """Return the resource for `auth_request`, with the headers of `deploy/nginx`."""
    return AuthorizeResource(
        gate,
        log,
        method="HTTP_X_ORIGINAL_METHOD",
        target="HTTP_X_ORIGINAL_URI",
        host="HTTP_X_ORIGINAL_HOST",
    )


def traefik(gate: Gate, log: EventLog) -> AuthorizeResource:
    """Return the resource for `forwardAuth`."""
    return AuthorizeResource(
        gate,
        log,
        method="HTTP_X_FORWARDED_METHOD",
        target="HTTP_X_FORWARDED_URI",
        host="HTTP_X_FORWARDED_HOST",
    )


def _asked(
    method: str, target: str, environ: Mapping[str, object], info: RequestInfo
) -> RawRequest:
    return RawRequest(
        method,
        target,
        str(environ.get("CONTENT_TYPE", "")),
        str(environ.get("HTTP_AUTHORIZATION", "")),
        info.origin,
        info.origin_fault,
        info.address,
    )


def answer(
    gate: Gate,
    log: EventLog,
    asked: RawRequest,
    reply: tuple[RequestInfo, falcon.Response, HTTPStatus],
) -> None:
    """Decide, and answer with the statuses that every gateway understands."""
    info, response, good = reply
    outcome = gate.decide(asked)
    if isinstance(outcome, Admitted) and (undecided := _undecided(outcome)):
        outcome = TurnedAway(403, ErrorCode.DENIED, undecided, "undecided")
    gate.record(outcome, info, "gateway")
    response.set_header("Cache-Control", "no-store")
    response.set_header("X-Request-Id", info.request_id)
    if isinstance(outcome, Admitted):
        status, reason, subject = int(good), "", outcome.token.subject
    else:
        status = 401 if outcome.status == HTTPStatus.UNAUTHORIZED else 403
        reason, subject = outcome.reason, ""
        response.set_header("X-Reason", _word(outcome.reason))
        response.text = outcome.body(info.request_id)
        if status == HTTPStatus.UNAUTHORIZED:
            response.set_headers(list(outcome.headers))
    response.status = status
    log.event(
        "authorized" if not reason else "turned-away",
        request_id=info.request_id,
        client=info.client,
        method=asked.method[:20],
        target=asked.target[:500],
        status=status,
        reason=reason,
        subject=subject,
    )


def _undecided(admitted: Admitted) -> str:
    """Say why a gateway cannot pass a request on as it is, though the proxy can."""
    if admitted.visible is not None:
        return "the catalog is filtered, which a gateway cannot do"
    return admitted.route.undecided


def _word(reason: str) -> str:
    return reason.partition(":")[0]
