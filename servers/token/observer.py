"""
Observing: what logs and metrics record of each request.

What lives here: one answer to the event log, the decision log and the metrics.
Not here: the form of the logs (`decision_record`, `telemetry.event_log`) and of the metrics
(`telemetry.metrics`).
"""

from http import HTTPStatus

from regauth.engine import Decision, Identity, Refusal
from regauth.engine.explaining.disclosure import AccessAnswer
from regauth.servers.protocol.request_info import RequestInfo
from regauth.servers.telemetry.decision_log import DecisionLog
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.metrics import Metrics
from regauth.servers.telemetry.request_counts import RequestNote

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
            what = "unavailable" if outcome.upstream else "refused"
            said = _refused_as(answer.asked, outcome)
            self._refused(what, outcome.provider, info, status, **said)
        else:
            self._issued(outcome.decision, info, prepared)
        if self.decisions is not None:
            write_answer(self.decisions, answer, info)
        if answer.shadow is not None and answer.shadow_policy is not None:
            self._compare(answer, answer.shadow, answer.shadow_policy.hash, info)

    def answered_again(
        self, answer: TokenAnswer, decision: Decision, prepared: str, info: RequestInfo
    ) -> None:
        """Tell that an answer was given a second time; `prepared` is what `prepare` made of it."""
        self._issued(decision, info, prepared, reused=True)
        if self.decisions is not None:
            write_answer(self.decisions, answer, info, reused=True)

    def prepare(self, answer: TokenAnswer, issued: Issued) -> str:
        """Encode what the event log says of an answer, for each time that it is given."""
        decision = issued.decision
        fields: dict[str, object] = {
            "subject": _subject(decision.identity),
            "service": decision.service,
            "granted": decision.granted_texts,
            "refused": _refused(decision),
            "jti": issued.jti,
            "account": answer.asked.account,
        }
        for name in ("granted", "refused", "account"):  # what is often empty, and left out then
            if not fields[name]:
                del fields[name]
        return self.log.prepare(fields)

    def turned_away(
        self, outcome: str, reason: str, detail: str, info: RequestInfo, status: int
    ) -> None:
        """Record a request that never reached the service."""
        self._refused(outcome, "", info, status, reason=reason, detail=detail)

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

    def _issued(
        self, decision: Decision, info: RequestInfo, prepared: str, *, reused: bool = False
    ) -> None:
        provider = decision.identity.provider
        milliseconds = info.milliseconds()
        if self.metrics is not None:
            decided = None if reused else decision
            self.metrics.request(
                RequestNote("issued", provider, milliseconds / 1000, decided, reused)
            )
        again = {"reused": True} if reused else {}
        self.log.event(
            "token",
            "info",
            prepared,
            outcome="issued",
            status=200,
            provider=provider,
            **again,
            client=info.client,
            agent=info.agent,
            request_id=info.request_id,
            milliseconds=milliseconds,
        )

    def _refused(
        self, outcome: str, provider: str, info: RequestInfo, status: int, /, **fields: object
    ) -> None:
        milliseconds = info.milliseconds()
        if self.metrics is not None:
            self.metrics.request(RequestNote(outcome, provider, milliseconds / 1000))
            self.metrics.refused(provider, str(fields["reason"]))
        self.log.event(
            "token",
            "warning",
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
