"""
GitHub: workflow commands that mark lines of suites and policies.

What lives here: their text.  Not here: anything that is not in the report (`report`).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from regauth.engine.source.foreign_text import visible
from regauth.engine.source.problems import Location, Problem
from regauth.policytests.wording import counted

from .report import CaseResult, Report

MAX_CASES: Final = 5
"""Cases that an annotation of the policy names."""


def github(report: Report) -> str:
    """Return workflow commands that mark the lines of suites and policies."""
    return "".join(f"{line}\n" for line in _annotations(report))


def _annotations(report: Report) -> Iterator[str]:
    # GitHub shows ten annotations a step, so the causes, which are few, come first.
    for cause, results in report.causes():
        if cause is not None:
            yield _command("error", cause.location, cause.name, _story_of(results))
    for group in report.groups():
        first = group[0]
        title = f"{first.test}: {first.part}" if first.part else first.test
        more = [f"and {counted(len(group) - 1, 'more case')} of this cause"] * (len(group) > 1)
        yield _command(
            "error", first.location, title, "\n".join((first.summary, *first.lines, *more))
        )
    for broken in report.broken:
        yield from problem_annotations(broken.problems)
    for mutation in report.mutation:
        for survivor in mutation.survivors:
            mutant = survivor.mutant
            text = f"{mutant.diff()}\nno test notices; {survivor.witness} would"
            yield _command("warning", mutant.location, f"survived: {mutant.operator}", text)


def _story_of(results: Sequence[CaseResult]) -> str:
    """Say which cases a part of the policy makes fail."""
    shown = [f"{one.location}: {one.case}: {one.summary}" for one in results[:MAX_CASES]]
    left = len(results) - len(shown)
    more = [f"and {counted(left, 'more case')}"] * (left > 0)
    return "\n".join((f"{counted(len(results), 'case')} did not pass:", *shown, *more))


def problem_annotations(problems: Iterable[Problem]) -> Iterator[str]:
    """Yield a workflow command for each problem."""
    for problem in problems:
        hint = f" ({problem.hint})" if problem.hint else ""
        text = f"{problem.message}{hint}"
        yield _command(problem.severity.value, problem.location, problem.code, text)


def _command(level: str, location: Location, title: str, text: str) -> str:
    fields = {
        "file": location.file,
        "line": str(location.line),
        "col": str(location.column),
        "title": title,
    }
    properties = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
    return f"::{level} {properties}::{_data(text)}"


def _data(text: str) -> str:
    shown = visible(text, keep="\n\t")
    return shown.replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
