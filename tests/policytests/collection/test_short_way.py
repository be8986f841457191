"""The short way of a case that passes shows, writes and remembers what pytest's own way does."""

import re
from collections.abc import Sequence

import pytest

from tests.policytests.conftest import Repository
from tests.policytests.test_plugin import run

SUITE = """
tests:
  - name: cells
    grid: |
      token repository pull push
      main  acme/app   A    A
      main  acme/lib   A    .
      main  acme/c     A    .
  - name: known
    xfail: later
    grid: |
      token repository pull push
      main  acme/app   .    .
  - name: left out
    skip: later
    grid: |
      token repository pull push
      main  acme/app   A    A
  - name: wrong
    grid: |
      token repository pull push
      main  acme/lib   A    A
      main  acme/d     A    .
      main  acme/e     A    .
  - {name: table, token: main, repositories: [acme/app], snapshot: true}
"""
WATCHING = """
def pytest_runtest_call(item):
    with open("seen.txt", "a") as file:
        file.write(item.nodeid + "\\n")
"""
BEFORE_ALL = "def setup_module():\n    raise ValueError('not ready')\n"
OWN_WAY = ("-p", "no:policytest-short-way")
_TIMES = re.compile(r'"seconds": [\d.e-]+|\d+\.\d+ ?s?|\d{4}-\d\d-\d\dT[\d:.+Z-]+')


def written(house: Repository, *arguments: str, command: bool = True) -> list[object]:
    """Return everything that a run leaves, without the times."""
    files = ("j.xml", "r.json", "seen.txt", ".pytest_cache/v/cache/lastfailed")
    for name in files:
        (house.root / name).unlink(missing_ok=True)
    done = run(house.root, *arguments, command=command, env={"PYTEST_ADDOPTS": ""})
    paths = [house.root / name for name in files]
    found = [one.read_text() if one.exists() else "" for one in paths]
    return [done.returncode, *(_TIMES.sub("", one) for one in (done.stdout, done.stderr, *found))]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (True, ("--junitxml=j.xml", "-f", "json=r.json")),
        (False, ("-v", "--durations=0", "--durations-min=9")),
        (False, ("-q", "-x")),
        (False, ("--setup-show",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_both_ways_leave_the_same(
    house: Repository, *, command: bool, arguments: Sequence[str]
) -> None:
    house.suite(SUITE)
    short = written(house, *arguments, command=command)
    assert written(house, *arguments, *OWN_WAY, command=command) == short
    assert 1 == short[0]


def test_other_plugins_see_every_case(house: Repository) -> None:
    house.suite(SUITE)
    (house.root / "conftest.py").write_text(WATCHING)
    short = written(house)
    assert written(house, *OWN_WAY) == short
    assert 15 == len(str(short[5]).splitlines())


def test_a_mark_of_a_conftest_is_obeyed(house: Repository) -> None:
    house.suite(SUITE)
    (house.root / "conftest.py").write_text(
        "import pytest\n"
        "def pytest_collection_modifyitems(items):\n"
        "    items[2].add_marker(pytest.mark.skip(reason='by the conftest'))\n"
    )
    assert "3 skipped" in run(house.root).stdout


def test_a_folder_that_cannot_be_set_up_fails_each_case(house: Repository) -> None:
    inner = house.root / "inner"
    inner.mkdir()
    house.suite(SUITE).rename(inner / "suite.policytest.yaml")
    (inner / "__init__.py").write_text(BEFORE_ALL)
    short = written(house, command=False)
    assert written(house, *OWN_WAY, command=False) == short
    assert "not ready" in str(short[1])
    assert "passed" not in str(short[1])


@pytest.mark.parametrize(
    "changed",
    [
        # what a conftest replaces is what runs
        "for one in items[1:3]: one.runtest = lambda: 1 / 0",
        "for one in items[1:3]: one.setup = lambda: 1 / 0",
        # the same case twice, one after the other
        "items[:] = [one for item in items for one in (item, item)]",
    ],
)
def test_what_a_conftest_makes_of_the_cases_is_what_runs(house: Repository, changed: str) -> None:
    house.suite(SUITE)
    conftest = f"def pytest_collection_modifyitems(items):\n    {changed}\n"
    (house.root / "conftest.py").write_text(conftest)
    short = written(house, command=False)
    assert written(house, *OWN_WAY, command=False) == short
    assert 1 == short[0]


def test_what_asking_for_the_short_way_raises_closes_it_for_that_case(house: Repository) -> None:
    house.suite(SUITE)
    (house.root / "conftest.py").write_text(
        "def pytest_collection_modifyitems(items):\n"
        "    def judge(*_): raise RuntimeError('by the conftest')\n"
        "    type(items[1]).passes = judge\n"
    )
    short = written(house, command=False)
    assert written(house, *OWN_WAY, command=False) == short
    assert "INTERNALERROR" not in str(short[1])


def test_a_plugin_that_is_switched_off_is_not_asked(house: Repository) -> None:
    house.suite(SUITE)
    done = run(house.root, "-p", "no:setuponly", "-p", "no:setupplan", env={"PYTEST_ADDOPTS": ""})
    assert 1 == done.returncode
    assert "INTERNALERROR" not in done.stdout
