"""
Small policies, one thing each, with all that the compiler says about them.

A case is a policy file, or a folder of files, whose first comment says what must hold; beside it
stands, in a file of the same name with the ending `.txt`, what the compiler prints.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from regauth.engine import Location, Severity, compile_policy, render_text

CASES = Path(__file__).parent / "cases"
FOLDERS = sorted(path for path in CASES.iterdir() if path.is_dir())
FILES = sorted(CASES.glob("*.yaml"))


def read(case: Path) -> Mapping[str, bytes]:
    if case.is_file():
        return {"policy.yaml": case.read_bytes()}
    paths = sorted(path for path in case.rglob("*") if path.suffix in (".yaml", ".json"))
    return {path.relative_to(case).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("case", [*FILES, *FOLDERS], ids=lambda case: case.stem)
def test_it_says_what_it_should(
    case: Path, now: datetime, golden: Callable[[Path, str], None]
) -> None:
    compilation = compile_policy(read(case), now=now)
    said = render_text(compilation.problems, compilation.sources) or "no problems"

    golden(case.with_suffix(".txt"), said + "\n")


@pytest.mark.parametrize("case", [*FILES, *FOLDERS], ids=lambda case: case.stem)
def test_there_is_a_policy_exactly_when_there_is_no_error(case: Path, now: datetime) -> None:
    compilation = compile_policy(read(case), now=now)
    errors = [problem for problem in compilation.problems if problem.severity is Severity.ERROR]

    assert (compilation.policy is None) == bool(errors)


@pytest.mark.parametrize("case", [*FILES, *FOLDERS], ids=lambda case: case.stem)
def test_every_problem_points_into_its_file(case: Path, now: datetime) -> None:
    compilation = compile_policy(read(case), now=now)
    for problem in compilation.problems:
        where = problem.location
        lines = compilation.sources[where.file].split("\n")

        assert 1 <= where.line <= len(lines)
        assert 1 <= where.column <= len(lines[where.line - 1]) + 1
        if where != Location(where.file):  # the file as a whole
            assert (where.line, where.column) <= (where.end_line, where.end_column)


def test_every_case_says_what_must_hold() -> None:
    silent = [
        case.stem
        for case in (*FILES, *FOLDERS)
        if not any(content.startswith(b"# ") for content in read(case).values())
    ]

    assert silent == []


def test_every_golden_file_has_its_case() -> None:
    names = {case.stem for case in (*FILES, *FOLDERS)}

    assert sorted(path.stem for path in CASES.glob("*.txt")) == sorted(names)


@pytest.mark.parametrize("content", [b"version: 1\n# caf\xe9\n", "version: 1\n# caf\udce9\n"])
def test_a_file_that_is_not_utf8_is_refused_at_its_place(content: bytes | str) -> None:
    """Not a case in a file: what is not text is not in this repository."""
    compilation = compile_policy({"policy.yaml": content})
    (problem,) = compilation.problems

    assert str(problem.location) == "policy.yaml:2:6"
    assert problem.code == "yaml-syntax"
    assert render_text(compilation.problems, compilation.sources).split("\n")[2] == "    |      ^"
    assert compilation.policy is None
