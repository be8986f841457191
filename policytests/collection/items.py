"""
Suites and cases as pytest knows them.

What lives here: the collector and the items.  Not here: judging (`execution.judging`).

An item is a `pytest.Function`, because syrupy, `--lf` and others look at nothing else.  All cases
of a run share one function that is never called.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter

from regauth.engine.source.foreign_text import visible
from regauth.policytests.execution.cases import Case, SnapshotCase
from regauth.policytests.execution.causes import Cause
from regauth.policytests.execution.judging import CaseOutcome, Judgment
from regauth.policytests.execution.run import Loaded, SuiteError

from .recorder import recorder_of
from .short_way import ShortItem
from .snapshots import SnapshotMismatchError, compare

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion


class CaseFailed(Exception):  # noqa: N818 - an outcome, not a mistake
    """A case failed."""


class CaseError(Exception):
    """A case proves nothing."""


class SuiteFile(pytest.File):
    """A `*.policytest.yaml` file."""

    def collect(self) -> Iterator[pytest.Item]:
        """
        Yield the suite's cases.

        Raises:
            SuiteError: Anything is wrong with it; all of it is told.
        """
        recorder = recorder_of(self.config)
        loaded = recorder.run.load(self.path)
        shared: dict[str, Any] = {"callobj": case}
        for one in loaded.cases:
            item: CaseItem
            if isinstance(one, SnapshotCase):
                item = SnapshotItem.from_parent(self, name=one.id, callobj=table)
            else:
                item = CaseItem.from_parent(self, name=one.id, **shared)
                # All cases have the same fixtures.
                shared["fixtureinfo"] = item._fixtureinfo  # noqa: SLF001 - as Module does
            _parse_id(item)
            item.prepare(loaded, one)
            if isinstance(one, SnapshotCase):
                recorder.snapshots.expect(item.nodeid)
            recorder.know(item.nodeid, loaded.suite.file, one.id, one.location)
            yield item

    def repr_failure(  # type: ignore[override] # as in Collector
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> str | TerminalRepr:
        """Show what is wrong with the suite or its policy, and no traceback."""
        if isinstance(excinfo.value, SuiteError):
            return excinfo.value.render()
        return super().repr_failure(excinfo)


def _parse_id(item: pytest.Item) -> None:
    """
    Give an item the id under which pytest's cache knows it.

    pytest 9.2 keeps ids in parts and takes the text in brackets for parameters, which it knows only
    of functions that it has parametrized itself.  A cached id would equal none, and `--lf` would
    run everything.
    """
    known = getattr(item, "id", None)
    if known is not None:
        item._id = type(known).parse(item.nodeid)  # noqa: SLF001 - as pytest makes it


def case() -> None:
    """Stands for every case, because syrupy and pytest need a function."""


def table(snapshot: "SnapshotAssertion") -> None:
    """Stands for every snapshot; pytest reads from it which fixtures are needed."""
    del snapshot


class CaseItem(ShortItem):
    """One case of a suite."""

    loaded: Loaded
    one: Case
    _judgment: Judgment | None = None

    def prepare(self, loaded: Loaded, one: Case) -> None:
        """Give the item its case."""
        self.loaded = loaded
        self.one = one
        exemption = one.exemption
        if exemption is None:
            return
        if exemption.skip:
            self.add_marker(pytest.mark.skip(reason=exemption.reason))
        else:
            mark = pytest.mark.xfail(reason=exemption.reason, strict=True, raises=CaseFailed)
            self.add_marker(mark)

    def setup(self) -> None:
        """
        Judge the case.

        This runs in pytest's set-up, because pytest reports an exception there as an error and not
        as a failure.
        """
        judgment = self.judge()
        if judgment.outcome is CaseOutcome.ERROR:
            raise CaseError(judgment.summary)

    def judge(self) -> Judgment:
        """Judge the case, once."""
        if self._judgment is None:
            self.loaded.judged.append(self.one)
            self._judgment = self.one.judge(self.loaded.evaluation)
        return self._judgment

    def passes(self) -> bool:
        """Tell whether the case holds."""
        return self.judge().outcome is CaseOutcome.PASSED

    def runtest(self) -> None:
        """Fail if the case does not hold."""
        judgment = self.judge()
        if judgment.outcome is CaseOutcome.FAILED:
            raise CaseFailed(judgment.summary)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Return the place of the case in its suite."""
        return self.path, self.one.location.line - 1, self.name

    def repr_failure(  # type: ignore[override] # as in Function
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> str | TerminalRepr:
        """Show what was expected and what happened, and no traceback."""
        return self._shown(excinfo) or super().repr_failure(excinfo)

    def _repr_failure_py(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: Any = None,  # noqa: ANN401 - as in Node
    ) -> TerminalRepr:
        """Show an exception of the set-up too: pytest does not call `repr_failure` for it."""
        return self._shown(excinfo) or super()._repr_failure_py(excinfo, style)

    def _shown(self, excinfo: pytest.ExceptionInfo[BaseException]) -> TerminalRepr | None:
        if not isinstance(excinfo.value, CaseFailed | CaseError):
            return None
        loaded = self.loaded
        cause = self.one.cause(loaded.evaluation, loaded.causes)
        told = recorder_of(self.config).tells(loaded, self.one.id, cause)
        lines = list(self.one.tell(loaded.evaluation)) if told else []
        return CaseRepr(self.one, str(excinfo.value), lines, cause)


class SnapshotItem(CaseItem):
    """A snapshot of what tokens can do."""

    def passes(self) -> bool:
        """Return False: pytest makes the fixture that compares the table."""
        return False

    def setup(self) -> None:
        """Judge the case, and make the `snapshot` fixture."""
        super().setup()
        self._request._fillfixtures()  # noqa: SLF001 - as Function does

    def runtest(self) -> None:
        """Fail if the table is not the one in the file."""
        super().runtest()
        one = self.one
        assert isinstance(one, SnapshotCase)  # noqa: S101 - for the type checker
        snapshot: Any = self.funcargs["snapshot"]
        recorder_of(self.config).snapshots.reach(self.nodeid)
        compare(snapshot, one.table(self.loaded.evaluation), self.config)

    def repr_failure(  # type: ignore[override] # as in Function
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> str | TerminalRepr:
        """Show how the table differs."""
        if isinstance(excinfo.value, SnapshotMismatchError):
            return CaseRepr(self.one, str(excinfo.value), excinfo.value.lines)
        return super().repr_failure(excinfo)


class CaseRepr(TerminalRepr):
    """The text of a case that did not pass."""

    def __init__(
        self, one: Case, summary: str, lines: list[str], cause: Cause | None = None
    ) -> None:
        location = one.location
        shown = visible(summary, keep="\n\t")
        self.reprcrash = ReprFileLocation(location.file, location.line, shown)
        self.lines = [visible(line, keep="\n\t") for line in lines]
        self.cause = cause
        self.column = location.column

    def toterminal(self, tw: TerminalWriter) -> None:
        """Write the place, the summary and the story."""
        crash = self.reprcrash
        tw.write(f"{crash.path}:{crash.lineno}:{self.column}", bold=True)
        tw.write(": ")
        tw.line(crash.message, red=True)
        for line in self.lines:
            tw.line(f"  {line}" if line else "")
