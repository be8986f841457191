"""What the README shows is what happens."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

from regauth.engine import compile_policy, render_text
from tests.docs.picture import svg
from tests.forkserver.programs import forked

SUITE = """\
policy: policy
at: 2026-11-01T12:00:00Z

tokens:
  main: {profile: github-actions, claims: {repository: acme/app, repository_owner_id: "1342004"}}
  pr: {from: main, claims: {event_name: pull_request, ref: refs/pull/7/merge}}
  stranger: {from: main, claims: {repository_owner_id: "7"}}

tests:
  - name: only main pushes
    grid: |
      token     repository    pull  push
      main      acme/app/web  A     A
      main      acme/other    .     .
      pr        acme/app/web  A     .
      pr        acme/other    .     .
      stranger  acme/app/web  U     U
      stranger  acme/other    U     U
"""


def blocks(repository: Path, language: str) -> list[str]:
    """The fenced blocks of a language; those that name none for an empty one."""
    text = (repository / "README.md").read_text(encoding="utf-8")
    fenced = text.split("\n```")[1::2]
    return [
        block.partition("\n")[2] + "\n"
        for block in fenced
        if block.partition("\n")[0].strip() == language
    ]


def test_its_policy_compiles_without_a_warning(repository: Path) -> None:
    (policy,) = blocks(repository, "yaml")

    assert compile_policy({"policy.yaml": policy}).problems == ()


def test_its_mistake_is_told_as_it_shows(repository: Path) -> None:
    (policy,) = blocks(repository, "yaml")
    wrong = policy.replace("claims.repository_owner_id", "claims.repositry_owner_id")
    compilation = compile_policy({"policy.yaml": wrong})

    assert render_text(compilation.problems, compilation.sources) + "\n" in blocks(repository, "")


def test_its_make_targets_exist(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"^make ([a-z-]+)", "\n".join(blocks(repository, "")), re.MULTILINE)

    assert named == ["demo", "test"]
    assert [name for name in named if f"\n{name}:" not in makefile] == []


def test_its_links_lead_somewhere(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)

    assert [link for link in links if not (repository / link).exists()] == []


def test_its_programs_exist(repository: Path) -> None:
    for program in ("policytest", "token-server"):
        done = subprocess.run(
            [Path(sys.executable).parent / program, "--help"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

        assert done.returncode == 0, done.stderr


def test_its_picture_is_what_policytest_prints(
    repository: Path, tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    """Of the README's policy; of the mutants that survive, the first."""
    (policy,) = blocks(repository, "yaml")
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.yaml").write_text(policy)
    (tmp_path / "registry.policytest.yaml").write_text(SUITE)
    done = subprocess.run(
        [*forked("policytest"), "--mutate"],
        cwd=tmp_path,
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": "120"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    first, _, others = done.stdout.partition("  survived ")
    survivors = re.split(r"^(?=\S*  survived )", others, flags=re.MULTILINE)
    *_, last = survivors[-1].splitlines()
    shown = f"$ policytest --mutate\n{first}  survived {survivors[0]}  ...\n{last}\n"
    (about,) = re.findall(
        r"!\[(.+?)\]\(docs/policytest\.svg\)", (repository / "README.md").read_text()
    )

    drawn = svg(re.sub(r"in \d+\.\d+ s", "in 0.31 s", shown), about)
    assert "svg" in ET.fromstring(drawn).tag

    golden(repository / "docs" / "policytest.svg", drawn)
