"""
The short way: what a passing case needs of pytest, and no more.

What lives here: running a case without pytest's set-up, call and tear-down, where nobody would see
the difference.  Not here: judging (`execution.judging`), and cases that do not pass: those go
pytest's own way (`items`).

pytest passes each test through some twenty hooks, which capture output, collect warnings and look
for fixtures.  A case writes nothing and has no fixture, so for thousands of cells they are
most of a run.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

import pytest

_Phase: TypeAlias = Literal["setup", "call", "teardown"]

_KNOWN: Final = {"_hypothesis_pytestplugin", "_pytest", "regauth", "syrupy"}
"""Packages whose hooks around a test do nothing for a case that passes."""

_AROUND: Final = (
    *("pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown"),
    *("pytest_runtest_makereport", "pytest_runtest_protocol"),
)
"""The hooks that a case of the short way does not pass, or not as another plugin expects."""

_REPLACED: Final = frozenset({"setup", "runtest", "teardown", "passes"})
"""The methods of an item that a conftest can have replaced by others."""

_ONE_REPORT: Final = {
    *("_pytest.cacheprovider", "_pytest.logging", "_pytest.main", "_pytest.stepwise"),
    *("_pytest.terminal", "syrupy"),
}
"""Modules that take nothing from the reports of a passed set-up and tear-down."""


class ShortItem(pytest.Function, ABC):
    """An item that can go the short way."""

    @abstractmethod
    def passes(self) -> bool:
        """Tell whether its case passes, and needs nothing that pytest sets up."""


class ShortWay:
    """
    Runs the cases of a suite that pass, between its first and its last.

    The first and the last go pytest's own way, which sets up and tears down the folders around.
    """

    def __init__(self) -> None:
        self._phases: dict[pytest.Collector, tuple[_Phase, ...]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run a case that passes; leave all others to pytest."""
        suite = item.parent
        if (
            not isinstance(item, ShortItem)
            or nextitem is None
            or nextitem.parent is not suite
            or not isinstance(suite, pytest.Collector)
        ):
            return None
        phases = self._phases.get(suite)
        if phases is None:
            phases = self._phases[suite] = _phases(item)
        if not phases or not _is_set_up(item) or not _is_usual(item):
            return None
        start, began = time.time(), time.perf_counter()
        try:
            passed = item.passes()
        except Exception:  # noqa: BLE001 - whatever it is, pytest's own way meets it and reports it
            return None
        if not passed:
            return None
        _report(item, phases, start, time.perf_counter() - began)
        return True


def _phases(item: pytest.Item) -> tuple[_Phase, ...]:
    """Return the phases that somebody wants a report of; none where the short way is closed."""
    option, hooks = item.config.option, item.ihook
    if any(getattr(option, name, False) for name in ("setupshow", "setuponly", "setupplan")):
        return ()
    if any(name.partition(".")[0] not in _KNOWN for name in _listeners(hooks, _AROUND)):
        return ()
    listeners = set(_listeners(hooks, ("pytest_runtest_logreport",)))
    own = {name for name in listeners if name.startswith("regauth.")}
    if option.durations is None and listeners <= _ONE_REPORT | own:
        return ("call",)
    return ("setup", "call", "teardown")


def _listeners(hooks: Any, names: Iterable[str]) -> Iterable[str]:  # noqa: ANN401 - pluggy's relay is not typed
    """Yield the modules that listen to some hooks."""
    for name in names:
        for found in getattr(hooks, name).get_hookimpls():
            yield str(found.function.__module__)


def _is_set_up(item: pytest.Item) -> bool:
    """Tell whether everything around a case is set up, without an error, and nothing else."""
    stack = item.session._setupstate.stack  # noqa: SLF001 - the only way to ask
    last = next(reversed(stack), None)
    return last is item.parent and all(error is None for _, error in stack.values())


def _is_usual(item: pytest.Item) -> bool:
    """Tell whether a case is as it was made: a conftest can mark it, or replace what it runs."""
    return _REPLACED.isdisjoint(vars(item)) and next(item.iter_markers(), None) is None


def _report(item: pytest.Item, phases: Iterable[_Phase], start: float, seconds: float) -> None:
    """Report that a case has passed, as pytest does."""
    hooks, nodeid, location = item.ihook, item.nodeid, item.location
    hooks.pytest_runtest_logstart(nodeid=nodeid, location=location)
    keywords: dict[str, Literal[1]] = dict.fromkeys(item.keywords, 1)
    for phase in phases:
        duration = seconds if phase == "call" else 0.0
        report = pytest.TestReport(
            getattr(item, "id", nodeid),  # pytest 9.2 and later has the id in parts
            location,
            keywords,
            "passed",
            None,
            phase,
            duration=duration,
            start=start,
            stop=start + duration,
            user_properties=item.user_properties,
        )
        hooks.pytest_runtest_logreport(report=report)
    hooks.pytest_runtest_logfinish(nodeid=nodeid, location=location)
