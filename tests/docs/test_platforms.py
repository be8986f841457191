"""The workflows and pipelines that pages show are files that their platforms take."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.e2e.programs import run

from .platforms import BY_PAGE, Shown, complaints, shown

SHOWN = list(shown(REPOSITORY / "docs"))


def test_every_platform_s_pages_are_looked_at() -> None:
    assert set(BY_PAGE.values()) == {one.schema for one in SHOWN}
    assert {Path(page).name for page in BY_PAGE} <= {one.place.split(":")[0] for one in SHOWN}
    assert {"github.md", "gitlab.md"} <= {one.place.split(":")[0] for one in SHOWN}


@pytest.mark.parametrize("one", SHOWN, ids=lambda one: one.place)
def test_a_shown_file_is_as_the_platform_s_schema_has_it(tmp_path: Path, one: Shown) -> None:
    (tmp_path / "shown.yml").write_text(one.text)

    assert "" == complaints(one.schema, tmp_path / "shown.yml")


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ("gitlab-ci", "image:\n  script: [make]\n"),
        ("github-workflows", "on: push\njobs: {a: {runs-on: ubuntu-latest, permission: {}}}\n"),
        ("circle-ci", "version: 2.1\njobs: {a: {step: []}}\n"),
        ("buildkite", "steps:\n  - {wait: yes, command: 7}\n"),
    ],
)
def test_a_file_that_a_platform_would_not_take_is_noticed(
    tmp_path: Path, schema: str, text: str
) -> None:
    (tmp_path / "wrong.yml").write_text(text)

    assert "" != complaints(schema, tmp_path / "wrong.yml")


@pytest.mark.e2e
def test_actionlint_finds_nothing_in_a_workflow(tmp_path: Path) -> None:
    """It understands expressions and, where there is shellcheck, the scripts too."""
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("actionlint is missing; `make programs` gets it")
    workflows = [one for one in SHOWN if one.schema == "github-workflows"]
    for number, one in enumerate(workflows):
        (tmp_path / f"{number}.yml").write_text(one.text)
    done = run([actionlint, "-no-color", *sorted(tmp_path.glob("*.yml"))])

    assert (0, "") == (done.returncode, done.stdout)
