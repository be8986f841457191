"""
The decision log: what was decided, for audits and for deciding it again with another policy.

What lives here: the form of a record (`schemas/decision-log.schema.json`) and appending it to a
file.  What must not: tokens, passwords and keys.  Claims are what a provider says of a workload;
without the signature they let nobody in.
"""

import os
import threading
from datetime import datetime
from pathlib import Path
from typing import Final

from regauth.engine import (
    Decision,
    Identity,
    Policy,
    Refusal,
    trust_digest,
)
from regauth.engine.source.startup import StartupError
from regauth.engine.tokens.registry_trust import RegistryToken
from regauth.servers.configuration.settings import STANDARD_OUTPUT
from regauth.servers.protocol.request_info import RequestInfo
from regauth.servers.proxy.policy import Ruling
from regauth.servers.sessions.sessions import is_session
from regauth.servers.token.service import Answer, Issued

from .event_log import encoded, redacted
from .record_bounds import MAX_RECORD, decided, shortened

VERSION: Final = 1


class DecisionLogError(StartupError):
    """The file cannot be written; the operator's fault."""


def make_file(file: Path) -> None:
    """
    Make the file if it is not there, and open it, so that what is wrong is known at once.

    Raises:
        DecisionLogError: It cannot be written.
    """
    if file == STANDARD_OUTPUT:
        return
    try:
        os.close(_opened(file))
    except OSError as error:
        raise DecisionLogError(
            f"the decision log {file} cannot be written: {error.strerror}"
        ) from error


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
        self._trust: tuple[Policy, str] | None = None
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
        if _unverified(answer):
            record["trust"] = self._trust_of(answer.policy)
        if reused:
            record["reused"] = True
        self._append(record)

    def write_ruling(self, ruling: Ruling, token: RegistryToken, info: RequestInfo) -> None:
        """Write down what the proxy's policy said of a request that a token left open."""
        record = {**_head(info, ruling.policy, ruling.now, ruling.service), **_ruled(ruling)}
        record["routing"] = "workload"
        if token.id:
            record["jti"] = token.id
        workload = token.workload
        if workload is not None and workload.provider:
            record |= {"claims": workload.claims} if self._claims else {}
            record["checked"] = _time(workload.at)
        if info.agent:
            record["agent"] = info.agent
        self._append(record)

    def _append(self, record: dict[str, object]) -> None:
        line = _line(record)
        for shorter in shortened(record, len(line)):
            line = _line(shorter)
            if len(line) <= MAX_RECORD:
                break
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

    def _trust_of(self, policy: Policy) -> str:
        known = self._trust
        if known is None or known[0] is not policy:
            self._trust = known = (policy, trust_digest(policy))
        return known[1]

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
            opened = _opened(self._file)
            if handle is not None:
                os.close(handle[0])
            found = os.fstat(opened)
            self._handle = handle = (opened, found.st_dev, found.st_ino)
        return handle[0]


def _line(record: dict[str, object]) -> bytes:
    return redacted(encoded(record)).encode("utf-8", "backslashreplace") + b"\n"


def _opened(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


def _record(answer: Answer, info: RequestInfo, *, claims: bool) -> dict[str, object]:
    asked, outcome = answer.asked, answer.outcome
    record: dict[str, object] = {
        **_head(info, answer.policy, answer.now, asked.service),
        "asked": [str(scope) for scope in asked.scopes],
        **_outcome(outcome),
    }
    if isinstance(outcome, Issued):
        record |= {"jti": outcome.jti}
    record |= _login(answer, claims=claims)
    if answer.shadow is not None and answer.shadow_policy is not None:
        record |= {"shadow": {"policy": answer.shadow_policy.hash, **_outcome(answer.shadow)}}
    optional = {"account": asked.account, "clientId": asked.client_id, "agent": info.agent}
    return record | {name: value for name, value in optional.items() if value}


def _unverified(answer: Answer) -> bool:
    """Tell whether a login was refused before its claims were believed."""
    outcome, asked = answer.outcome, answer.asked
    return isinstance(outcome, Refusal) and outcome.claims is None and asked.credentials is not None


def _login(answer: Answer, *, claims: bool) -> dict[str, object]:
    """Return what of a login with verified claims is needed to check it again."""
    outcome = answer.outcome
    login = outcome.login if isinstance(outcome, Issued) else outcome
    if login is None or login.claims is None or login.at is None:
        return {}
    record: dict[str, object] = {"claims": login.claims} if claims else {}
    if login.at != answer.now:
        record |= {"checked": _time(login.at)}
    credentials = answer.asked.credentials
    provider = login.provider if isinstance(login, Refusal) else login.provider.name
    if credentials is not None and answer.asked.refreshing and is_session(credentials.password):
        record |= {"routing": "session"}
    elif credentials is not None and credentials.username != provider:
        record |= {"routing": "issuer"}
    return record


def _time(moment: datetime) -> str:
    """Return the moment that the engine was given: a rounded one may be decided otherwise."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _head(info: RequestInfo, policy: Policy, now: datetime, service: str) -> dict[str, object]:
    return {
        "version": VERSION,
        "time": _time(now),
        "requestId": info.request_id,
        "client": info.client,
        "policy": policy.hash,
        "service": service,
    }


def _ruled(ruling: Ruling) -> dict[str, object]:
    """Say what was asked and what became of it; no token was issued for it."""
    record = {"asked": [str(one) for one in ruling.asked], **_outcome(ruling.outcome)}
    if isinstance(ruling.outcome, Decision):
        record["outcome"] = "decided"
    return record


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
        **decided(decision.verdicts),
    }


def _identity(identity: Identity | None, provider: str) -> dict[str, object]:
    if identity is None:
        return {"provider": provider} if provider else {}
    if identity.anonymous:
        return {"anonymous": True}
    return {"provider": identity.provider, "subject": identity.subject}
