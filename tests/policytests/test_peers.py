"""What other harnesses get wrong (research: Kyverno, Cerbos, OPA), and this one does not."""

import json

import pytest

from .conftest import POLICY, TOKENS, Repository
from .test_plugin import run

GRID = """
tests:
  - name: grid
    grid: |
      token repository pull push
      main  acme/app   A    A
"""


class TestKyverno:
    """`pass, Excluded` for rules that do not exist or matched nothing (#9379, #11519, #17643)."""

    def test_expecting_a_rule_that_does_not_exist_is_an_error(self, house: Repository) -> None:
        text = GRID + "    because: {main: [pull-all, push-own, no-such-rule]}\n"
        assert ["9:42 unknown-grant"] == house.problems(text)

    def test_expecting_a_rule_that_decides_nothing_fails(self, house: Repository) -> None:
        text = GRID + "    because: {main: [pull-all, push-own, broken]}\n"
        assert "failed" == house.outcomes(text)["grid[main-because]"]

    def test_expecting_the_refusal_of_a_rule_that_does_not_exist_is_an_error(
        self, house: Repository
    ) -> None:
        text = 'tests:\n  - {name: t, token: main, expect: {refused: "rule:no-such"}}\n'
        assert ["unknown-reason"] == [one.split()[1] for one in house.problems(text)]

    def test_a_resource_that_nothing_is_about_is_refused_and_not_excluded(
        self, house: Repository
    ) -> None:
        text = GRID + "      main  other/app  A    .\n"
        assert "failed" == house.outcomes(text)["grid[main-other/app-pull]"]

    def test_a_suite_without_tests_fails_without_an_option(self, house: Repository) -> None:
        house.suite("tests: []\n")
        assert 1 == run(house.root).returncode
        (house.root / "suite.policytest.yaml").unlink()
        assert 5 == run(house.root).returncode


class TestCerbos:
    """Dynamic claims, errors that pass for denials, one token for a table, reports without lines."""

    def test_a_misspelt_claim_does_not_compile(self, house: Repository) -> None:
        house.write("policy/policy.yaml", POLICY.replace("claims.ref ==", "claims.reff =="))
        house.suite(GRID)
        done = run(house.root)
        assert (10, True) == (done.returncode, "did you mean" in done.stdout)

    def test_an_error_in_a_denial_refuses_and_is_an_error(self, house: Repository) -> None:
        denial = "  - {name: odd, when: int(claims.actor) > 1, repositories: [acme/app], actions: [push]}\n"
        house.write("policy/policy.yaml", POLICY + denial)
        outcomes = house.outcomes(GRID)
        assert "error" == outcomes["grid[main-acme/app-push]"]
        assert (
            "error" == house.outcomes(GRID.replace("A    A", "A    ."))["grid[main-acme/app-push]"]
        )
        assert (
            "passed" == house.outcomes(GRID.replace("A    A", "A    E"))["grid[main-acme/app-push]"]
        )

    def test_tokens_are_a_dimension_of_the_table(self, house: Repository) -> None:
        tokens = (
            TOKENS + "  x: {from: main, claims: {ref: refs/heads/x}}\ngroups: {all: [main, x]}\n"
        )
        outcomes = house.outcomes(
            GRID.replace("main  acme/app   A    A", "@all acme/app A A"), tokens
        )
        assert ["passed", "passed", "passed", "failed"] == [
            outcomes[f"grid[{token}-acme/app-{action}]"]
            for token, action in (("main", "pull"), ("main", "push"), ("x", "pull"), ("x", "push"))
        ]

    def test_a_tests_option_adds_to_the_suites(self, house: Repository) -> None:
        text = "service: registry.example.com\n" + GRID + "    skip: for now\n"
        house.suite(text)
        assert "2 skipped" in run(house.root).stdout

    def test_an_expectation_outside_the_input_is_an_error(self, house: Repository) -> None:
        text = (
            'tests:\n  - {name: t, token: main, scopes: ["repository:a/b:pull"], '
            'expect: {granted: ["repository:a/c:pull"]}}\n'
        )
        assert ["outside-request"] == [one.split()[1] for one in house.problems(text)]

    def test_the_clock_must_be_set(self, house: Repository) -> None:
        assert "missing-key" in house.problems(GRID, TOKENS.split("\n", 2)[2])[0]

    def test_coverage_is_there_without_an_option(self, house: Repository) -> None:
        house.suite(GRID)
        assert "grants 2/3" in run(house.root).stdout

    @pytest.mark.parametrize("attribute", ["file", "line", "time"])
    def test_junit_has_places_and_times(self, house: Repository, attribute: str) -> None:
        house.suite(GRID)
        assert f' {attribute}="' in run(house.root, "-f", "junit").stdout


class TestOpa:
    """Coverage that replaces the report, stops at failures, and hangs on how lines are broken."""

    def test_coverage_stands_beside_failures_and_formats(self, house: Repository) -> None:
        house.suite(GRID.replace("A    A", "A    ."))
        done = run(house.root)
        assert "covered" in done.stdout
        report = json.loads(run(house.root, "-f", "json").stdout)
        assert report["coverage"][0]["percent"] > 0
        assert "failed" in [case["outcome"] for case in report["cases"]]

    def test_an_error_in_one_case_does_not_stop_the_coverage(self, house: Repository) -> None:
        house.suite(GRID, TOKENS.replace("1342004", "999"))
        assert "covered" in run(house.root).stdout

    def test_the_uncovered_is_listed_with_its_place_and_a_token(self, house: Repository) -> None:
        house.suite(GRID)
        text = run(house.root, "--cov-fail-under", "100").stdout
        assert "policy/policy.yaml:17:11" in text
        assert "try {from: main, " in text

    def test_coverage_does_not_hang_on_how_lines_are_broken(self, house: Repository) -> None:
        one = POLICY.replace(
            'claims.ref == "refs/heads/main"', 'claims.ref == "a" || claims.ref == "b"'
        )
        many = POLICY.replace(
            'claims.ref == "refs/heads/main"',
            '|\n      claims.ref == "a"\n      || claims.ref == "b"',
        )
        percents = []
        for policy in (one, many):
            house.write("policy/policy.yaml", policy)
            house.suite(GRID.replace("A    A", "A    ."))
            percents.append(
                json.loads(run(house.root, "-f", "json").stdout)["coverage"][0]["percent"]
            )
        assert percents[0] == percents[1]

    def test_a_skipped_case_is_no_failure_and_needs_a_reason(self, house: Repository) -> None:
        house.suite(GRID + "    skip: waits for the cluster\n")
        assert 0 == run(house.root).returncode
        assert "wrong-type" in house.problems(GRID + "    skip: true\n")[0]

    def test_two_formats_can_be_had_of_one_run(self, house: Repository) -> None:
        house.suite(GRID)
        done = run(house.root, "-f", "tap=a.tap", "-f", "junit=b.xml")
        assert (0, True) == (done.returncode, "2 passed" in done.stdout)
        assert (house.root / "a.tap").exists()
        assert (house.root / "b.xml").exists()
