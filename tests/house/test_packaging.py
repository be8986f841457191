"""The wheel holds regauth.* and nothing else, and works beside a user's own folders."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

POLICY = """
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    claims: github-actions
    rules: [{name: ours, check: 'claims.repository_owner_id == "1342004"'}]
grants:
  - {name: pull, repositories: ["acme/**"], actions: [pull]}
"""
SUITE = """
policy: policy
at: 2026-11-01T12:00:00Z
service: registry.example.com
tokens:
  main: {profile: github-actions, claims: {repository: acme/app, repository_owner_id: "1342004"}}
tests:
  - name: acme pulls
    grid: |
      token  repository  pull  push
      main   acme/app    A     .
"""


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel, built from a copy of what git would give somebody else."""
    (made,) = dist.glob("*.whl")
    return made


def test_it_holds_regauth_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.partition("/")[0] for name in names}

    assert {name for name in top if not name.endswith(".dist-info")} == {"regauth"}
    assert not any("/cases/" in name or "/test_" in name for name in names)


def test_it_holds_every_module_and_schema(wheel: Path, repository: Path) -> None:
    folders = ("controller", "engine", "policytests", "schemas", "servers")
    wanted = {
        f"regauth/{path.relative_to(repository).as_posix()}"
        for folder in folders
        for pattern in ("*.py", "*.json", "py.typed", "*.html")
        for path in (repository / folder).rglob(pattern)
        if "cases" not in path.parts and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        assert wanted - set(archive.namelist()) == set()


def test_policytest_works_beside_a_users_own_folders(wheel: Path, tmp_path: Path) -> None:
    """A user may have packages called `policytests` and `engine` too."""
    installed, project = tmp_path / "installed", tmp_path / "project"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    for name in ("policytests", "engine", "policy"):
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").write_text("MINE = True\n")
    (project / "policy" / "policy.yaml").write_text(POLICY)
    (project / "policytests" / "acme.policytest.yaml").write_text(
        SUITE.replace(": policy", ": ../policy", 1)
    )
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from regauth.policytests.cli import main; sys.exit(main())", "policytests"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "100"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
