"""
The proxy: a request that was let through, to the registry and back.

What lives here: what passes in which direction, and what a client is told when the registry fails.
Not here: the decision (`regauth.servers.proxy.gate`), which headers pass (`headers`), and
connections (`upstream.registry`).
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from typing import Any, Final

import falcon

from regauth.servers.http_client.origins import origin_of
from regauth.servers.http_client.pool import UpstreamAnswer, UpstreamError
from regauth.servers.protocol.errors import ErrorCode, error_body
from regauth.servers.protocol.request_info import RequestInfo, request_info
from regauth.servers.protocol.routes import Route, RouteFault
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.upstream.credentials import UpstreamRefusedError
from regauth.servers.upstream.docker_login import CredentialsError
from regauth.servers.upstream.registry import Body, Upstream

from .catalog import Page, read_catalog
from .gate import API_VERSION, Admitted, Gate, RawRequest, TurnedAway
from .headers import client_headers, upstream_headers
from .measures import ProxyMetrics
from .new_tags import NewTags
from .readiness import UpstreamState

_BODIES: Final = frozenset(("POST", "PUT", "PATCH"))
_NO_BODY: Final = frozenset((HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED))


@dataclass(frozen=True, slots=True)
class _Passing:
    """One request on its way, for the log."""

    info: RequestInfo
    route: Route
    subject: str
    status: int


class RegistryProxy:
    """
    Answers every request to the registry.

    Args:
        gate: Decides.
        upstream: The registry.
        log: Is told of each request.
        metrics: Count each request.
        state: Learns whether the registry answers.
    """

    def __init__(
        self,
        gate: Gate,
        upstream: Upstream,
        log: EventLog,
        metrics: ProxyMetrics,
        state: UpstreamState,
    ) -> None:
        self._gate = gate
        self._upstream = upstream
        self._new_tags = NewTags(upstream)
        self._log = log
        self._metrics = metrics
        self._state = state

    def __call__(self, req: falcon.Request, resp: falcon.Response, **_: object) -> None:
        """Answer a request."""
        environ = req.env
        info = request_info(environ)
        resp.set_header("X-Request-Id", info.request_id)
        asked = RawRequest(
            environ["REQUEST_METHOD"],
            environ.get("REQUEST_URI", ""),
            environ.get("CONTENT_TYPE", ""),
            environ.get("HTTP_AUTHORIZATION", ""),
            info.origin,
            info.origin_fault,
            info.address,
        )
        # The decision comes before the upstream is asked for anything, a token included; but for
        # a push that the policy allows if the tag is new.  Its lock is held until `_pass` returns,
        # which is when the upstream has answered.
        with self._new_tags.establishing() as establish:
            outcome = self._gate.decide(asked, establish)
            self._gate.record(outcome, info, "proxy")
            if isinstance(outcome, Admitted) and info.origin is None:
                outcome = asked.no_origin
            if isinstance(outcome, TurnedAway):
                self._turn_away(asked, outcome, resp, info)
                return
            self._pass(outcome, info.origin or "", req, resp, info)

    def _turn_away(
        self, asked: RawRequest, outcome: TurnedAway, response: falcon.Response, info: RequestInfo
    ) -> None:
        self._metrics.answered("", asked.method, outcome.status)
        response.status = outcome.status
        response.set_headers(list(outcome.headers))
        response.content_type = falcon.MEDIA_JSON
        response.text = outcome.body(info.request_id)
        self._log.event(
            "turned-away",
            request_id=info.request_id,
            client=info.client,
            method=asked.method[:20],
            target=asked.target[:500],
            status=outcome.status,
            reason=outcome.reason,
        )

    def _pass(
        self,
        admitted: Admitted,
        public: str,
        request: falcon.Request,
        response: falcon.Response,
        info: RequestInfo,
    ) -> None:
        route = admitted.route
        headers, body = upstream_headers(request.env, info), _body(request.env, route)
        if body is not None:
            self._metrics.passed("in", body.length)
        self._metrics.began()
        began = time.perf_counter()
        answer: UpstreamAnswer | None = None
        try:
            if admitted.visible is not None:
                page = read_catalog(self._upstream, route, headers, admitted.visible, public)
                self._give_page(page, admitted, response, info)
                return
            answer = self._upstream.send(route, headers, body)
            self._metrics.upstream_answered(time.perf_counter() - began)
            self._state.answered()
            rewritten = self._rewritten(answer, route, public, info)
            chunks = _begun(route, answer)
        except (UpstreamError, UpstreamRefusedError, CredentialsError) as error:
            if answer is not None:
                answer.close()
            # A refused login does not make the upstream unavailable, so readiness does not change
            # for it.
            elif isinstance(error, UpstreamError):
                self._state.failed(str(error))
            self._fail(error, route, response, info)
            return
        passing = _Passing(info, route, admitted.token.subject, answer.status)
        self._give_answer(answer, rewritten, chunks, passing, response)

    def _give_answer(
        self,
        answer: UpstreamAnswer,
        rewritten: Iterable[tuple[str, str]],
        chunks: Iterator[bytes],
        passing: _Passing,
        response: falcon.Response,
    ) -> None:
        """Answer with the upstream's status, headers and body."""
        response.status = answer.status
        for name, value in (*client_headers(answer.headers), *rewritten):
            response.append_header(name, value)
        if not _has_body(passing.route, answer):
            answer.close()
            self._tell(passing, 0)
            return
        response.stream = self._stream(answer, chunks, passing)

    def _give_page(
        self,
        page: Page | RouteFault,
        admitted: Admitted,
        response: falcon.Response,
        info: RequestInfo,
    ) -> None:
        """Answer with a page of the filtered catalog, or what is wrong with the request for it."""
        response.content_type = falcon.MEDIA_JSON
        response.set_header(*API_VERSION)
        status = 200
        if isinstance(page, RouteFault):
            status = page.status
            response.text = error_body(
                page.status, page.message, code=page.code, request_id=info.request_id
            )
        else:
            response.data = page.body
            if page.link:
                response.set_header("Link", page.link)
        response.status = status
        size = len(page.body) if isinstance(page, Page) and admitted.route.method == "GET" else 0
        self._tell(_Passing(info, admitted.route, admitted.token.subject, status), size)

    def _rewritten(
        self, answer: UpstreamAnswer, route: Route, public: str, info: RequestInfo
    ) -> list[tuple[str, str]]:
        found = []
        location, link = answer.header("Location"), answer.header("Link")
        if location is not None:
            redirect = answer.status // 100 == 3  # noqa: PLR2004 - the class of redirects
            to = self._upstream.location(location, route, public, redirect=redirect)
            found.append(("Location", to))
            if not redirect and not to.startswith(f"{public}/"):
                self._tell_of_elsewhere("Location", to, route, info)
        if link is not None:
            to = self._upstream.link(link, route, public)
            found.append(("Link", to))
            if not to.startswith("</"):
                self._tell_of_elsewhere("Link", to.lstrip("<"), route, info)
        return found

    def _tell_of_elsewhere(self, field: str, to: str, route: Route, info: RequestInfo) -> None:
        """Log that a client is redirected, without the query, which may be a credential."""
        origin = origin_of(to.partition(">")[0])
        self._log.event(
            "leads-elsewhere",
            "warning",
            request_id=info.request_id,
            client=info.client,
            method=route.method,
            path=route.path,
            field=field,
            host="" if origin is None else f"{origin.scheme}://{origin.host}:{origin.port}",
        )

    def _stream(
        self, answer: UpstreamAnswer, chunks: Iterator[bytes], passing: _Passing
    ) -> Iterator[bytes]:
        """Pass the body on.  When the client goes away, the upstream's sending ends too."""
        passed, broken = 0, ""
        try:
            for chunk in chunks:
                passed += len(chunk)
                yield chunk
        except UpstreamError as error:
            broken = str(error)
            self._metrics.upstream_failed("broken-off")
            raise  # the connection then ends before the announced length, and the client notices
        except GeneratorExit:
            broken = "the client went away"
            raise
        finally:
            answer.close()
            self._tell(passing, passed, broken)

    def _tell(self, passing: _Passing, passed: int, broken: str = "") -> None:
        self._metrics.ended()
        self._metrics.passed("out", passed)
        self._metrics.answered(passing.route.kind, passing.route.method, passing.status)
        self._log.event(
            "broken-off" if broken else "passed",
            "warning" if broken else "info",
            request_id=passing.info.request_id,
            client=passing.info.client,
            agent=passing.info.agent,
            subject=passing.subject,
            method=passing.route.method,
            path=passing.route.path,
            status=passing.status,
            bytes=passed,
            milliseconds=passing.info.milliseconds(),
            reason=broken,
        )

    def _fail(
        self,
        error: UpstreamError | UpstreamRefusedError | CredentialsError,
        route: Route,
        response: falcon.Response,
        info: RequestInfo,
    ) -> None:
        """Answer 504 for an upstream that is late and 502 for anything else that is its fault."""
        late = isinstance(error, UpstreamError) and error.late
        status = HTTPStatus.GATEWAY_TIMEOUT if late else HTTPStatus.BAD_GATEWAY
        message = "the upstream registry did not answer in time"
        if not late:
            message = "the upstream registry cannot be used; the proxy's log says why"
        self._metrics.ended()
        self._metrics.answered(route.kind, route.method, int(status))
        refused = isinstance(error, UpstreamRefusedError | CredentialsError)
        self._metrics.upstream_failed("late" if late else "refused" if refused else "unusable")
        outcome = TurnedAway(status, ErrorCode.UNAVAILABLE, message, str(error))
        response.status = status
        response.content_type = falcon.MEDIA_JSON
        response.text = outcome.body(info.request_id)
        self._log.event(
            "upstream-failed",
            "error",
            request_id=info.request_id,
            client=info.client,
            method=route.method,
            path=route.path,
            status=int(status),
            reason=str(error),
        )


def _body(environ: dict[str, Any], route: Route) -> Body | None:
    if route.method not in _BODIES:
        return None
    return Body(environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0))


def _has_body(route: Route, answer: UpstreamAnswer) -> bool:
    return route.method != "HEAD" and answer.status not in _NO_BODY


def _begun(route: Route, answer: UpstreamAnswer) -> Iterator[bytes]:
    """
    Return an answer's body, of which the first bytes have come.

    If the answer breaks off at once, the client can still be told that the upstream failed.

    Raises:
        UpstreamError: It breaks off at once.
    """
    chunks = answer.chunks()
    first = next(chunks, b"") if _has_body(route, answer) else b""
    return chain((first,), chunks)
