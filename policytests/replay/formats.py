"""
The formats of a replay: text, JSON, Markdown, GitHub annotations.

What lives here: their text.  Not here: anything that is not in the report (`report`, `view`).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import click

from regauth.engine.source.foreign_text import visible
from regauth.engine.source.problems import Location, Problem, Severity
from regauth.policytests.reports.github import problem_annotations
from regauth.policytests.reports.markdown import MARKER, cell
from regauth.policytests.wording import counted

from .deciding import Change
from .view import MATTER, MEANING, ReplayView, Told, stamp

SCHEMA_VERSION: Final = 1
"""The version of the JSON report's shape."""

MAX_LINES: Final = 12
"""Log lines that are named for one difference."""

_COLOURS: Final = {Change.WIDER: "red", Change.NARROWER: "yellow", Change.OTHERWISE: "cyan"}


# --- text ----------------------------------------------------------------------------------------


def text(view: ReplayView) -> str:
    """Return the report as text for a terminal."""

    def paint(words: str, colour: str) -> str:
        return click.style(words, fg=colour, bold=True) if view.color else words

    out: list[str] = []
    for change in Change:
        if view.report.requests[change] and change is not Change.OTHERWISE:
            out += [*_section(view, change, paint), ""]
    if view.report.undecided:
        out += [*_undecided(view, paint), ""]
    out += view.head()
    out.append(paint(view.summary(), "red" if view.code else "green"))
    out += view.verdict()
    return "".join(f"{line}\n" for line in out)


def _section(view: ReplayView, change: Change, paint: Callable[[str, str], str]) -> Iterator[str]:
    report = view.report
    total = report.different(change)
    differences = counted(total, "difference")
    numbers = f"{differences} in {counted(report.requests[change], 'request')}"
    yield f"{paint(change.value.upper(), _COLOURS[change])}  {MEANING[change]}: {numbers}"
    causes = list(report.causes(change))
    if len(causes) > 1 or total > len(view.told[change]):
        for before, after, count, accesses, identities in causes[:MAX_LINES]:
            about = f"{counted(accesses, 'access')} of {counted(identities, 'identity')}"
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
    times = counted(seen.count, "time")
    yield f"    {times}, {stamp(seen.first)} to {stamp(seen.last)}, last request {seen.request_id}"
    yield f"    then    {visible(str(difference.before))}"
    yield f"    now     {visible(str(difference.after))}"
    yield from (f"      {visible(line)}".rstrip() for line in told.lines[:MAX_LINES])
    if len(told.lines) > MAX_LINES:
        yield "      ..."


def _undecided(view: ReplayView, paint: Callable[[str, str], str]) -> Iterator[str]:
    report = view.report
    head = paint("NOT DECIDED AGAIN", "yellow")
    yield f"{head}  {counted(report.undecided.total(), 'line')}"
    for why, count in report.undecided.most_common():
        yield f"  {count:>7,}  {why.value}: {MATTER[why]}"
        yield f"           first at {visible(report.examples[why])}"


# --- JSON ----------------------------------------------------------------------------------------


def json_text(view: ReplayView) -> str:
    """Return the report as JSON."""
    report = view.report
    document = {
        "version": SCHEMA_VERSION,
        "policy": {"folder": report.policy, "hash": report.hash},
        "at": stamp(report.at) if report.at else "recorded",
        "exitCode": view.code,
        "accepted": {"widening": view.accepted.widening, "undecided": view.accepted.undecided},
        "lines": report.lines,
        "decided": report.decided,
        "first": stamp(report.first) if report.first else None,
        "last": stamp(report.last) if report.last else None,
        "recordedPolicies": dict(report.recorded),
        "requests": {change.value: report.requests[change] for change in Change},
        "undecided": [
            {"reason": why.value, "lines": count, "first": report.examples[why]}
            for why, count in report.undecided.most_common()
        ],
        "differences": [_json(change, told) for change in Change for told in view.told[change]],
        "notShown": {
            change.value: {
                "differences": view.report.different(change) - len(view.told[change]),
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
        "first": stamp(seen.first),
        "last": stamp(seen.last),
        "requestId": seen.request_id,
        "why": list(told.lines),
        "location": str(told.location) if told.location.file else None,
    }


# --- Markdown ------------------------------------------------------------------------------------


def markdown(view: ReplayView) -> str:
    """Return the report as Markdown, for a comment on a pull request."""
    return "\n".join(_markdown(view)) + "\n"


def _markdown(view: ReplayView) -> Iterator[str]:
    yield MARKER
    yield f"### policytest replay: {'passed' if view.code == 0 else 'failed'}"
    yield ""
    yield cell(view.summary())
    yield from (cell(line) for line in (*view.head(), *view.verdict()))
    for change in Change:
        if not view.told[change] or change is Change.OTHERWISE:
            continue
        total = counted(view.report.different(change), "difference")
        yield from ("", f"**{change.value}**: {MEANING[change]} ({total})", "")
        yield "| identity | access | then | now | times | last |"
        yield "|---|---|---|---|---|---|"
        for told in view.told[change]:
            one, seen = told.group.difference, told.group.seen
            cells = (one.identity, one.access, str(one.before), str(one.after))
            shown = [cell(visible(text)) for text in cells]
            yield f"| {' | '.join(shown)} | {seen.count:,} | {stamp(seen.last)} |"
        left = view.report.different(change) - len(view.told[change])
        if left:
            yield from ("", f"and {left:,} more")
    if view.report.undecided:
        yield from ("", "**not decided again**", "", "| lines | why | first |", "|---|---|---|")
        for why, count in view.report.undecided.most_common():
            example = cell(visible(view.report.examples[why]))
            yield f"| {count:,} | {why.value}: {cell(MATTER[why])} | {example} |"


# --- GitHub --------------------------------------------------------------------------------------


def github(view: ReplayView) -> str:
    """Return the report as workflow commands, at the grants, denials and rules that decided."""
    return "".join(f"{line}\n" for line in problem_annotations(_problems(view)))


def _problems(view: ReplayView) -> Iterator[Problem]:
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
                f"({counted(seen.count, 'time')}, last request {seen.request_id})"
            )
            place = told.location if told.location.file else Location(view.folder)
            yield Problem(place, f"{change.value}-access", visible(words), severity=severity)
    for why, count in view.report.undecided.most_common():
        words = f"{counted(count, 'line')} not decided again: {MATTER[why]}"
        severity = Severity.WARNING if accepted.undecided else Severity.ERROR
        first = visible(view.report.examples[why])
        yield Problem(Location(view.folder), why.value, words, f"first at {first}", severity)


FORMATS: Final[Mapping[str, Callable[[ReplayView], str]]] = {
    "text": text,
    "json": json_text,
    "markdown": markdown,
    "github": github,
}
"""Every format by the name that `--format` takes."""
