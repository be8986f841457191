"""What the tests of the house share: the syntax tree of each module of the product."""

import ast
import gc
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

FOLDERS = ("controller", "engine", "policytests", "schemas", "servers")

Trees = Mapping[Path, ast.Module]


@pytest.fixture(scope="module")
def trees(repository: Path) -> Iterator[Trees]:
    """The modules of the product, parsed once for a file of tests, and let go of afterwards."""
    gc.disable()  # to look for garbage among their nodes takes longer than to parse them
    try:
        yield {
            path: ast.parse(path.read_text(encoding="utf-8"))
            for folder in FOLDERS
            for path in sorted((repository / folder).rglob("*.py"))
        }
    finally:
        gc.enable()
