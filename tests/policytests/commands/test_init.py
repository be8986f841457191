"""`policytest init SUB`: the workflow lies where GitHub reads it."""

from pathlib import Path

import pytest

from regauth.policytests.commands.init import initialise


def workflows(folder: Path) -> dict[str, str]:
    return {one.relative_to(folder).as_posix(): one.read_text() for one in folder.rglob("*.yml")}


@pytest.mark.parametrize("absolute", [False, True])
def test_a_workflow_is_written_at_the_top_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    for sub in ("infra/registry", "my cluster"):
        folder = tmp_path / sub if absolute else Path(sub)
        assert 0 == initialise(folder, "github-actions")
        assert (tmp_path / sub / "policy" / "policy.yaml").exists()

    found = workflows(tmp_path)
    one = found[".github/workflows/policy-infra-registry.yml"]
    assert "run: policytest check --prove infra/registry/policy -f github\n" in one
    assert "run: policytest infra/registry --cov-fail-under 100" in one
    two = found[".github/workflows/policy-my cluster.yml"]
    assert "run: policytest check --prove 'my cluster/policy' -f github\n" in two
    assert 2 == len(found)


def test_below_the_current_folder_the_repository_above_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert 0 == initialise(Path(), "kubernetes")
    assert [".github/workflows/policy-deep.yml"] == list(workflows(tmp_path))


def test_a_repository_of_its_own_and_no_repository_keep_it_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "own" / ".git").mkdir(parents=True)
    for name in ("own", "none"):
        assert 0 == initialise(tmp_path / name, "github-actions")
        text = workflows(tmp_path / name)[".github/workflows/policy.yml"]
        assert "run: policytest check --prove policy -f github\n" in text
