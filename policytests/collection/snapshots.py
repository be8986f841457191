"""
Snapshots: access tables kept in a file next to the suite, by syrupy.

What lives here: the file's form, and the guard against accepting wider access unseen.
Not here: making a table (`execution.cases`) and reading one (`execution.access_table`).
"""

import re
from collections.abc import Generator, Iterable
from typing import Final

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.exceptions import SnapshotDoesNotExist, TaintedSnapshotError
from syrupy.extensions.amber import AmberSnapshotExtension
from syrupy.session import ItemStatus

from regauth.policytests.execution.access_table import AccessTable, parse_table
from regauth.policytests.execution.run import Run
from regauth.policytests.wording import counted

ACCEPTED: Final = "accepted: "
"""The beginning of a line that keeps the reason of a widening."""


_ESCAPE: Final = re.compile(r"\x1b\[[0-9;]*m")


class TableExtension(AmberSnapshotExtension):
    """Stores a table as its text."""

    def serialize(self, data: object, **_: object) -> str:
        """Return the table's text."""
        return str(data)

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Compare the tables, without the reasons of widenings."""
        return _table_text(serialized_data) == _table_text(snapshot_data)


class SnapshotMismatchError(Exception):
    """A table is not the one in the file; `lines` show the difference."""

    def __init__(self, message: str, lines: list[str]) -> None:
        super().__init__(message)
        self.lines = lines


def compare(snapshot: SnapshotAssertion, table: AccessTable, config: pytest.Config) -> None:
    """
    Compare a table with the one in the file, or write it there.

    Raises:
        SnapshotMismatchError: They differ, or writing would widen access without a reason.
    """
    snapshot = snapshot.use_extension(TableExtension)
    before = _stored(snapshot)
    text = str(table)
    updating = bool(config.getoption("update_snapshots"))
    if updating and before is not None:
        try:
            text = _guarded(table, before, config.getoption("policytest_accept_widening", None))
        except SnapshotMismatchError:
            # A snapshot that a test asks for is not unused; without this, syrupy would delete it.
            _ = snapshot == before
            raise
    if snapshot == text:
        return
    if before is None:
        raise SnapshotMismatchError(
            "there is no snapshot yet", ["write it with --snapshot-update", "", *text.split("\n")]
        )
    known = parse_table(before)
    widenings = [f"wider: {one}" for one in table.widenings(known)]
    # Where one cell gets longer, every line of the text changes: only the cells say what did.
    lines = [f"changed: {one}" for one in table.changes(known)]
    lines = lines or _plain(snapshot.get_assert_diff(diff_mode=config.option.diff_mode))
    raise SnapshotMismatchError(
        f"the table differs from the snapshot: {counted(len(widenings), 'wider cell')}",
        [*widenings, *lines],
    )


class UnreachedSnapshots:
    """
    Keeps syrupy from treating a snapshot as unused when its test ended before the comparison.

    That is so when the run ends early (`-x`, Ctrl-C), when an access of the table cannot be judged,
    and when a suite cannot be read, so that its snapshots are not known.  With
    `--snapshot-update` syrupy would delete them.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._unreached: set[str] = set()

    def expect(self, nodeid: str) -> None:
        """Note that a snapshot is to be compared."""
        self._unreached.add(nodeid)

    def reach(self, nodeid: str) -> None:
        """Note that a snapshot is being compared."""
        self._unreached.discard(nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Tell syrupy before it looks for unused snapshots."""
        own = getattr(session.config, "_syrupy", None)
        selected = getattr(own, "_selected_items", {})  # syrupy has no public way for this
        for nodeid in self._unreached & selected.keys():
            selected[nodeid] = ItemStatus.SKIPPED
        if self._run.broken:
            session.config.option.no_cleanup = True
        yield


def _plain(lines: Iterable[str]) -> list[str]:
    """Remove the colours, which syrupy writes for every kind of output."""
    return [_ESCAPE.sub("", line) for line in lines]


def _guarded(table: AccessTable, before: str, reason: str | None) -> str:
    """Return the text to store, with the reasons of this and earlier widenings."""
    widenings = list(table.widenings(parse_table(before)))
    kept = [line for line in before.split("\n") if line.startswith(ACCEPTED)]
    if widenings and not reason:
        raise SnapshotMismatchError(
            f"the update widens access in {counted(len(widenings), 'cell')}",
            [*(f"wider: {one}" for one in widenings), 'accept it with --accept-widening "REASON"'],
        )
    if widenings:
        cells = ", ".join(f"{one.token} {one.action} {one.repository}" for one in widenings)
        kept.append(f"{ACCEPTED}{' '.join(str(reason).split())} ({cells})")
    return "\n".join([*kept, str(table)])


def _stored(snapshot: SnapshotAssertion) -> str | None:
    try:
        stored = snapshot.session.recall_snapshot(
            snapshot.extension, snapshot.test_location, snapshot.index
        )
    except (SnapshotDoesNotExist, TaintedSnapshotError):
        return None
    return None if stored is None else str(stored)


def _table_text(text: object) -> str:
    lines = str(text).split("\n")
    return "\n".join(line for line in lines if not line.startswith(ACCEPTED))
