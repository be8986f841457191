"""
Markdown: a run as a comment on a pull request.

What lives here: its text.  Not here: anything that is not in the report (`report`).
"""

from collections.abc import Iterator
from typing import Final

from regauth.policytests.execution.access_table import AccessTable
from regauth.policytests.wording import counted

from .report import CaseResult, Report
from .terminal import describe_uncovered

MOST: Final = 30
"""Cases that are shown in full."""

MARKER: Final = "<!-- policytest -->"
"""A bot finds its earlier comment by this mark."""


def markdown(report: Report) -> str:
    """Return the report as Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    bad = report.bad
    good = not bad and not report.broken and not any(gate.failed for gate in report.gates)
    yield MARKER
    yield f"### policytest: {'passed' if good else 'failed'}"
    yield ""
    yield f"{report.counts} in {report.seconds:.2f} s"
    for broken in report.broken:
        yield from ("", f"**{cell(broken.suite)}** cannot be run:", "")
        yield from _block(broken.error.render().split("\n"))
    groups = list(report.groups())
    for group in groups[:MOST]:
        yield from _result(group[0])
        if len(group) > 1:
            yield from ("", f"and {counted(len(group) - 1, 'more case')} of this cause")
    left = sum(map(len, groups[MOST:]))
    if left:
        yield from ("", f"and {counted(left, 'more case')}")
    yield from _policies(report)
    for suite, test, table in report.tables:
        summary = f"{cell(test)} ({cell(suite)})"
        yield from ("", f"<details><summary>{summary}</summary>", "")
        yield from _table(table)
        yield from ("", "</details>")


def _result(result: CaseResult) -> Iterator[str]:
    yield ""
    yield f"**{result.outcome}** {code(result.case)} ({result.location}): {cell(result.summary)}"
    if result.lines:
        yield ""
        yield from _block(list(result.lines))


def _policies(report: Report) -> Iterator[str]:
    if not report.coverage:
        return
    yield ""
    yield "| policy | rules | grants | denials | parts | MC/DC | coverage | mutants |"
    yield "|---|---|---|---|---|---|---|---|"
    for coverage in report.coverage:
        counts = [
            "{}/{}".format(*coverage.count(kind))
            for kind in ("rule", "grant", "denial", "part", "mcdc")
        ]
        mutation = next((one for one in report.mutation if one.folder == coverage.folder), None)
        score = f"{mutation.score:.1f} %" if mutation else "not tried"
        cells = [cell(coverage.folder), *counts, f"{coverage.percent:.1f} %", score]
        yield f"| {' | '.join(cells)} |"
    for coverage in report.coverage:
        for text in describe_uncovered(coverage)[:MOST]:
            yield f"- not covered: {code(text)}"
    for mutation in report.mutation:
        for survivor in mutation.survivors[:MOST]:
            mutant = survivor.mutant
            yield from ("", f"survived at {mutant.location} ({code(mutant.owner)}):", "")
            yield from _block(mutant.diff().split("\n"), "diff")
            yield f"would be noticed by {code(str(survivor.witness))}"


def _table(table: AccessTable) -> Iterator[str]:
    actions = list(dict.fromkeys(action for row in table.rows for action in row.cells))
    yield f"| token | repository | {' | '.join(actions)} |"
    yield "|---" * (2 + len(actions)) + "|"
    for row in table.rows:
        cells = [row.token, row.repository, *(row.cells.get(action, "") for action in actions)]
        yield f"| {' | '.join(map(cell, cells))} |"


def _block(lines: list[str], language: str = "") -> Iterator[str]:
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    yield f"{fence}{language}"
    yield from lines
    yield fence


def code(text: str) -> str:
    """Return text as a code span that it cannot end (CommonMark 0.31, section 6.1)."""
    fence = "`"
    while fence in text:
        fence += "`"
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def cell(text: str) -> str:
    """Return text escaped for a table's cell."""
    for character in "\\|<*_":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", " ")
