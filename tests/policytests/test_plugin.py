"""pytest collects suites: ids, outcomes, exit codes, and what is shown of a failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forkserver.programs import forked

from .conftest import TOKENS, Repository

GRID = """
tests:
  - name: only main pushes
    grid: |
      token repository pull push
      main  acme/app   A    A
      main  acme/lib   A    .
"""


def run(
    folder: Path, *arguments: str, command: bool = True, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """
    Run `policytest`, or `pytest`, in a folder, as a user would.

    The variables of pytest-xdist stay behind: with them, syrupy takes itself for a worker's.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [*forked("policytest" if command else "pytest"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={
            **own,
            "COLUMNS": "200",
            "PYTEST_ADDOPTS": "-p no:cacheprovider",
            **(env or {}),
        },
    )


def test_case_ids_are_stable_and_select_cases(house: Repository) -> None:
    house.suite(GRID)
    listed = run(house.root, "--collect-only", "-q")
    assert [
        "suite.policytest.yaml::only main pushes[main-acme/app-pull]",
        "suite.policytest.yaml::only main pushes[main-acme/app-push]",
        "suite.policytest.yaml::only main pushes[main-acme/lib-pull]",
        "suite.policytest.yaml::only main pushes[main-acme/lib-push]",
    ] == [line for line in listed.stdout.splitlines() if "::" in line]
    one = run(house.root, "suite.policytest.yaml::only main pushes[main-acme/app-push]")
    assert "1 passed" in one.stdout
    assert "2 passed" in run(house.root, "-k", "lib or nothing").stdout


def test_pytest_collects_the_same_file(house: Repository) -> None:
    house.suite(GRID)
    done = run(house.root, command=False)
    assert (0, True) == (done.returncode, "4 passed" in done.stdout), done.stdout


def test_a_failure_shows_the_cell_the_grant_and_both_places(house: Repository) -> None:
    house.suite(GRID.replace("A    A", "A    ."))
    plain = run(house.root, command=False)
    ours = run(house.root)
    summary = "expected refused by the policy, got allowed by `push-own`"
    assert f"suite.policytest.yaml:8:29: {summary}" in plain.stdout
    assert f"FAIL suite.policytest.yaml:8:29 main-acme/app-push {summary}" in ours.stdout
    for done in (plain, ours):
        assert 1 == done.returncode
        assert "by        push-own  (policy/policy.yaml:16:11)" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr


def test_plain_pytest_stops_at_a_suite_with_an_error(house: Repository) -> None:
    house.suite(GRID.replace("main  acme/app", "man  acme/app"))
    done = run(house.root, command=False)
    assert (2, True) == (done.returncode, "there is no token `man`" in done.stdout)


def test_an_error_is_reported_as_one_and_not_as_a_failure(house: Repository) -> None:
    house.suite(GRID, TOKENS.replace("1342004", "999"))
    done = run(house.root)
    assert 1 == done.returncode
    assert "3 failed, 1 error" in done.stdout


def test_a_broken_suite_shows_all_its_problems_and_runs_the_others(house: Repository) -> None:
    good = house.suite(GRID)
    (house.root / "good.policytest.yaml").write_text(good.read_text())
    house.suite(GRID.replace("main  acme/app", "man  acme/app").replace(" .", " X"))
    done = run(house.root)
    assert 1 == done.returncode
    assert "4 passed, 1 error" in done.stdout
    assert "there is no token `man` [unknown-token]" in done.stdout
    assert "`X` is no mark [grid-cell]" in done.stdout
    assert "did you mean `main`?" in done.stdout


def test_a_policy_that_does_not_compile_is_exit_code_10(house: Repository) -> None:
    house.suite(GRID)
    house.write(
        "policy/other.yaml",
        """
        version: 1
        grants:
          - {name: a, repositry: [x], actions: [pull]}
          - {name: b, providers: [githb], repositories: [x], actions: [pull]}
          - {name: c, when: claims.repository_owner = "x", repositories: [x], actions: [pull]}
        """,
    )
    done = run(house.root)
    assert 10 == done.returncode
    for text in ("policy/other.yaml:3:15", "repositry", "Traceback"):
        assert (text != "Traceback") == (text in done.stdout + done.stderr)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("xfail: later", "4 xfailed"),
        ("skip: later", "4 skipped"),
        ("xfail: later, until: 2020-01-01", "1 error"),
    ],
)
def test_exemptions_have_a_reason_and_an_end(house: Repository, text: str, expected: str) -> None:
    lines = "".join(f"    {part.strip()}\n" for part in text.split(", "))
    wrong = GRID.replace("A    A", ".    .").replace("A    .", ".    A")
    house.suite(wrong + lines)
    assert expected in run(house.root).stdout


def test_an_exempted_case_that_passes_fails(house: Repository) -> None:
    house.suite(GRID + "    xfail: later\n")
    done = run(house.root)
    assert (1, True) == (done.returncode, "4 failed" in done.stdout)


def test_a_suite_outside_its_repository_is_not_followed(house: Repository, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    (inner / ".git").mkdir(parents=True)
    suite = inner / "suite.policytest.yaml"
    suite.write_text("policy: ../policy\n" + TOKENS.strip() + GRID)
    done = run(inner)
    assert "../policy is outside the repository" in done.stdout
    (inner / "policy").symlink_to(tmp_path / "policy")
    suite.write_text(TOKENS.strip() + GRID)
    assert "outside the repository" in run(inner).stdout


def test_a_folder_without_suites_has_no_tests(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert 5 == done.returncode
    assert f"there is no *.policytest.yaml in {tmp_path}; `policytest init`" in done.stdout
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    assert "policytest.yaml" not in run(tmp_path, "-k", "nothing").stdout


def test_a_wrong_option_is_answered_in_the_commands_name(tmp_path: Path) -> None:
    done = run(tmp_path, "--bogus")
    assert (4, True) == (done.returncode, "policytest: error: unrecognized" in done.stderr)


@pytest.mark.parametrize("option", ["--cov-fail-under=1", "--mutate", "--html=r.html"])
def test_what_needs_all_cases_is_refused_in_several_processes(
    house: Repository, option: str
) -> None:
    house.suite(GRID)
    done = run(house.root, "-n", "2", option)
    told = f"{option.partition('=')[0]} needs all cases in one process; leave out -n"
    assert (4, True) == (done.returncode, told in done.stderr), done.stderr
    assert not (house.root / "r.html").exists()


def test_several_processes_run_every_case(house: Repository) -> None:
    house.suite(GRID)
    assert "4 passed" in run(house.root, "-n", "2").stdout


def test_a_report_that_cannot_be_written_is_said_and_no_success(house: Repository) -> None:
    house.suite(GRID)
    done = run(house.root, "--html", "nowhere/report.html", "-f", "junit=junit.xml")
    assert 4 == done.returncode
    assert "nowhere/report.html cannot be written: No such file or directory\n" in done.stdout
    assert "Traceback" not in done.stderr
    assert (house.root / "junit.xml").exists()


def test_folders_of_the_user_called_like_ours_do_no_harm(house: Repository) -> None:
    house.suite(GRID)
    for name in ("policytests", "engine"):
        house.write(f"{name}/__init__.py", "raise SystemExit('the wrong package')\n")
    assert 0 == run(house.root).returncode


def test_the_plugin_alone_imports_next_to_nothing() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import regauth.policytests.plugin;"
        "print(sorted(n for n in set(sys.modules) - before if not n.startswith('regauth')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stdout


def test_a_run_without_suites_never_imports_the_engine(tmp_path: Path) -> None:
    test = "import sys\ndef test(): assert 'regauth.engine' not in sys.modules\n"
    (tmp_path / "test_it.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path / "test_it.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("words", [("-v",), ("why", "main", "repository:acme/app:pull")])
def test_a_reader_that_goes_away_ends_it_without_a_traceback(
    house: Repository, words: tuple[str, ...]
) -> None:
    house.suite(GRID)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        done = subprocess.run(
            [*forked("policytest"), *words],
            cwd=house.root, stdout=output, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip

    assert done.returncode != 0
    assert "Traceback" not in done.stderr, done.stderr
