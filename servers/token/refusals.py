"""
Requests that get no answer: rate limits, and errors in the form that clients know.

What lives here: what the token endpoint and `/auth/why` share: whom they turn away, and how.  So
the bound of a form is here too.  Not here: what a request says (`request`), and deciding it
(`service`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import falcon

from regauth.engine import Identity, Reason, Refusal
from regauth.servers.protocol.challenges import basic_challenge
from regauth.servers.protocol.errors import error_body
from regauth.servers.protocol.request_info import RequestInfo, client_of, request_info

from .browser_origins import BrowserOrigins
from .rate_limit import RateLimit
from .request import BadCredentialsError, BadRequestError, UnsupportedGrantError

RETRY_AFTER: Final = 5
"""Seconds after which a client may try again when a provider cannot be reached."""

MAX_FORM: Final = 64 * 1024
"""Bytes in a form; a larger one is answered 413."""

_FORM: Final = "application/x-www-form-urlencoded"
_TOO_LARGE: Final = f"the form is larger than {MAX_FORM} bytes"
_OUTCOMES: Final = {
    HTTPStatus.BAD_REQUEST: "bad-request",
    HTTPStatus.NOT_FOUND: "bad-request",
    HTTPStatus.REQUEST_URI_TOO_LONG: "bad-request",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "bad-request",
    HTTPStatus.UNAUTHORIZED: "refused",
    HTTPStatus.TOO_MANY_REQUESTS: "limited",
}

Tell = Callable[[str, str, str, RequestInfo, int], None]
"""Is told what became of a request that was turned away: outcome, reason, detail, and whose."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The rate limits of clients, of failed logins and of identities."""

    client: RateLimit = field(default_factory=lambda: RateLimit(None))
    failures: RateLimit = field(default_factory=lambda: RateLimit(None))
    identity: RateLimit = field(default_factory=lambda: RateLimit(None))

    @property
    def of_clients(self) -> bool:
        """Whether a client can be over any limit."""
        return self.client.on or self.failures.on


@dataclass(frozen=True, slots=True)
class ResponseStyle:
    """How the endpoint answers: its realm, and whether refusals give details."""

    realm: str = "token-server"
    verbose: bool = False


class TooManyRequestsError(Exception):
    """A client or an identity asks too often; `seconds` says when it may again."""

    def __init__(self, whose: str, seconds: float) -> None:
        super().__init__(f"too many requests of this {whose}; try again later")
        self.reason = f"rate-limit:{whose}"
        self.seconds = seconds


TurnedAwayError = (
    BadRequestError | UnsupportedGrantError | BadCredentialsError | TooManyRequestsError
)
TURNED_AWAY: Final = (
    BadRequestError,
    UnsupportedGrantError,
    BadCredentialsError,
    TooManyRequestsError,
)
"""What an endpoint catches, and answers by `Refusals.turn_away_for`."""


class Refusals:
    """
    Turns requests away.  The endpoints share one, so that both count against the same limits.

    Args:
        style: How refusals are worded.
        limits: How often one may ask.
        origins: The pages that may ask from a browser.
    """

    def __init__(
        self, style: ResponseStyle, limits: Limits, origins: BrowserOrigins | None = None
    ) -> None:
        self._style = style
        self._limits = limits
        self.origins = origins or BrowserOrigins()
        self._challenge = basic_challenge(style.realm)

    def begin(self, request: falcon.Request, response: falcon.Response) -> RequestInfo:
        """Set what every answer has, and return whose request it is."""
        info = request_info(request.env)
        # No cache may keep a token (RFC 6749, section 5.1).
        response.set_header("Cache-Control", "no-store")
        response.set_header("X-Request-Id", info.request_id)
        self.origins.answer(request, response)
        return info

    def read_form(
        self, request: falcon.Request, response: falcon.Response, info: RequestInfo, tell: Tell
    ) -> bytes | None:
        """Return the form that a request sends, or turn it away and return None."""
        body = request.bounded_stream.read(MAX_FORM + 1)
        if len(body) > MAX_FORM:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            self.turn_away(response, info, status, ("too-large", _TOO_LARGE), tell)
            return None
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        if kind != _FORM:
            said = ("bad-request", f"the body must be a form ({_FORM})")
            self.turn_away(response, info, HTTPStatus.BAD_REQUEST, said, tell)
            return None
        return body

    def turn_away_for(
        self, error: TurnedAwayError, response: falcon.Response, info: RequestInfo, tell: Tell
    ) -> None:
        """Answer a request by the error that reading it or admitting it raised."""
        match error:
            case BadRequestError():
                status, reason = HTTPStatus.BAD_REQUEST, "bad-request"
            case UnsupportedGrantError():
                status, reason = HTTPStatus.NOT_FOUND, "unsupported-grant"
            case BadCredentialsError():
                # It counts like a login that fails, so that no form of guessing is free.
                self._limits.failures.take(client_of(info.client))
                status, reason = HTTPStatus.UNAUTHORIZED, "malformed-credentials"
            case TooManyRequestsError():
                response.set_header("Retry-After", str(math.ceil(error.seconds)))
                status, reason = HTTPStatus.TOO_MANY_REQUESTS, error.reason
        self.turn_away(response, info, status, (reason, str(error)), tell)

    def admit(self, info: RequestInfo) -> None:
        """
        Check the client's rates, before any work is done for it.

        Raises:
            TooManyRequestsError: It asks too often.
        """
        if self._limits.of_clients:
            self._admit(client_of(info.client))

    def _admit(self, client: str) -> None:
        seconds = self._limits.failures.take(client, 0) or self._limits.client.take(client)
        if seconds:
            raise TooManyRequestsError("client", seconds)

    def admit_identity(self, identity: Identity) -> None:
        """
        Check an identity's rate.

        Raises:
            TooManyRequestsError: It asks too often.
        """
        if identity.anonymous or not self._limits.identity.on:
            return
        seconds = self._limits.identity.take(str(identity))
        if seconds:
            raise TooManyRequestsError("identity", seconds)

    def refuse(self, refusal: Refusal, response: falcon.Response, info: RequestInfo) -> HTTPStatus:
        """Answer a request whose login is refused as a whole, and return the status."""
        message = refusal.message
        if self._style.verbose and refusal.detail:
            message = f"{message}: {refusal.detail}"
        if refusal.upstream:  # the provider failed, so the client's failures do not count it
            response.set_header("Retry-After", str(RETRY_AFTER))
            status = HTTPStatus.SERVICE_UNAVAILABLE
        else:
            self._limits.failures.take(client_of(info.client))
            # A client that gets 401 asks for other credentials, which would not help here.
            costly = refusal.reason == Reason.TOO_COSTLY
            status = HTTPStatus.FORBIDDEN if costly else HTTPStatus.UNAUTHORIZED
        self._error(response, info, status, (str(refusal.reason), message))
        return status

    def turn_away(
        self,
        response: falcon.Response,
        info: RequestInfo,
        status: HTTPStatus,
        said: tuple[str, str],
        tell: Tell,
    ) -> None:
        """Answer a request that never came to the service; `said` is its reason and message."""
        self._error(response, info, status, said)
        tell(_OUTCOMES[status], *said, info, status)

    def _error(
        self,
        response: falcon.Response,
        info: RequestInfo,
        status: HTTPStatus,
        said: tuple[str, str],
    ) -> None:
        reason, message = said
        response.status = status
        response.text = error_body(status, message, reason, request_id=info.request_id)
        if status == HTTPStatus.UNAUTHORIZED:  # which needs a challenge (RFC 9110, section 15.5.2)
            response.set_header("WWW-Authenticate", self._challenge)
