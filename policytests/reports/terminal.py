"""
The terminal: what an author sees of a run.

What lives here: the reporter of the `policytest` command, and the summary that plain pytest gets
too.  Not here: anything that is not in the report (`report`).

Of the cases that passed, only the number is shown.  Colour and the progress line are only for
terminals; pytest's writer knows.
"""

import sys
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import pytest
from _pytest.terminal import TerminalReporter

from regauth.engine.source.foreign_text import visible
from regauth.policytests.analysis.coverage import Coverage
from regauth.policytests.analysis.mutation import Mutation
from regauth.policytests.analysis.parts import Point
from regauth.policytests.exit_codes import NOTHING_RUN
from regauth.policytests.wording import counted

from .report import OUTCOMES, CaseResult, Report

MOST: Final = 8
"""Uncovered places and surviving mutants that are listed for each policy."""

MAX_TOLD: Final = 3
"""Cases of one test that are told in full."""

MAX_OF_CAUSE: Final = 5
"""Cases of one test and one cause that have a line; the others are counted."""

MAX_LINES: Final = 20
"""Cases of one test that have a line."""

PATIENCE: Final = 1.0
"""Seconds after which a run shows its progress."""

NO_SUITE: Final = (
    "there is no *.policytest.yaml in {places}; `policytest init` writes one to begin with"
)
"""What is said where nothing was found."""

_COLOURS: Final = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "skipped": "yellow",
    "xfailed": "yellow",
}
_OUTCOME_WORDS: Final = {"T": "true", "F": "false", "E": "an error"}
_KINDS: Final = {
    "rule": "rules",
    "grant": "grants",
    "denial": "denials",
    "pattern": "patterns",
    "new tags": "new tags",
    "invariant": "invariants",
    "part": "parts",
    "mcdc": "MC/DC",
}


def install(config: pytest.Config) -> None:
    """Put the command's reporter in the place of pytest's."""
    standard = config.pluginmanager.get_plugin("terminalreporter")
    if standard is None:
        return
    config.pluginmanager.unregister(standard)
    silent = any("=" not in text for text in config.option.policytest_format)
    reporter = Reporter(config, silent=silent)
    config.pluginmanager.register(reporter, "terminalreporter")


class Reporter(TerminalReporter):  # type: ignore[misc] # final, but there is no other way in
    """A reporter that shows failures as a tree, and one summary."""

    def __init__(self, config: pytest.Config, *, silent: bool) -> None:
        # A format on standard output must stand there alone.
        super().__init__(config, sys.stderr if silent else None)
        self._began = time.perf_counter()
        self._count = 0
        self._progressing = False

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Show nothing of a case that begins."""
        del nodeid, location

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a case, and show how far a slow run is."""
        self._tests_ran = True
        category, _, _ = self.config.hook.pytest_report_teststatus(
            report=report, config=self.config
        )
        self._add_stats(category, [report])
        if report.when == "call":
            self._count += 1
            self._progress()

    def _progress(self) -> None:
        if not self.isatty or time.perf_counter() - self._began < PATIENCE or self._count % 25:
            return
        self._progressing = True
        self.rewrite(f"{self._count} of {self._numcollected} cases", erase=True)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Show nothing of a case that ends."""
        del nodeid

    def pytest_collection(self) -> None:
        """Show nothing of a collection that begins."""

    def report_collect(self, final: bool = False) -> None:  # noqa: FBT001, FBT002 - as inherited
        """Show nothing of the collection."""
        del final

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Begin without a header."""
        self.config.option.no_header = True
        verbosity = self.config.option.verbose
        self.config.option.verbose = -1
        super().pytest_sessionstart(session)
        self.config.option.verbose = verbosity

    def summary_failures(self) -> None:
        """Show the cases that did not pass, as a tree; Python tests as pytest does."""
        if self._progressing:
            self.rewrite("", erase=True)
            self.write("\r")
        tree(self._report(), self)
        known = {result.id for result in self._report().results}
        stats = dict(self.stats)
        self.stats["failed"] = [one for one in stats.get("failed", []) if one.nodeid not in known]
        super().summary_failures()
        self.stats.update(stats)

    def summary_errors(self) -> None:
        """Show suites that cannot be run; Python modules as pytest does."""
        broken = {one.suite for one in self._report().broken}
        known = {result.id for result in self._report().results}
        stats = dict(self.stats)
        self.stats["error"] = [
            one
            for one in stats.get("error", [])
            if one.nodeid not in known and one.nodeid not in broken
        ]
        super().summary_errors()
        self.stats.update(stats)
        for one in self._report().broken:
            self.write_line(one.error.render(color=self._tw.hasmarkup))
            self.write_line("")

    def short_test_summary(self) -> None:
        """Show no list of what the tree has shown."""

    def summary_stats(self) -> None:
        """Show the last line: the numbers."""
        report = self._report()
        if not report.results and not report.broken:
            super().summary_stats()
            nothing = self._session is not None and self._session.exitstatus == NOTHING_RUN
            if nothing and not self._numcollected:
                self.write_line(NO_SUITE.format(places=", ".join(self.config.args)))
            return
        for number, outcome in enumerate(one for one in OUTCOMES if report.count(one)):
            self.write(", " if number else "")
            self.write(f"{report.count(outcome)} {outcome}", **{_COLOURS[outcome]: True})
        self.write_line(f" in {time.perf_counter() - self._began:.2f} s")
        others = len(self.stats.get("passed", [])) - report.count("passed")
        if others > 0:
            self.write_line(f"and {others} Python tests passed")

    def _report(self) -> Report:
        recorder = self.config.pluginmanager.get_plugin("policytest-recorder")
        return recorder.report if recorder is not None else Report()


def tree(report: Report, out: TerminalReporter) -> None:
    """Write the cases that did not pass: suite, test, case."""
    for suite, results in report.suites():
        bad = [result for result in results if result.bad]
        if not bad:
            continue
        _line(out, suite, bold=True)
        for test, listed in groupby(bad, lambda result: result.test):
            _line(out, f"  {test}")
            _test(list(listed), out)
        _line(out, "")


def _test(bad: list[CaseResult], out: TerminalReporter) -> None:
    """Write the cases of one test, those of one cause together."""
    groups: dict[object, list[CaseResult]] = {}
    for result in bad:
        groups.setdefault(result.id if result.cause is None else result.cause, []).append(result)
    told = lines = accounted = 0
    for group in groups.values():
        if lines >= MAX_LINES:
            break
        whole = bool(group[0].lines) and told < MAX_TOLD
        told += whole
        shown = group[: min(MAX_OF_CAUSE, MAX_LINES - lines)]
        for number, result in enumerate(shown):
            _case(result, out, whole=whole and number == 0)
        lines += len(shown)
        accounted += len(group)
        cause = group[0].cause
        if cause is not None and len(group) > len(shown):
            more = counted(len(group) - len(shown), "more case")
            _line(out, f"    and {more} because of `{cause.name}` ({cause.location})", red=True)
    if accounted < len(bad):
        left = counted(len(bad) - accounted, "more case")
        _line(out, f"    and {left}; --html FILE shows all", red=True)


def _case(result: CaseResult, out: TerminalReporter, *, whole: bool) -> None:
    mark = "ERROR" if result.outcome == "error" else "FAIL"
    _write(out, f"    {mark} ", red=True, bold=True)
    _write(out, f"{result.location} ")
    _write(out, f"{result.part} " if result.part else "", bold=True)
    _line(out, result.summary, red=True)
    for line in result.lines if whole else ():
        _line(out, f"      {line}".rstrip())


def _line(out: TerminalReporter, text: str, **markup: bool) -> None:
    out.write_line(visible(text), **markup)


def _write(out: TerminalReporter, text: str, **markup: bool) -> None:
    out.write(visible(text), **markup)


def summarise(report: Report, out: TerminalReporter) -> None:
    """Write coverage, mutants and gates: one screen."""
    # Places that only the deselected cases would cover are not reported.
    shown = report.coverage if not report.partial or report.gates or report.mutation else []
    for coverage in shown:
        mutation = next((one for one in report.mutation if one.folder == coverage.folder), None)
        _policy(coverage, mutation, out)
    for gate in report.gates:
        if gate.failed:
            _line(out, f"{gate}", red=True, bold=True)


def _policy(coverage: Coverage, mutation: Mutation | None, out: TerminalReporter) -> None:
    counts = []
    for kind, words in _KINDS.items():
        covered, total = coverage.count(kind)
        if total:
            counts.append(f"{words} {covered}/{total}")
    line = f"{coverage.folder}: {', '.join(counts)}; {coverage.percent:.1f} % covered"
    if mutation is not None:
        total = len(mutation.killed) + len(mutation.survivors)
        line += f"; mutants {len(mutation.killed)}/{total} ({mutation.score:.1f} %)"
        line += f", {len(mutation.equivalent)} proved equivalent" if mutation.equivalent else ""
        line += f", {len(mutation.undecided)} undecided" if mutation.undecided else ""
        if mutation.unreachable:
            line += f", {len(mutation.unreachable)} that no possible token reveals"
        if mutation.untried_entries:
            line += f", {mutation.untried_entries} entries of large tables not tried"
    _line(out, line)
    impossible = sum(len(point.impossible) for point in coverage.points)
    if impossible:
        _line(out, f"  not counted  {counted(impossible, 'outcome')} that no possible token shows")
    uncovered = describe_uncovered(coverage)
    for text in uncovered[:MOST]:
        _line(out, f"  not covered  {text}", yellow=True)
    if len(uncovered) > MOST:
        _line(out, f"  not covered  {len(uncovered) - MOST} more; --html FILE shows all")
    if mutation is not None:
        _survivors(mutation, out)


def _survivors(mutation: Mutation, out: TerminalReporter) -> None:
    for survivor in mutation.survivors[:MOST]:
        mutant = survivor.mutant
        _line(
            out, f"  survived     {mutant.location} {mutant.owner}: {mutant.operator}", yellow=True
        )
        for line in mutant.diff().split("\n"):
            _line(out, f"      {line}", **{"red" if line.startswith("-") else "green": True})
        _line(out, f"      would be noticed by {survivor.witness}")
    if len(mutation.survivors) > MOST:
        _line(out, f"  survived     {len(mutation.survivors) - MOST} more; --html FILE shows all")
    for undecided in mutation.undecided[:MOST]:
        mutant = undecided.mutant
        _line(
            out, f"  undecided    {mutant.location} {mutant.owner}: {mutant.operator}", yellow=True
        )
        for line in mutant.diff().split("\n"):
            _line(out, f"      {line}", **{"red" if line.startswith("-") else "green": True})
        _line(out, f"      not proved equivalent because of {undecided.construct}")


def describe_uncovered(coverage: Coverage) -> list[str]:
    """Return a line for each place that is not covered, with a token that would cover it."""
    # A part that was never true never decides either, nor does a rule that consists of it.  Say it
    # once.
    said = {(p.name, p.text, one) for p in coverage.points if p.kind == "part" for one in p.missing}
    lines = []
    for point in coverage.uncovered:
        missing = [
            one
            for one in point.missing
            if point.kind not in ("mcdc", "rule") or (point.name, point.text, one) not in said
        ]
        if missing:
            lines.append(f"{point.location} {describe(point, missing)}")
    return lines


def describe(point: Point, missing: Sequence[str]) -> str:
    """Say what of a point was not seen, and what would show it."""
    words = " nor ".join(_OUTCOME_WORDS[one] for one in missing)
    match point.kind:
        case "grant" | "denial":
            text = f"{point.kind} {point.name} never matches"
        case "invariant":
            text = f"invariant `{point.name}`: no case asks for what it forbids"
        case "pattern":
            text = f"{point.text} of {point.name} never matches"
        case "new tags":
            what = {"T": "a new tag", "F": "a tag that exists"}
            told = " nor ".join(what[one] for one in missing)
            text = f"{point.text} of {point.name}: no case pushes {told}"
        case "mcdc":
            text = f"{point.text} of {point.name} never decides by being {words}"
        case _:
            text = f"{point.text} of {point.name} is never {words}"
    hints = [point.suggestions[one] for one in missing if one in point.suggestions]
    return f"{text}; try {hints[0]}" if hints else text
