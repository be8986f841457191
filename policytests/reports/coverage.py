"""
Coverage for other tools: LCOV and Cobertura.

What lives here: a policy's lines and branches as those formats have them.  Not here: how coverage
is measured (`analysis.coverage`).

A line is hit when every point on it was seen in some way; each outcome of a point is a branch.
"""

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from regauth.policytests.analysis.parts import Point

from .report import Report


def _by_line(report: Report) -> Mapping[str, Mapping[int, list[Point]]]:
    files: dict[str, dict[int, list[Point]]] = {}
    for coverage in report.coverage:
        for point in coverage.points:
            lines = files.setdefault(point.location.file, {})
            lines.setdefault(point.location.line, []).append(point)
    return files


def lcov(report: Report) -> str:
    """Return the coverage in the format of `lcov`'s tracefiles."""
    out: list[str] = []
    for file, lines in sorted(_by_line(report).items()):
        out += ["TN:policytest", f"SF:{file}"]
        branches = hit_branches = hit_lines = 0
        for line, points in sorted(lines.items()):
            for block, point in enumerate(points):
                for branch, outcome in enumerate(point.wanted):
                    taken = int(outcome in point.seen)
                    out.append(f"BRDA:{line},{block},{branch},{taken}")
                    branches += 1
                    hit_branches += taken
            hit = int(all(point.seen for point in points))
            hit_lines += hit
            out.append(f"DA:{line},{hit}")
        out += [f"BRF:{branches}", f"BRH:{hit_branches}"]
        out += [f"LF:{len(lines)}", f"LH:{hit_lines}", "end_of_record"]
    return "\n".join(out) + "\n"


def cobertura(report: Report) -> str:
    """Return the coverage as Cobertura's XML."""
    files = _by_line(report)
    every = [points for lines in files.values() for points in lines.values()]
    root = ET.Element(
        "coverage",
        {
            **_rates(every),
            "complexity": "0",
            "version": "1",
            "timestamp": str(int(report.started.timestamp())),
        },
    )
    sources = ET.SubElement(root, "sources")
    ET.SubElement(sources, "source").text = "."
    packages = ET.SubElement(root, "packages")
    for file, lines in sorted(files.items()):
        rates = _rates(list(lines.values()))
        name = file.rpartition("/")[0] or "."
        package = ET.SubElement(packages, "package", {"name": name, **rates, "complexity": "0"})
        classes = ET.SubElement(package, "classes")
        about = {"name": file, "filename": file, **rates, "complexity": "0"}
        node = ET.SubElement(classes, "class", about)
        ET.SubElement(node, "methods")
        rows = ET.SubElement(node, "lines")
        for line, points in sorted(lines.items()):
            wanted, seen = _branches(points)
            share = f"{100 * seen // wanted}% ({seen}/{wanted})"
            row = {"number": str(line), "hits": str(int(all(point.seen for point in points)))}
            ET.SubElement(rows, "line", {**row, "branch": "true", "condition-coverage": share})
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _branches(points: list[Point]) -> tuple[int, int]:
    wanted = sum(len(point.wanted) for point in points)
    return wanted, wanted - sum(len(point.missing) for point in points)


def _rates(every: list[list[Point]]) -> dict[str, str]:
    lines = len(every)
    hit = sum(all(point.seen for point in points) for points in every)
    wanted = sum(_branches(points)[0] for points in every)
    seen = sum(_branches(points)[1] for points in every)
    return {
        "line-rate": f"{hit / lines if lines else 1:.4f}",
        "branch-rate": f"{seen / wanted if wanted else 1:.4f}",
        "lines-covered": str(hit),
        "lines-valid": str(lines),
        "branches-covered": str(seen),
        "branches-valid": str(wanted),
    }
