"""The HTML report in a browser: its tables, its coverage view and its filter."""

import shutil
import subprocess
from pathlib import Path

import pytest

from regauth.policytests.tokens.issuing import IssuerKeys
from tests.policytests.conftest import Repository
from tests.policytests.test_plugin import run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NO_BROWSER = "needs Chromium: apt-get install chromium"
SUITE = """
tests:
  - name: grid
    grid: |
      token repository pull push
      main  acme/app   A    .
  - {name: seen, token: main, repositories: [acme/app], snapshot: true}
"""


def shown(page: Path, *arguments: str) -> str:
    """Return the page's content after its script has run."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", *arguments]
    done = subprocess.run(
        [*command, f"file://{page}"], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, issuer_keys: IssuerKeys) -> Path:
    """Return the report of a run with a failure; all tests look at the same one."""
    house = Repository(tmp_path_factory.mktemp("report"), issuer_keys)
    house.suite(SUITE)
    run(house.root, "--snapshot-update")
    run(house.root, "--mutate", "--html", "report.html")
    return house.root / "report.html"


@pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)
def test_the_tables_coverage_and_filter_are_there(page: Path) -> None:
    dom = shown(page)
    assert '<output id="shown">3 of 3</output>' in dom
    assert '<td class="yes">allowed<small>push-own</small></td>' in dom
    assert '<span class="line half" id="policy-policy.yaml-17">' in dom
    assert '<span class="half" title=' in dom
    assert "<del>- " in dom


@pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)
def test_the_filter_hides_what_does_not_match_and_keys_reach_it(page: Path, tmp_path: Path) -> None:
    script = """
    <script>
    document.dispatchEvent(new KeyboardEvent("keydown", {key: "/"}));
    const box = document.getElementById("filter");
    const focused = document.activeElement === box;
    box.value = "push"; box.dispatchEvent(new Event("input"));
    const pushes = document.getElementById("shown").textContent;
    box.value = ""; document.getElementById("only-bad").click();
    document.title = [focused, pushes, document.getElementById("shown").textContent].join("|");
    </script></body>"""
    probe = tmp_path / "probe.html"
    probe.write_text(page.read_text().replace("</body>", script))
    assert "<title>true|1 of 3|1 of 3</title>" in shown(probe)


@pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_never_scrolls_sideways(page: Path, tmp_path: Path, width: int) -> None:
    script = """
    <script>
    document.title = document.documentElement.scrollWidth <= window.innerWidth;
    </script></body>"""
    probe = tmp_path / "probe.html"
    probe.write_text(page.read_text().replace("</body>", script))
    assert "<title>true</title>" in shown(probe, f"--window-size={width},800")


def test_the_report_is_whole_without_its_script(page: Path) -> None:
    text = page.read_text().partition("<script>")[0]
    for words in ("main-acme/app-push", "push-own", "policy/policy.yaml", "would be noticed by"):
        assert words in text
