"""
Formats for machines: JSON, JUnit, GitHub annotations, SARIF, TAP.

What lives here: their text.  What must not: anything that is not in the report.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from regauth.engine.source.problems import Location, Problem
from regauth.policytests.analysis.coverage import Coverage
from regauth.policytests.analysis.mutation import Mutation

from .report import OUTCOMES, Report, Result

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
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


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


def _case(result: Result) -> dict[str, object]:
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
            }
            for point in coverage.points
        ],
    }


def _mutation(mutation: Mutation) -> dict[str, object]:
    return {
        "policy": mutation.folder,
        "score": round(mutation.score, 2),
        "killed": len(mutation.killed),
        "equivalent": [
            {"operator": one.operator, "owner": one.owner, "diff": one.diff()}
            for one in mutation.equivalent
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


# --- JUnit ---------------------------------------------------------------------------------------


def junit(report: Report) -> str:
    """Return the report as JUnit XML, as Jenkins and GitLab read it."""
    root = ET.Element("testsuites", name="policytest", time=f"{report.seconds:.3f}")
    for suite, results in report.suites():
        node = ET.SubElement(
            root,
            "testsuite",
            name=suite,
            tests=str(len(results)),
            failures=str(sum(one.outcome == "failed" for one in results)),
            errors=str(sum(one.outcome == "error" for one in results)),
            skipped=str(sum(one.outcome in ("skipped", "xfailed") for one in results)),
            time=f"{sum(one.seconds for one in results):.3f}",
            timestamp=report.started.strftime("%Y-%m-%dT%H:%M:%S"),
        )
        for result in results:
            _junit_case(node, result)
    for broken in report.broken:
        node = ET.SubElement(
            root, "testsuite", name=broken.suite, tests="1", failures="0", errors="1", skipped="0"
        )
        case = ET.SubElement(
            node, "testcase", classname=broken.suite, name="suite", file=broken.suite, time="0"
        )
        first = broken.problems[0]
        error = ET.SubElement(case, "error", message=_xml(str(first)), type=first.code)
        error.text = _xml(broken.error.render())
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _junit_case(node: ET.Element, result: Result) -> None:
    case = ET.SubElement(
        node,
        "testcase",
        classname=f"{result.suite}.{result.test}",
        name=_xml(result.case),
        file=result.location.file,
        line=str(result.location.line),
        time=f"{result.seconds:.6f}",
    )
    tags = {"failed": "failure", "error": "error", "skipped": "skipped", "xfailed": "skipped"}
    if result.outcome in tags:
        child = ET.SubElement(case, tags[result.outcome], message=_xml(result.summary))
        if result.bad:
            place = f"{result.location}: {result.summary}"
            child.set("type", result.outcome)
            child.text = _xml("\n".join((place, *result.lines)))


def _xml(text: str) -> str:
    """Leave out what XML 1.0 cannot hold (section 2.2)."""
    return "".join(c for c in text if c in "\t\n\r" or " " <= c <= "\ud7ff" or c >= "\ue000")


# --- GitHub --------------------------------------------------------------------------------------


def github(report: Report) -> str:
    """Return workflow commands that mark the lines of suites and policies."""
    return "".join(f"{line}\n" for line in _annotations(report))


def _annotations(report: Report) -> Iterator[str]:
    for result in report.bad:
        title = f"{result.test}: {result.part}" if result.part else result.test
        text = "\n".join((result.summary, *result.lines))
        yield _command("error", result.location, title, text)
    for broken in report.broken:
        yield from problem_annotations(broken.problems)
    for mutation in report.mutation:
        for survivor in mutation.survivors:
            mutant = survivor.mutant
            text = f"{mutant.diff()}\nno test notices; {survivor.witness} would"
            yield _command("warning", mutant.location, f"survived: {mutant.operator}", text)


def problem_annotations(problems: Iterable[Problem]) -> Iterator[str]:
    """Yield a workflow command for each problem."""
    for problem in problems:
        hint = f" ({problem.hint})" if problem.hint else ""
        text = f"{problem.message}{hint}"
        yield _command(problem.severity.value, problem.location, problem.code, text)


def _command(level: str, location: Location, title: str, text: str) -> str:
    fields = {
        "file": location.file,
        "line": str(location.line),
        "col": str(location.column),
        "title": title,
    }
    properties = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
    return f"::{level} {properties}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# --- SARIF ---------------------------------------------------------------------------------------

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
        yield _sarif_result(result.outcome, "error", text, result.location)
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
    region: dict[str, object] = {"startLine": location.line, "startColumn": location.column}
    if location.end_line:
        region |= {"endLine": location.end_line, "endColumn": location.end_column}
    place = {"artifactLocation": {"uri": location.file}, "region": region}
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }


# --- TAP -----------------------------------------------------------------------------------------


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
