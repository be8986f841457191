"""
The token endpoint.

What lives here: the HTTP form of token requests and their answers (Distribution's
docs/spec/auth/token.md and oauth.md; RFC 9110).
Not here: deciding, signing, fetching.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from json.encoder import encode_basestring_ascii as _quote
from typing import Final

import falcon

from regauth.engine import Identity, Reason, Refusal
from regauth.servers.protocol.challenges import basic_challenge
from regauth.servers.protocol.errors import error_body
from regauth.servers.protocol.request_info import RequestInfo, client_of, request_info
from regauth.servers.provider_keys.providers import ProviderKeys

from .answer_cache import AnswerCache, Granted, Question
from .browser_origins import BrowserOrigins
from .observer import Observer
from .rate_limit import RateLimit
from .request import (
    BadCredentialsError,
    BadRequestError,
    TokenRequest,
    UnsupportedGrantError,
    read_get,
    read_post,
)
from .service import Answer, Issued, TokenService

RETRY_AFTER: Final = 5
"""Seconds after which a client may try again when a provider cannot be reached."""

MAX_QUERY: Final = 32 * 1024
"""Characters in a query; a longer one is answered 414."""

MAX_FORM: Final = 64 * 1024
"""Bytes in a form; a larger one is answered 413."""

_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Limits:
    """The rate limits of clients, of failed logins and of identities."""

    client: RateLimit = field(default_factory=lambda: RateLimit(None))
    failures: RateLimit = field(default_factory=lambda: RateLimit(None))
    identity: RateLimit = field(default_factory=lambda: RateLimit(None))


@dataclass(frozen=True, slots=True)
class ResponseStyle:
    """How the endpoint answers: its realm, and whether refusals give details."""

    realm: str = "token-server"
    verbose: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that can be given again."""

    before: str
    """The reply up to the token's lifetime in seconds."""
    after: str
    """The reply after it."""
    logged: str
    """What the event log says of it."""


class TooManyRequestsError(Exception):
    """A client or an identity asks too often; `seconds` says when it may again."""

    def __init__(self, whose: str, seconds: float) -> None:
        super().__init__(f"too many requests of this {whose}; try again later")
        self.reason = f"rate-limit:{whose}"
        self.seconds = seconds


class TokenResource:
    """Answers token requests by GET and POST."""

    def __init__(
        self,
        service: TokenService,
        keys: ProviderKeys,
        observer: Observer,
        style: ResponseStyle,
        limits: Limits,
        origins: BrowserOrigins | None = None,
        answer_cache: float = 5,
    ) -> None:
        def prepare(answer: Answer, issued: Issued) -> Reply:
            before, after = _reply(issued, answer.now)
            return Reply(before, after, observer.prepare(answer, issued))

        self._answers = AnswerCache(service, keys, prepare, answer_cache)
        self._observer = observer
        self._style = style
        self._limits = limits
        self._origins = origins or BrowserOrigins()
        self._challenge = basic_challenge(style.realm)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer a request by GET (docs/spec/auth/token.md)."""
        info = self._begin(request, response)
        if len(request.query_string) > MAX_QUERY:
            self._turn_away(response, info, HTTPStatus.REQUEST_URI_TOO_LONG, "too-long", _TOO_LONG)
            return
        self._respond(request, response, info, None)

    on_head = on_get  # RFC 9110, section 9.3.2; the server leaves the body out

    def on_options(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer a browser's preflight; it carries no credentials and costs nothing."""
        self._origins.preflight(request, response)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer a request by POST (docs/spec/auth/oauth.md)."""
        info = self._begin(request, response)
        body = request.bounded_stream.read(MAX_FORM + 1)
        if len(body) > MAX_FORM:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            self._turn_away(response, info, status, "too-large", _TOO_LARGE)
            return
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        if kind != _FORM:
            message = f"the body must be a form ({_FORM})"
            self._turn_away(response, info, HTTPStatus.BAD_REQUEST, "bad-request", message)
            return
        self._respond(request, response, info, body)

    def _begin(self, request: falcon.Request, response: falcon.Response) -> RequestInfo:
        info = request_info(request.env)
        response.set_header("Cache-Control", "no-store")
        response.set_header("X-Request-Id", info.request_id)
        self._origins.answer(request, response)
        return info

    def _respond(
        self,
        request: falcon.Request,
        response: falcon.Response,
        info: RequestInfo,
        body: bytes | None,
    ) -> None:
        try:
            self._admit(info)
            answered = self._answers.answer(_question(request, body), self._admit_identity)
        except BadRequestError as error:
            self._turn_away(response, info, HTTPStatus.BAD_REQUEST, "bad-request", str(error))
        except UnsupportedGrantError as error:
            self._turn_away(response, info, HTTPStatus.NOT_FOUND, "unsupported-grant", str(error))
        except BadCredentialsError as error:
            self._limits.failures.take(client_of(info.client))
            self._turn_away(
                response, info, HTTPStatus.UNAUTHORIZED, "malformed-credentials", str(error)
            )
        except TooManyRequestsError as error:
            response.set_header("Retry-After", str(math.ceil(error.seconds)))
            self._turn_away(response, info, HTTPStatus.TOO_MANY_REQUESTS, error.reason, str(error))
        else:
            self._answer(answered, response, info)

    def _answer(
        self, answered: Granted[Reply] | Answer, response: falcon.Response, info: RequestInfo
    ) -> None:
        if isinstance(answered, Answer):
            refusal = answered.outcome
            assert isinstance(refusal, Refusal)  # noqa: S101 - `AnswerCache.answer` says so
            status = self._refuse(refusal, response, info)
            self._observer.answered(answered, info, status)
            return
        reply = answered.prepared
        response.text = f"{reply.before}{int(answered.left.total_seconds())}{reply.after}"
        if answered.reused:
            provider = answered.issued.decision.identity.provider
            self._observer.answered_again(answered.answer, provider, reply.logged, info)
        else:
            self._observer.answered(answered.answer, info, HTTPStatus.OK, reply.logged)

    def _admit(self, info: RequestInfo) -> None:
        """Check the client's rates before any work is done for it."""
        client = client_of(info.client)
        seconds = self._limits.failures.take(client, 0) or self._limits.client.take(client)
        if seconds:
            raise TooManyRequestsError("client", seconds)

    def _admit_identity(self, identity: Identity) -> None:
        seconds = 0.0 if identity.anonymous else self._limits.identity.take(str(identity))
        if seconds:
            raise TooManyRequestsError("identity", seconds)

    def _refuse(self, refusal: Refusal, response: falcon.Response, info: RequestInfo) -> HTTPStatus:
        message = refusal.message
        if self._style.verbose and refusal.detail:
            message = f"{message}: {refusal.detail}"
        if refusal.upstream:
            response.set_header("Retry-After", str(RETRY_AFTER))
            status = HTTPStatus.SERVICE_UNAVAILABLE
        else:
            self._limits.failures.take(client_of(info.client))
            # A client that gets 401 asks for other credentials, which would not help here.
            costly = refusal.reason == Reason.TOO_COSTLY
            status = HTTPStatus.FORBIDDEN if costly else HTTPStatus.UNAUTHORIZED
        self._error(response, status, str(refusal.reason), message)
        return status

    def _turn_away(
        self,
        response: falcon.Response,
        info: RequestInfo,
        status: HTTPStatus,
        reason: str,
        message: str,
    ) -> None:
        self._error(response, status, reason, message)
        self._observer.turned_away(_OUTCOMES[status], reason, message, info, status)

    def _error(
        self, response: falcon.Response, status: HTTPStatus, reason: str, message: str
    ) -> None:
        response.status = status
        response.text = error_body(status, message, reason)
        if status == HTTPStatus.UNAUTHORIZED:
            response.set_header("WWW-Authenticate", self._challenge)


def _question(request: falcon.Request, body: bytes | None) -> Question:
    """Return a request as the answer cache knows it; it is read only when it is new."""
    authorization = request.env.get("HTTP_AUTHORIZATION")
    text = request.query_string.encode() if body is None else body

    def read() -> TokenRequest:
        if body is not None:
            return read_post(body, authorization)
        asked = read_get(request.params, authorization)
        # No client would get the token of a session that HEAD begins.
        return replace(asked, offline=False) if request.method == "HEAD" else asked

    return Question(Question.name_of(request.method, authorization, text), read)


def _reply(issued: Issued, issued_at: datetime) -> tuple[str, str]:
    """
    Return the reply before and after the seconds that its token is good for.

    It is written by hand because every request passes here; a token is base64url and needs no
    escaping.
    """
    token, moment = issued.token, issued_at.isoformat(timespec="seconds")[:19]
    scope = _quote(" ".join(map(str, issued.decision.granted)))
    refresh = f',"refresh_token":{_quote(issued.refresh_token)}' if issued.refresh_token else ""
    return (
        f'{{"token":"{token}","access_token":"{token}","expires_in":',
        f',"issued_at":"{moment}Z","scope":{scope}{refresh}}}',
    )


_TOO_LONG: Final = f"the query is longer than {MAX_QUERY} characters; send the request by POST"
_TOO_LARGE: Final = f"the form is larger than {MAX_FORM} bytes"
_OUTCOMES: Final = {
    HTTPStatus.BAD_REQUEST: "bad-request",
    HTTPStatus.NOT_FOUND: "bad-request",
    HTTPStatus.REQUEST_URI_TOO_LONG: "bad-request",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "bad-request",
    HTTPStatus.UNAUTHORIZED: "refused",
    HTTPStatus.TOO_MANY_REQUESTS: "limited",
}
