"""
Recording: collects the outcomes of a run's cases into a report.

What lives here: pytest's hooks for a run that has suites, and the end of such a run: coverage,
mutation, formats, gates and the exit code.  Not here: any format (`reports.formats`), and pytest's
hooks that are there without a suite (`plugin`).
"""

import contextlib
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from regauth.engine.source.problems import Location
from regauth.policytests.execution.causes import Cause
from regauth.policytests.execution.run import Loaded, Run
from regauth.policytests.exit_codes import GATE_MISSED, POLICY_BROKEN, USAGE
from regauth.policytests.reports.report import Broken, CaseResult, Report, Threshold, analyse

from .short_way import ShortWay
from .snapshots import UnreachedSnapshots

MAX_TOLD: Final = 10
"""Cases of one test that are shown in full."""


class Recorder:
    """Collects the outcomes of a run's cases."""

    def __init__(self, run: Run, config: pytest.Config) -> None:
        self.run = run
        self.report = Report()
        self.snapshots = UnreachedSnapshots(run)
        self._config = config
        self._began = time.perf_counter()
        self._unwritten: list[str] = []
        self._told: dict[tuple[str, str], set[Cause | str]] = {}
        self._places: dict[str, tuple[str, str, Location]] = {}

    def tells(self, one: Loaded, case: str, cause: Cause | None) -> bool:
        """
        Tell whether a case that did not pass is shown in full.

        One case of each cause is, and at most `MAX_TOLD` of a test.  A change of one definition can
        break ten thousand cells, and explaining each would take minutes.
        """
        test = (one.suite.file, case.partition("[")[0])
        told = self._told.setdefault(test, set())
        key = case if cause is None else cause
        if key in told or len(told) >= MAX_TOLD:
            return False
        told.add(key)
        return True

    def know(self, nodeid: str, suite: str, case: str, location: Location) -> None:
        """Remember which case pytest calls by an id."""
        self._places[nodeid] = (suite, case, location)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the outcome of a case."""
        place = self._places.get(report.nodeid)
        if place is None or report.when == "teardown":
            return
        if report.when == "setup" and report.passed:
            return
        outcome: str = report.outcome
        if hasattr(report, "wasxfail") and report.skipped:
            outcome = "xfailed"
        elif report.when == "setup" and report.failed:
            outcome = "error"
        suite, case, location = place
        summary, lines = _text(report) if outcome != "passed" else ("", ())
        cause = getattr(report.longrepr, "cause", None)
        if outcome == "xfailed":
            summary = str(report.wasxfail).removeprefix("reason: ")
        self.report.results.append(
            CaseResult(suite, case, outcome, location, report.duration, summary, lines, cause)
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Analyse the run, write the formats, and give the exit code that says what is wrong."""
        report = self.report
        report.seconds = time.perf_counter() - self._began
        report.broken = [Broken(suite, error) for suite, error in self.run.broken.items()]
        option = self._config.option
        if not option.collectonly:
            wanted = option.policytest_min_mutation_score
            report.partial = _is_partial(self.run)
            mutants = option.policytest_mutate or wanted is not None
            shown = option.policytest_format or option.policytest_html
            if not report.partial or mutants or shown or option.policytest_cov_fail_under:
                analyse(self.run, report, mutants=mutants)
            if option.policytest_usage_log:
                self._add_uses(session, option.policytest_usage_log)
            self._gate("coverage", option.policytest_cov_fail_under)
            self._gate("mutation score", wanted)
        session.exitstatus = self._exit_code(int(session.exitstatus))
        self._write(session)

    def _add_uses(self, session: pytest.Session, logs: list[str]) -> None:
        from regauth.policytests.replay.logs import LogError  # noqa: PLC0415 - only runs that ask for it pay

        from .usage_logs import add_uses  # noqa: PLC0415 - only runs that ask for it pay

        try:
            add_uses(self.run, self.report, logs)
        except LogError as error:
            self._unwritten.append(f"--usage-log: {error}")
            session.exitstatus = session.exitstatus or USAGE

    def _gate(self, name: str, wanted: float | None) -> None:
        if wanted is None:
            return
        report = self.report
        reached = (
            [coverage.percent for coverage in report.coverage]
            if name == "coverage"
            else [mutation.score for mutation in report.mutation]
        )
        report.gates.append(Threshold(name, min(reached, default=0.0), wanted))

    def _exit_code(self, status: int) -> int:
        if any(broken.error.policy for broken in self.report.broken):
            return POLICY_BROKEN
        if status == 0 and any(gate.failed for gate in self.report.gates):
            return GATE_MISSED
        return status

    def _write(self, session: pytest.Session) -> None:
        option = self._config.option
        if not (option.policytest_format or option.policytest_html):
            return
        from regauth.policytests.reports.formats import render  # noqa: PLC0415 - only runs that ask for them pay

        wanted = list(option.policytest_format)
        if option.policytest_html:
            wanted.append(f"html={option.policytest_html}")
        for text in wanted:
            name, _, file = text.partition("=")
            rendered = render(name, self.report)
            if not file:
                self.after.append(rendered)
                continue
            try:
                Path(file).write_text(rendered, encoding="utf-8")
            except OSError as error:
                self._unwritten.append(f"{file} cannot be written: {error.strerror or error}")
                session.exitstatus = session.exitstatus or USAGE

    @property
    def after(self) -> list[str]:
        """What is written to standard output at the very end."""
        return self._config.stash.setdefault(AFTER, [])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Add coverage and mutation to pytest's own summary."""
        from regauth.policytests.reports.terminal import summarise  # noqa: PLC0415 - the reporter's text

        if not self._config.option.collectonly:
            summarise(self.report, terminalreporter)
        for text in self._unwritten:
            terminalreporter.write_line(text, red=True, bold=True)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Write the formats that have no file."""
        with contextlib.suppress(BrokenPipeError):
            for text in self.after:
                sys.stdout.write(text)
            sys.stdout.flush()
        self.after.clear()


AFTER: Final[pytest.StashKey[list[str]]] = pytest.StashKey()
"""What is written to standard output at the very end."""

RECORDER: Final[pytest.StashKey[Recorder]] = pytest.StashKey()
"""The recorder of a session; absent in a session without suites."""


def recorder_of(config: pytest.Config) -> Recorder:
    """Return the recorder of a pytest session; the first suite begins it."""
    recorder = config.stash.get(RECORDER, None)
    if recorder is None:
        recorder = config.stash[RECORDER] = Recorder(Run.at(config.rootpath), config)
        config.pluginmanager.register(recorder, "policytest-recorder")
        config.pluginmanager.register(recorder.snapshots, "policytest-snapshots")
        config.pluginmanager.register(ShortWay(), "policytest-short-way")
    return recorder


def _is_partial(run: Run) -> bool:
    """Tell whether some cases of a suite were deselected, or the run ended before them."""
    for loaded in run.loaded.values():
        skipped = sum(one.exemption is not None and one.exemption.skip for one in loaded.cases)
        if len(loaded.judged) < len(loaded.cases) - skipped:
            return True
    return False


def _text(report: pytest.TestReport) -> tuple[str, tuple[str, ...]]:
    longrepr = report.longrepr
    crash = getattr(longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message), tuple(getattr(longrepr, "lines", ()))
    if isinstance(longrepr, tuple):
        return str(longrepr[2]).removeprefix("Skipped: "), ()
    return str(longrepr), ()
