"""What is read of a policy folder, and what never is."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from regauth.engine import Problems
from regauth.engine.files import (
    MAX_FILE_BYTES,
    MAX_FILES,
    PolicyFolderError,
    read_policy_folder,
    read_text,
)

POLICY = b"version: 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "policy"
    root.mkdir()
    (root / "b.yaml").write_bytes(POLICY)
    return root


def test_yaml_of_the_folder_and_json_below_it(folder: Path) -> None:
    (folder / "a.yml").write_bytes(b"a")
    (folder / "notes.md").write_bytes(b"no")
    (folder / "claims").mkdir()
    (folder / "claims" / "ours.json").write_bytes(b"{}")
    (folder / "claims" / "ours.policytest.yaml").write_bytes(b"a suite is no policy")
    (folder / "keys.json").write_bytes(b"[]")
    found = read_policy_folder(folder)

    assert list(found.items()) == [
        ("a.yml", b"a"),
        ("b.yaml", POLICY),
        ("claims/ours.json", b"{}"),
        ("keys.json", b"[]"),
    ]


@pytest.mark.parametrize("name", ["denials.YAML", "denials.Yml"])
def test_a_policy_file_is_not_passed_over_for_its_ending(folder: Path, name: str) -> None:
    (folder / name).write_bytes(POLICY)

    with pytest.raises(PolicyFolderError, match="lower case"):
        read_policy_folder(folder)


@pytest.mark.parametrize(
    "name", ["denials.yaml", "denials.yml", "denials.YAML", "acme/denials.yaml"]
)
def test_yaml_below_the_folder_is_not_passed_over(folder: Path, name: str) -> None:
    """`denials-in-subfolder-ignored`: denials that are not read refuse nothing."""
    (folder / "teams" / name).parent.mkdir(parents=True)
    (folder / "teams" / name).write_bytes(POLICY)

    with pytest.raises(PolicyFolderError) as caught:
        read_policy_folder(folder)
    there = f"teams/{name}".replace("/", "-")
    assert f"{folder / 'teams' / name} would not be read" in str(caught.value)
    assert str(caught.value).endswith(f"move it to {folder / there}")


def test_yaml_behind_a_link_to_a_folder_is_not_passed_over(folder: Path) -> None:
    """A Kubernetes volume with `items: [{path: teams/denials.yaml}]` has such a link."""
    (folder / "..data" / "teams").mkdir(parents=True)
    (folder / "..data" / "teams" / "denials.yaml").write_bytes(POLICY)
    (folder / "teams").symlink_to("..data/teams")

    with pytest.raises(PolicyFolderError, match="teams/denials.yaml would not be read"):
        read_policy_folder(folder)


def test_a_link_to_the_folder_itself_is_no_end(folder: Path) -> None:
    (folder / "self").symlink_to(".")
    (folder / "up").symlink_to("..")

    assert list(read_policy_folder(folder)) == ["b.yaml"]


def test_nothing_hidden_is_read(folder: Path) -> None:
    (folder / ".hidden.yaml").write_bytes(b"no")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.json").write_bytes(b"no")
    (folder / "claims").mkdir()
    (folder / "claims" / ".x.json").write_bytes(b"no")

    assert list(read_policy_folder(folder)) == ["b.yaml"]


def test_a_link_inside_the_folder_is_followed(folder: Path) -> None:
    (folder / "c.yaml").symlink_to("b.yaml")
    (folder / "d.yaml").symlink_to(folder / "b.yaml")

    assert set(read_policy_folder(folder)) == {"b.yaml", "c.yaml", "d.yaml"}


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(folder)

    assert list(read_policy_folder(tmp_path / "current")) == ["b.yaml"]


def test_a_config_map_is_a_folder(tmp_path: Path) -> None:
    """Kubernetes mounts `policy.yaml -> ..data/policy.yaml`, `..data -> ..2026_11_01`."""
    data = tmp_path / "..2026_11_01_12_00_00.123"
    data.mkdir()
    (data / "policy.yaml").write_bytes(POLICY)
    (data / "claims.json").write_bytes(b"{}")
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / "policy.yaml").symlink_to("..data/policy.yaml")
    (tmp_path / "claims.json").symlink_to("..data/claims.json")

    assert dict(read_policy_folder(tmp_path)) == {"policy.yaml": POLICY, "claims.json": b"{}"}


def link_out(folder: Path) -> None:
    (folder.parent / "secret.yaml").write_bytes(b"secret")
    (folder / "c.yaml").symlink_to(folder.parent / "secret.yaml")


def link_out_by_dots(folder: Path) -> None:
    (folder.parent / "secret.json").write_bytes(b"secret")
    (folder / "c.json").symlink_to("../secret.json")


def link_through_a_folder(folder: Path) -> None:
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "x.yaml").write_bytes(b"secret")
    (folder / "there").symlink_to(folder.parent / "other")
    (folder / "c.yaml").symlink_to("there/x.yaml")


def link_to_a_sibling_of_a_longer_name(folder: Path) -> None:
    (folder.parent / "policy-secret").mkdir()
    (folder.parent / "policy-secret" / "x.yaml").write_bytes(b"secret")
    (folder / "c.yaml").symlink_to("../policy-secret/x.yaml")


@pytest.mark.parametrize(
    "make",
    [link_out, link_out_by_dots, link_through_a_folder, link_to_a_sibling_of_a_longer_name],
)
def test_a_link_out_of_the_folder_is_refused(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder)
    with pytest.raises(PolicyFolderError, match="link out of the policy's folder"):
        read_policy_folder(folder)


def test_a_folder_linked_to_is_never_searched(folder: Path) -> None:
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "x.json").write_bytes(b"secret")
    (folder / "there").symlink_to(folder.parent / "other")

    assert list(read_policy_folder(folder)) == ["b.yaml"]


def dangling(folder: Path) -> None:
    (folder / "c.yaml").symlink_to("nowhere.yaml")


def loop(folder: Path) -> None:
    (folder / "c.yaml").symlink_to("d.yaml")
    (folder / "d.yaml").symlink_to("c.yaml")


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "c.yaml")


def folder_called_as_a_file(folder: Path) -> None:
    (folder / "c.yaml").mkdir()


def too_large(folder: Path) -> None:
    with (folder / "c.yaml").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (dangling, "policy/c.yaml cannot be read: No such file"),
        (loop, "(?i)loop|symbolic links"),
        (fifo, "not a regular file"),
        (folder_called_as_a_file, "not a regular file"),
        (too_large, "larger than 8 MiB"),
    ],
)
def test_what_is_no_file_is_said(folder: Path, make: Callable[[Path], None], message: str) -> None:
    make(folder)
    with pytest.raises(PolicyFolderError, match=message):
        read_policy_folder(folder)


def test_the_largest_file_is_read(folder: Path) -> None:
    with (folder / "b.yaml").open("wb") as file:
        file.truncate(MAX_FILE_BYTES)

    assert len(read_policy_folder(folder)["b.yaml"]) == MAX_FILE_BYTES


def test_there_are_at_most_so_many_files(folder: Path) -> None:
    for number in range(MAX_FILES):
        (folder / f"{number}.yaml").touch()
    with pytest.raises(PolicyFolderError, match=f"at most {MAX_FILES}"):
        read_policy_folder(folder)


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(PolicyFolderError, match="not a folder"):
        read_policy_folder(folder / "b.yaml")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyFolderError, match="No such file"):
        read_policy_folder(tmp_path / "nowhere")


def test_a_folder_without_yaml_is_no_policy(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"{}")
    with pytest.raises(PolicyFolderError, match="no policy"):
        read_policy_folder(tmp_path)


class TestReadText:
    def test_a_text_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("é", encoding="utf-8")

        assert read_text(tmp_path / "a.yaml", Problems()) == "é"

    def test_a_missing_file_says_what_to_do(self, tmp_path: Path) -> None:
        problems = Problems()

        assert read_text(tmp_path / "a.yaml", problems, "make one") is None
        assert [(p.code, p.hint) for p in problems] == [("file-unreadable", "make one")]

    def test_what_is_no_text_is_a_problem(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes(b"\xff")
        problems = Problems()

        assert read_text(tmp_path / "a.yaml", problems, "make one") is None
        assert read_text(tmp_path, problems) is None
        assert {p.code for p in problems} == {"file-unreadable"}
        assert {p.hint for p in problems} == {""}


def test_all_problems_of_a_folder_are_told_at_once(tmp_path: Path) -> None:
    folder, other = tmp_path / "policy", tmp_path / "other"
    for name in ("a.yaml", "teams/one.yaml", "teams/two.yml", "B.YAML"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("version: 1\n")
    other.mkdir()
    (other / "denials.yaml").write_text("version: 1\n")
    (folder / "linked").symlink_to(other)
    (folder / "c.yaml").symlink_to(other / "denials.yaml")
    (folder / "d.yaml").mkdir()
    with pytest.raises(PolicyFolderError) as caught:
        read_policy_folder(folder)

    assert sorted(
        reason.split(" ")[0].rpartition("policy/")[2] for reason in caught.value.reasons
    ) == [
        "B.YAML",
        "c.yaml",
        "d.yaml",
        "linked/denials.yaml",
        "teams/one.yaml",
        "teams/two.yml",
    ]
    assert dict(caught.value.files) == {"a.yaml": b"version: 1\n"}
    assert all(reason in str(caught.value) for reason in caught.value.reasons)
