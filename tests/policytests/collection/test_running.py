"""What a run says of cases that fail together, of a part of the cases, and of what it passes over."""

from pathlib import Path

import pytest

from tests.policytests.conftest import TOKENS, Repository
from tests.policytests.test_plugin import GRID, run

SNAPSHOT = """
  - {name: everything, token: main, repositories: [acme/app, acme/lib], snapshot: true}
"""
HOSTILE = """
hostile:
  tokens: [main]
  repositories: [acme/app]
"""
MANY = "tests:\n  - name: many\n    grid: |\n      token repository pull\n" + "".join(
    f"      main  acme/app-{number} .\n" for number in range(30)
)


@pytest.mark.parametrize(
    "tokens",
    [
        TOKENS.replace("1342004", "999"),
        TOKENS.replace('"1342004"}', "1342004}, impossible: its number is no text"),
        TOKENS.replace("profile: github-actions,", "profile: github-actions, without: [aud],"),
        TOKENS.replace("profile: github-actions,", "profile: github-actions, without: [iss],"),
        TOKENS.replace("repository: acme/app", "aud: [], repository: acme/app"),
        TOKENS.replace("repository: acme/app", "iss: https://x.example.com, repository: acme/app"),
    ],
    ids=["organisation", "number", "no audience", "no issuer", "empty audience", "other issuer"],
)
def test_a_hostile_token_that_is_not_let_in_is_told_once(house: Repository, tokens: str) -> None:
    """`crash-hostile-token-not-let-in`."""
    suite = house.suite(f"{GRID}{HOSTILE}", tokens)
    line = suite.read_text().splitlines().index("  tokens: [main]") + 1
    done = run(house.root)

    assert 1 == done.returncode, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr
    said = f"ERROR suite.policytest.yaml:{line}:12 main the hostile token `main` is not let in: "
    assert said in done.stdout
    assert "main-acme/app-pull expected allowed, got not authenticated" in done.stdout
    told = done.stdout.partition("  hostile\n")[2].splitlines()
    assert 1 == sum(line.startswith("      reason") for line in told)
    assert any("more cases because of" in line for line in told)


def test_the_cases_of_one_cause_are_told_once_and_counted(house: Repository) -> None:
    house.suite(MANY)
    done = run(house.root)

    assert 1 == done.stdout.count("by        pull-all")
    assert 5 == done.stdout.count("    FAIL suite.policytest.yaml:")
    assert "    and 25 more cases because of `pull-all` (policy/policy.yaml:13:11)" in done.stdout
    assert "30 failed" in done.stdout


def test_a_failure_names_its_file_so_that_a_terminal_can_open_it(house: Repository) -> None:
    house.suite(GRID.replace("A    A", "A    ."))
    assert "FAIL suite.policytest.yaml:8:29 main-acme/app-push" in run(house.root).stdout


@pytest.mark.parametrize(
    "words",
    [["-k", "lib-pull"], ["-x"], ["suite.policytest.yaml::only main pushes[main-acme/lib-pull]"]],
)
def test_a_part_of_the_cases_says_nothing_of_coverage(house: Repository, words: list[str]) -> None:
    house.suite(GRID.replace("A    A", ".    A"))
    assert "not covered" in run(house.root).stdout
    part = run(house.root, *words).stdout
    assert "covered" not in part
    assert "covered" in run(house.root, *words, "--cov-fail-under", "10").stdout


def test_last_failed_runs_the_last_failed(house: Repository) -> None:
    """`lf-runs-everything`: pytest 9.2 keeps ids in parts."""
    house.suite(GRID.replace("A    A", "A    ."))
    keep = {"PYTEST_ADDOPTS": ""}
    for command in (True, False):
        first = run(house.root, command=command, env=keep)
        assert "3 passed" in first.stdout
        assert "1 failed" in first.stdout
        again = run(house.root, "--lf", command=command, env=keep)
        assert "1 failed" in again.stdout
        assert "passed" not in again.stdout


MISNAMED = ("a.policytest.yml", "b.policytest.YAML", "c.PolicyTest.yaml", "d.policytest.Yml")


@pytest.mark.parametrize("command", [True, False])
def test_a_suite_with_another_ending_is_not_passed_over(house: Repository, command: bool) -> None:
    """`suite-yml-ignored`."""
    house.suite(GRID)
    for name in MISNAMED:
        house.write(name, "tests: []\n")
    done = run(house.root, command=command)

    assert 0 != done.returncode
    for name in MISNAMED:
        assert f"{name}:1:1: error: the name of a suite ends in .policytest.yaml" in done.stdout
    assert "rename it to *.policytest.yaml" in done.stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("A    A", ["-x"]),
        ("A    A", []),
        ("main  acme/app   A", []),
    ],
    ids=["the run ends early", "the run goes on", "the suite is broken"],
)
def test_a_snapshot_that_was_not_reached_is_kept(
    house: Repository, change: str, words: list[str]
) -> None:
    """`snapshot-deleted-by-x`."""
    house.suite(GRID + SNAPSHOT)
    assert 0 == run(house.root, "--snapshot-update").returncode
    [file] = (house.root / "__snapshots__").iterdir()
    kept = file.read_text()
    wrong = {"A    A": "A    .", "main  acme/app   A": "man   acme/app   A"}[change]
    house.suite(GRID.replace(change, wrong) + SNAPSHOT)

    if words:
        assert "unused" not in run(house.root, *words).stdout
    for path in ([], ["."]):
        run(house.root, *words, *path, "--snapshot-update")
        assert kept == file.read_text()


def test_a_snapshot_that_cannot_be_judged_is_kept(house: Repository) -> None:
    house.suite(GRID + SNAPSHOT)
    assert 0 == run(house.root, "--snapshot-update").returncode
    [file] = (house.root / "__snapshots__").iterdir()
    kept = file.read_text()
    policy = house.root / "policy" / "policy.yaml"
    text = "    repositories: [acme/**]\n"
    policy.write_text(policy.read_text().replace(text, f"{text}    tags: [v1]\n"))

    assert "asks for the tag" in run(house.root).stdout
    assert "unused" not in run(house.root, "--snapshot-update").stdout
    assert kept == file.read_text()


def test_a_snapshot_without_a_test_is_still_unused(house: Repository) -> None:
    house.suite(GRID + SNAPSHOT + SNAPSHOT.replace("everything", "more"))
    assert 0 == run(house.root, "--snapshot-update").returncode
    [file] = (house.root / "__snapshots__").iterdir()
    assert "# name: more" in file.read_text()
    house.suite(GRID + SNAPSHOT)

    assert "1 snapshot unused" in run(house.root).stdout
    run(house.root, "--snapshot-update")
    assert "# name: more" not in file.read_text()


@pytest.mark.parametrize("command", [True, False])
def test_a_table_that_differs_is_shown_without_escapes(house: Repository, command: bool) -> None:
    """`snapshot-diff-escapes`."""
    house.suite(GRID + SNAPSHOT)
    assert 0 == run(house.root, "--snapshot-update").returncode
    policy = house.root / "policy" / "policy.yaml"
    policy.write_text(
        policy.read_text().replace("actions: [pull, push]", "actions: [pull, push, delete]")
    )
    done = run(house.root, "-k", "everything", command=command, env={"FORCE_COLOR": ""})

    assert "\x1b" not in done.stdout
    assert "the table differs from the snapshot: 1 wider cell" in done.stdout
    assert "wider: main may now delete acme/app" in done.stdout


def test_a_suite_of_another_folder_is_asked_as_it_is_run(tmp_path: Path, house: Repository) -> None:
    house.suite(GRID)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ".git").rmdir()
    assert "4 passed" in run(elsewhere, "..").stdout
    suite = "../suite.policytest.yaml"
    asked = run(elsewhere, "can", "main", "--suite", suite)
    assert (0, "") == (asked.returncode, asked.stderr)
    assert "push-own" in asked.stdout
