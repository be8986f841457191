"""
The decision log: what was decided, for audits and for deciding it again with another policy.

What lives here: the form of a record (`schemas/decision-log.schema.json`) and appending it to a
file.  What must not: tokens, passwords and keys.  Claims are what a provider says of a workload;
without the signature they let nobody in.
"""

import os
import threading
from pathlib import Path
from typing import Final

from regauth.engine import ConditionError, Decision, Identity, Refusal, Verdict

from .event_log import encoded, redacted
from .request_info import RequestInfo
from .token_service import Answer, Issued

STANDARD_OUTPUT: Final = Path("-")
VERSION: Final = 1


class DecisionLog:
    """
    Appends one JSON line for each request.  Safe to use from many threads and processes.

    The file is opened anew when it was moved away, as log rotation does.  A record that cannot be
    written stops no request: it is dropped and counted.

    Args:
        file: Where to; `-` is standard output.
        claims: Whether records hold the verified claims, which replaying needs.
    """

    def __init__(self, file: Path, *, claims: bool = True) -> None:
        self._file = file
        self._claims = claims
        self._lock = threading.Lock()
        self._handle: tuple[int, int, int] | None = None
        self._torn = False
        self.dropped = 0
        """Records that could not be written."""

    def open(self) -> None:
        """
        Open the file now, so that what is wrong with it is known.

        Raises:
            OSError: It cannot be opened.
        """
        with self._lock:
            self._descriptor()

    def write(self, answer: Answer, info: RequestInfo, *, reused: bool = False) -> None:
        """Write down what became of a request."""
        record = _record(answer, info, claims=self._claims)
        if reused:
            record["reused"] = True
        line = redacted(encoded(record)).encode("utf-8", "backslashreplace") + b"\n"
        # Under the lock: a descriptor that another thread closes may be anybody's a moment later.
        with self._lock:
            if self._torn:
                line = b"\n" + line
            try:
                written = os.write(self._descriptor(), line)
            except OSError:
                written = 0
            if written != len(line):
                self.dropped += 1
                self._torn = self._torn or written > 0
            else:
                self._torn = False

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle[0])
                self._handle = None

    def _descriptor(self) -> int:
        if self._file == STANDARD_OUTPUT:
            return 1
        handle = self._handle
        try:
            found = self._file.stat()
            there: tuple[int, int] | None = (found.st_dev, found.st_ino)
        except OSError:
            there = None
        if handle is None or there != handle[1:]:
            opened = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            if handle is not None:
                os.close(handle[0])
            found = os.fstat(opened)
            self._handle = handle = (opened, found.st_dev, found.st_ino)
        return handle[0]


def _record(answer: Answer, info: RequestInfo, *, claims: bool) -> dict[str, object]:
    asked, outcome = answer.asked, answer.outcome
    moment = answer.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record: dict[str, object] = {
        "version": VERSION,
        "time": moment,
        "requestId": info.request_id,
        "client": info.client,
        "policy": answer.policy.hash,
        "service": asked.service,
        "asked": [str(scope) for scope in asked.scopes],
        **_outcome(outcome),
    }
    if isinstance(outcome, Issued):
        record |= {"jti": outcome.jti}
        if claims and outcome.login is not None:
            record |= {"claims": outcome.login.claims}
    if answer.shadow is not None and answer.shadow_policy is not None:
        record |= {"shadow": {"policy": answer.shadow_policy.hash, **_outcome(answer.shadow)}}
    optional = {"account": asked.account, "clientId": asked.client_id, "agent": info.agent}
    return record | {name: value for name, value in optional.items() if value}


def _outcome(outcome: Issued | Decision | Refusal) -> dict[str, object]:
    if isinstance(outcome, Refusal):
        return {
            "outcome": "unavailable" if outcome.upstream else "refused",
            "reason": str(outcome.reason),
            **_identity(outcome.identity, outcome.provider),
        }
    decision = outcome.decision if isinstance(outcome, Issued) else outcome
    return {
        "outcome": "issued",
        **_identity(decision.identity, ""),
        "accesses": [_verdict(verdict) for verdict in decision.verdicts],
    }


def _identity(identity: Identity | None, provider: str) -> dict[str, object]:
    if identity is None:
        return {"provider": provider} if provider else {}
    if identity.anonymous:
        return {"anonymous": True}
    return {"provider": identity.provider, "subject": identity.subject}


def _verdict(verdict: Verdict) -> dict[str, object]:
    resource = verdict.access.resource
    return {
        "type": resource.type,
        **({"class": resource.class_} if resource.class_ else {}),
        "name": resource.name,
        "action": verdict.access.action,
        "allowed": verdict.allowed,
        "why": str(verdict.why),
        **({"source": verdict.source} if verdict.source else {}),
        **({"errors": [_error(one) for one in verdict.errors]} if verdict.errors else {}),
    }


def _error(error: ConditionError) -> dict[str, str]:
    return {"source": error.source, "code": error.code, "message": error.message}
