"""
The formats of a replay: text, JSON, Markdown, GitHub annotations.

What lives here: their text.  What must not: anything that is not in the report.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import click

from ..engine.problems import Location, Problem, Severity
from ..engine.rendering import visible
from .format_machine import problem_annotations
from .format_markdown import MARKER, cell
from .replay_report import Accepted, Group, ReplayReport
from .replaying import Change, Undecided

SCHEMA_VERSION: Final = 1
"""The version of the JSON report's shape."""

MOST_LINES: Final = 12
"""Lines that are told of one difference."""

HEADS: Final[Mapping[Change, str]] = {
    Change.WIDER: "refused then, allowed now",
    Change.NARROWER: "allowed then, refused now",
    Change.OTHERWISE: "the same access, decided by something else",
}
"""What each change means."""

UNDECIDED: Final[Mapping[Undecided, str]] = {
    Undecided.NOT_A_RECORD: "is no decision record of this version",
    Undecided.TORN: "ends early: it was being written, or cut off",
    Undecided.NOT_VERIFIED: "a login that was refused before its claims were believed",
    Undecided.UNAVAILABLE: "a login whose provider could not be reached",
    Undecided.UNKNOWN_SERVICE: "a login for a service that only this policy answers for",
    Undecided.NO_CLAIMS: "the log was written without claims",
    Undecided.REDACTED: "holds [token] in place of a claim, a scope or the service",
}
"""What is the matter with a line that is not decided again."""

_COLOURS: Final = {Change.WIDER: "red", Change.NARROWER: "yellow", Change.OTHERWISE: "cyan"}


@dataclass(frozen=True, slots=True)
class Told:
    """A difference, why it is one, and the part of the policy that makes it."""

    group: Group
    lines: tuple[str, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a report."""

    report: ReplayReport
    told: Mapping[Change, Sequence[Told]]
    accepted: Accepted
    code: int
    folder: str
    color: bool = False

    def total(self, change: Change) -> int:
        """Return how many different differences there are, as far as they were kept."""
        return len(self.report.groups(change))


def _count(number: int, word: str) -> str:
    plural = f"{word}es" if word.endswith("s") else f"{word}s"
    plural = "identities" if word == "identity" else plural
    return f"{number:,} {word if number == 1 else plural}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _summary(view: View) -> str:
    """Return the last line: what differs, in numbers."""
    report = view.report
    counts = [
        f"{report.requests[change]:,} {change.value}"
        for change in Change
        if report.requests[change]
    ]
    counts += [f"{report.undecided.total():,} not decided again"] if report.undecided else []
    found = ", ".join(counts) or "nothing differs"
    return f"{_count(report.decided, 'request')} decided again: {found}"


def _verdict(view: View) -> Iterator[str]:
    report, accepted = view.report, view.accepted
    if report.requests[Change.WIDER]:
        yield (
            f"new access, accepted: {accepted.widening}"
            if accepted.widening
            else 'new access; accept it with --accept-widening "REASON"'
        )
    if report.undecided:
        yield (
            f"what was not decided again is accepted: {accepted.undecided}"
            if accepted.undecided
            else "new access for what was not decided again cannot be excluded; "
            'accept that with --accept-undecided "REASON"'
        )
    if not report.lines:
        yield "there is no decision in the log, so nothing is said about the policy"


# --- text ----------------------------------------------------------------------------------------


def text(view: View) -> str:
    """Return the report as text for a terminal."""

    def paint(words: str, colour: str) -> str:
        return click.style(words, fg=colour, bold=True) if view.color else words

    out: list[str] = []
    for change in Change:
        if view.report.requests[change] and change is not Change.OTHERWISE:
            out += [*_section(view, change, paint), ""]
    if view.report.undecided:
        out += [*_undecided(view, paint), ""]
    out += _head(view)
    summary = _summary(view)
    out.append(paint(summary, "red" if view.code else "green"))
    out += _verdict(view)
    return "".join(f"{line}\n" for line in out)


def _head(view: View) -> Iterator[str]:
    report = view.report
    if report.first is not None and report.last is not None:
        when = "each as of its time" if report.at is None else f"as of {_time(report.at)}"
        yield f"{_time(report.first)} to {_time(report.last)}, {when}"
    same = report.recorded[report.hash]
    known = f"; {_count(same, 'request')} had been decided by this very policy" if same else ""
    yield f"policy {visible(report.policy)} {report.hash[:19]}{known}"


def _section(view: View, change: Change, paint: Callable[[str, str], str]) -> Iterator[str]:
    report = view.report
    total = view.total(change)
    numbers = f"{_count(total, 'access')}, {_count(report.requests[change], 'request')}"
    yield f"{paint(change.value.upper(), _COLOURS[change])}  {HEADS[change]}: {numbers}"
    causes = list(report.causes(change))
    if len(causes) > 1 or total > len(view.told[change]):
        for before, after, count, accesses, identities in causes[:MOST_LINES]:
            about = f"{_count(accesses, 'access')} of {_count(identities, 'identity')}"
            yield f"  {count:>7,}  {visible(before)} -> {visible(after)}  ({about})"
    for told in view.told[change]:
        yield from _difference(told)
    left = total - len(view.told[change])
    if left:
        yield f"\n  and {left:,} more; --limit 0 shows all"
    if report.unkept[change]:
        yield f"  and {report.unkept[change]:,} times something beyond these, counted alone"


def _difference(told: Told) -> Iterator[str]:
    difference, seen = told.group.difference, told.group.seen
    yield ""
    yield f"  {visible(difference.identity)}  {visible(difference.access)}"
    yield f"    service {visible(difference.service)}"
    times = _count(seen.count, "time")
    yield f"    {times}, {_time(seen.first)} to {_time(seen.last)}, last request {seen.request_id}"
    yield f"    then    {visible(str(difference.before))}"
    yield f"    now     {visible(str(difference.after))}"
    yield from (f"      {visible(line)}".rstrip() for line in told.lines[:MOST_LINES])
    if len(told.lines) > MOST_LINES:
        yield "      ..."


def _undecided(view: View, paint: Callable[[str, str], str]) -> Iterator[str]:
    report = view.report
    head = paint("NOT DECIDED AGAIN", "yellow")
    yield f"{head}  {_count(report.undecided.total(), 'line')}"
    for why, count in report.undecided.most_common():
        yield f"  {count:>7,}  {why.value}: {UNDECIDED[why]}"
        yield f"           first at {visible(report.examples[why])}"


# --- JSON ----------------------------------------------------------------------------------------


def json_text(view: View) -> str:
    """Return the report as JSON."""
    report = view.report
    document = {
        "version": SCHEMA_VERSION,
        "policy": {"folder": report.policy, "hash": report.hash},
        "at": _time(report.at) if report.at else "recorded",
        "exitCode": view.code,
        "accepted": {"widening": view.accepted.widening, "undecided": view.accepted.undecided},
        "lines": report.lines,
        "decided": report.decided,
        "first": _time(report.first) if report.first else None,
        "last": _time(report.last) if report.last else None,
        "recordedPolicies": dict(report.recorded),
        "requests": {change.value: report.requests[change] for change in Change},
        "undecided": [
            {"reason": why.value, "lines": count, "first": report.examples[why]}
            for why, count in report.undecided.most_common()
        ],
        "differences": [_json(change, told) for change in Change for told in view.told[change]],
        "notShown": {
            change.value: {
                "differences": view.total(change) - len(view.told[change]),
                "notKept": report.unkept[change],
            }
            for change in Change
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _json(change: Change, told: Told) -> dict[str, object]:
    difference, seen = told.group.difference, told.group.seen
    return {
        "change": change.value,
        "identity": difference.identity,
        "service": difference.service,
        "access": difference.access,
        "before": difference.before._asdict(),
        "after": difference.after._asdict(),
        "count": seen.count,
        "first": _time(seen.first),
        "last": _time(seen.last),
        "requestId": seen.request_id,
        "why": list(told.lines),
        "location": str(told.location) if told.location.file else None,
    }


# --- Markdown ------------------------------------------------------------------------------------


def markdown(view: View) -> str:
    """Return the report as Markdown, for a comment on a pull request."""
    return "\n".join(_markdown(view)) + "\n"


def _markdown(view: View) -> Iterator[str]:
    yield MARKER
    yield f"### policytest replay: {'passed' if view.code == 0 else 'failed'}"
    yield ""
    yield cell(_summary(view))
    yield from (cell(line) for line in (*_head(view), *_verdict(view)))
    for change in Change:
        if not view.told[change] or change is Change.OTHERWISE:
            continue
        total = _count(view.total(change), "access")
        yield from ("", f"**{change.value}**: {HEADS[change]} ({total})", "")
        yield "| identity | access | then | now | times | last |"
        yield "|---|---|---|---|---|---|"
        for told in view.told[change]:
            one, seen = told.group.difference, told.group.seen
            cells = (one.identity, one.access, str(one.before), str(one.after))
            shown = [cell(visible(text)) for text in cells]
            yield f"| {' | '.join(shown)} | {seen.count:,} | {_time(seen.last)} |"
        left = view.total(change) - len(view.told[change])
        if left:
            yield from ("", f"and {left:,} more")
    if view.report.undecided:
        yield from ("", "**not decided again**", "", "| lines | why | first |", "|---|---|---|")
        for why, count in view.report.undecided.most_common():
            example = cell(visible(view.report.examples[why]))
            yield f"| {count:,} | {why.value}: {cell(UNDECIDED[why])} | {example} |"


# --- GitHub --------------------------------------------------------------------------------------


def github(view: View) -> str:
    """Return the report as workflow commands, at the grants, denials and rules that decided."""
    return "".join(f"{line}\n" for line in problem_annotations(_problems(view)))


def _problems(view: View) -> Iterator[Problem]:
    accepted = view.accepted
    severities = {
        Change.WIDER: Severity.WARNING if accepted.widening else Severity.ERROR,
        Change.NARROWER: Severity.WARNING,
    }
    for change, severity in severities.items():
        for told in view.told[change]:
            one, seen = told.group.difference, told.group.seen
            words = (
                f"{one.identity} {one.access}: then {one.before}; now {one.after} "
                f"({_count(seen.count, 'time')}, last request {seen.request_id})"
            )
            place = told.location if told.location.file else Location(view.folder)
            yield Problem(place, f"{change.value}-access", visible(words), severity=severity)
    for why, count in view.report.undecided.most_common():
        words = f"{_count(count, 'line')} not decided again: {UNDECIDED[why]}"
        severity = Severity.WARNING if accepted.undecided else Severity.ERROR
        first = visible(view.report.examples[why])
        yield Problem(Location(view.folder), why.value, words, f"first at {first}", severity)


FORMATS: Final[Mapping[str, Callable[[View], str]]] = {
    "text": text,
    "json": json_text,
    "markdown": markdown,
    "github": github,
}
"""Every format by the name that `--format` takes."""
