"""What is released: an sdist, the wheel built from it, one version, a changelog for users."""

import re
import shutil
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from .installing import run

SECTIONS = {"Added", "Changed", "Deprecated", "Fixed", "Removed", "Security"}


@pytest.fixture(scope="module")
def project(repository: Path) -> Mapping[str, Any]:
    """What pyproject.toml says about the project."""
    read: Mapping[str, Any] = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    return read["project"]


def test_an_sdist_and_a_wheel_of_the_version_are_built(
    dist: Path, project: Mapping[str, Any]
) -> None:
    stem = f"jwt_registry_auth-{project['version']}"

    assert {f"{stem}.tar.gz", f"{stem}-py3-none-any.whl"} == {one.name for one in dist.iterdir()}


def test_a_package_index_would_show_them(dist: Path) -> None:
    done = run([sys.executable, "-m", "twine", "check", "--strict", *sorted(dist.iterdir())])

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sdist_holds_what_its_tests_need(dist: Path, repository: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = ("deploy", "docs", "policy", "policytests/cases", "tests")
    listed = run(["git", "ls-files", "--", *folders], cwd=repository).stdout.splitlines()
    wanted = {name for name in listed if (repository / name).is_file()}

    assert wanted
    assert set() == wanted - names
    assert {"CHANGELOG.md", "LICENSE", "Makefile", "mkdocs.yml", "README.md"} <= names


def test_nothing_that_was_made_here_is_released(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    (wheel,) = dist.glob("*.whl")
    with tarfile.open(sdist) as source, zipfile.ZipFile(wheel) as built:
        names = [*source.getnames(), *built.namelist()]

    made = re.compile(r"__pycache__|\.pyc$|\.key$|/\.(venv|git|hypothesis|mypy_cache)/|/site/")
    assert [] == [name for name in names if made.search(name)]


@pytest.mark.e2e
def test_uv_builds_the_same_wheel(dist: Path, tmp_path: Path) -> None:
    """`make dist` uses it where it is."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed: pip install uv")
    done = run([uv, "build", "--quiet", "--out-dir", tmp_path, dist.parent / "source"])
    assert done.returncode == 0, done.stderr
    contents = []
    for folder in (dist, tmp_path):
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as built:
            contents.append({name: built.read(name) for name in built.namelist()})

    assert contents[0] == contents[1]


def test_the_version_is_written_in_one_place(repository: Path, project: Mapping[str, Any]) -> None:
    version = re.compile(rf"(?<![\w.]){re.escape(project['version'])}(?![\w.])")
    folders = ("controller", "engine", "policytests", "schemas", "servers")
    modules = [path for folder in folders for path in (repository / folder).rglob("*.py")]

    assert modules
    assert [] == [path for path in modules if version.search(path.read_text("utf-8"))]


NAMES_THE_VERSION = (
    r"^ARG VERSION={}$",                                      # deploy/Containerfile
    r"^(?:version|appVersion): {}$",                          # deploy/helm/Chart.yaml
    r"repository: registry\.example\.com/regauth/[a-z-]+, tag: {}, ",
    r"newName: registry\.example\.com/regauth/[a-z-]+, newTag: {}}}",
    r"(?:image:|--tag|--image) \"?(?:[a-z.]+/)*(?:kube-controller|registry-auth-proxy|token-server):{}(?=\"| |$)",
    r"/jwt-registry-auth/action(?:/policytest)?@v{}$",
)  # fmt: skip
"""How files beside the code name it."""


def named(repository: Path) -> list[tuple[str, str]]:
    """Every version of ours that a file of deploy, docs or action names, and where."""
    version = r"(\d+\.\d+\.\d+)"
    patterns = [re.compile(one.format(version), re.MULTILINE) for one in NAMES_THE_VERSION]
    files = [
        path for folder in ("action", "deploy", "docs") for path in (repository / folder).rglob("*")
    ]
    return [
        (found[1], f"{path.relative_to(repository)}: {found[0]}")
        for path in files
        if path.is_file() and path.suffix in {"", ".md", ".sh", ".yaml", ".yml"}
        for pattern in patterns
        for found in pattern.finditer(path.read_text(encoding="utf-8"))
    ]


def test_whatever_names_the_version_names_the_same(
    repository: Path, project: Mapping[str, Any]
) -> None:
    found = named(repository)

    assert {
        "Containerfile", "Chart.yaml", "values.yaml", "kustomization.yaml", "workload.yaml",
        "compose.yaml", "README.md", "github-actions.md", "github.md",
    } <= {Path(place.partition(":")[0]).name for _, place in found}  # fmt: skip
    assert [] == [place for version, place in found if version != project["version"]]


def test_no_other_line_names_the_version(repository: Path, project: Mapping[str, Any]) -> None:
    """One that does is a place that a release would forget."""
    known = {place.partition(": ")[2] for _, place in named(repository)}
    version = re.compile(
        rf"(?<![\w.]){re.escape(project['version'])}(?![\w.])|v{re.escape(project['version'])}\b"
    )
    unknown = [
        f"{path.relative_to(repository)}: {line.strip()}"
        for folder in ("action", "deploy", "docs")
        for path in (repository / folder).rglob("*")
        if path.is_file() and path.suffix in {"", ".md", ".sh", ".yaml", ".yml", ".json"}
        for line in path.read_text(encoding="utf-8").splitlines()
        if version.search(line) and not any(one in line for one in known)
    ]

    assert [] == unknown


def changelog(repository: Path) -> list[tuple[str, list[str]]]:
    """The changelog's releases, each with the headings in it."""
    text = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return [
        (body.partition("\n")[0], re.findall(r"^### (.+)$", body, re.MULTILINE))
        for body in releases
    ]


def test_the_changelog_begins_with_what_is_unreleased(repository: Path) -> None:
    titles = [title for title, _ in changelog(repository)]

    assert titles[:1] == ["Unreleased"]
    assert [] == [
        title
        for title in titles[1:]
        if not re.fullmatch(r"\[?\d+\.\d+\.\d+\]? - \d{4}-\d{2}-\d{2}", title)
    ]


def test_the_changelog_has_the_sections_of_keep_a_changelog_each_once(repository: Path) -> None:
    for title, sections in changelog(repository):
        assert set() == set(sections) - SECTIONS, title
        assert len(set(sections)) == len(sections), title


def test_every_change_in_the_changelog_is_a_sentence(repository: Path) -> None:
    text = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    entries = re.findall(r"^- ((?:.|\n(?!- |#|\n))+)", text, re.MULTILINE)

    assert entries
    assert [] == [entry for entry in entries if not entry.rstrip().endswith((".", ":", "`", ")"))]
