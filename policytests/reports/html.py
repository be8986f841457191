"""
The HTML report: one file, no network.

What lives here: the page's structure and content.  Not here: its look (`report.css`) and its
behaviour (`report.js`), which are read from beside this module; and anything that is not in the
report (`report`).

It works without its script: everything is in `details` elements, and the script only filters.
"""

from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files
from typing import Final

from regauth.engine.source.problems import Location
from regauth.policytests.analysis.coverage import Coverage
from regauth.policytests.analysis.parts import Point
from regauth.policytests.execution.access_table import AccessTable
from regauth.policytests.wording import counted

from .html_usage import usage_section
from .report import CaseResult, Report
from .terminal import describe

_MARKS: Final = {
    "A": ("allowed", "yes"),
    ".": ("refused", "no"),
    "U": ("no login", "out"),
    "E": ("error", "bad"),
}


_SECURITY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def html(report: Report) -> str:
    """Return the report as one HTML page."""
    folder = files(__package__)
    style = (folder / "report.css").read_text(encoding="utf-8")
    script = (folder / "report.js").read_text(encoding="utf-8")
    good = not report.bad and not report.broken
    body = "\n".join(_body(report))
    return f"""<!DOCTYPE html>
<html lang="en" data-outcome="{"passed" if good else "failed"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_SECURITY}">
<title>policytest: {escape(report.counts)}</title>
<style>
{style}</style>
</head>
<body>
{body}
<script>
{script}</script>
</body>
</html>
"""


def _body(report: Report) -> Iterator[str]:
    sections = {
        "results": "Results",
        "access": "Access",
        "coverage": "Coverage",
        "mutants": "Mutants",
        **({"usage": "Usage"} if report.uses else {}),
    }
    yield '<a class="skip" href="#main">Skip to the report</a>'
    yield "<header><h1>policytest</h1><nav><ul>"
    yield from (f'<li><a href="#{key}">{name}</a></li>' for key, name in sections.items())
    yield "</ul></nav></header><main id='main'>"
    yield "<dl class='counts'>"
    for outcome in ("passed", "failed", "error", "skipped", "xfailed"):
        number = report.count(outcome)
        if number or outcome == "passed":
            yield f"<div class='{outcome}'><dt>{outcome}</dt><dd>{number}</dd></div>"
    for coverage in report.coverage:
        yield f"<div><dt>{escape(coverage.folder)}</dt><dd>{coverage.percent:.1f} %</dd></div>"
    yield f"<div><dt>seconds</dt><dd>{report.seconds:.2f}</dd></div></dl>"
    yield from _results(report)
    yield from _access(report)
    yield from _coverage(report)
    yield from _mutants(report)
    yield from usage_section(report)
    yield f"<footer>{report.started:%Y-%m-%d %H:%M:%S} UTC</footer></main>"


# --- results -------------------------------------------------------------------------------------


def _results(report: Report) -> Iterator[str]:
    yield "<section id='results' aria-labelledby='results-title'>"
    yield "<h2 id='results-title'>Results</h2>"
    yield "<p class='tools'><label>Filter <input id='filter' type='search'></label> "
    yield "<label><input id='only-bad' type='checkbox'> only what did not pass</label>"
    yield " <output id='shown'></output></p>"
    for broken in report.broken:
        text = escape(broken.error.render())
        yield f"<details open class='error'><summary>{escape(broken.suite)} cannot be run</summary>"
        yield f"<pre>{text}</pre></details>"
    suites = list(report.suites())
    # Readers open the report for the cases that did not pass.
    suites.sort(key=lambda one: not any(result.bad for result in one[1]))
    for suite, results in suites:
        bad = sum(result.bad for result in results)
        state = "failed" if bad else "passed"
        opened = " open" if bad else ""
        yield f"<details class='suite {state}'{opened}><summary>{escape(suite)} "
        yield f"<small>{counted(len(results), 'case')}, {bad} not passed</small></summary>"
        yield from _listed(results)
        yield "</details>"
    yield "</section>"


def _listed(results: list[CaseResult]) -> Iterator[str]:
    """Yield what did not pass first; beside it the others are folded away."""
    bad = [result for result in results if result.bad]
    others = [result for result in results if not result.bad]
    if bad:
        yield "<ul>"
        yield from map(_result, bad)
        yield "</ul>"
    if others:
        if bad:
            yield f"<details class='others'><summary>{counted(len(others), 'other case')}</summary>"
        yield "<ul>"
        yield from map(_result, others)
        yield f"</ul>{'</details>' * bool(bad)}"


def _result(result: CaseResult) -> str:
    where = f"{result.location.line}:{result.location.column}"
    cause = result.cause
    because = f" <small>{escape(cause.name)} ({cause.location})</small>" if cause else ""
    name = f"{escape(result.test)} <b>{escape(result.part)}</b>"
    head = f"<span class='mark'>{result.outcome}</span> <code>{where}</code> {name}"
    if not result.summary:
        return f"<li class='case {result.outcome}'>{head}</li>"
    lines = escape("\n".join(result.lines))
    detail = f"<pre>{lines}</pre>" if lines else ""
    opened = " open" if result.bad and lines else ""
    return (
        f"<li class='case {result.outcome}'><details{opened}><summary>{head}"
        f"<br>{escape(result.summary)}{because}</summary>{detail}</details></li>"
    )


# --- access tables -------------------------------------------------------------------------------


def _access(report: Report) -> Iterator[str]:
    yield "<section id='access' aria-labelledby='access-title'><h2 id='access-title'>Access</h2>"
    if not report.tables:
        yield "<p>No suite has a snapshot.</p>"
    for suite, test, table in report.tables:
        yield from _table(f"{test} ({suite})", table)
    yield "</section>"


def _table(caption: str, table: AccessTable) -> Iterator[str]:
    actions = list(dict.fromkeys(action for row in table.rows for action in row.cells))
    yield f"<div class='scroll' tabindex='0' role='region' aria-label='{escape(caption)}'>"
    yield f"<table><caption>{escape(caption)}</caption><thead><tr>"
    yield from (
        f"<th scope='col'>{escape(name)}</th>" for name in ("token", "repository", *actions)
    )
    yield "</tr></thead><tbody>"
    for row in table.rows:
        yield f"<tr><th scope='row'>{escape(row.token)}</th><td>{escape(row.repository)}</td>"
        for action in actions:
            mark, _, source = row.cells.get(action, "").partition(" ")
            word, kind = _MARKS.get(mark, ("", ""))
            yield f"<td class='{kind}'>{word}<small>{escape(source)}</small></td>"
        yield "</tr>"
    yield "</tbody></table></div>"


# --- coverage ------------------------------------------------------------------------------------


def _coverage(report: Report) -> Iterator[str]:
    yield "<section id='coverage' aria-labelledby='coverage-title'>"
    yield "<h2 id='coverage-title'>Coverage</h2>"
    yield "<p class='key'><span class='full'>seen in every way</span> "
    yield "<span class='half'>not in every way</span> <span class='none'>never seen</span></p>"
    for coverage in report.coverage:
        counts = ", ".join(
            "{} {}/{}".format(kind, *coverage.count(kind))
            for kind in ("rule", "grant", "denial", "pattern", "part", "mcdc")
        )
        yield f"<h3>{escape(coverage.folder)}</h3><p>{coverage.percent:.1f} %: {counts}</p>"
        uncovered = list(coverage.uncovered)
        if uncovered:
            yield "<ul class='uncovered'>"
            for point in uncovered:
                text = escape(describe(point, point.missing))
                yield f"<li><a href='#{_anchor(point.location)}'>{point.location}</a> {text}</li>"
            yield "</ul>"
        yield from _sources(report, coverage)
    yield "</section>"


def _sources(report: Report, coverage: Coverage) -> Iterator[str]:
    for file in dict.fromkeys(point.location.file for point in coverage.points):
        points = [point for point in coverage.points if point.location.file == file]
        yield f"<details open class='source'><summary>{escape(file)}</summary>"
        yield f"<div class='scroll' tabindex='0' role='region' aria-label='{escape(file)}'>"
        lines = report.sources.get(file, "").rstrip("\n").split("\n")
        # Each line is a block of its own, so there is no line break between them.
        text = "".join(_source_line(file, n, line, points) for n, line in enumerate(lines, 1))
        yield f"<pre>{text}</pre></div></details>"


def _source_line(file: str, number: int, line: str, points: Iterable[Point]) -> str:
    here = [point for point in points if point.location.line == number]
    anchor = _anchor(Location(file, number))
    head = f"<span class='line {_state(here)}' id='{anchor}'><i>{number:4}</i> "
    return f"{head}{_painted(line, here)}</span>"


def _painted(line: str, points: Iterable[Point]) -> str:
    """Return a line with the parts in it painted, the shortest where they overlap."""
    spans: dict[tuple[int, int], list[Point]] = {}
    for point in points:
        place = point.location
        end = place.end_column if place.end_line == place.line else len(line) + 1
        if point.kind in ("part", "mcdc", "pattern") and end > place.column:
            spans.setdefault((place.column - 1, end - 1), []).append(point)
    text, at = "", 0
    for (start, end), here in sorted(spans.items()):
        if start < at:
            continue
        missing = [describe(point, point.missing) for point in here if point.missing]
        title = escape("; ".join(missing) or "seen in every way")
        text += escape(line[at:start])
        text += f"<span class='{_state(here)}' title='{title}'>{escape(line[start:end])}</span>"
        at = end
    return text + escape(line[at:])


def _state(points: Iterable[Point]) -> str:
    listed = list(points)
    if not listed:
        return "plain"
    if all(not point.missing for point in listed):
        return "full"
    return "half" if any(point.seen for point in listed) else "none"


def _anchor(location: Location) -> str:
    return escape(f"{location.file}-{location.line}".replace("/", "-").replace(" ", "-"))


# --- mutants -------------------------------------------------------------------------------------


def _mutants(report: Report) -> Iterator[str]:
    yield "<section id='mutants' aria-labelledby='mutants-title'>"
    yield "<h2 id='mutants-title'>Mutants</h2>"
    if not report.mutation:
        yield "<p>Not tried; <code>policytest --mutate</code> tries them.</p>"
    for mutation in report.mutation:
        total = len(mutation.killed) + len(mutation.survivors)
        yield f"<h3>{escape(mutation.folder)}</h3><p>{len(mutation.killed)} of {total} noticed "
        yield f"({mutation.score:.1f} %), {len(mutation.equivalent)} proved equivalent, "
        yield f"{len(mutation.undecided)} undecided</p>"
        for undecided in mutation.undecided:
            mutant = undecided.mutant
            head = f"{mutant.location} {mutant.owner}: {mutant.operator}"
            yield f"<details class='undecided'><summary>{escape(head)}</summary>"
            yield f"<pre>{''.join(map(_diff_line, mutant.diff().split(chr(10))))}</pre>"
            yield "<p>not proved equivalent because of "
            yield f"{escape(undecided.construct)}</p></details>"
        for survivor in mutation.survivors:
            mutant = survivor.mutant
            head = f"{mutant.location} {mutant.owner}: {mutant.operator}"
            yield f"<details open class='survivor'><summary>{escape(head)}</summary>"
            yield f"<pre>{''.join(map(_diff_line, mutant.diff().split(chr(10))))}</pre>"
            witness = escape(str(survivor.witness))
            yield f"<p>would be noticed by <code>{witness}</code></p></details>"
    yield "</section>"


def _diff_line(line: str) -> str:
    tag = "del" if line.startswith("-") else "ins"
    return f"<{tag}>{escape(line)}</{tag}>"
