"""
The pytest plugin: `pytest` collects `*.policytest.yaml`.

What lives here: pytest's hooks.  What must not: anything that takes time to import; this module is
loaded by every pytest run of every project in the same environment, most of which have no suite.
"""

from pathlib import Path

import pytest

_SUFFIX = ".policytest.yaml"

POLICY_BROKEN = 10
"""The exit code when a policy does not compile."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add policytest's options, under names that no other plugin has."""
    group = parser.getgroup("policytest", "registry policies")
    group.addoption(
        "--policytest-accept-widening",
        metavar="REASON",
        help="let --snapshot-update accept wider access, and keep the reason in the snapshot",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a suite."""
    if not file_path.name.endswith(_SUFFIX):
        return None
    from .items import SuiteFile  # noqa: PLC0415 - only runs that have suites pay for them

    suite: pytest.Collector = SuiteFile.from_parent(parent, path=file_path)
    return suite


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn the exit code into the one that says what is wrong with the policy."""
    run = session.config.stash.get(RUN, None)
    if run is not None:
        from .items import exit_code  # noqa: PLC0415 - only runs that have suites pay for them

        session.exitstatus = exit_code(run, int(session.exitstatus))


RUN: pytest.StashKey[object] = pytest.StashKey()
"""The run's `regauth.policytests.run.Run`; absent in a run without suites."""
