"""The rooms: how full they are, how long their functions are, and the picture of them."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

from docs.rooms import (
    MODULES,
    PACKAGES,
    PAGE,
    PICTURE,
    arrows,
    drawn,
    modules_page,
    package,
    reached,
    reduced,
    with_table,
)

from .conftest import Trees

MAX_MODULES = 16
"""In a folder of the product and in `bench`, beside `__init__`."""

MAX_LINES = 45
"""Of a function, so that it fits a screen."""


def folders(repository: Path) -> Iterator[Path]:
    """Return the folders of the product with Python in them."""
    for name in (*PACKAGES, "schemas"):
        yield from sorted({path.parent for path in (repository / name).rglob("*.py")})


def test_no_folder_has_more_modules_than_one_can_keep_in_mind(repository: Path) -> None:
    counts = {
        path.relative_to(repository).as_posix(): len({*path.glob("*.py")} - {path / "__init__.py"})
        for path in (*folders(repository), repository / "bench")
    }

    assert len(counts) > 30
    assert {path: count for path, count in counts.items() if count > MAX_MODULES} == {}


def test_every_function_fits_a_screen(repository: Path, trees: Trees) -> None:
    lengths = {
        f"{path.relative_to(repository)}:{node.lineno} {node.name}": node.end_lineno
        - node.lineno
        + 1
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }

    assert len(lengths) > 1000
    assert {name: lines for name, lines in lengths.items() if lines >= MAX_LINES} == {}


@pytest.mark.parametrize("name", PACKAGES)
def test_no_rooms_import_each_other_in_a_circle(name: str) -> None:
    found = arrows()
    rooms = [room for room in found if package(room) == name]

    assert len(rooms) > 5
    assert [room for room in rooms if room in reached(found, room)] == []


def test_the_page_says_what_each_room_is() -> None:
    """`make picture` writes the table again."""
    page = PAGE.read_text(encoding="utf-8")

    assert with_table(page) == page
    assert page.count("| `engine/") > 10


def test_a_page_says_what_lives_in_each_module() -> None:
    """`make picture` writes the page again."""
    page = MODULES.read_text(encoding="utf-8")

    assert modules_page() == page
    assert page.count("\n## ") > 40
    assert page.count("\n| `") > 400


def test_the_picture_shows_the_imports_that_there_are() -> None:
    """`make picture` draws it again."""
    shown = {
        (one, other)
        for one, other in drawn(PICTURE.read_text(encoding="utf-8"))
        if package(one) == package(other)
    }

    assert shown == set(reduced(arrows()))


def test_no_modules_import_each_other_in_a_circle() -> None:
    """A package counts as what its `__init__` imports; what only a type checker reads counts not."""
    graph = grimp.build_graph(
        *(f"regauth.{name}" for name in (*PACKAGES, "schemas")), exclude_type_checking_imports=True
    )
    imports = {one: graph.find_modules_directly_imported_by(one) for one in graph.modules}

    assert len(imports) > 250
    assert [*TopologicalSorter(imports).static_order()]
