"""Every page whose commands can be run is followed word for word, in an empty folder."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.e2e.programs import require
from tests.ports import free_ports

from .following import PORTS, Follower, shows
from .pages import SHELL, Block, blocks, checked_here, pages

NEEDS = {
    "docker-registry ": "docker-registry",
    "skopeo ": "skopeo",
    "nginx ": "nginx",
    "curl ": "curl",
    "kubectl ": "kubectl",
}
"""Programs that are no part of Python, by how a command begins with them."""


def runs(block: Block) -> bool:
    return block.language in SHELL and block.noted("not run") is None


def followed() -> list[Path]:
    return [page for page in checked_here(REPOSITORY / "docs") if any(map(runs, blocks(page)))]


def needs(page: Path) -> list[str]:
    commands = "\n" + "".join(block.text for block in blocks(page) if runs(block))
    return [name for start, name in NEEDS.items() if f"\n{start}" in commands]


def follow(page: Path, folder: Path, ports: Sequence[int]) -> int:
    with ExitStack() as stack:
        return Follower(folder, stack, ports).follow(list(blocks(page)))


@pytest.fixture(scope="module")
def ran(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[Path, "Future[int]"]]:
    """How many commands of each page ran; as many pages at once as there are cores."""
    wanted = [
        item.callspec.params["page"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == FOLLOWING
    ]
    able = [page for page in wanted if all(map(shutil.which, needs(page)))]
    ports = iter(free_ports(len(PORTS) * len(able)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            page: pool.submit(
                follow, page, tmp_path_factory.mktemp(page.stem), list(islice(ports, len(PORTS)))
            )
            for page in able
        }


FOLLOWING = "test_a_page_can_be_followed"


@pytest.mark.parametrize("page", followed(), ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_page_can_be_followed(ran: Mapping[Path, "Future[int]"], page: Path) -> None:
    require(*needs(page))

    assert sum(map(runs, blocks(page))) == ran[page].result()


def test_what_is_not_run_says_why(docs: Path) -> None:
    unexplained = [
        block.place
        for page in pages(docs)
        for block in blocks(page)
        for about in ("not run", "not checked")
        if block.noted(about) == ""
    ]

    assert [] == unexplained


def test_a_note_is_one_that_is_known(docs: Path) -> None:
    known = ("ends with ", "is ", "serves ", "problems: ", "not run: ", "not checked: ")
    notes = [(one.place, one.note) for page in pages(docs) for one in blocks(page) if one.note]

    assert [] == [(place, note) for place, note in notes if not note.startswith(known)]


def test_a_block_that_is_a_file_of_the_repository_is_that_file(
    repository: Path, docs: Path
) -> None:
    shown = {
        name: block.text
        for page in pages(docs)
        for block in blocks(page)
        if (name := block.noted("is "))
    }

    assert shown
    for name, text in shown.items():
        assert (repository / name).read_text(encoding="utf-8") == text


def page_with(folder: Path, text: str) -> list[Block]:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return list(blocks(page))


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nfalse\n```\n",
        "<!-- docs: ends with 1 -->\n```sh\ntrue\n```\n",
        "<!-- docs: ends with 1 -->\n```sh\nexit 2\n```\n",
        "```sh\nfalse | cat\n```\n",
        "```sh\necho one\n```\n\n```text\ntwo\n```\n",
        "```text\nnothing ran\n```\n",
        '```yaml title="../outside.yaml"\na: 1\n```\n',
    ],
)
def test_a_page_that_is_wrong_is_noticed(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with ExitStack() as stack, pytest.raises(AssertionError):
        Follower(folder, stack).follow(page_with(tmp_path, text))


def test_files_commands_and_output_follow_one_another(tmp_path: Path) -> None:
    text = '```yaml title="a/b.yaml"\nkey: 1\n```\n\n```sh\ncat a/b.yaml\n```\n\n```text\nkey: 1\n```\n'
    with ExitStack() as stack:
        assert 1 == Follower(tmp_path, stack).follow(page_with(tmp_path, text))


@pytest.mark.parametrize(
    ("expected", "shown", "same"),
    [
        ("one\ntwo\n", "one\ntwo  \n\n", True),
        ("one\n", "one\ntwo\n", False),
        ("one\n...\n", "one\ntwo\nthree\n", True),
        ("one\n...\nthree\n", "one\nthree\n", True),
        ("in ... s\n", "in 0.25 s\n", True),
        ("in ... s\n", "in 0.25 m\n", False),
        ("a.b\n", "axb\n", False),
    ],
)
def test_dots_stand_for_anything_and_nothing_else_does(
    expected: str, shown: str, same: bool
) -> None:
    assert same == shows(expected, shown)
