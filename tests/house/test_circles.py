"""No circle of modules: each can be read, and imported, after those it builds on."""

from graphlib import CycleError, TopologicalSorter

import grimp

PACKAGES = (
    "regauth.controller",
    "regauth.engine",
    "regauth.policytests",
    "regauth.schemas",
    "regauth.servers",
)


def circle(imports: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_modules_import_each_other() -> None:
    """Imports inside functions count; those for types alone bring no module into another."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}

    assert len(imports) > 200
    assert circle(imports) == []


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) in (
        ["a", "c", "b", "a"],
        ["b", "a", "c", "b"],
        ["c", "b", "a", "c"],
    )
