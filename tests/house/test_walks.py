"""The walks of docs/architecture.md: each is what a real run passes, and no room is gone back to."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .walks import WALKS

Compare = Callable[[Path, str], None]

MARK = "<!-- walks: rewritten by tests/house/test_walks.py --golden-update -->\n"


@pytest.fixture(params=[one.__name__ for one in WALKS])
def made(request: pytest.FixtureRequest, tmp_path: Path, repository: Path) -> tuple[str, Any]:
    """A walk, by what it is called on the page."""
    command = [sys.executable, "-m", "tests.house.walks", request.param, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr + done.stdout
    title = request.param.replace("_", " ")
    for word in ("jwt", "yaml"):
        title = title.replace(word, word.upper())
    return title.replace("secret", "Secret"), json.loads(done.stdout.splitlines()[-1])


def test_a_walk_is_as_the_page_says_and_goes_back_to_no_room(
    made: tuple[str, Any], repository: Path, golden: Compare
) -> None:
    title, walk = made
    page = repository / "docs" / "architecture.md"
    text = page.read_text(encoding="utf-8")
    shown = f"### {title[0].upper()}{title[1:]}\n\n{walk['table']}\n"
    before = re.search(rf"### {title[0].upper()}{title[1:]}\n\n.*?\n\n", text, re.DOTALL)
    changed = text.replace(before[0], shown) if before else text.replace(MARK, f"{shown}{MARK}")

    assert walk["returns"] == []
    golden(page, changed)
