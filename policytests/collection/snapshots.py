"""
Snapshots: access tables kept in a file next to the suite, by syrupy.

What lives here: the file's form, and the guard against accepting wider access unseen.  What must
not: making a table (`cases`) and reading one (`access_table`).
"""

from typing import Final

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.exceptions import SnapshotDoesNotExist, TaintedSnapshotError
from syrupy.extensions.amber import AmberSnapshotExtension

from regauth.policytests.execution.access_table import AccessTable, parse_table

ACCEPTED: Final = "accepted: "
"""How a line begins that keeps the reason of a widening."""


class TableExtension(AmberSnapshotExtension):
    """Stores a table as its text."""

    def serialize(self, data: object, **_: object) -> str:
        """Return the table's text."""
        return str(data)

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Compare the tables; the reasons of widenings are no part of them."""
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
            # A snapshot that is asked for is not unused; syrupy would delete it.
            _ = snapshot == before
            raise
    if snapshot == text:
        return
    if before is None:
        raise SnapshotMismatchError(
            "there is no snapshot yet", ["write it with --snapshot-update", "", *text.split("\n")]
        )
    widenings = [f"wider: {one}" for one in table.widenings(parse_table(before))]
    lines = snapshot.get_assert_diff(diff_mode=config.option.diff_mode)
    raise SnapshotMismatchError(
        f"the table differs from the snapshot; {len(widenings)} cells are wider",
        [*widenings, *lines],
    )


def _guarded(table: AccessTable, before: str, reason: str | None) -> str:
    """Return the text to store, with the reasons of this and earlier widenings."""
    widenings = list(table.widenings(parse_table(before)))
    kept = [line for line in before.split("\n") if line.startswith(ACCEPTED)]
    if widenings and not reason:
        raise SnapshotMismatchError(
            f"the update widens access in {len(widenings)} cells",
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
