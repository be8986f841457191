"""The formats of a report: what other tools read of a run."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from regauth.engine.source.problems import Location, Problem
from regauth.policytests.collection.arguments import FORMATS as OFFERED
from regauth.policytests.reports.formats import FORMATS
from regauth.policytests.reports.sarif import problem_sarif
from regauth.policytests.tokens.issuing import IssuerKeys
from tests.policytests.conftest import TOKENS, Repository
from tests.policytests.test_plugin import run

SUITE = """
tests:
  - name: grid <&>
    grid: |
      token repository pull push
      main  acme/app   A    .
  - {name: later, xfail: "#12", token: main, expect: {refused: expired}}
  - {name: never, skip: not now, token: main, expect: {refused: expired}}
  - {name: seen, token: main, repositories: [acme/app], snapshot: true}
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with every format of one run with failures, and of a broken suite."""
    house = Repository(tmp_path_factory.mktemp("house"), IssuerKeys())
    house.suite(SUITE)
    assert 1 == run(house.root, "--snapshot-update").returncode
    broken = house.root / "broken.policytest.yaml"
    broken.write_text(f"{TOKENS.strip()}\ntests:\n  - {{name: t, token: man, expect: {{}}}}\n")
    out = house.root / "out"
    out.mkdir()
    formats = [f"-f{name}={out / name}" for name in FORMATS]
    done = run(house.root, "--mutate", *formats)
    assert 1 == done.returncode, done.stdout + done.stderr
    return out


def read(reports: Path, name: str) -> str:
    """Return a report's text."""
    return (reports / name).read_text()


def test_every_format_is_offered() -> None:
    assert set(OFFERED) == set(FORMATS)


def test_json_has_every_case_with_its_place(reports: Path) -> None:
    report = json.loads(read(reports, "json"))
    cases = {case["id"]: case for case in report["cases"]}
    failed = cases["suite.policytest.yaml::grid <&>[main-acme/app-push]"]
    assert ("failed", 8, 29) == (failed["outcome"], failed["line"], failed["column"])
    assert "expected refused" in failed["summary"]
    assert ["failed", "passed", "passed", "skipped", "xfailed"] == sorted(
        case["outcome"] for case in cases.values()
    )
    assert "broken.policytest.yaml" == report["broken"][0]["suite"]
    assert report["coverage"][0]["points"]
    assert report["mutation"][0]["survivors"]


def test_junit_has_file_line_and_time(reports: Path) -> None:
    root = ET.fromstring(read(reports, "junit"))
    suite = root.find("testsuite[@name='suite.policytest.yaml']")
    assert suite is not None
    assert ("5", "1", "0", "2") == tuple(
        suite.get(name) for name in ("tests", "failures", "errors", "skipped")
    )
    failed = next(case for case in suite if case.find("failure") is not None)
    assert ("suite.policytest.yaml", "8") == (failed.get("file"), failed.get("line"))
    assert float(failed.get("time", "-1")) >= 0
    failure = failed.find("failure")
    assert failure is not None
    assert "push-own" in (failure.text or "")
    assert root.find("testsuite[@name='broken.policytest.yaml']/testcase/error") is not None


def test_github_marks_the_line_of_the_policy_and_then_of_the_suite(reports: Path) -> None:
    lines = read(reports, "github").splitlines()
    policy = "::error file=policy/policy.yaml,line=16,col=11,title=push-own::1 case did not pass:"
    assert lines[0].startswith(policy)
    assert lines[1].startswith("::error file=suite.policytest.yaml,line=8,col=29,title=grid <&>%3A")
    assert all(line.startswith("::") for line in lines)
    assert any(line.startswith("::error file=broken.policytest.yaml,line=5") for line in lines)


def test_sarif_is_valid_and_points_at_lines(reports: Path) -> None:
    report = json.loads(read(reports, "sarif"))
    schema = json.loads((Path(__file__).parent / "sarif-schema-2.1.0.json").read_text())
    errors = list(jsonschema.Draft7Validator(schema).iter_errors(report))
    assert [] == [error.message for error in errors]
    result = report["runs"][0]["results"][0]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (8, 29) == (region["startLine"], region["startColumn"])
    ids = {rule["id"] for rule in report["runs"][0]["tool"]["driver"]["rules"]}
    assert {one["ruleId"] for one in report["runs"][0]["results"]} <= ids


def test_json_and_sarif_say_which_part_of_the_policy_decided(reports: Path) -> None:
    cause = {"name": "push-own", "file": "policy/policy.yaml", "line": 16, "column": 11}
    cases = json.loads(read(reports, "json"))["cases"]
    [found] = json.loads(read(reports, "sarif"))["runs"][0]["results"][0]["relatedLocations"]
    place = found["physicalLocation"]

    assert [one["cause"] for one in cases if one["outcome"] == "failed"] == [cause]
    assert not [one for one in cases if one["outcome"] == "passed" and "cause" in one]
    assert found["message"]["text"] == "decided by push-own"
    assert place["artifactLocation"]["uri"] == "policy/policy.yaml"
    assert (place["region"]["startLine"], place["region"]["startColumn"]) == (16, 11)


def test_a_file_is_a_uri_in_sarif() -> None:
    """`artifactLocation.uri` is a URI reference (SARIF 2.1.0, section 3.4.3)."""
    problem = Problem(Location("my policy/100%.yaml", 3, 1), "code", "message")
    result = json.loads(problem_sarif([problem]))["runs"][0]["results"][0]

    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {
        "uri": "my%20policy/100%25.yaml"
    }


def test_tap_counts_every_case_once(reports: Path) -> None:
    lines = read(reports, "tap").splitlines()
    assert ["TAP version 14", "1..6"] == lines[:2]
    results = [line for line in lines if line.startswith(("ok ", "not ok "))]
    assert [1, 2, 3, 4, 5, 6] == [int(line.split(" - ")[0].split()[-1]) for line in results]
    assert any("# TODO #12" in line for line in results)
    assert any("# SKIP not now" in line for line in results)


def test_markdown_escapes_names_and_shows_the_table(reports: Path) -> None:
    text = read(reports, "markdown")
    assert text.startswith("<!-- policytest -->\n### policytest: failed")
    assert "| main | acme/app |" in text
    assert "```diff" in text


def test_lcov_and_cobertura_agree_on_lines_and_branches(reports: Path) -> None:
    lcov = read(reports, "lcov").splitlines()
    root = ET.fromstring(read(reports, "cobertura"))
    assert "SF:policy/policy.yaml" in lcov
    assert f"LF:{root.get('lines-valid')}" in lcov
    assert f"LH:{root.get('lines-covered')}" in lcov
    assert f"BRF:{root.get('branches-valid')}" in lcov
    assert f"BRH:{root.get('branches-covered')}" in lcov


def test_html_needs_nothing_from_elsewhere(reports: Path) -> None:
    text = read(reports, "html")
    for word in ("src=", "@import", "url(", "<link", 'href="http', "href='http", "fetch("):
        assert word not in text, word
    assert "default-src 'none'" in text
    assert "grid &lt;&amp;&gt;" in text
    assert "<script>" in text
    assert "prefers-color-scheme: dark" in text


def test_a_format_without_a_file_is_alone_on_standard_output(house: Repository) -> None:
    house.suite(SUITE)
    done = run(house.root, "-f", "json")
    assert "failed" == json.loads(done.stdout)["cases"][1]["outcome"]
    assert "FAIL" in done.stderr


def test_an_unknown_format_is_wrong_usage(house: Repository) -> None:
    done = run(house.root, "-f", "jsn")
    assert 4 == done.returncode
    assert "did you mean `json`?" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--cov-fail-under", "100"], 11, "coverage is"),
        (["--min-mutation-score", "100"], 11, "mutation score is"),
        (["--cov-fail-under", "10", "--min-mutation-score", "10"], 0, ""),
    ],
)
def test_a_gate_that_is_missed_is_exit_code_11(
    house: Repository, options: list[str], code: int, text: str
) -> None:
    house.suite(SUITE.replace("A    .", "A    A").split("  - {name: seen")[0])
    done = run(house.root, *options)
    assert (code, True) == (done.returncode, text in done.stdout)


def test_nothing_but_failures_and_one_summary_is_shown(house: Repository) -> None:
    house.suite(SUITE)
    done = run(house.root)
    assert "\033[" not in done.stdout
    assert "main-acme/app-pull" not in done.stdout
    assert "FAIL suite.policytest.yaml:8:29 main-acme/app-push" in done.stdout
    assert "1 passed, 2 failed, 1 skipped, 1 xfailed" in done.stdout


def test_every_format_tells_of_a_broken_invariant(tmp_path: Path) -> None:
    house = Repository(tmp_path, IssuerKeys())
    house.suite(
        """
        tests:
          - {name: t, token: main, scopes: ["repository:acme/app:pull"], expect: {granted: ["repository:acme/app:pull"]}}
        invariants:
          never:
            - {name: nobody pushes, repositories: ["**"], actions: [push]}
        """
    )
    out = house.root / "out"
    out.mkdir()
    done = run(
        house.root, *(f"-f{name}={out / name}" for name in FORMATS), f"--html={out / 'html'}"
    )
    assert 1 == done.returncode, done.stdout + done.stderr
    assert "FAIL suite.policytest.yaml:8:14 nobody pushes does not hold: a token of" in done.stdout
    for name in set(FORMATS) - {"lcov", "cobertura"}:
        text = (out / name).read_text()
        assert "nobody pushes" in text, name
        assert "does not hold" in text, name
        assert "push-own" in text, name
    assert "SF:suite.policytest.yaml" in (out / "lcov").read_text()
