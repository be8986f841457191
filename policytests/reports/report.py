"""
The results of a run, as the values from which every format is written.

What lives here: results, coverage and mutation of a run, gathered.  Not here: any format
(`formats`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from regauth.engine.source.problems import Location, Problem
from regauth.policytests.analysis.coverage import Coverage, cover
from regauth.policytests.analysis.mutation import Mutation, mutate, questions
from regauth.policytests.analysis.places import Places
from regauth.policytests.execution.access_table import AccessTable
from regauth.policytests.execution.cases import SnapshotCase
from regauth.policytests.execution.causes import Cause
from regauth.policytests.execution.run import Loaded, Run, SuiteError

OUTCOMES: Final = ("passed", "failed", "error", "skipped", "xfailed")
"""Every outcome of a case.  A case that was expected to fail and passes has failed."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of one case."""

    suite: str
    case: str
    outcome: str
    location: Location
    seconds: float = 0.0
    summary: str = ""
    lines: tuple[str, ...] = ()
    """What happened; empty when another case of the same cause tells it."""
    cause: Cause | None = None

    @property
    def id(self) -> str:
        """The stable id of the case."""
        return f"{self.suite}::{self.case}"

    @property
    def test(self) -> str:
        """The name of the case's test."""
        return self.case.partition("[")[0]

    @property
    def part(self) -> str:
        """What the case is called within its test; empty when it is the whole of it."""
        return self.case.partition("[")[2].removesuffix("]")

    @property
    def bad(self) -> bool:
        """Whether the run fails for it."""
        return self.outcome in ("failed", "error")


@dataclass(frozen=True, slots=True)
class Broken:
    """A suite that could not be run, or the policy of one."""

    suite: str
    error: SuiteError

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong."""
        return self.error.problems


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold of the command line, and the value that was reached."""

    name: str
    reached: float
    wanted: float

    @property
    def failed(self) -> bool:
        """Whether less was reached than wanted."""
        return self.reached < self.wanted

    def __str__(self) -> str:
        return f"{self.name} is {self.reached:.1f} %, at least {self.wanted:g} % is asked for"


@dataclass(frozen=True, slots=True)
class LogUse:
    """What the requests of decision logs say about a policy."""

    folder: str
    span: str
    """Which requests were counted, in words."""
    sections: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """Titles with their rows; none where the logs say nothing about the policy."""


@dataclass(slots=True)
class Report:
    """Everything about one run."""

    results: list[CaseResult] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    coverage: list[Coverage] = field(default_factory=list)
    mutation: list[Mutation] = field(default_factory=list)
    tables: list[tuple[str, str, AccessTable]] = field(default_factory=list)
    """Each snapshot: its suite, its test's name, and what it shows."""
    uses: list[LogUse] = field(default_factory=list)
    """What decision logs used of each policy, where that was asked for."""
    gates: list[Threshold] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    partial: bool = False
    """Whether only some cases of the suites ran, so that coverage says nothing by itself."""
    seconds: float = 0.0
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def count(self, outcome: str) -> int:
        """Return how many cases have an outcome; a suite that could not be run is an error."""
        counted = sum(result.outcome == outcome for result in self.results)
        return counted + (len(self.broken) if outcome == "error" else 0)

    @property
    def bad(self) -> list[CaseResult]:
        """The cases that the run fails for."""
        return [result for result in self.results if result.bad]

    def causes(self) -> Iterator[tuple[Cause | None, list[CaseResult]]]:
        """Yield each cause with the cases that did not pass for it, in their order."""
        found: dict[Cause | None, list[CaseResult]] = {}
        for result in self.bad:
            found.setdefault(result.cause, []).append(result)
        yield from found.items()

    def groups(self) -> Iterator[list[CaseResult]]:
        """Yield the cases that did not pass: those of one test and one cause together."""
        found: dict[object, list[CaseResult]] = {}
        for result in self.bad:
            own = result.id if result.cause is None else result.cause
            found.setdefault((result.suite, result.test, own), []).append(result)
        yield from found.values()

    def suites(self) -> Iterator[tuple[str, list[CaseResult]]]:
        """Yield each suite with its results."""
        ordered = sorted(self.results, key=lambda result: result.suite)
        for suite, results in groupby(ordered, lambda result: result.suite):
            yield suite, list(results)

    @property
    def counts(self) -> str:
        """The numbers of the outcomes, in words."""
        parts = [f"{self.count(outcome)} {outcome}" for outcome in OUTCOMES if self.count(outcome)]
        return ", ".join(parts) or "no case"


def analyse(run: Run, report: Report, *, mutants: bool) -> None:
    """Add coverage, tables and, if asked for, mutation to a report of results."""
    by_folder: dict[str, list[Loaded]] = {}
    for loaded in run.loaded.values():
        by_folder.setdefault(loaded.compiled.shown, []).append(loaded)
    passed = {result.id for result in report.results if result.outcome == "passed"}
    for folder, listed in by_folder.items():
        compilation = listed[0].compiled.compilation
        if compilation.policy is None:
            continue
        report.sources.update(compilation.sources)
        report.sources.update(
            {one.suite.file: one.source for one in listed if one.evaluation.linked.invariants}
        )
        places = Places.of(compilation.sources)
        judged = [(loaded, case) for loaded in listed for case in loaded.judged]
        asked = (pair for loaded, case in judged for pair in questions(loaded, case))
        stated = [one for loaded in listed for one in loaded.evaluation.linked.invariants]
        report.coverage.append(cover(compilation.policy, folder, places, asked, stated))
        if mutants:
            good = [
                (loaded, case)
                for loaded, case in judged
                if f"{loaded.suite.file}::{case.id}" in passed
            ]
            report.mutation.append(mutate(compilation.policy, folder, places, good))
        for loaded, case in judged:
            if isinstance(case, SnapshotCase):
                table = case.table(loaded.evaluation)
                report.tables.append((loaded.suite.file, case.id, table))
