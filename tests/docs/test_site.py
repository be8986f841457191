"""The site builds with warnings as errors, every page is in it, and every link leads somewhere."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mkdocs.utils.yaml import yaml_load

from .pages import pages


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it, into a folder of its own."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = build(repository, folder)
    assert 0 == done.returncode, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build as `make docs` does; `--quiet` would keep warnings from being errors."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site],
        cwd=source,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_makefile_builds_so(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")

    assert "mkdocs build --strict\n" in makefile


def test_a_broken_link_an_anchor_and_a_page_nobody_finds_are_errors(
    repository: Path, tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copyfile(repository / "docs" / "links.py", docs / "links.py")
    settings = (repository / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(f"{settings}\nnav: [index.md]\n")
    (docs / "index.md").write_text("[a](nowhere.md) [b](other.md#nowhere) [c](../nowhere.txt)\n")
    (docs / "other.md").write_text("# Other\n")

    done = build(tmp_path, tmp_path / "site")

    assert 0 != done.returncode
    for said in ("- other.md", "'nowhere.md'", "'#nowhere'", "'../nowhere.txt'"):
        assert said in done.stderr


def test_what_a_line_announces_follows_it(docs: Path) -> None:
    """A rewriting once lost the command behind a colon."""
    lost = [
        f"{page.name}: {line}"
        for page in pages(docs)
        for line in re.findall(
            r"^(.*:)\n\n(?:#|\Z)", page.read_text(encoding="utf-8"), re.MULTILINE
        )
    ]

    assert lost == []


def test_every_page_is_built(site: Path, docs: Path) -> None:
    built = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}

    assert set() == {page.relative_to(docs).with_suffix("") for page in pages(docs)} - built


def test_every_page_is_in_the_navigation_once(repository: Path, docs: Path) -> None:
    settings = yaml_load((repository / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = list(leaves(settings["nav"]))

    assert sorted(page.relative_to(docs).as_posix() for page in pages(docs)) == sorted(listed)


def leaves(item: object) -> Iterator[str]:
    """The files that a navigation names."""
    if isinstance(item, str):
        yield item
    elif isinstance(item, dict):
        for below in item.values():
            yield from leaves(below)
    elif isinstance(item, list):
        for below in item:
            yield from leaves(below)


class Links(HTMLParser):
    """The addresses and the anchors in one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif value and name in ("href", "src"):
                self.addresses.append(value)


def test_every_link_and_anchor_leads_somewhere(site: Path) -> None:
    read = {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    del read[site / "404.html"]  # its addresses are those of the site's root
    broken = [
        f"{path.relative_to(site)}: {address}"
        for path, links in read.items()
        for address in links.addresses
        if not leads_somewhere(path, address, read)
    ]

    assert len(read) > 10
    assert [] == broken


def leads_somewhere(path: Path, address: str, read: dict[Path, Links]) -> bool:
    if re.match(r"[a-z]+:", address):
        return True
    file, _, anchor = address.partition("#")
    target = (path.parent / file).resolve() if file else path
    if target.is_dir():
        target /= "index.html"
    if target not in read:
        return target.exists() and not anchor
    return anchor in read[target].anchors


def test_a_page_asks_no_other_host_for_anything(site: Path) -> None:
    """Reading the documentation tells nobody."""
    loaded = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*")
    found = {
        match[0]
        for path in site.rglob("*.html")
        for match in loaded.finditer(path.read_text(encoding="utf-8"))
        if 'rel="canonical"' not in match[0]
    }

    assert set() == found


def test_the_links_between_pages_lead_somewhere_on_a_forge_too(docs: Path) -> None:
    """Where the Markdown itself is read."""
    broken = [
        f"{page.name}: {link}"
        for page in pages(docs)
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if not (page.parent / link).exists()
    ]

    assert [] == broken
