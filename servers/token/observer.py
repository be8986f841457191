"""
Observing: what logs and metrics record of each request.

What lives here: one answer to the event log, the decision log and the metrics.
Not here: the form of any of them.
"""

from http import HTTPStatus

from regauth.engine import Decision, Identity, Refusal
from regauth.engine.explaining.disclosure import AccessAnswer
from regauth.servers.protocol.request_info import RequestInfo
from regauth.servers.telemetry.decision_log import DecisionLog
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.metrics import Metrics

from .decision_record import write_answer
from .request import TokenRequest
from .service import Issued, TokenAnswer


class Observer:
    """
    Records requests in logs and metrics.

    Args:
        log: Takes one event for each request.
        decisions: The decision log, if there is one.
        metrics: The metrics, if there are any.
    """

    def __init__(
        self,
        log: EventLog,
        decisions: DecisionLog | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.log = log
        self.decisions = decisions
        self.metrics = metrics

    def answered(
        self, answer: TokenAnswer, info: RequestInfo, status: int, prepared: str = ""
    ) -> None:
        """Tell what the service answered; `prepared` is what `prepare` made of it."""
        outcome = answer.outcome
        if isinstance(outcome, Refusal):
            self._refused(answer, outcome, info, status)
        else:
            if self.metrics is not None:
                self.metrics.decision(outcome.decision)
            provider = outcome.decision.identity.provider
            self._event("issued", provider, info, status, prepared)
        if self.decisions is not None:
            write_answer(self.decisions, answer, info)
        if answer.shadow is not None and answer.shadow_policy is not None:
            self._compare(answer, answer.shadow, answer.shadow_policy.hash, info)

    def answered_again(
        self, answer: TokenAnswer, provider: str, prepared: str, info: RequestInfo
    ) -> None:
        """Tell that an answer was given a second time; `prepared` is what `prepare` made of it."""
        if self.metrics is not None:
            self.metrics.reused()
        self._event("issued", provider, info, HTTPStatus.OK, prepared, reused=True)
        if self.decisions is not None:
            write_answer(self.decisions, answer, info, reused=True)

    def prepare(self, answer: TokenAnswer, issued: Issued) -> str:
        """Encode what the event log says of an answer, for each time that it is given."""
        decision = issued.decision
        return self.log.prepare(
            {
                "subject": _subject(decision.identity),
                "service": decision.service,
                "granted": [str(scope) for scope in decision.granted],
                "refused": _refused(decision),
                "jti": issued.jti,
                "account": answer.asked.account,
            }
        )

    def turned_away(
        self, outcome: str, reason: str, detail: str, info: RequestInfo, status: int
    ) -> None:
        """Record a request that never reached the service."""
        self._event(outcome, "", info, status, "", reason=reason, detail=detail)

    def why_answered(
        self,
        decision: Decision,
        told: tuple[AccessAnswer, ...],
        info: RequestInfo,
        status: int,
    ) -> None:
        """Tell what a question to `/auth/why` was answered."""
        self._why(
            "answered",
            info,
            status,
            provider=decision.identity.provider,
            subject=_subject(decision.identity),
            service=decision.service,
            told=[f"{one.access} {one.why}" for one in told],
            grants=sorted({near.grant for one in told for near in one.nearest}),
        )

    def why_refused(
        self, asked: TokenRequest, refusal: Refusal, info: RequestInfo, status: int
    ) -> None:
        """Tell of a question to `/auth/why` whose login was refused."""
        outcome = "unavailable" if refusal.upstream else "refused"
        self._why(outcome, info, status, provider=refusal.provider, **_refused_as(asked, refusal))

    def why_turned_away(
        self, outcome: str, reason: str, detail: str, info: RequestInfo, status: int
    ) -> None:
        """Tell of a question to `/auth/why` that never came to the service."""
        self._why(outcome, info, status, reason=reason, detail=detail)

    def _why(self, outcome: str, info: RequestInfo, status: int, **fields: object) -> None:
        if self.metrics is not None:
            self.metrics.explained(outcome)
        self.log.event(
            "why",
            "info" if status == HTTPStatus.OK else "warning",
            outcome=outcome,
            status=int(status),
            **fields,
            client=info.client,
            agent=info.agent,
            request_id=info.request_id,
            milliseconds=info.milliseconds(),
        )

    def _refused(
        self, answer: TokenAnswer, refusal: Refusal, info: RequestInfo, status: int
    ) -> None:
        outcome = "unavailable" if refusal.upstream else "refused"
        said = _refused_as(answer.asked, refusal)
        self._event(outcome, refusal.provider, info, status, "", **said)

    def _event(
        self,
        outcome: str,
        provider: str,
        info: RequestInfo,
        status: int,
        prepared: str = "",
        /,
        **fields: object,
    ) -> None:
        milliseconds = info.milliseconds()
        if self.metrics is not None:
            self.metrics.request(outcome, provider, milliseconds / 1000)
            if status != HTTPStatus.OK:
                self.metrics.refused(provider, str(fields.get("reason", "")))
        self.log.event(
            "token",
            "info" if status == HTTPStatus.OK else "warning",
            prepared,
            outcome=outcome,
            status=int(status),
            provider=provider,
            **fields,
            client=info.client,
            agent=info.agent,
            request_id=info.request_id,
            milliseconds=milliseconds,
        )

    def _compare(
        self, answer: TokenAnswer, shadow: Decision | Refusal, policy: str, info: RequestInfo
    ) -> None:
        """Say where the shadow policy differs from the live one."""
        outcome = answer.outcome
        live = outcome.decision if isinstance(outcome, Issued) else outcome
        now, then = _allowed(live), _allowed(shadow)
        refused = isinstance(live, Refusal), isinstance(shadow, Refusal)
        if now == then and refused[0] == refused[1]:
            return
        self.log.event(
            "shadow-difference",
            "warning",
            policy=policy,
            login=f"{_said(live)} -> {_said(shadow)}" if refused[0] != refused[1] else "",
            would_gain=sorted(then - now),
            would_lose=sorted(now - then),
            request_id=info.request_id,
        )


def _refused_as(asked: TokenRequest, refusal: Refusal) -> dict[str, object]:
    """Return what the event log says of a refused login."""
    identity = refusal.identity
    return {
        "reason": refusal.reason,
        "detail": refusal.detail,
        "subject": _subject(identity) if identity else "",
        "service": asked.service,
        "asked": [str(scope) for scope in asked.scopes],
        "account": asked.account,
    }


def _allowed(outcome: Decision | Refusal) -> frozenset[str]:
    if isinstance(outcome, Refusal):
        return frozenset()
    return frozenset(str(verdict.access) for verdict in outcome.verdicts if verdict.allowed)


def _said(outcome: Decision | Refusal) -> str:
    return str(outcome.reason) if isinstance(outcome, Refusal) else "accepted"


def _subject(identity: Identity) -> str:
    return "anonymous" if identity.anonymous else identity.subject


def _refused(decision: Decision) -> list[str]:
    return [
        f"{verdict.access} {verdict.why}{f' {verdict.source}' if verdict.source else ''}"
        for verdict in decision.verdicts
        if not verdict.allowed
    ]
