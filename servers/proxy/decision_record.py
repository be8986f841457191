"""
The proxy's decision records: what its policy decided of a request that the token left open.

What lives here: the members that only these records have.  Not here: what all records share, and
the file (`regauth.servers.telemetry.decision_log`).
"""

from regauth.engine import Decision
from regauth.engine.tokens.registry_trust import RegistryToken
from regauth.servers.protocol.request_info import RequestInfo
from regauth.servers.telemetry.decision_log import DecisionLog, head, outcome_of, time_of

from .policy import Ruling


def write_ruling(log: DecisionLog, ruling: Ruling, token: RegistryToken, info: RequestInfo) -> None:
    """Write the record of a request and its decision; no token was issued."""
    record: dict[str, object] = {
        **head(info, ruling.policy, ruling.now, ruling.service),
        "asked": [str(one) for one in ruling.asked],
        **outcome_of(ruling.outcome),
        "routing": "workload",
        "address": "" if info.address is None else str(info.address),
    }
    if isinstance(ruling.outcome, Decision):
        record["outcome"] = "decided"
    if token.id:
        record["jti"] = token.id
    workload = token.workload
    if workload is not None and workload.provider:
        record |= {"claims": workload.claims} if log.claims else {}
        record["checked"] = time_of(workload.at)
    if info.agent:
        record["agent"] = info.agent
    log.append(record)
