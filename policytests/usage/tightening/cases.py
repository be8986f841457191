"""
Cases: each kind of request of a log, with what it was given, in a temporary file.

What lives here: writing and reading the file.
Not here: counting (`counting`), and the check that reads the cases (`checking`).

A log can have as many kinds of requests as it has lines, so they do not stay in memory.  The file
has no name, is readable by its owner alone, and goes with its last user.
"""

import marshal
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import IO, Any, Final, NamedTuple, Self

from regauth.engine.access.outcomes import Identity
from regauth.engine.source.addresses import parse_ip
from regauth.engine.tokens.jwt import Claims, recalled
from regauth.policytests.replay.questions import AskedAccesses, asked_for

BLOCK: Final = 256
"""Cases that are written together."""

MAX_IN_MEMORY: Final = 4 * 1024 * 1024
"""Bytes that stay in memory before the file is on the disk."""

_LENGTH: Final = 4
_FAST: Final = 1
"""zlib's level for speed (zlib manual, `deflateInit`)."""


class CasesError(Exception):
    """The temporary file cannot be written or read; the message says why."""


class UsageCase(NamedTuple):
    """What a kind of request was decided by, and what it was given."""

    identity: Identity
    claims: Claims
    service: str
    texts: tuple[str, ...]
    """What was asked for, as the record has it."""
    by_reference: bool
    now: datetime
    given: tuple[tuple[bool, str], ...]
    """For each choice whether it is allowed, and the reason."""
    lifetime: timedelta | None = None
    """How long its token was valid at most, by the grants."""

    @property
    def asked(self) -> AskedAccesses:
        """The accesses that were asked for."""
        return asked_for(self.texts, by_reference=self.by_reference)


class CaseFile:
    """
    Cases in the order in which they were added; first all are added, then they are read.

    The end of the `with` block removes the file.
    """

    def __init__(self) -> None:
        self._block: list[tuple[Any, ...]] = []
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(MAX_IN_MEMORY)  # noqa: SIM115 - lives as long as this object

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        with suppress(OSError):  # what was not written to a full disk is not needed
            self._file.close()

    def add(self, case: UsageCase) -> None:
        """
        Add a case.

        Raises:
            CasesError: The temporary file cannot be written.
        """
        client = str(case.identity.client or "")
        who = (case.identity.provider, case.identity.subject, client)
        asked = (case.service, case.texts, case.by_reference)
        lifetime = None if case.lifetime is None else case.lifetime.total_seconds()
        given = (case.given, lifetime)
        self._block.append((who, dict(case.claims), asked, case.now.isoformat(), given))
        if len(self._block) >= BLOCK:
            self._flush()

    def _flush(self) -> None:
        packed = zlib.compress(marshal.dumps(self._block), _FAST)
        self._block.clear()
        try:
            self._file.write(len(packed).to_bytes(_LENGTH) + packed)
        except OSError as error:
            raise CasesError(_told(error)) from error

    def __iter__(self) -> Iterator[UsageCase]:
        """
        Yield the cases.

        Raises:
            CasesError: The temporary file cannot be read.
        """
        if self._block:
            self._flush()
        try:
            self._file.seek(0)
            while length := self._file.read(_LENGTH):
                packed = self._file.read(int.from_bytes(length))
                # This object alone wrote the file, and nobody else can open it.
                for values in marshal.loads(zlib.decompress(packed)):  # noqa: S302 - this object alone wrote it
                    yield _case(*values)
        except OSError as error:
            raise CasesError(_told(error)) from error


def _case(
    who: tuple[str, str, str],
    claims: dict[str, object],
    asked: tuple[str, tuple[str, ...], bool],
    now: str,
    given: tuple[tuple[tuple[bool, str], ...], float | None],
) -> UsageCase:
    provider, subject, client = who
    identity = Identity(provider, subject, client=parse_ip(client))
    answers, seconds = given
    lifetime = None if seconds is None else timedelta(seconds=seconds)
    return UsageCase(
        identity, recalled(claims), *asked, datetime.fromisoformat(now), answers, lifetime
    )


def _told(error: OSError) -> str:
    return (
        f"the temporary file in {tempfile.gettempdir()} cannot be used: {error.strerror}; "
        "set TMPDIR to a folder with more room"
    )
