"""
`policytest why --request ID LOG...`: a decision of a log, then and with today's policy.

What lives here: finding the lines that have a request's id, and showing each.
Not here: deciding again (`regauth.policytests.replay`), and the explanation, which is the engine's
(`regauth.engine.explaining`).
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from regauth.engine.explaining.narration import narrate
from regauth.engine.source.foreign_text import visible
from regauth.policytests.replay.deciding import Replay, UndecidedReason
from regauth.policytests.replay.explaining import explain_record
from regauth.policytests.replay.logs import LogError, LogLine, check_logs, lines
from regauth.policytests.replay.questions import IncoherentError
from regauth.policytests.replay.records import Record, RecordError, read_record
from regauth.policytests.replay.view import MATTER, stamp

from .questions import Options, QuestionError

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""What servers call requests; as bytes it stands in a line as it is."""


def why_recorded(options: Options, request_id: str, logs: Sequence[str]) -> Iterator[str]:
    """
    Explain every line of some logs that has a request's id, and name what could not be read.

    Raises:
        QuestionError: No line has it, a log cannot be opened, or there is no policy.
    """
    if options.suite or options.keys or options.provider or options.service:
        raise QuestionError("--request takes --policy and --at; the log says the rest")
    if _ID.fullmatch(request_id) is None:
        raise QuestionError(f"{request_id[:80]!r} is not the id of a request")
    if not logs:
        raise QuestionError("name the log, or - for standard input, after --request ID")
    replay = Replay(options.chosen_policy(), options.time())
    found, unread = False, list[str]()
    try:
        check_logs(logs)
        for log in logs:
            for line in lines(log):
                if line.fault:
                    unread.append(f"{visible(line.place)}: {visible(line.fault)}")
                elif request_id.encode() in line.text and (told := _told(replay, line, request_id)):
                    yield from ("",) if found else ()
                    found = True
                    yield from told
    except LogError as error:
        raise QuestionError(visible(str(error))) from error
    missing = f"no line of {', '.join(map(visible, logs))} has the id {request_id}"
    if not found:
        raise QuestionError("\n".join([missing, *unread]))
    yield from ("", "not read, so more may have the id:", *unread) if unread else ()


def _told(replay: Replay, line: LogLine, request_id: str) -> list[str]:
    """Return what is said of a line; nothing when the id stands in it for something else."""
    try:
        record = read_record(line.text)
    except RecordError as error:
        return [f"{visible(line.place)}: it has the id and is no decision record: {error}"]
    if record.request_id != request_id:
        return []
    return [*_then(record, line), *_now(replay, record)]


def _then(record: Record, line: LogLine) -> Iterator[str]:
    who = f"{record.provider}:{record.subject}" if record.subject else record.provider
    who = "anonymous" if record.anonymous else who or "unknown"
    by = "a proxy, at the request itself" if record.by_reference else "a token server"
    yield f"{visible(line.place)}: {stamp(record.time)}, {by}, service {visible(record.service)}"
    yield f"THEN, by the policy {visible(record.policy)}: {visible(who)}, {record.outcome}"
    if record.reason:
        yield f"  the login is refused: {visible(record.reason)}"
    for access, answered in record.accesses.items():
        yield f"  {visible(access)}: {visible(str(answered))}"
    if record.answered and not record.accesses:
        yield "  no access was asked for"


def _now(replay: Replay, record: Record) -> Iterator[str]:
    same = "the same policy" if record.policy == replay.policy.hash else replay.policy.hash
    when = "as of then" if replay.at is None else f"as of {stamp(replay.at)}"
    yield f"NOW, by {same}, {when}:"
    try:
        explanation = explain_record(replay, record)
    except IncoherentError as error:
        yield f"  not decided again: the record contradicts itself: {error}"
        return
    if isinstance(explanation, UndecidedReason):
        yield f"  not decided again: {MATTER[explanation]}"
    elif explanation is None:
        yield "  the same: the login was refused before its claims were believed"
    else:
        yield from (f"  {text}" if text else "" for text in narrate(explanation).split("\n"))
