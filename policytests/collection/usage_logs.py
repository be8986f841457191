"""
Decision logs beside a test run: what the requests of production use of the tested policies.

What lives here: the option `--usage-log`.
Not here: counting (`regauth.policytests.usage`), and the report's page
(`regauth.policytests.reports.html_usage`).
"""

from pathlib import Path

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
    logs = [log for _, log in map(_split, option.policytest_usage_log)]
    if STANDARD_INPUT in logs:
        raise pytest.UsageError("--usage-log: name the log's file; standard input is not read")
    try:
        check_logs(logs)
    except LogError as error:
        raise pytest.UsageError(f"--usage-log: {error}") from error


def _split(text: str) -> tuple[str, str]:
    """Return the policy's folder that the option names, or "", and the log."""
    folder, mark, log = text.partition("=")
    return (folder, log) if mark and Path(folder).is_dir() else ("", text)


def add_uses(run: Run, report: Report, logs: list[str]) -> None:
    """
    Add to a report what the logs used of the policies that they belong to.

    Raises:
        LogError: A log cannot be opened any more, or it is not clear which policy it belongs to.
    """
    tested = {one.compiled.folder.resolve(): one.compiled for one in run.loaded.values()}
    found: dict[Path, list[str]] = {}
    for text in logs:
        folder, log = _split(text)
        if not folder and len(tested) > 1:
            names = ", ".join(sorted(one.shown for one in tested.values()))
            raise LogError(f"{log}: say whose log it is, as FOLDER={log}; the run tests {names}")
        path = Path(folder).resolve() if folder else next(iter(tested), Path())
        if folder and path not in tested:
            raise LogError(f"{text}: no suite of this run is about {folder}")
        found.setdefault(path, []).append(log)
    for path, listed in found.items():
        compiled = tested.get(path)
        policy = None if compiled is None else compiled.compilation.policy
        if compiled is not None and policy is not None:
            report.uses.append(log_use(policy, compiled.shown, listed))
