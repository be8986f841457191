"""What is released: an sdist, the wheel built from it, one version, a changelog for users."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROGRAMS_WITH_HELP = ("policytest", "token-server")
SECTIONS = {"Added", "Changed", "Deprecated", "Fixed", "Removed", "Security"}


@pytest.fixture(scope="module")
def project(repository: Path) -> Mapping[str, Any]:
    """What pyproject.toml says about the project."""
    read: Mapping[str, Any] = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    return read["project"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def dist(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make dist` would fill, built from a copy of what git would give."""
    folder = tmp_path_factory.mktemp("release")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (repository / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / name, folder / "source" / name)
    built = run([sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "source"])
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    return folder / "dist"


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of the wheel in a new environment: with what the wheel says it needs, no more."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    assert run([sys.executable, "-m", "venv", "--without-pip", environment]).returncode == 0
    python = environment / "bin" / "python"
    (wheel,) = dist.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    done = run([*pip, "--no-index", wheel])
    assert done.returncode == 0, done.stderr
    (packages,) = environment.glob("lib/python*/site-packages")
    (about,) = packages.glob("jwt_registry_auth-*.dist-info")
    for distribution in needed(importlib.metadata.Distribution.at(about)):
        link(distribution, packages)
    return environment / "bin"


def needed(distribution: importlib.metadata.Distribution) -> list[importlib.metadata.Distribution]:
    """Return what a distribution needs, and what that needs, of what is installed here."""
    found: dict[str, importlib.metadata.Distribution] = {}
    asked = [Requirement(one) for one in distribution.requires or []]
    while asked:
        one = asked.pop()
        wanted = [{"extra": extra} for extra in ("", *one.extras)]
        if one.marker and not any(one.marker.evaluate(extra) for extra in wanted):
            continue
        if canonicalize_name(one.name) not in found:
            there = importlib.metadata.distribution(one.name)
            found[canonicalize_name(one.name)] = there
            asked += [Requirement(each) for each in there.requires or []]
    return list(found.values())


def link(distribution: importlib.metadata.Distribution, packages: Path) -> None:
    """Install a distribution by links to its files; no other's come with it."""
    for file in distribution.files or []:
        if ".." not in file.parts and file.suffix != ".pth":
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            if not (packages / file).exists():
                (packages / file).symlink_to(Path(str(distribution.locate_file(file))).resolve())


def run(command: list[str | Path], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program without the checkout on its path."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


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


@pytest.mark.parametrize("program", [*PROGRAMS_WITH_HELP, "registry-auth-proxy", "kube-controller"])
def test_an_installed_program_says_its_version(
    installed: Path, project: Mapping[str, Any], tmp_path: Path, program: str
) -> None:
    done = run([installed / program, "--version"], cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert f"{program} {project['version']}" == done.stdout.strip()


@pytest.mark.parametrize("program", PROGRAMS_WITH_HELP)
def test_an_installed_program_says_what_it_does(
    installed: Path, tmp_path: Path, program: str
) -> None:
    done = run([installed / program, "--help"], cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert f"{program} " in done.stdout


def test_every_module_finds_what_it_imports(installed: Path, tmp_path: Path) -> None:
    """
    A dependency that pyproject.toml forgets is missing here, as it would be for a user.

    Only the modules of the extra `postgresql` lack something without it.
    """
    walk = (
        "import importlib, json, pathlib, pkgutil, sys\n"
        "root = next(pathlib.Path(sys.prefix).glob('lib/python*/site-packages/regauth'))\n"
        "names = [one.name for one in pkgutil.walk_packages([str(root)], 'regauth.')]\n"
        "lacking = {}\n"
        "for name in names:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        lacking[name] = error.name.partition('.')[0]\n"
        "print(json.dumps([len(names), lacking]))\n"
    )
    done = run([installed / "python", "-c", walk], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    count, lacking = json.loads(done.stdout)

    assert count > 100
    assert {name.rpartition(".")[2].partition("_")[0] for name in lacking} == {"postgresql"}
    assert set(lacking.values()) <= {"psycopg", "psycopg_pool"}


def test_every_program_is_installed(installed: Path, project: Mapping[str, Any]) -> None:
    assert set(project["scripts"]) <= {path.name for path in installed.iterdir()}


def test_the_installed_programs_are_those_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Else the tests above would have run the checkout."""
    where = "import regauth.engine; print(regauth.engine.__file__)"
    done = run([installed / "python", "-c", where], cwd=tmp_path)

    assert str(installed.parent) in done.stdout, done.stderr


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
    r"(?:image:|--tag|--image) (?:[a-z.]+/)*(?:kube-controller|registry-auth-proxy|token-server):{}(?= |$)",
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
