"""
The documentation's pages and the fenced blocks in them.

A block may say something about itself to the tests, in a comment that readers do not see, in the
line before it:

    <!-- docs: ends with 1 -->            the commands fail, with this exit code
    <!-- docs: serves 5001 -->            a program that runs on; it is up when the port answers
    <!-- docs: problems: CODE, CODE -->   compiling this policy finds these and no others
    <!-- docs: is deploy/some/file -->    the block is that file of the repository
    <!-- docs: not run: REASON -->        these commands are not run
    <!-- docs: not checked: REASON -->    this is not checked
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHELL = {"sh", "bash", "shell", "console"}
ELSEWHERE = {
    "problems.md": ("tests/engine/source/test_problems.py", '"problems.md"'),
    "claim-schemas.md": ("tests/engine/issuers/test_page.py", '"claim-schemas.md"'),
    "ci/": ("tests/action/test_recipes.py", '"docs" / "ci"'),
}
"""Pages, by how their path begins, whose blocks another test checks: which, and where it says so."""

_OPENING = re.compile(r"^(?P<fence>`{3,})(?P<language>[\w+-]*)[ ]*(?P<rest>.*)$")
_NOTE = re.compile(r"^<!-- docs: (.+) -->$")
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, what it is, what it says about itself."""

    page: Path
    line: int
    language: str
    title: str
    note: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    def noted(self, about: str) -> str | None:
        """Return what the block's note says about something; None when it says nothing."""
        if not self.note.startswith(about):
            return None
        return self.note[len(about) :].lstrip(": ").strip()


def blocks(page: Path) -> Iterator[Block]:
    """Return a page's fenced blocks in their order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    note = ""
    while at < len(lines):
        opening = _OPENING.match(lines[at])
        if opening is None:
            if lines[at].strip():
                found = _NOTE.match(lines[at])
                note = found[1] if found else ""
            at += 1
            continue
        end = lines.index(opening["fence"], at + 1)
        title = _TITLE.search(opening["rest"])
        text = "".join(f"{line}\n" for line in lines[at + 1 : end])
        yield Block(page, at + 1, opening["language"], title[1] if title else "", note, text)
        at, note = end + 1, ""


def checked_here(docs: Path) -> list[Path]:
    """Return the pages whose blocks are checked by the tests in this folder."""
    return [
        page
        for page in pages(docs)
        if not page.relative_to(docs).as_posix().startswith(tuple(ELSEWHERE))
    ]


def pages(docs: Path) -> list[Path]:
    """Return all pages, in the order of their names."""
    return sorted(docs.rglob("*.md"))
