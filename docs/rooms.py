"""
Draws docs/rooms.svg, writes the table of rooms in docs/architecture.md, and docs/modules.md.

    python docs/rooms.py

The rooms and arrows are read from the import graph by grimp, the library of import-linter.
Graphviz's `dot` draws them (on Debian: apt-get install graphviz).  An arrow says that a room
imports another.  One that other arrows already imply is left out.  The table has the first line of
each room's docstring, and the page of modules that of each module, with what it says lives there.
"""

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import grimp

PACKAGES: Final = ("policytests", "servers", "controller", "engine")
COLOURS: Final = {
    "policytests": "#e8f0fe",
    "servers": "#e6f4ea",
    "controller": "#fef7e0",
    "engine": "#fce8e6",
}
PICTURE: Final = Path(__file__).with_name("rooms.svg")
PAGE: Final = Path(__file__).with_name("architecture.md")
MODULES: Final = Path(__file__).with_name("modules.md")
BEGIN: Final = "<!-- rooms: rewritten by make picture -->\n"
END: Final = "<!-- end of the rooms -->\n"

MODULES_HEAD: Final = """\
# Every module

What lives in each module, in the words of its docstring. Search this page for what you look for.
The docstring also says what does not live there, and where that is instead.
[Architecture](architecture.md) shows how the rooms stand to each other.

`make picture` writes this page.
"""

Arrows = Mapping[str, frozenset[str]]
"""Which rooms each room imports; a room is called `servers/token`."""


@cache
def arrows() -> Arrows:
    """Return what each room imports within its package."""
    graph = grimp.build_graph(*(f"regauth.{name}" for name in PACKAGES), "regauth.schemas")
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        room = room_of(module)
        if room is None:
            continue
        imported = map(room_of, graph.find_modules_directly_imported_by(module))
        found.setdefault(room, set()).update(
            one for one in imported if one and one != room and package(one) == package(room)
        )
    return {room: frozenset(others) for room, others in sorted(found.items())}


def room_of(module: str) -> str | None:
    """Return the room of a module; a module beside the rooms is one by itself."""
    _, name, *rest = module.split(".")
    return f"{name}/{rest[0]}" if name in PACKAGES and rest else None


def package(room: str) -> str:
    """Return the package that a room is in."""
    return room.partition("/")[0]


def reduced(found: Arrows) -> Iterator[tuple[str, str]]:
    """Return the arrows that no others imply; in a circle, all of them."""
    for room, others in found.items():
        onwards = {one: reached(found, one) for one in others}
        straight = {one: ahead for one, ahead in onwards.items() if room not in ahead}
        implied = {far for one, ahead in straight.items() for far in ahead - {one}}
        yield from ((room, other) for other in sorted(others - implied))


def reached(found: Arrows, start: str) -> set[str]:
    """Return every room that a room imports, by way of others too."""
    passed: set[str] = set()
    ahead = [start]
    while ahead:
        for other in found[ahead.pop()] - passed:
            passed.add(other)
            ahead.append(other)
    return passed


def dot(found: Arrows) -> str:
    """Return the picture in Graphviz's language."""
    lines = [
        "digraph rooms {",
        "compound=true; newrank=true; ranksep=0.35; nodesep=0.2;",
        'graph [fontname="sans-serif", style="filled,rounded", labeljust=l];',
        'node [shape=box, style="filled,rounded", fillcolor=white, height=0.3];',
        'node [fontname="sans-serif", fontsize=11];',
        'edge [color="#5f6368", arrowsize=0.6];',
    ]
    for name in PACKAGES:
        rooms = [room for room in found if package(room) == name]
        lines += [
            f"subgraph cluster_{name} {{",
            f'label="{name}"; color="{COLOURS[name]}";',
            *(f'"{room}" [label="{room.partition("/")[2]}"];' for room in rooms),
            "}",
        ]
    lines += [f'"{one}" -> "{other}";' for one, other in reduced(found)]
    bottom, top = ends(found, PACKAGES[:-1]), "engine/explaining"
    lines += [
        f'"{one}" -> "{top}" [ltail=cluster_{package(one)}, lhead=cluster_engine, style=dashed];'
        for one in bottom
    ]
    return "\n".join([*lines, "}", ""])


def ends(found: Arrows, names: Iterable[str]) -> Iterator[str]:
    """Return a room of each package that imports no other; an arrow of the package begins there."""
    for name in names:
        yield next(room for room, others in found.items() if package(room) == name and not others)


def drawn(text: str) -> set[tuple[str, str]]:
    """Return the arrows of a picture that `dot` has drawn; it writes each as a title."""
    titles = re.findall(r"<title>(.+?)&#45;&gt;(.+?)</title>", text)
    return {(one.replace("&#45;", "-"), other.replace("&#45;", "-")) for one, other in titles}


def with_table(page: str) -> str:
    """Return a page with the table of the rooms as they are."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    rows = (
        f"| `{place}` | {first_line(path)} |\n"
        for package in PACKAGES
        for place, path in places(PAGE.parent.parent / package)
    )
    return f"{before}{BEGIN}| room | what it is |\n| --- | --- |\n{''.join(rows)}{END}{after}"


def places(folder: Path) -> Iterator[tuple[str, Path]]:
    """Return the rooms of a folder, and what has the docstring of each: folders, then modules."""
    for path in sorted(folder.glob("*/__init__.py")):
        yield f"{folder.name}/{path.parent.name}/", path
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            yield f"{folder.name}/{path.name}", path


def modules_page() -> str:
    """Return the page that says of each module what lives there."""
    lines = [MODULES_HEAD]
    for package in PACKAGES:
        root = PAGE.parent.parent / package
        for folder in sorted({path.parent for path in root.rglob("*.py")}):
            name = folder.relative_to(root.parent).as_posix()
            rows = [
                f"| `{path.stem}` | {purpose(path)} |\n"
                for path in sorted(folder.glob("*.py"))
                if path.name != "__init__.py"
            ]
            head = f"\n## {name}\n\n| module | what lives there |\n| --- | --- |\n"
            lines += [head, *rows] if rows else []
    return "".join(lines)


def purpose(module: Path) -> str:
    """Return the first line of a module's docstring, and what it says lives there, as a cell."""
    first, _, rest = docstring(module).partition("\n")
    found = re.search(r"What lives here: (.*?)\s*(?:Not\s+here|\n\n|$)", rest, re.DOTALL)
    lives = " ".join(found[1].split()) if found else ""
    return f"{first} {lives[:1].upper()}{lives[1:]}".strip().replace("|", r"\|")


def first_line(module: Path) -> str:
    """Return the first line of a module's docstring."""
    return docstring(module).partition("\n")[0]


@cache
def docstring(module: Path) -> str:
    """Return a module's docstring, or an empty text."""
    return ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""


def main() -> None:
    """Draw the picture, and write the table and the page of modules."""
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    MODULES.write_text(modules_page(), encoding="utf-8")
    made = subprocess.run(
        ["dot", "-Tsvg"],  # noqa: S607 - Graphviz, wherever it is installed
        input=dot(arrows()),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    comments = re.compile(r"<!--.*?-->\n?", re.DOTALL)  # they name the version of dot
    PICTURE.write_text(comments.sub("", made).replace("\n\n", "\n"), encoding="utf-8")


if __name__ == "__main__":
    main()
