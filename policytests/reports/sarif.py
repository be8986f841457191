"""
SARIF 2.1.0: a run, or the problems of a policy, for code scanning.

What lives here: its shape.  Not here: anything that is not in the report (`report`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from regauth.engine.source.problems import Location, Problem

from .report import Report

_RULES: Final[Mapping[str, str]] = {
    "failed": "A case does not hold",
    "error": "A case proves nothing",
    "survived": "No test notices a change of the policy",
    "not-covered": "No test exercises a part of the policy",
}


def sarif(report: Report) -> str:
    """Return the report as SARIF 2.1.0."""
    codes = {problem.code for broken in report.broken for problem in broken.problems}
    return _sarif({**dict.fromkeys(sorted(codes), ""), **_RULES}, list(_sarif_results(report)))


def problem_sarif(problems: Sequence[Problem]) -> str:
    """Return problems as SARIF 2.1.0."""
    codes = dict.fromkeys(sorted({problem.code for problem in problems}), "")
    return _sarif(codes, list(map(_sarif_problem, problems)))


def _sarif(codes: Mapping[str, str], results: list[dict[str, object]]) -> str:
    rules = [
        {"id": code, "shortDescription": {"text": text or code}} for code, text in codes.items()
    ]
    run = {
        "tool": {"driver": {"name": "policytest", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _sarif_problem(problem: Problem) -> dict[str, object]:
    level = problem.severity.value
    return _sarif_result(problem.code, level, problem.message, problem.location)


def _sarif_results(report: Report) -> Iterator[dict[str, object]]:
    for result in report.bad:
        text = "\n".join((f"{result.case}: {result.summary}", *result.lines))
        found = _sarif_result(result.outcome, "error", text, result.location)
        if result.cause is not None:
            related = _physical(result.cause.location)
            message = {"text": f"decided by {result.cause.name}"}
            found["relatedLocations"] = [{"physicalLocation": related, "message": message}]
        yield found
    for broken in report.broken:
        yield from map(_sarif_problem, broken.problems)
    for mutation in report.mutation:
        for survivor in mutation.survivors:
            text = f"{survivor.mutant.diff()}\nno test notices; {survivor.witness} would"
            yield _sarif_result("survived", "warning", text, survivor.mutant.location)
    for coverage in report.coverage:
        for point in coverage.uncovered:
            text = f"{point.kind} {point.name}: {point.text}: not seen {', '.join(point.missing)}"
            yield _sarif_result("not-covered", "note", text, point.location)


def _sarif_result(rule: str, level: str, text: str, location: Location) -> dict[str, object]:
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": _physical(location)}],
    }


def _physical(location: Location) -> dict[str, object]:
    region: dict[str, object] = {"startLine": location.line, "startColumn": location.column}
    if location.end_line:
        region |= {"endLine": location.end_line, "endColumn": location.end_column}
    return {"artifactLocation": {"uri": quote(location.file)}, "region": region}
