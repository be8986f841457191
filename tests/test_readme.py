"""What the README shows is what happens."""

import re
import subprocess
import sys
from pathlib import Path

from regauth.engine import compile_policy, render_text


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
