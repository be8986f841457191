"""The house stands as CONTRIBUTING.md says: one room for each thing."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from .conftest import FOLDERS, Trees

ONLY_SPEAKERS = {
    "celpy": "engine/cel/",
    "lark": "engine/cel/",
    "re2": "engine/(cel|issuers)/",
    # A registry's own file may have anchors, which ours refuse.
    "yaml": r"(engine/source/nodes|servers/setup/registry_file)\.py",
    "jsonschema": "engine/source/schema.py",
    "jwt": "engine/tokens/",
    "orjson": r"(engine/source/strictjson|engine/tokens/json_text|servers/telemetry/(event_log|open_telemetry))\.py",
    # One for each host that speaks HTTP out; in the servers, one for documents and one for streams.
    "urllib3": r"(servers/http_client/\w+|controller/observing/cluster|policytests/commands/hostile)\.py",
    "kubernetes": "controller/",
    "falcon": "servers/",
    "psycopg": r"servers/sessions/postgresql(_connections)?\.py",
    "psycopg_pool": "servers/sessions/postgresql_connections.py",
    # Names that are nearly right; and the patch that narrows a policy.
    "difflib": r"(engine/(source|issuers)/nearest|policytests/commands/usage)\.py",
    "sqlite3": "servers/sessions/sqlite.py",
    "waitress": "servers/",
}
"""Which module may import a library, so that each is spoken in one place."""


def modules(repository: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (repository / folder).rglob("*.py")


@cache
def imported(tree: ast.Module) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return frozenset(found)


@cache
def called(tree: ast.Module) -> frozenset[str]:
    """Return the names of the functions and methods that a module calls."""
    return frozenset(
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for name in (getattr(node.func, "id", None), getattr(node.func, "attr", None))
        if name is not None
    )


def test_every_package_is_listed(repository: Path) -> None:
    """A package that pyproject forgets is missing from the wheel."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    found = {
        "regauth." + init.parent.relative_to(repository).as_posix().replace("/", ".")
        for folder in FOLDERS
        for init in (repository / folder).rglob("__init__.py")
    }

    assert set(project["tool"]["setuptools"]["packages"]) == found


def test_no_test_stands_in_an_installed_folder(repository: Path) -> None:
    names = [path.name for path in modules(repository)]

    assert [name for name in names if name == "conftest.py" or name.startswith("test_")] == []


@pytest.mark.parametrize("library", ONLY_SPEAKERS)
def test_each_library_is_spoken_in_one_place(repository: Path, trees: Trees, library: str) -> None:
    speakers = [
        path.relative_to(repository).as_posix()
        for path, tree in trees.items()
        if any(name.partition(".")[0] == library for name in imported(tree))
    ]

    assert [name for name in speakers if not re.match(ONLY_SPEAKERS[library], name)] == []


def in_engine(repository: Path, trees: Trees) -> Trees:
    engine = repository / "engine"
    return {path: tree for path, tree in trees.items() if path.is_relative_to(engine)}


def test_nothing_in_the_engine_imports_the_module_that_reads_files(
    repository: Path, trees: Trees
) -> None:
    for path, tree in in_engine(repository, trees).items():
        assert "regauth.engine.files" not in imported(tree), path
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.level or node.module == "regauth.engine"):
                assert node.module != "files", path
                assert "files" not in {name.name for name in node.names}, path


def test_the_engine_opens_no_file(repository: Path, trees: Trees) -> None:
    for path, tree in in_engine(repository, trees).items():
        calls = [
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]

        assert not {"open", "print", "input", "exec", "eval"} & set(calls), path


CLAIMS_ARE_MADE_BY = {
    "Claims": r"engine/tokens/jwt\.py$",
    "restated": r"engine/decisions/authentication\.py$",
    "recalled": (
        r"engine/(explaining/explanation|tokens/workload_claim)\.py$|servers/sessions/sessions\.py$"
        r"|policytests/(replay/records|usage/(tightening/cases|counting))\.py$"
    ),
    "supposed": r"policytests/|controller/planning/",
}
"""Who may take claims for verified: `jwt.verify`, and those that say why."""


@pytest.mark.parametrize("maker", CLAIMS_ARE_MADE_BY)
def test_claims_come_from_a_verified_token_or_from_who_says_why(
    repository: Path, trees: Trees, maker: str
) -> None:
    """mypy holds that unverified claims are of another type; here, that nobody casts them."""
    callers = {
        path.relative_to(repository).as_posix()
        for path, tree in trees.items()
        if maker in called(tree)
    }
    casts = [
        path
        for path in modules(repository)
        if re.search(r"cast\([^)]*\bClaims\b", path.read_text(encoding="utf-8"))
    ]

    assert callers
    assert [name for name in callers if not re.match(CLAIMS_ARE_MADE_BY[maker], name)] == []
    assert casts == []


def test_every_module_says_what_lives_in_it(trees: Trees) -> None:
    for path, tree in trees.items():
        assert ast.get_docstring(tree), path


def test_no_machine_path_or_long_file_is_tracked(repository: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split("\0"):
        path = repository / name
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".json"} and path.is_file():
            text = path.read_text(encoding="utf-8")

            assert not re.search(
                r"(?<![\w.])/(?:work|farm)/", text.replace("/(?:work|farm)/", "")
            ), name
