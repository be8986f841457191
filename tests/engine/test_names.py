"""The names that `regauth.engine` offers: each is there, and none costs those who do not use it."""

import ast
import importlib
from pathlib import Path

import regauth.engine


def test_the_names_for_type_checkers_are_those_that_are_there(repository: Path) -> None:
    """Else mypy would accept a name that no run has, or the reverse."""
    tree = ast.parse((repository / "engine" / "__init__.py").read_text(encoding="utf-8"))
    [block] = (one for one in tree.body if isinstance(one, ast.If))
    typed = {
        name.name: one.module
        for one in block.body
        if isinstance(one, ast.ImportFrom)
        for name in one.names
    }

    assert sorted(typed) == sorted(regauth.engine.__all__)
    for name, module in typed.items():
        assert module is not None
        assert getattr(regauth.engine, name) is getattr(importlib.import_module(module), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(regauth.engine, "decode")
