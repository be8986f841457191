"""
What pages show for other platforms, and the schemas that those platforms' files have.

The schemas are those of SchemaStore, as the package check-jsonschema carries them.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .pages import blocks, pages

BY_PAGE = {
    "ci/buildkite.md": "buildkite",
    "ci/circleci.md": "circle-ci",
    "ci/github-actions.md": "github-workflows",
    "ci/gitlab.md": "gitlab-ci",
}
BY_TITLE = {".github/workflows/": "github-workflows", ".gitlab-ci.yml": "gitlab-ci"}
"""By how the title of a block begins."""


@dataclass(frozen=True)
class Shown:
    """A platform's file that a page shows: where, of which schema, and the file."""

    place: str
    schema: str
    text: str


def shown(docs: Path) -> Iterator[Shown]:
    """Return the files that pages show; an indented block goes on with the one before it."""
    for page in pages(docs):
        whole = BY_PAGE.get(page.relative_to(docs).as_posix())
        found: list[Shown] = []
        for block in blocks(page):
            by_title = [name for start, name in BY_TITLE.items() if block.title.startswith(start)]
            schema = by_title[0] if by_title else whole
            if block.language != "yaml" or schema is None:
                continue
            if block.text.startswith(" "):
                before = found.pop()
                found.append(Shown(before.place, before.schema, before.text + block.text))
            else:
                found.append(Shown(block.place, schema, block.text))
        yield from found


def complaints(schema: str, file: Path) -> str:
    """Return what is wrong with a file by a schema of check-jsonschema; nothing when it is right."""
    command = [sys.executable, "-m", "check_jsonschema", f"--builtin-schema=vendor.{schema}", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in {0, 1}, done.stderr
    return "" if done.returncode == 0 else done.stdout
