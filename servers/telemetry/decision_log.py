"""
The decision log: what was decided, for audits and for replaying with another policy.

What lives here: what all records share (`schemas/decision-log.schema.json`), and appending one to
a file.  Not here: the other members of a record (`regauth.servers.token.decision_record`,
`regauth.servers.proxy.decision_record`), and tokens, passwords and keys.  Claims may be logged,
because without the signature nobody can log in with them.
"""

import os
import threading
from collections.abc import Callable
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
from regauth.servers.configuration.settings import STANDARD_OUTPUT
from regauth.servers.protocol.request_info import RequestInfo
from regauth.servers.protocol.times import whole_seconds

from .event_log import encoded, redacted
from .record_bounds import MAX_RECORD, Members, decided, shortened

VERSION: Final = 1


class DecisionLogError(StartupError):
    """The file cannot be written; the operator's fault."""


def make_file(file: Path) -> None:
    """
    Make the file if it is not there, and open it, so that an error is known at once.

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
        copy: Takes each record that was written, as it was written.
    """

    def __init__(
        self,
        file: Path,
        *,
        claims: bool = True,
        copy: Callable[[Members], None] | None = None,
    ) -> None:
        self._file = file
        self._copy = copy
        self.claims = claims
        self._lock = threading.Lock()
        self._handle: tuple[int, int, int] | None = None
        self._torn = False
        self._trust: tuple[Policy, str] | None = None
        self.dropped = 0
        """Records that could not be written."""

    def open(self) -> None:
        """
        Open the file now, so that an error is known at once.

        Raises:
            OSError: It cannot be opened.
        """
        with self._lock:
            self._descriptor()

    def append(self, record: Members) -> None:
        """Write a record.  A record that is too long is cut and says so."""
        line, written_down = _line(record), record
        for shorter in shortened(record, len(line)):
            line, written_down = _line(shorter), shorter
            if len(line) <= MAX_RECORD:
                break
        # This holds the lock: when another thread closes the descriptor, its number may belong to
        # another file.
        with self._lock:
            # A write that was cut short left half a line.  The next record must not become a part
            # of it.
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
        if self._copy is not None:
            self._copy(written_down)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle[0])
                self._handle = None

    def trust_of(self, policy: Policy) -> str:
        """Return the digest of what a policy trusts, which is made once for each policy."""
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
        # The inode tells that the file was rotated away, or made anew under the same name.
        if handle is None or there != handle[1:]:
            opened = _opened(self._file)
            if handle is not None:
                os.close(handle[0])
            found = os.fstat(opened)
            self._handle = handle = (opened, found.st_dev, found.st_ino)
        return handle[0]


def _line(record: Members) -> bytes:
    return redacted(encoded(record)).encode("utf-8", "backslashreplace") + b"\n"


def _opened(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


def head(info: RequestInfo, policy: Policy, now: datetime, service: str) -> Members:
    """Return the members that each record begins with."""
    return {
        "version": VERSION,
        "time": time_of(now),
        "requestId": info.request_id,
        "client": info.client,
        "policy": policy.hash,
        "service": service,
    }


def outcome_of(outcome: Decision | Refusal) -> Members:
    """Return the members that say what was decided, of whom."""
    if isinstance(outcome, Refusal):
        return {
            "outcome": "unavailable" if outcome.upstream else "refused",
            "reason": str(outcome.reason),
            **_identity(outcome.identity, outcome.provider),
        }
    return {"outcome": "issued", **_identity(outcome.identity, ""), **decided(outcome.verdicts)}


def time_of(moment: datetime) -> str:
    """Return the time that the engine was given, not rounded: decisions depend on it."""
    return f"{whole_seconds(moment)}.{moment.microsecond:06d}Z"


def _identity(identity: Identity | None, provider: str) -> Members:
    if identity is None:
        return {"provider": provider} if provider else {}
    if identity.anonymous:
        return {"anonymous": True}
    return {"provider": identity.provider, "subject": identity.subject}
