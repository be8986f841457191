"""
The token server's decision records: what became of a token request.

What lives here: the members that only these records have.  Not here: what all records share, and
the file (`regauth.servers.telemetry.decision_log`).
"""

from regauth.engine import Refusal
from regauth.servers.protocol.request_info import RequestInfo
from regauth.servers.sessions.sessions import is_session
from regauth.servers.telemetry.decision_log import DecisionLog, head, outcome_of, time_of
from regauth.servers.telemetry.record_bounds import malformed

from .service import Issued, TokenAnswer


def write_answer(
    log: DecisionLog, answer: TokenAnswer, info: RequestInfo, *, reused: bool = False
) -> None:
    """Write down what became of a request; `reused` is an answer that was given before."""
    record = _record(answer, info, claims=log.claims)
    if _unverified(answer):
        record["trust"] = log.trust_of(answer.policy)
    if reused:
        record["reused"] = True
    log.append(record)


def _record(answer: TokenAnswer, info: RequestInfo, *, claims: bool) -> dict[str, object]:
    asked, outcome = answer.asked, answer.outcome
    record: dict[str, object] = {
        **head(info, answer.policy, answer.now, asked.service),
        "asked": [str(scope) for scope in asked.scopes],
        **outcome_of(outcome.decision if isinstance(outcome, Issued) else outcome),
    }
    record["address"] = "" if asked.client is None else str(asked.client)
    if isinstance(outcome, Issued):
        record |= {
            "jti": outcome.jti,
            "lifetime": int(outcome.lifetime.total_seconds()),
            "maxLifetime": int(outcome.max_lifetime.total_seconds()),
        }
    record |= _login(answer, claims=claims)
    if answer.shadow is not None and answer.shadow_policy is not None:
        record |= {"shadow": {"policy": answer.shadow_policy.hash, **outcome_of(answer.shadow)}}
    optional = {
        "malformed": malformed(asked.malformed),
        "account": asked.account,
        "clientId": asked.client_id,
        "agent": info.agent,
    }
    return record | {name: value for name, value in optional.items() if value}


def _unverified(answer: TokenAnswer) -> bool:
    """Tell whether a login was refused before its claims were believed."""
    outcome, asked = answer.outcome, answer.asked
    return isinstance(outcome, Refusal) and outcome.claims is None and asked.credentials is not None


def _login(answer: TokenAnswer, *, claims: bool) -> dict[str, object]:
    """Return what of a login with verified claims is needed to check it again."""
    outcome = answer.outcome
    login = outcome.login if isinstance(outcome, Issued) else outcome
    if login is None or login.claims is None or login.at is None:
        return {}
    record: dict[str, object] = {"claims": login.claims} if claims else {}
    if login.at != answer.now:
        record |= {"checked": time_of(login.at)}
    credentials = answer.asked.credentials
    provider = login.provider if isinstance(login, Refusal) else login.provider.name
    if credentials is not None and answer.asked.refreshing and is_session(credentials.password):
        record |= {"routing": "session"}
    elif credentials is not None and credentials.username != provider:
        record |= {"routing": "issuer"}
    return record
