"""What the actions' files say about themselves, and that their scripts are sound."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.platforms import complaints
from tests.e2e.programs import run

ACTIONS = ("action", "action/policytest")
KEYS = {"name", "description", "author", "branding", "inputs", "outputs", "runs"}


def read(repository: Path, action: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((repository / action / "action.yml").read_text())
    return document


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_has_the_keys_that_github_knows(repository: Path, action: str) -> None:
    about = read(repository, action)

    assert KEYS == set(about)
    for one in about["inputs"].values():
        assert set(one) in ({"description", "required"}, {"description", "default"})
        assert isinstance(one.get("default", ""), str)
    assert all({"description", "value"} == set(one) for one in about["outputs"].values())


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_as_github_s_schema_has_it(repository: Path, action: str) -> None:
    """Its icon too is one of those that GitHub draws."""
    assert "" == complaints("github-actions", repository / action / "action.yml")


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_runs_nothing_but_its_own_files(repository: Path, action: str) -> None:
    for step in read(repository, action)["runs"]["steps"]:
        match = re.fullmatch(r'"\$BASH" "\$GITHUB_ACTION_PATH/([a-z]+\.sh)"', step["run"])

        assert match is not None, step
        assert (repository / action / match[1]).is_file()


@pytest.mark.parametrize("action", ACTIONS)
def test_every_input_reaches_the_scripts_by_its_name(repository: Path, action: str) -> None:
    about = read(repository, action)
    passed = {name: value for step in about["runs"]["steps"] for name, value in step["env"].items()}
    used = {
        name
        for script in (repository / action).glob("*.sh")
        for name in re.findall(r"INPUT_[A-Z_]+", script.read_text())
    }

    expected = {
        f"INPUT_{name.upper().replace('-', '_')}": f"${{{{ inputs.{name} }}}}"
        for name in about["inputs"]
    }
    assert expected == {name: value for name, value in passed.items() if name.startswith("INPUT_")}
    assert used - {"INPUT_"} == set(expected)


def scripts(repository: Path) -> list[Path]:
    return sorted((repository / "action").rglob("*.sh"))


def test_no_script_fetches_a_program(repository: Path) -> None:
    """pip, for policytest, and curl, for the ID token, are all that speak to a network."""
    speakers = {
        (script.name, word)
        for script in scripts(repository)
        for line in script.read_text().splitlines()
        if not line.lstrip().startswith("#")
        for word in re.findall(r"\b(?:curl|wget|npm|npx|git|apt-get|brew|pip)\b", line)
        if f"{word} says" not in line
    }

    assert {("id_token.sh", "curl"), ("install.sh", "pip")} == speakers


def test_every_script_is_bash(repository: Path) -> None:
    assert len(scripts(repository)) > 5
    for script in scripts(repository):
        done = run(["bash", "-n", script])

        assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.e2e
def test_shellcheck_finds_nothing(repository: Path) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed; on Debian: apt-get install -y shellcheck")
    done = run([shellcheck, "--external-sources", *scripts(repository)])

    assert (0, "") == (done.returncode, done.stdout)
