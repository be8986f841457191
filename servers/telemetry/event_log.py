"""
The event log: what happened, one line each, on one stream.

What lives here: the form of log lines, JSON (RFC 8259) or text, for our events and for what
libraries log.  Not here: tokens, passwords and keys: nothing that is logged may hold one
(`regauth.engine.source.redaction`); and which events there are (`token.observer`,
`proxy.forwarding`).

A log that cannot be written never stops a request: the line is dropped and counted.
"""

import json
import logging
import os
import re
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import orjson

from regauth.engine.source.redaction import REDACTED, without_tokens
from regauth.servers.configuration.settings import LogFormat, LogLevel
from regauth.servers.protocol.times import milliseconds

_LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
# Some clients put their token in the user name, in `service` or in a header.
_SESSION: Final = re.compile(r"regauth-session-[A-Za-z0-9_-]+", re.ASCII)
"""Our refresh tokens (`sessions.PREFIX`)."""
_WORD: Final = re.compile(r"""[!#-<>-\[\]-~]+""", re.ASCII)
"""Characters that need no quotes: printable ASCII without the space, `"`, `=` and the backslash."""
FOLD_SECONDS: Final = 10.0
"""Seconds between two lines of one place in a library's code, and two equal lines of our own."""
MAX_MESSAGE: Final = 500
"""Characters of a library's message; some quote the path of a request."""
MAX_OWN_MESSAGES: Final = 20
"""Different messages that one place in our own code may write in `FOLD_SECONDS`."""
_OWN: Final = "regauth."
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode
_AS_JSON_DOES: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def redacted(line: str) -> str:
    """Return a line without anything that looks like a token."""
    line = without_tokens(line)
    return _SESSION.sub(REDACTED, line) if "-session-" in line else line


class EventLog:
    """
    Writes events to a file descriptor, each line in one call, so that processes can share it.

    Args:
        form: `json` or `text`.
        level: The lowest level that is written.
        descriptor: Where to; standard error by default.
        now: The clock.
    """

    def __init__(
        self,
        form: LogFormat = "json",
        level: LogLevel = "info",
        descriptor: int = 2,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._json = form == "json"
        self._least = _LEVELS[level]
        self._descriptor = descriptor
        self._now = now
        self.dropped = 0
        """Lines that could not be written."""

    def event(
        self, event: str, level: str = "info", prepared: str = "", /, **fields: object
    ) -> None:
        """
        Write an event with its fields; those that are empty are left out.

        Args:
            event: What happened.
            level: How much it matters.
            prepared: Fields that were encoded before, by `prepare`; they come first.
            fields: The others.
        """
        if _LEVELS[level] < self._least:
            return
        moment = milliseconds(self._now())
        rest = prepared + self.prepare(fields)
        if self._json:
            line = f'{{"time":"{moment}","level":"{level}","event":"{event}"{rest}}}'
        else:
            line = f"{moment} {level.upper():7} {event}{rest}"
        # Redacted as a whole: a token may stand in any field, also in one of a library.
        self._write(redacted(line).encode("utf-8", "backslashreplace") + b"\n")

    def prepare(self, fields: Mapping[str, object]) -> str:
        """Encode fields once for an event that is written several times."""
        # Most events have no empty field, and to ask for one costs less than to copy them all.
        given = fields
        if not all(fields.values()):
            given = {name: value for name, value in fields.items() if value or value == 0}
        if self._json:
            return f",{encoded(given)[1:-1]}" if given else ""
        return "".join([f" {name}={_text(value)}" for name, value in given.items()])

    def take_over_logging(self, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Send what libraries log to this log, and nowhere else.

        Strangers can make libraries log, so each place in a library's code writes one line in
        `FOLD_SECONDS`, whatever its message quotes.  The next line's `more` counts those that were
        left out.  Our own loggers quote no stranger, so only equal messages of theirs are folded.

        Args:
            clock: Monotonic seconds.
        """
        root = logging.getLogger()
        root.handlers[:] = [_LibraryLogHandler(self, clock)]
        root.setLevel(self._least)
        # waitress warns of each task that waits; any client can cause that.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)

    def _write(self, line: bytes) -> None:
        try:
            # One call for a line: several processes share the stream, and a pipe keeps short writes
            # whole.
            written = os.write(self._descriptor, line)
        except OSError:
            written = 0
        if written != len(line):
            self.dropped += 1


@dataclass(slots=True)
class _CodePlace:
    """What one line of code has logged in this interval."""

    since: float
    said: set[tuple[str, str]] = field(default_factory=set)
    unsaid: int = 0


class _LibraryLogHandler(logging.Handler):
    def __init__(self, log: EventLog, clock: Callable[[], float]) -> None:
        super().__init__()
        self._log = log
        self._clock = clock
        self._places: dict[tuple[str, int, int], _CodePlace] = {}

    def emit(self, record: logging.LogRecord) -> None:
        place = self._place(record)
        if len(place.said) >= (MAX_OWN_MESSAGES if record.name.startswith(_OWN) else 1):
            place.unsaid += 1
            return
        # Redact before cutting: a half token does not look like a token.
        message, trace = redacted(record.getMessage())[:MAX_MESSAGE], _trace(record)
        if (message, trace) in place.said:
            place.unsaid += 1
            return
        place.said.add((message, trace))
        more, place.unsaid = place.unsaid, 0
        level = "warning" if record.levelname == "WARNING" else record.levelname.lower()
        self._log.event(
            "log",
            level if level in _LEVELS else "error",
            source=record.name,
            message=message,
            trace=trace,
            more=more or "",
        )

    def _place(self, record: logging.LogRecord) -> _CodePlace:
        """Return what the place of a record has logged in the interval that it falls in."""
        now = self._clock()
        key = (record.pathname, record.lineno, record.levelno)
        place = self._places.setdefault(key, _CodePlace(now))
        if now - place.since >= FOLD_SECONDS:
            place.since = now
            place.said.clear()
        return place


def _trace(record: logging.LogRecord) -> str:
    """Return where an exception happened, without its text: the text may quote a client."""
    # The exception's own text is left out: it may hold what a client sent.
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    frames = traceback.extract_tb(record.exc_info[2])
    places = " < ".join(f"{one.filename}:{one.lineno}" for one in reversed(frames))
    return f"{record.exc_info[0].__name__} at {places}"


def encoded(value: object) -> str:
    """Encode as JSON in ASCII, so that no character from a client can control a terminal."""
    try:
        data = orjson.dumps(value, option=_AS_JSON_DOES)
    except orjson.JSONEncodeError:
        return _encode(value)
    return data.decode() if data.isascii() else _encode(value)


def _text(value: object) -> str:
    """Quote what is not one word, so that a client cannot forge fields or lines of the log."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        text = "; ".join(value)
    else:
        text = value if isinstance(value, str) else _encode(value)
    return text if _WORD.fullmatch(text) else json.dumps(text)
