"""
JSON: a run, or the problems of a policy, for other programs.

What lives here: its shape.  Not here: anything that is not in the report (`report`).
"""

import json
from typing import Final

from regauth.engine.source.problems import Location, Problem
from regauth.policytests.analysis.coverage import Coverage
from regauth.policytests.analysis.mutation import Mutation

from .report import OUTCOMES, CaseResult, Report

SCHEMA_VERSION: Final = 1
"""The version of the JSON report's shape."""


def json_text(report: Report) -> str:
    """Return the report as JSON."""
    document = {
        "version": SCHEMA_VERSION,
        "started": report.started.isoformat(),
        "seconds": round(report.seconds, 6),
        "counts": {outcome: report.count(outcome) for outcome in OUTCOMES},
        "cases": [_case(result) for result in report.results],
        "broken": [
            {
                "suite": broken.suite,
                "problems": [problem_json(problem) for problem in broken.problems],
            }
            for broken in report.broken
        ],
        "coverage": [_coverage(coverage) for coverage in report.coverage],
        "mutation": [_mutation(mutation) for mutation in report.mutation],
        "gates": [
            {"name": gate.name, "reached": gate.reached, "wanted": gate.wanted}
            for gate in report.gates
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def problem_json(problem: Problem) -> dict[str, object]:
    """Return a problem as JSON has it."""
    return {
        "severity": problem.severity.value,
        **_place(problem.location),
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }


def _place(location: Location) -> dict[str, object]:
    return {"file": location.file, "line": location.line, "column": location.column}


def _case(result: CaseResult) -> dict[str, object]:
    case: dict[str, object] = {
        "id": result.id,
        "suite": result.suite,
        "test": result.test,
        "part": result.part,
        "outcome": result.outcome,
        **_place(result.location),
        "seconds": round(result.seconds, 6),
    }
    if result.summary:
        case["summary"] = result.summary
        case["detail"] = list(result.lines)
    if result.cause is not None:
        case["cause"] = {"name": result.cause.name, **_place(result.cause.location)}
    return case


def _coverage(coverage: Coverage) -> dict[str, object]:
    return {
        "policy": coverage.folder,
        "percent": round(coverage.percent, 2),
        "points": [
            {
                "kind": point.kind,
                "name": point.name,
                "text": point.text,
                **_place(point.location),
                "wanted": list(point.wanted),
                "seen": sorted(point.seen),
                "suggestions": point.suggestions,
                "impossible": list(point.impossible),
            }
            for point in coverage.points
        ],
    }


def _mutation(mutation: Mutation) -> dict[str, object]:
    return {
        "policy": mutation.folder,
        "score": round(mutation.score, 2),
        "killed": len(mutation.killed),
        "untriedEntries": mutation.untried_entries,
        "equivalent": [
            {"operator": one.operator, "owner": one.owner, "diff": one.diff()}
            for one in mutation.equivalent
        ],
        "unreachable": [
            {"operator": one.operator, "owner": one.owner, "diff": one.diff()}
            for one in mutation.unreachable
        ],
        "undecided": [
            {
                "operator": one.mutant.operator,
                "owner": one.mutant.owner,
                **_place(one.mutant.location),
                "diff": one.mutant.diff(),
                "construct": one.construct,
            }
            for one in mutation.undecided
        ],
        "survivors": [
            {
                "operator": one.mutant.operator,
                "owner": one.mutant.owner,
                **_place(one.mutant.location),
                "diff": one.mutant.diff(),
                "witness": str(one.witness),
            }
            for one in mutation.survivors
        ],
    }
