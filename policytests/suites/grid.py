"""
The grid of a suite: a table written as text, each cell one case.

What lives here: reading the table, with a location for every cell.  Not here: what the names in it
mean, beyond those of tokens and groups (`tests`, `linking`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from regauth.engine.access.scope import (
    CATALOG,
    REGISTRY,
    REPOSITORY_ACTIONS,
    Access,
    Resource,
    ScopeError,
    parse_access,
    repository_access,
)
from regauth.engine.decisions.decide import unknown
from regauth.engine.source.nearest import did_you_mean
from regauth.engine.source.nodes import ScalarNode
from regauth.engine.source.problems import Location, Problems

from .suite import Mark, TableCell

_WORD: Final = re.compile(r"\S+")
_MARKS: Final = {mark.value: mark for mark in Mark}
_CATALOG_HEADER: Final = ["token", "catalog"]
_CLASS: Final = re.compile(r"repository\([a-z0-9]+\):")
_LEAD: Final = 2  # the columns before the actions: token, repository


@dataclass(frozen=True, slots=True)
class Names:
    """The tokens and groups a suite declares, as a grid refers to them."""

    tokens: frozenset[str]
    groups: Mapping[str, tuple[str, ...]]
    mentioned: set[str] = field(default_factory=set)
    """Every token and, after `@`, every group that a test refers to."""

    def members(self, word: str) -> tuple[str, ...] | None:
        """Return the tokens that a name, or a group's name after `@`, stands for."""
        self.mentioned.add(word)
        if not word.startswith("@"):
            return (word,) if word in self.tokens else None
        members = self.groups.get(word[1:])
        self.mentioned.update(members or ())
        return members

    def nearest(self, word: str) -> str:
        """Return a hint naming the declared name that looks most like `word`."""
        known = [*self.tokens, *(f"@{group}" for group in self.groups)]
        return did_you_mean(word, known)


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    location: Location


def read_grid(node: ScalarNode, names: Names, problems: Problems) -> tuple[TableCell, ...]:
    """
    Read a grid.

    Args:
        node: The text, best a literal block (`|`).
        names: The tokens and groups that rows may name.
        problems: Takes what is wrong: `grid-header`, `grid-row`, `grid-cell`, `unknown-token`,
            `unknown-action`, `bad-repository`, `duplicate-case`, `no-cases`.
    """
    rows = _rows(node)
    header = next(rows, None)
    if header is None:
        problems.error(node.location, "no-cases", "the grid is empty", _HEADER_HINT)
        return ()
    actions = _header(header, problems)
    if actions is None:
        return ()
    cells: dict[tuple[str, Access], TableCell] = {}
    empty = True
    for row in rows:
        empty = False
        _read_row(row, actions, names, cells, problems)
    if empty:
        problems.error(node.location, "no-cases", "the grid has no row", _HEADER_HINT)
    return tuple(cells.values())


_HEADER_HINT: Final = "write a header and a row: `token repository pull push`, `main acme/app A .`"


def _header(words: list[_Word], problems: Problems) -> tuple[str, ...] | None:
    """Return the actions that a header names; none for the catalog."""
    texts = [word.text for word in words]
    if texts == _CATALOG_HEADER:
        return ()
    if texts[:_LEAD] != ["token", "repository"] or len(texts) == _LEAD:
        problems.error(
            words[0].location,
            "grid-header",
            "a grid begins with the line `token repository` and the actions",
            f"for example: token repository {' '.join(REPOSITORY_ACTIONS)}; or: token catalog",
        )
        return None
    good = True
    for index, word in enumerate(words[_LEAD:], _LEAD):
        if word.text not in REPOSITORY_ACTIONS:
            hint = did_you_mean(word.text, list(REPOSITORY_ACTIONS))
            problems.error(
                word.location, "unknown-action", f"`{word.text}` is no action on a repository", hint
            )
            good = False
        elif word.text in texts[_LEAD:index]:
            problems.error(
                word.location, "duplicate-case", f"the column `{word.text}` stands here twice"
            )
            good = False
    return tuple(texts[_LEAD:]) if good else None


def _read_row(
    words: list[_Word],
    actions: tuple[str, ...],
    names: Names,
    cells: dict[tuple[str, Access], TableCell],
    problems: Problems,
) -> None:
    who = words[0]
    tokens = names.members(who.text)
    wanted = _LEAD + len(actions)
    if len(words) != wanted:
        problems.error(
            words[-1].location,
            "grid-row",
            f"this row has {len(words)} columns, the header has {wanted}",
            "write one mark for each action: A allow, . refused, U not authenticated, E error",
        )
        return
    if tokens is None:
        kind = "group" if who.text.startswith("@") else "token"
        problems.error(
            who.location,
            "unknown-token",
            f"there is no {kind} `{who.text.removeprefix('@')}`",
            names.nearest(who.text),
        )
        return
    accesses = _accesses(words[1], actions, problems)
    for word, access in zip(words[wanted - len(accesses) :], accesses, strict=True):
        mark = _MARKS.get(word.text)
        if mark is None:
            problems.error(
                word.location,
                "grid-cell",
                f"`{word.text}` is no mark",
                "A allow, . refused by the policy, U not authenticated, E error",
            )
            continue
        for token in tokens:
            _add(TableCell(token, access, mark, word.location), cells, problems)


def _accesses(where: _Word, actions: tuple[str, ...], problems: Problems) -> list[Access]:
    """Return what the cells of a row are about; none where its repository is wrong."""
    if not actions:
        return [Access(Resource(REGISTRY, CATALOG), "*")]
    found = [_access(where.text, action) for action in actions]
    good = [access for access in found if access is not None]
    if len(good) < len(found):
        message = f"`{where.text}` is not a repository's name"
        problems.error(where.location, "bad-repository", message)
        return []
    return good


def _access(where: str, action: str) -> Access | None:
    """Return an action on a repository, whose class stands before it: `repository(plugin):a/b`."""
    if _CLASS.match(where) is None:
        return repository_access(where, action)
    try:
        access = parse_access(f"{where}:{action}")
    except ScopeError:
        return None
    return access if unknown(access) is None else None


def _add(cell: TableCell, cells: dict[tuple[str, Access], TableCell], problems: Problems) -> None:
    first = cells.setdefault((cell.token, cell.access), cell)
    if first is not cell:
        problems.error(
            cell.location,
            "duplicate-case",
            f"`{cell.token}` and `{cell.access}` stand in line {first.location.line} already",
            "keep one of the two",
        )


def _rows(node: ScalarNode) -> Iterator[list[_Word]]:
    """Split the text into lines of words; `#` begins a comment, as in YAML."""
    locate = _locator(node)
    offset = 0
    for number, line in enumerate(node.text.split("\n")):
        words = []
        for match in _WORD.finditer(line):
            if match[0].startswith("#"):
                break
            words.append(_Word(match[0], locate(number, offset, match.start(), match.end())))
        if words:
            yield words
        offset += len(line) + 1


class _locator:  # noqa: N801 - used as a function
    """
    Finds words in the file.

    Locating a character walks the text from its start; a grid of thousands of rows must not do so
    for each cell.  In a literal block every line is the file's line behind one indentation, so two
    characters tell where all stand; other styles are small and walk.
    """

    def __init__(self, node: ScalarNode) -> None:
        self._node = node
        text = node.text
        first = len(text) - len(text.lstrip())
        last = len(text.rstrip()) - 1
        self._linear = False
        if last < 0:
            return
        self._line, self._indent = self._base(first)
        self._linear = (self._line, self._indent) == self._base(last)

    def _base(self, offset: int) -> tuple[int, int]:
        """Return the line that the text's first line stands in, and its indentation."""
        place = self._node.locate(offset)
        before = self._node.text[:offset]
        column = offset - (before.rfind("\n") + 1)
        return place.line - before.count("\n"), place.column - column

    def __call__(self, number: int, offset: int, start: int, end: int) -> Location:
        if not self._linear:
            return self._node.locate(offset + start, offset + end)
        line = self._line + number
        file = self._node.location.file
        return Location(file, line, self._indent + start, line, self._indent + end)
