"""
The token endpoint.

What lives here: the HTTP form of token requests and their answers (Distribution's
docs/spec/auth/token.md and oauth.md; RFC 9110).
Not here: deciding and signing (`service`), fetching keys (`provider_keys`), and whom both endpoints
turn away (`refusals`).
"""

from datetime import datetime
from http import HTTPStatus
from json.encoder import encode_basestring_ascii as _quote
from typing import Final

import falcon
from msgspec import Struct
from msgspec.structs import replace

from regauth.engine import Refusal
from regauth.servers.protocol.request_info import RequestInfo
from regauth.servers.protocol.times import whole_seconds
from regauth.servers.provider_keys.providers import ProviderKeys

from .answer_cache import AnswerCache, CacheQuestion, Granted
from .observer import Observer
from .refusals import TURNED_AWAY, Refusals
from .request import TokenRequest, read_get, read_post
from .service import Issued, TokenAnswer, TokenService

MAX_QUERY: Final = 32 * 1024
"""Characters in a query; a longer one is answered 414."""


class Reply(Struct, frozen=True):
    """A reply that can be given again."""

    before: str
    """The reply up to the token's lifetime in seconds."""
    after: str
    """The reply after it."""
    logged: str
    """What the event log says of it."""


class TokenResource:
    """Answers token requests by GET and POST."""

    def __init__(
        self,
        service: TokenService,
        keys: ProviderKeys,
        observer: Observer,
        refusals: Refusals,
        answer_cache: float = 5,
    ) -> None:
        def prepare(answer: TokenAnswer, issued: Issued) -> Reply:
            before, after = _reply(issued, answer.now)
            return Reply(before, after, observer.prepare(answer, issued))

        self._answers = AnswerCache(service, keys, prepare, answer_cache)
        self._observer = observer
        self._refusals = refusals

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer a request by GET (docs/spec/auth/token.md)."""
        info = self._refusals.begin(request, response)
        if len(request.query_string) > MAX_QUERY:
            status, said = HTTPStatus.REQUEST_URI_TOO_LONG, ("too-long", _TOO_LONG)
            self._refusals.turn_away(response, info, status, said, self._observer.turned_away)
            return
        self._respond(request, response, info, None)

    on_head = on_get  # RFC 9110, section 9.3.2; the server leaves the body out

    def on_options(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer a browser's preflight; it carries no credentials and costs nothing."""
        self._refusals.origins.preflight(request, response)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer a request by POST (docs/spec/auth/oauth.md)."""
        info = self._refusals.begin(request, response)
        body = self._refusals.read_form(request, response, info, self._observer.turned_away)
        if body is not None:
            self._respond(request, response, info, body)

    def _respond(
        self,
        request: falcon.Request,
        response: falcon.Response,
        info: RequestInfo,
        body: bytes | None,
    ) -> None:
        refusals = self._refusals
        try:
            # The rate comes before the cache and the login: a client over its limit must cost as
            # little as possible.
            refusals.admit(info)
            question = _question(request, body, info, named=self._answers.on)
            answered = self._answers.answer(question, refusals.admit_identity)
        except TURNED_AWAY as error:
            refusals.turn_away_for(error, response, info, self._observer.turned_away)
            return
        self._answer(answered, response, info)

    def _answer(
        self, answered: Granted[Reply] | TokenAnswer, response: falcon.Response, info: RequestInfo
    ) -> None:
        if isinstance(answered, TokenAnswer):
            refusal = answered.outcome
            assert isinstance(refusal, Refusal)  # noqa: S101 - `AnswerCache.answer` says so
            status = self._refusals.refuse(refusal, response, info)
            self._observer.answered(answered, info, status)
            return
        reply = answered.prepared
        response.text = f"{reply.before}{int(answered.left.total_seconds())}{reply.after}"
        if answered.reused:
            decision = answered.issued.decision
            self._observer.answered_again(answered.answer, decision, reply.logged, info)
        else:
            self._observer.answered(answered.answer, info, HTTPStatus.OK, reply.logged)


def _question(
    request: falcon.Request, body: bytes | None, info: RequestInfo, *, named: bool
) -> CacheQuestion:
    """Return a request as the answer cache knows it; it is read only when it is new."""
    authorization, address = request.env.get("HTTP_AUTHORIZATION"), info.address

    def read() -> TokenRequest:
        if body is not None:
            return read_post(body, authorization, address)
        asked = read_get(request.params, authorization, address)
        # No client would get the token of a session that HEAD begins.
        return replace(asked, offline=False) if request.method == "HEAD" else asked

    if not named:
        return CacheQuestion(b"", read)
    text = request.query_string.encode() if body is None else body
    client = "" if address is None else info.client  # it is the same, and written already
    return CacheQuestion(CacheQuestion.name_of(request.method, authorization, text, client), read)


def _reply(issued: Issued, issued_at: datetime) -> tuple[str, str]:
    """
    Return the reply before and after the seconds that its token is good for.

    It is written by hand because every request passes here; a token is base64url and needs no
    escaping.
    """
    token, moment = issued.token, whole_seconds(issued_at)
    scope = _quote(" ".join(issued.decision.granted_texts))
    refresh = f',"refresh_token":{_quote(issued.refresh_token)}' if issued.refresh_token else ""
    return (
        f'{{"token":"{token}","access_token":"{token}","expires_in":',
        f',"issued_at":"{moment}Z","scope":{scope}{refresh}}}',
    )


_TOO_LONG: Final = f"the query is longer than {MAX_QUERY} characters; send the request by POST"
