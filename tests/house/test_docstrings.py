"""Each module says what lives in it, what does not, and where that is instead."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from .conftest import Trees

Modules = Mapping[str, tuple[Path, ast.Module]]
"""The file and the tree of each module, by its name without `regauth.`; packages are among them."""


@pytest.fixture(scope="module")
def modules(repository: Path, trees: Trees) -> Modules:
    found = {}
    for path, tree in trees.items():
        parts = path.relative_to(repository).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path, tree
    return found


def lacks(docstring: str) -> Iterator[str]:
    """What a module's docstring should say and does not, each on one line, so that grep finds it."""
    said = [docstring.find(words) for words in ("What lives here:", "Not here:")]
    if -1 in said or said != sorted(said):
        yield "'What lives here:', then 'Not here:'"


def pointers(docstring: str) -> list[str]:
    """The names in backticks that a docstring gives under "Not here"."""
    found = re.search(r"Not\s+here:(.*?)(?:\n\n|\Z)", docstring, re.DOTALL)
    quoted = re.findall(r"`([^`]+)`", found[1]) if found else []
    return [text for text in quoted if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", text)]


def above(name: str, path: Path) -> Iterator[str]:
    """The folder of a module and those above it, as beginnings of names, the nearest first."""
    parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for end in range(len(parts), -1, -1):
        yield "".join(f"{part}." for part in parts[:end])


@cache
def names_of(tree: ast.Module) -> frozenset[str]:
    """The names that a module defines or imports, those of parameters too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found.update(one.asname or one.name for one in names)
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                found.add(name)
    return frozenset(found)


def leads_somewhere(pointer: str, name: str, modules: Modules) -> bool:
    """
    Tell whether a pointer in a module's docstring names something else than this module.

    It names a module by its whole path or from a folder above (`replay.report`), a name within such
    a module (`fetching.Bounds`), a file beside the module, or a name that the module has itself.
    """
    path, tree = modules[name]
    if pointer.startswith("regauth."):
        places = [pointer.removeprefix("regauth.")]
    else:
        places = [f"{folder}{pointer}" for folder in above(name, path)]
    for place in places:
        room, _, last = place.rpartition(".")
        if place in modules or (room in modules and last in names_of(modules[room][1])):
            return place != name
    return (path.parent / pointer).is_file() or pointer in names_of(tree)


def lost(modules: Modules) -> Iterable[str]:
    """The pointers that lead nowhere."""
    for name, (path, tree) in modules.items():
        for pointer in pointers(ast.get_docstring(tree) or ""):
            if not leads_somewhere(pointer, name, modules):
                yield f"{path.name} of {name}: {pointer}"


def test_each_module_says_what_lives_in_it_and_what_does_not(modules: Modules) -> None:
    found = [
        f"{name}: {lack}"
        for name, (path, tree) in modules.items()
        if path.name != "__init__.py"
        for lack in lacks(ast.get_docstring(tree) or "")
    ]

    assert len(modules) > 400
    assert found == []


def test_what_is_not_here_is_where_the_docstring_says(modules: Modules) -> None:
    """A module that moves or goes takes the pointers to it along."""
    given = [one for _, tree in modules.values() for one in pointers(ast.get_docstring(tree) or "")]

    assert len(given) > 500
    assert [*lost(modules)] == []


def test_these_tests_see_a_pointer_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "page.css").touch()
    text = (
        '"""\nA.\n\nNot here: `gone`, `b`, `room.b`, `regauth.room.b.C`, `regauth.b`, `a`, `D`,'
        '\n`page.css`, `b.E`, `--flag` and `f()`.\n\n`nothing`\n"""\nfrom x import D\n'
    )
    found = {
        "room": (tmp_path / "__init__.py", ast.parse("")),
        "room.a": (tmp_path / "a.py", ast.parse(text)),
        "room.b": (tmp_path / "b.py", ast.parse("class C: ...")),
    }

    assert [one.rpartition(" ")[2] for one in lost(found)] == ["gone", "regauth.b", "a", "b.E"]
    assert [*lacks("A.\n\nNot here: b.  What lives here: c.")]
    assert [*lacks("A.\n\nWhat lives\nhere: b.  Not here: c.")]
    assert not [*lacks("A.\n\nWhat lives here: b.  Not here: c.")]
