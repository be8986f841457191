"""
Usage in the report of a test run.

What lives here: what the report shows of a policy's usage.
Not here: counting (`counting`), and the page (`regauth.policytests.reports.html_usage`).
"""

from collections.abc import Sequence
from pathlib import Path

from regauth.engine.policy.policy import Policy
from regauth.policytests.reports.report import LogUse

from .formats import FINDINGS, span
from .reading import LogQuestion


def log_use(policy: Policy, folder: str, logs: Sequence[str]) -> LogUse:
    """
    Return what logs never used of a policy, and who is near a refusal.

    Raises:
        LogError: A log cannot be opened.
    """
    usage = LogQuestion(Path(folder), None).count(logs, policy)
    # Nothing is unused of a policy about which the log says nothing.
    found = [(title, tuple(rows(usage))) for title, rows in FINDINGS] if usage.requests else []
    return LogUse(folder, span(usage), tuple(found))
