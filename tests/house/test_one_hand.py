"""The code reads as written by one hand: what CONTRIBUTING says about form and no linter knows."""

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest

from .conftest import FOLDERS, Trees

NO_CONSTANTS = {"NamedTuple", "NewType", "ParamSpec", "TypeVar", "TypeVarTuple", "namedtuple"}
"""What makes types, which `Final` is not for."""


Named = list[tuple[str, ast.Module]]


@pytest.fixture(scope="module")
def modules(repository: Path, trees: Trees) -> Named:
    """The modules of the product, by their places."""
    return [(path.relative_to(repository).as_posix(), tree) for path, tree in trees.items()]


def blocks(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield block


def prepared_messages(tree: ast.Module) -> Iterator[int]:
    """Lines that give a name to what the next line raises and nothing else reads."""
    for block in blocks(tree):
        for first, second in pairwise(block):
            match first, second:
                case (
                    ast.Assign(targets=[ast.Name(id=name)]),
                    ast.Raise(exc=ast.Call(args=args, keywords=keywords)),
                ):
                    given = [*args, *(keyword.value for keyword in keywords)]
                    uses = [n for n in ast.walk(second) if isinstance(n, ast.Name) and n.id == name]
                    if len(uses) == 1 and uses[0] in given:
                        yield first.lineno


def open_constants(tree: ast.Module) -> Iterator[str]:
    """Constants of the module that are not annotated `Final`."""
    rebound = {name for n in ast.walk(tree) if isinstance(n, ast.Global) for name in n.names}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                annotation = ""
            case ast.AnnAssign(target=ast.Name(id=name), annotation=given, value=value):
                annotation = ast.unparse(given)
            case _:
                continue
        made_by = ast.unparse(value.func).rpartition(".")[2] if isinstance(value, ast.Call) else ""
        if (
            re.fullmatch(r"_*[A-Z][A-Z0-9_]*", name)
            and name not in rebound
            and made_by not in NO_CONSTANTS
            and not re.match(r"Final\b|TypeAlias\b", annotation)
        ):
            yield name


def test_a_message_is_written_where_it_is_raised(modules: Named) -> None:
    found = [f"{name}:{line}" for name, tree in modules for line in prepared_messages(tree)]

    assert found == []


def test_constants_of_modules_are_final(modules: Named) -> None:
    found = [f"{name}: {each}" for name, tree in modules for each in open_constants(tree)]

    assert found == []


def test_bounds_are_called_min_and_max(modules: Named) -> None:
    found = [
        f"{name}: {node.id}"
        for name, tree in modules
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and re.match(r"_?(LEAST|MOST|MINIMUM|MAXIMUM)_", node.id)
    ]

    assert found == []


def shared_names(trees: Iterable[tuple[str, ast.Module]]) -> dict[str, list[str]]:
    """Names that more than one class has, with the modules of the classes."""
    found: dict[str, list[str]] = {}
    for name, tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(name)
    return {name: places for name, places in found.items() if len(places) > 1}


def test_no_two_classes_of_the_product_share_a_name(modules: Named) -> None:
    """A name that two things have says of neither what it is."""
    assert shared_names(modules) == {}


SILENCING = re.compile(
    r"#\s*(noqa|type:\s*ignore)\b(?P<rules>:[ ][A-Z]+\d+(,[ ][A-Z]+\d+)*|\[[a-z-]+(,[ ]?[a-z-]+)*\])?(?P<reason>.*)",
    re.IGNORECASE,
)
"""A comment that silences ruff or mypy: what it silences, and what it says more."""


def unreasoned(text: str) -> Iterator[int]:
    """Lines that silence ruff or mypy and do not say which rule, or why."""
    if not SILENCING.search(text):
        return  # to tokenize it would take a while
    for token in tokenize.generate_tokens(StringIO(text).readline):
        if token.type == tokenize.COMMENT and (found := SILENCING.search(token.string)):
            more = found["reason"].strip().removeprefix("#").removeprefix("-").strip()
            if found["rules"] is None or not more or more.startswith(("noqa", "type:")):
                yield token.start[0]


def test_whoever_silences_a_rule_says_why(repository: Path) -> None:
    """A rule that does not fit a whole file is switched off in pyproject.toml, with the reason there."""
    roots = (*FOLDERS, "bench", "deploy", "docs", "tests")
    paths = [path for root in roots for path in sorted((repository / root).rglob("*.py"))]
    found = [
        f"{path.relative_to(repository)}:{line}"
        for path in paths
        for line in unreasoned(path.read_text(encoding="utf-8"))
    ]

    assert len(paths) > 800
    assert found == []


def test_these_tests_see_silence_without_a_reason() -> None:
    text = (
        "a = 1  # noqa\n"
        "a = 2  # noqa: S105\n"
        "a = 3  # noqa: S105 - the name of a field\n"
        "a = 4  # type: ignore[misc]\n"
        "a = 5  # type: ignore[misc]  # waitress has no types\n"
        "a = 6  # noqa: S105, S106 -\n"
        "a = '# noqa'\n"
    )

    assert list(unreasoned(text)) == [1, 2, 4, 6]


def test_these_tests_see_what_they_look_for() -> None:
    tree = ast.parse(
        'if x:\n    message = "no"\n    raise E(message)\nA = 1\nB: int = 2\nC: Final = 3\n'
    )

    assert (list(prepared_messages(tree)), list(open_constants(tree))) == ([2], ["A", "B"])
    twice = ast.parse("class A: ...\nclass B:\n    class _C: ..."), ast.parse("class _C: ...")
    assert shared_names(zip("xy", twice, strict=True)) == {"_C": ["x", "y"]}
