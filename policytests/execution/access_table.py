"""
The access table: everything some tokens can do, as text that a reviewer reads and git compares.

What lives here: the table, its text and the way back, and which cells one table has more than
another.  Not here: files (`collection.snapshots`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Final

from regauth.engine.access.outcomes import Refusal, Verdict
from regauth.engine.access.scope import REPOSITORY_ACTIONS
from regauth.policytests.suites.suite import Mark

from .evaluation import AccessAnswer
from .judging import allowed_despite_error, is_open, mark_of

DEPENDS: Final = "?"
"""The mark of a cell that depends on the tag or its state.  In a snapshot it is an error."""

_LIFETIME: Final = re.compile(r" ([0-9]+)s$")
"""How a cell ends whose token is valid for a limited time."""

_SPACES: Final = re.compile(r" {2,}")


@dataclass(slots=True)
class Row:
    """What one token can do with one repository: for each action the mark, and what decided."""

    token: str
    repository: str
    cells: dict[str, str] = field(default_factory=dict)

    def add(self, action: str, answer: AccessAnswer) -> None:
        """Enter the answer for an action."""
        # `A!` means allowed although a condition failed.  With a plain error, a widening would be
        # hidden.
        mark = f"{Mark.ALLOWED.value}!" if allowed_despite_error(answer) else mark_of(answer).value
        if is_open(answer):
            mark = DEPENDS
        source = answer.reason if isinstance(answer, Refusal) else answer.source
        if isinstance(answer, Verdict) and answer.allowed and answer.lifetime is not None:
            source = f"{source} {int(answer.lifetime.total_seconds())}s"
        self.cells[action] = f"{mark} {source}".strip()


@dataclass(frozen=True, slots=True)
class Widening:
    """A cell that allows more in one table than in the one before, or for longer."""

    token: str
    repository: str
    action: str
    before: str
    after: str

    def __str__(self) -> str:
        return (
            f"{self.token} may now {self.action} {self.repository}: {self.before} -> {self.after}"
        )


@dataclass(frozen=True, slots=True)
class AccessTable:
    """Rows of tokens and repositories."""

    rows: tuple[Row, ...]

    def __str__(self) -> str:
        lines = [["token", "repository", *REPOSITORY_ACTIONS]]
        lines += [
            [row.token, row.repository, *(row.cells.get(a, "") for a in REPOSITORY_ACTIONS)]
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def changes(self, before: "AccessTable") -> Iterator[str]:
        """Yield a line for each cell that is another one here than in the table before."""
        old = {(row.token, row.repository): row.cells for row in before.rows}
        new = {(row.token, row.repository): row.cells for row in self.rows}
        for token, repository in {**old, **new}:
            was, now = old.get((token, repository), {}), new.get((token, repository), {})
            for action in {**was, **now}:
                cells = was.get(action, "-"), now.get(action, "-")
                if cells[0] != cells[1]:
                    yield f"{token} {action} {repository}: {cells[0]} -> {cells[1]}"

    def widenings(self, before: "AccessTable") -> Iterator[Widening]:
        """Yield the cells that allow more here than in the table before, or for longer."""
        known = {(row.token, row.repository): row.cells for row in before.rows}
        for row in self.rows:
            old = known.get((row.token, row.repository), {})
            for action, cell in row.cells.items():
                was = old.get(action, "-")
                if _reach(cell) > _reach(was):
                    yield Widening(row.token, row.repository, action, was, cell)


def parse_table(text: str) -> AccessTable:
    """Read the text of a table; other lines are skipped."""
    rows = []
    header: list[str] = []
    for line in text.split("\n"):
        words = _SPACES.split(line.strip())
        if words[:2] == ["token", "repository"]:
            header = words[2:]
        elif header and len(words) == len(header) + 2:
            rows.append(Row(words[0], words[1], dict(zip(header, words[2:], strict=True))))
    return AccessTable(tuple(rows))


def _reach(cell: str) -> float:
    """Return how much a cell allows: for how many seconds a token is valid, infinity or 0."""
    if not cell.startswith(Mark.ALLOWED.value):
        return 0
    limit = _LIFETIME.search(cell)
    return float(limit[1]) if limit else inf
