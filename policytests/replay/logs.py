"""
Decision logs: the files that hold the records.

What lives here: files, standard input and gzip as lines of bounded length.  Not here: what a line
says (`records`).
"""

import gzip
import io
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

STANDARD_INPUT: Final = "-"
"""The name of the log that is read from standard input."""

MAX_LINE: Final = 4 * 1024 * 1024
"""Bytes of a line; a longer one is skipped, and said."""

_GZIP: Final = b"\x1f\x8b"


class LogError(Exception):
    """A log cannot be read at all; the caller's fault."""


class LogLine(NamedTuple):
    """A line of a log; `fault` says why it cannot be read."""

    log: str
    number: int
    text: bytes
    fault: str = ""

    @property
    def place(self) -> str:
        """Where it stands, `FILE:LINE`."""
        return f"{self.log}:{self.number}"


def check_logs(logs: Sequence[str]) -> None:
    """
    Check that every log can be opened, before the first is read, which may take an hour.

    Raises:
        LogError: There is none, one is a folder, or one cannot be opened; all are said.
    """
    faults = [fault for log in logs if log != STANDARD_INPUT and (fault := _fault(Path(log)))]
    if logs.count(STANDARD_INPUT) > 1:
        faults.append("standard input can be read once")
    if faults:
        raise LogError("; ".join(faults))


def _fault(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return f"{path} is a folder; name the logs in it"
        if stat.S_ISREG(mode):
            path.open("rb").close()
    except (OSError, ValueError) as error:
        return f"{path}: {getattr(error, 'strerror', None) or error}"
    return ""


def lines(log: str) -> Iterator[LogLine]:
    """
    Yield the lines of a log that are not empty; an error of reading comes as a line too.

    Raises:
        LogError: It cannot be opened.
    """
    number = 0
    with _opened(log) as stream:
        while True:
            number += 1
            try:
                text = stream.readline(MAX_LINE + 1)
                if len(text) > MAX_LINE and not text.endswith(b"\n"):
                    _skip_rest(stream)
                    yield LogLine(log, number, b"", f"it is longer than {MAX_LINE} bytes")
                    continue
            except (OSError, EOFError, zlib.error) as error:
                yield LogLine(log, number, b"", f"the rest of the file cannot be read: {error}")
                return
            if not text:
                return
            if not text.strip():
                continue
            yield LogLine(log, number, text)


def _skip_rest(stream: BinaryIO) -> None:
    while True:
        text = stream.readline(MAX_LINE)
        if not text or text.endswith(b"\n"):
            return


@contextmanager
def _opened(log: str) -> Iterator[BinaryIO]:
    if log == STANDARD_INPUT:
        yield _unpacked(log, sys.stdin.buffer)
        return
    with ExitStack() as opened:
        try:
            stream = opened.enter_context(Path(log).open("rb"))
        except OSError as error:
            raise LogError(f"{log}: {error.strerror}") from error
        yield _unpacked(log, stream)


def _unpacked(log: str, stream: BinaryIO) -> BinaryIO:
    """Decide by the first bytes and not by the name: rotated logs have any name."""
    buffered = cast("io.BufferedReader", stream)
    try:
        packed = buffered.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
    except OSError as error:
        raise LogError(f"{log}: {error.strerror}") from error
    return cast("BinaryIO", gzip.GzipFile(fileobj=buffered)) if packed else stream
