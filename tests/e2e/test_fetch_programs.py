"""`make programs` gets what it can, says what it could not get, and never fails for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .fetch_programs import Fetcher, MissingError
from .needed_programs import PROGRAMS, Debian, Go


def test_what_cannot_be_had_is_named_and_is_no_failure(tmp_path: Path, repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.fetch_programs", tmp_path / "programs"],
        cwd=repository,
        env={**os.environ, "PATH": str(tmp_path), "PROGRAMS_SECONDS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == list(PROGRAMS)
    assert all(" is missing: " in line for line in done.stdout.splitlines())
    assert "crane: is missing: there is no Go (go install github.com/" in done.stdout


def test_a_program_of_another_version_is_got_again(tmp_path: Path) -> None:
    fetcher = Fetcher(tmp_path, 60)
    (fetcher.bin / "crane").write_text("")
    (tmp_path / "crane.from").write_text(str(Go("example.com/crane@v1")))

    assert fetcher.has("crane", Go("example.com/crane@v1"))
    assert not fetcher.has("crane", Go("example.com/crane@v2"))


def test_time_that_is_up_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("apt-get", "dpkg-deb"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    fetcher = Fetcher(tmp_path / "programs", 0)

    with pytest.raises(MissingError, match="no time is left"):
        fetcher.get("docker", Debian("docker.io", unpacked=True))
    assert not list((tmp_path / "programs").glob("*.from"))
