"""
The pytest plugin: `pytest` collects `*.policytest.yaml`.

What lives here: pytest's hooks and options that are there without a suite.  Not here: the hooks of
a run that has suites (`collection.recorder`, which decides on the exit code), and anything that
takes time to import: this module is loaded by every pytest run of every project in the same
environment, most of which have no suite.
"""

from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import pytest

from .collection.options import OPTIONS

if TYPE_CHECKING:
    from regauth.policytests.collection.fixtures import AskedPolicy

_ENDINGS: Final = (".policytest.yaml", ".policytest.yml")
"""The same as `regauth.policytests.suites.suite.ENDINGS`, which takes time to import."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add policytest's options, under names that no other plugin has."""
    group = parser.getgroup("policytest", "registry policies")
    for name, about in OPTIONS:
        group.addoption(f"--policytest-{name}", **about)


def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> None:
    """Report a wrong option under the name of the command that was called."""
    if "--policytest-front" in args:
        parser.prog = "policytest"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a suite.  A file whose ending is misspelled is an error and is not skipped."""
    if not file_path.name.lower().endswith(_ENDINGS):
        return None
    if find_spec("syrupy") is None:
        return _UncollectedSuite.from_parent(parent, path=file_path)
    from regauth.policytests.collection.items import SuiteFile  # noqa: PLC0415 - only runs that have suites pay for them

    suite: pytest.Collector = SuiteFile.from_parent(parent, path=file_path)
    return suite


class _UncollectedSuite(pytest.File):
    """A suite in an environment without the extra: an error, so that no policy passes untested."""

    def collect(self) -> NoReturn:
        raise self.CollectError(
            "syrupy not installed; run: pip install 'jwt-registry-auth[policytest]'"
        )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options, and put the command's own reporter in the place of pytest's."""
    _check_processes(config)
    if config.getoption("policytest_usage_log"):
        from regauth.policytests.collection.usage_logs import check  # noqa: PLC0415 - only runs that ask for it pay

        check(config)
    if config.getoption("policytest_front") and config.get_verbosity() <= 0:
        from regauth.policytests.reports.terminal import install  # noqa: PLC0415 - only the command pays for it

        install(config)


def _check_processes(config: pytest.Config) -> None:
    """
    Refuse pytest-xdist beside what is measured of all cases: each process knows only its own.

    Raises:
        pytest.UsageError: A gate would pass unmeasured, or a report would have a part of the cases.
    """
    if getattr(config.option, "dist", "no") == "no":
        return
    for name in ("cov-fail-under", "min-mutation-score", "mutate", "format", "html"):
        if config.getoption(f"policytest_{name.replace('-', '_')}"):
            shown = f"--{name}" if "--policytest-front" in config.invocation_params.args else ""
            raise pytest.UsageError(
                f"{shown or f'--policytest-{name}'} needs all cases in one process; leave out -n"
            )


@pytest.fixture(name="policytest", scope="session")
def _policytest(request: pytest.FixtureRequest) -> "Callable[..., AskedPolicy]":
    """
    Ask a policy from Python: `policytest("policy/").token("github-actions", ref=...)`.

    The folder is relative to pytest's root folder; see `regauth.policytests.collection.fixtures`.
    """
    from regauth.policytests.collection.fixtures import load  # noqa: PLC0415 - only tests that use it pay for it

    def asked(folder: str = "policy", at: datetime | None = None) -> "AskedPolicy":
        return load(request.config.rootpath / folder, at)

    return asked
