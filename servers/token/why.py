"""
`/auth/why`: what a caller may know about the accesses that its token did not get.

What lives here: the HTTP form of the question and of its answer.
Not here: what may be told (`regauth.engine.explaining.disclosure`).

It takes what the token endpoint takes, and it tells about the caller's own token alone.  It issues
no token, keeps no login and no answer, and counts against the limits of the token endpoint.
"""

import json
from http import HTTPStatus

import falcon

from regauth.engine import Decision, Policy, Refusal
from regauth.engine.explaining.disclosure import AccessAnswer, Disclosure, Level, NearestGrant
from regauth.servers.protocol.request_info import RequestInfo

from .observer import Observer
from .refusals import TURNED_AWAY, Refusals
from .request import read_why
from .service import TokenService, Verified


class WhyResource:
    """Answers why a login's accesses are allowed or refused."""

    def __init__(
        self, service: TokenService, observer: Observer, refusals: Refusals, level: Level
    ) -> None:
        self._service = service
        self._observer = observer
        self._refusals = refusals
        self._level = level
        self._known: Disclosure | None = None

    def on_options(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer a browser's preflight."""
        self._refusals.origins.preflight(request, response)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer a question; it is a form, as a token request by POST is."""
        info, tell = self._refusals.begin(request, response), self._observer.why_turned_away
        body = self._refusals.read_form(request, response, info, tell)
        if body is None:
            return
        try:
            self._refusals.admit(info)
            asked = read_why(body, request.env.get("HTTP_AUTHORIZATION"), info.address)
            verified = self._service.decide_anew(asked, self._refusals.admit_identity)
        except TURNED_AWAY as error:
            self._refusals.turn_away_for(error, response, info, tell)
            return
        self._answer(verified, response, info)

    def _answer(self, verified: Verified, response: falcon.Response, info: RequestInfo) -> None:
        decided = verified.outcome
        told: tuple[AccessAnswer, ...] | Refusal = ()
        if isinstance(decided, Decision):
            disclosure = self._disclosure(verified.policy)
            told = disclosure.tell(decided, verified.claims, verified.now)
        refusal = next((one for one in (decided, told) if isinstance(one, Refusal)), None)
        if refusal is not None or isinstance(decided, Refusal) or isinstance(told, Refusal):
            assert refusal is not None  # noqa: S101 - for the type checker
            status = self._refusals.refuse(refusal, response, info)
            self._observer.why_refused(verified.asked, refusal, info, status)
            return
        response.text = write(decided, told, info)
        self._observer.why_answered(decided, told, info, HTTPStatus.OK)

    def _disclosure(self, policy: Policy) -> Disclosure:
        known = self._known
        if known is None or known.policy is not policy:
            self._known = known = Disclosure(policy, self._level)
        return known


def write(decision: Decision, told: tuple[AccessAnswer, ...], info: RequestInfo) -> str:
    """Return the answer as JSON."""
    identity = decision.identity
    return json.dumps(
        {
            "login": "anonymous" if identity.anonymous else "accepted",
            "provider": identity.provider,
            "subject": identity.subject,
            "accesses": [_access(one) for one in told],
            "requestId": info.request_id,
        }
    )


def _access(answer: AccessAnswer) -> dict[str, object]:
    written: dict[str, object] = {
        "access": str(answer.access),
        "allowed": answer.allowed,
        "why": str(answer.why),
    }
    if answer.denial:
        written["denial"] = answer.denial
    if not answer.allowed:
        written["nearest"] = [_grant(one) for one in answer.nearest]
    return written


def _grant(grant: NearestGrant) -> dict[str, object]:
    read = [
        {
            "claim": one.claim,
            **({"yours": one.value} if one.present else {}),
            "satisfied": one.satisfied,
        }
        for one in grant.read
    ]
    parts = [{"condition": one.text, "satisfied": one.satisfied} for one in grant.parts]
    return {"grant": grant.grant, "read": read, **({"parts": parts} if parts else {})}
