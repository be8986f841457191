"""
The decision about one request to a registry: let it through, or refuse it with an answer.

What lives here: what is asked (`protocol.routes`) against what the token gives, and challenges and
errors in the form of Distribution (docs/spec/api.md; docs/spec/auth/token.md).  Not here: moving
bytes (`forwarding`), and reading the request (`protocol.reading`).

The proxy and `/authorize` both ask here, so that they cannot differ.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

from regauth.engine import Access, Reason
from regauth.engine.decisions.exchange import KeysUnavailable
from regauth.engine.source.addresses import IpAddress
from regauth.engine.tokens.registry_trust import RegistryToken
from regauth.servers.protocol.challenges import bearer_challenge
from regauth.servers.protocol.errors import ErrorCode, error_body
from regauth.servers.protocol.reading import read_route
from regauth.servers.protocol.request_info import RequestInfo
from regauth.servers.protocol.routes import Route, RouteFault, RouteKind
from regauth.servers.telemetry.decision_log import DecisionLog

from .decision_record import write_ruling
from .measures import ProxyMetrics
from .new_tags import Establish, TagStateError, pushed
from .policy import ProxyPolicy, Ruling
from .trust import Verifier

API_VERSION: Final = ("Docker-Distribution-Api-Version", "registry/2.0")

RETRY_AFTER: Final = 5
"""Seconds after which to try again while the token server's keys cannot be had."""

NO_ACCESS: Final = "authentication required"
"""The message of Distribution, the same for every reason."""

EXPIRED: Final = f"{NO_ACCESS}: the registry token has expired"
"""
Clients show this message when it happens during a push, where they cannot send the body again.
"""

_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] ([A-Za-z0-9._~+/=-]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request, as it came; nothing of it is decoded."""

    method: str
    target: str
    content_type: str = ""
    authorization: str = ""
    origin: str | None = None
    """Where the client believes the registry to be."""
    origin_fault: str = ""
    """Which header is wrong, where there is no origin."""
    client: IpAddress | None = None
    """The address of the client, where that is certain."""

    @property
    def no_origin(self) -> "TurnedAway":
        """The answer to a request that does not say the registry's address."""
        return TurnedAway(400, ErrorCode.UNSUPPORTED, self.origin_fault, "bad-request")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may go to the registry, as it was read."""

    route: Route
    token: RegistryToken
    ruling: Ruling | None = None
    """What the policy said, when the token left it open."""
    visible: Callable[[Sequence[str]], list[str]] | None = None
    """Tells which repositories of the answer may be seen; None: all of them."""


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """
    A request that may not pass.

    `reason` is the stable word for the log, `told` the one for the client; it may be empty.
    """

    status: int
    code: ErrorCode
    message: str
    reason: str
    headers: tuple[tuple[str, str], ...] = ()
    missing: tuple[Access, ...] = ()
    ruling: Ruling | None = None
    token: RegistryToken | None = None
    told: str = ""

    def body(self, request_id: str) -> str:
        """Return the error as JSON (distribution docs/spec/api.md, "Errors")."""
        return error_body(
            self.status,
            self.message,
            self.told,
            code=self.code,
            missing=self.missing,
            request_id=request_id,
        )


@dataclass(frozen=True, slots=True)
class Challenger:
    """
    Writes challenges.

    `realm` is the token endpoint's address; `redirect_path`, where it is given, is the endpoint's
    path at the address that the client asked, as Distribution's `autoredirect` has it.
    """

    realm: str
    service: str
    redirect_path: str = ""

    def can_challenge(self, asked: RawRequest) -> bool:
        """Tell whether a realm can be named."""
        return bool(self.realm) or asked.origin is not None

    def challenge(self, asked: RawRequest, scope: str = "", error: str = "") -> str:
        """Return a `WWW-Authenticate` value."""
        realm = self.realm
        if self.redirect_path and asked.origin is not None:
            realm = asked.origin + self.redirect_path
        return bearer_challenge(realm, self.service, scope, error)


class Gate:
    """
    Decides requests.

    Args:
        verifier: Verifies their tokens.
        challenger: Writes challenges for requests without a good token.
        policy: Decides what tokens leave open, where the proxy has a policy.
        decisions: The decision log, if there is one.
        metrics: Count each decision, if there are any.
        tells_reasons: Whether 401 and 403 tell their reason to the client.
    """

    def __init__(
        self,
        verifier: Verifier,
        challenger: Challenger,
        policy: ProxyPolicy | None = None,
        decisions: DecisionLog | None = None,
        metrics: ProxyMetrics | None = None,
        *,
        tells_reasons: bool = True,
    ) -> None:
        self._tells_reasons = tells_reasons
        self._verifier = verifier
        self._challenger = challenger
        self._policy = policy
        self._decisions = decisions
        self._metrics = metrics

    def decide(
        self, asked: RawRequest, establish: Establish | None = None
    ) -> Admitted | TurnedAway:
        """
        Let a request through, or turn it away.

        Args:
            asked: The request.
            establish: Finds out whether tags are new, and keeps them so until the registry has
                answered.  None: nobody can, so what depends on it is turned away.  It is told of
                every push that passes, because such a push can end that a tag is new.
        """
        route = read_route(asked.method, asked.target, asked.content_type)
        if isinstance(route, RouteFault):
            allow = (("Allow", ", ".join(route.allow)),) if route.allow else ()
            return TurnedAway(route.status, route.code, route.message, "bad-request", allow)
        # Without the address there is no realm to name, and a client without one cannot log in.
        if not self._challenger.can_challenge(asked):
            return asked.no_origin
        if not asked.authorization:
            return self._unauthorized(asked, route, "no-token", "")
        bearer = _BEARER.fullmatch(asked.authorization)
        if bearer is None:
            return self._unauthorized(asked, route, "not-a-bearer-token", "invalid_token")
        token = self._verifier.verify(bearer[1])
        if isinstance(token, KeysUnavailable):
            return TurnedAway(
                HTTPStatus.SERVICE_UNAVAILABLE,
                ErrorCode.UNAVAILABLE,
                "the token server's keys cannot be had at present",
                f"keys-unavailable: {token.reason}",
                (("Retry-After", str(RETRY_AFTER)),),
            )
        if isinstance(token, Reason):
            why = EXPIRED if token is Reason.EXPIRED else NO_ACCESS
            return self._unauthorized(asked, route, str(token), "invalid_token", why)
        outcome = self._entitled(asked, route, token, establish)
        return outcome if establish is None else _established(outcome, establish)

    def _entitled(
        self, asked: RawRequest, route: Route, token: RegistryToken, establish: Establish | None
    ) -> Admitted | TurnedAway:
        """Compare what a request needs with what its token gives, or leaves to the policy."""
        policy = self._policy
        # Every access that the route needs, such as the `pull` of a push and the source of a mount.
        missing = [access for access in route.placed if not token.allows(access)]
        if not missing:
            filtered = (
                policy is not None and policy.filter_catalog and route.kind is RouteKind.CATALOG
            )
            if policy is None or not filtered:
                return Admitted(route, token)
            if token.workload is not None:
                visible = partial(policy.visible, token, client=asked.client)
                return Admitted(route, token, visible=visible)
        ruling = (
            policy.decide(token, missing, asked.client) if policy is not None and missing else None
        )
        if policy is not None and ruling is not None and ruling.tags_in_question:
            # The registry is asked last: only for what the policy would allow.
            if establish is None:
                return self._refused(policy, ruling, route, token)
            try:
                states = establish(pushed(route.placed), ruling.tags_in_question)
            except TagStateError as error:
                return _unestablished(error, ruling, route, token)
            ruling = policy.decide(token, missing, asked.client, states)
        # 401 and not 403: the client may have another token, and asks for one by this challenge.
        if policy is None or ruling is None:
            return self._unauthorized(asked, route, "insufficient-scope", "insufficient_scope")
        if ruling.allowed:
            return Admitted(route, token, ruling=ruling)
        return self._refused(policy, ruling, route, token)

    def _refused(
        self, policy: ProxyPolicy, ruling: Ruling, route: Route, token: RegistryToken
    ) -> TurnedAway:
        return TurnedAway(
            HTTPStatus.FORBIDDEN,
            ErrorCode.DENIED,
            ruling.message,
            f"denied: {ruling.reason}",
            (API_VERSION,),
            route.accesses,
            ruling,
            token,
            policy.told(ruling, token) if self._tells_reasons else "",
        )

    def record(self, outcome: Admitted | TurnedAway, info: RequestInfo, asked_by: str) -> None:
        """
        Count a decision, and write down what the policy said, if it was asked.

        Args:
            outcome: What was decided.
            info: Who sent the request.
            asked_by: `proxy`, or `gateway` when another program moves the bytes.
        """
        if self._metrics is not None:
            reason = outcome.reason if isinstance(outcome, TurnedAway) else ""
            self._metrics.decided(asked_by, reason)
        if self._decisions is not None and outcome.ruling is not None and outcome.token is not None:
            write_ruling(self._decisions, outcome.ruling, outcome.token, info)

    def _unauthorized(
        self, asked: RawRequest, route: Route, reason: str, error: str, message: str = NO_ACCESS
    ) -> TurnedAway:
        scope = " ".join(map(str, route.needs))
        challenge = self._challenger.challenge(asked, scope, error)
        return TurnedAway(
            HTTPStatus.UNAUTHORIZED,
            ErrorCode.UNAUTHORIZED,
            message,
            reason,
            (("WWW-Authenticate", challenge), API_VERSION),
            route.accesses,
            told=reason if self._tells_reasons else "",
        )


def _established(outcome: Admitted | TurnedAway, establish: Establish) -> Admitted | TurnedAway:
    """Keep a push from coming between a question about its tags and the push of who asked."""
    if isinstance(outcome, Admitted) and (tags := pushed(outcome.route.placed)):
        try:
            establish(tags, ())
        except TagStateError as error:
            return _unestablished(error, None, outcome.route, outcome.token)
    return outcome


def _unestablished(
    error: TagStateError, ruling: Ruling | None, route: Route, token: RegistryToken
) -> TurnedAway:
    """Turn away what nobody can say of whether the policy allows it."""
    busy = error.status == HTTPStatus.SERVICE_UNAVAILABLE
    return TurnedAway(
        error.status,
        ErrorCode.UNAVAILABLE,
        str(error),
        f"{error.reason}: {error.detail}" if error.detail else error.reason,
        (API_VERSION, *((("Retry-After", str(RETRY_AFTER)),) if busy else ())),
        route.accesses,
        ruling,
        token,
        error.reason,
    )
