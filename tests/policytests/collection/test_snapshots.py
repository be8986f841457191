"""Snapshots: readable tables, safe to update, and never wider without a reason."""

from pathlib import Path

from regauth.engine.access.outcomes import ConditionError, Verdict, Why
from regauth.engine.access.scope import Access, Resource
from regauth.policytests.execution.access_table import AccessTable, Row, parse_table
from tests.policytests.conftest import Repository
from tests.policytests.test_plugin import run

SUITE = """
tests:
  - {name: main can, token: main, repositories: [acme/app, acme/lib], snapshot: true}
  - {name: main elsewhere, token: main, repositories: [other/app], snapshot: true}
"""
TABLE = """\
  token  repository  pull        push        delete
  main   acme/app    A pull-all  A push-own  .
  main   acme/lib    A pull-all  .           .
"""


def stored(house: Repository) -> Path:
    """Return the snapshot file."""
    return house.root / "__snapshots__" / "suite.policytest.ambr"


def prepared(house: Repository) -> None:
    """Write the suite and its snapshots."""
    house.suite(SUITE)
    assert 0 == run(house.root, "--snapshot-update").returncode


def change(house: Repository, before: str, after: str) -> None:
    """Change the policy."""
    policy = house.root / "policy" / "policy.yaml"
    policy.write_text(policy.read_text().replace(before, after))


def test_a_snapshot_is_a_readable_table_in_one_file_for_a_suite(house: Repository) -> None:
    house.suite(SUITE)
    missing = run(house.root)
    assert (1, True) == (missing.returncode, "there is no snapshot yet" in missing.stdout)
    assert not stored(house).exists()
    prepared(house)
    assert TABLE in stored(house).read_text()
    assert 0 == run(house.root).returncode


def test_a_difference_is_shown_cell_by_cell(house: Repository) -> None:
    prepared(house)
    change(house, "repositories: [acme/**]", "repositories: [acme/**, other/**]")
    done = run(house.root)
    assert 1 == done.returncode
    assert "wider: main may now pull other/app: . -> A pull-all" in done.stdout


def test_an_update_that_widens_needs_a_reason_that_is_kept(house: Repository) -> None:
    prepared(house)
    before = stored(house).read_text()
    change(house, "repositories: [acme/**]", "repositories: [acme/**, other/**]")
    refused = run(house.root, "--snapshot-update")
    assert (1, before) == (refused.returncode, stored(house).read_text())
    assert "accept it with --accept-widening" in refused.stdout
    accepted = run(house.root, "--snapshot-update", "--accept-widening", "ACME-12: shared")
    assert 0 == accepted.returncode, accepted.stdout
    assert "accepted: ACME-12: shared (main pull other/app)" in stored(house).read_text()
    assert 0 == run(house.root).returncode
    change(house, "repositories: [acme/**, other/**]", "repositories: [acme/**]")
    assert 0 == run(house.root, "--snapshot-update").returncode
    assert "accepted: ACME-12" in stored(house).read_text()


def test_an_update_that_narrows_needs_no_reason(house: Repository) -> None:
    prepared(house)
    change(house, "actions: [pull, push]", "actions: [push]")
    change(house, "repositories: [acme/**]", "repositories: [acme/lib]")
    assert 0 == run(house.root, "--snapshot-update").returncode


def test_updating_one_case_leaves_the_others(house: Repository) -> None:
    prepared(house)
    before = stored(house).read_text()
    one = run(house.root, "--snapshot-update", "suite.policytest.yaml::main can")
    assert (0, before) == (one.returncode, stored(house).read_text())
    by_word = run(house.root, "--snapshot-update", "-k", "elsewhere")
    assert (0, before) == (by_word.returncode, stored(house).read_text())


def test_a_snapshot_that_no_test_uses_is_found_and_removed(house: Repository) -> None:
    prepared(house)
    house.suite("\n".join(SUITE.split("\n")[:3]))
    unused = run(house.root)
    assert (1, True) == (unused.returncode, "1 snapshot unused" in unused.stdout)
    assert 0 == run(house.root, "--snapshot-update").returncode
    assert "main elsewhere" not in stored(house).read_text()


def test_a_table_is_read_back_as_it_was_written() -> None:
    table = parse_table(TABLE)
    assert TABLE.replace("\n  ", "\n").strip() == str(table)
    assert ["A push-own", "."] == [row.cells["push"] for row in table.rows]


def test_an_access_that_is_allowed_despite_an_error_is_wider() -> None:
    access = Access(Resource("repository", "acme/app"), "push")
    error = ConditionError("broken", "missing-key", "there is no 'environment'")
    before, after = Row("main", "acme/app"), Row("main", "acme/app")
    before.add("push", Verdict(access, Why.NO_GRANT, errors=(error,)))
    after.add("push", Verdict(access, Why.GRANTED, "oops", (error,)))
    widenings = AccessTable((after,)).widenings(AccessTable((before,)))

    assert ["main may now push acme/app: E -> A! oops"] == [str(one) for one in widenings]


def test_a_longer_cell_changes_no_line_but_its_own() -> None:
    """The columns of every line move, so a comparison of the text would show them all."""
    header = "token  repository  pull  push  delete"
    before = parse_table(f"{header}\nmain   acme/app    A a   A b   .\nold  x  .  .  .")
    after = parse_table(
        f"{header}\nmain   acme/app    A a   A a-longer-name   .\nmain  acme/lib  .  .  ."
    )

    assert list(after.changes(before)) == [
        "main push acme/app: A b -> A a-longer-name",
        *(f"old {action} x: . -> -" for action in ("pull", "push", "delete")),
        *(f"main {action} acme/lib: - -> ." for action in ("pull", "push", "delete")),
    ]
    assert list(after.changes(after)) == []
