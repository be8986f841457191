"""
TAP 14 (the Test Anything Protocol): a run, a line for each case.

What lives here: its text.  Not here: anything that is not in the report (`report`).
"""

import json

from .report import Report


def tap(report: Report) -> str:
    """Return the report as TAP 14."""
    lines = ["TAP version 14", f"1..{len(report.results) + len(report.broken)}"]
    for number, result in enumerate(report.results, 1):
        name = result.id.replace("\\", "\\\\").replace("#", "\\#")
        directive = {"skipped": " # SKIP", "xfailed": " # TODO"}.get(result.outcome, "")
        verdict = "not ok" if result.bad or result.outcome == "xfailed" else "ok"
        reason = f" {result.summary}" if directive else ""
        lines.append(f"{verdict} {number} - {name}{directive}{reason}".replace("\n", " "))
        if result.bad:
            lines += ["  ---", f"  message: {json.dumps(result.summary)}"]
            lines += [f"  at: {json.dumps(str(result.location))}", "  ..."]
    for number, broken in enumerate(report.broken, len(report.results) + 1):
        lines.append(f"not ok {number} - {broken.suite}")
        lines += ["  ---", "  problems:"]
        lines += [f"    - {json.dumps(str(problem))}" for problem in broken.problems]
        lines.append("  ...")
    return "\n".join(lines) + "\n"
