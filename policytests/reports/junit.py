"""
JUnit: a run as Jenkins and GitLab read it.

What lives here: its XML. Not here: anything that is not in the report (`report`).
"""

from xml.etree import ElementTree as ET

from .report import CaseResult, Report


def junit(report: Report) -> str:
    """Return the report as JUnit XML, as Jenkins and GitLab read it."""
    root = ET.Element("testsuites", name="policytest", time=f"{report.seconds:.3f}")
    for suite, results in report.suites():
        node = ET.SubElement(
            root,
            "testsuite",
            name=_xml(suite),
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
            root,
            "testsuite",
            name=_xml(broken.suite),
            tests="1",
            failures="0",
            errors="1",
            skipped="0",
        )
        case = ET.SubElement(
            node,
            "testcase",
            classname=_xml(broken.suite),
            name="suite",
            file=_xml(broken.suite),
            time="0",
        )
        first = broken.problems[0]
        error = ET.SubElement(case, "error", message=_xml(str(first)), type=first.code)
        error.text = _xml(broken.error.render())
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _junit_case(node: ET.Element, result: CaseResult) -> None:
    case = ET.SubElement(
        node,
        "testcase",
        classname=_xml(f"{result.suite}.{result.test}"),
        name=_xml(result.case),
        file=_xml(result.location.file),
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
