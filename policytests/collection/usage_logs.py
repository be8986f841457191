"""
Decision logs beside a test run: what the requests of production use of the tested policies.

What lives here: the option `--usage-log`.
Not here: counting (`regauth.policytests.usage`), and the report's page.
"""

import pytest

from regauth.policytests.execution.run import Run
from regauth.policytests.replay.logs import STANDARD_INPUT, LogError, check_logs
from regauth.policytests.reports.report import Report
from regauth.policytests.usage.reporting import log_use


def check(config: pytest.Config) -> None:
    """
    Check the option before the run, which may take minutes.

    Raises:
        pytest.UsageError: No report would show it, or a log cannot be opened.
    """
    option = config.option
    formats = [text.partition("=")[0] for text in option.policytest_format]
    if not option.policytest_html and "html" not in formats:
        raise pytest.UsageError("--usage-log is for the HTML report; add --html FILE")
    if STANDARD_INPUT in option.policytest_usage_log:
        raise pytest.UsageError("--usage-log: name the log's file; standard input is not read")
    try:
        check_logs(option.policytest_usage_log)
    except LogError as error:
        raise pytest.UsageError(f"--usage-log: {error}") from error


def add_uses(run: Run, report: Report, logs: list[str]) -> None:
    """
    Add to a report what the logs used of each tested policy.

    Raises:
        LogError: A log cannot be opened any more.
    """
    folders = {one.compiled.shown: one.compiled for one in run.loaded.values()}
    for folder, compiled in folders.items():
        policy = compiled.compilation.policy
        if policy is not None:
            report.uses.append(log_use(policy, folder, logs))
