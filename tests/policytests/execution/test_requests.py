"""Requests: exactly what is granted, why a login is refused, and nothing green by accident."""

import pytest

from tests.policytests.conftest import Repository


def request(expect: str, scopes: str = '["repository:acme/app:pull,push"]') -> str:
    """Return a suite's test."""
    return f"tests:\n  - {{name: t, token: main, scopes: {scopes}, {expect}}}\n"


@pytest.mark.parametrize(
    ("expect", "outcome"),
    [
        ('expect: {granted: ["repository:acme/app:pull,push"]}', "passed"),
        ('expect: {granted: ["repository:acme/app:pull", "repository:acme/app:push"]}', "passed"),
        ('expect: {granted: ["repository:acme/app:pull"]}', "failed"),
        ("expect: {granted: []}", "failed"),
        ("expect: {refused: expired}", "failed"),
        (
            'expect: {granted: ["repository:acme/app:pull,push"]}, because: [pull-all, push-own]',
            "passed",
        ),
        ('expect: {granted: ["repository:acme/app:pull,push"]}, because: [pull-all]', "failed"),
        (
            'expect: {granted: ["repository:acme/app:pull,push"]}, because: {main: [pull-all, push-own]}',
            "passed",
        ),
    ],
)
def test_a_request_passes_only_with_exactly_what_is_granted(
    house: Repository, expect: str, outcome: str
) -> None:
    assert {"t": outcome} == house.outcomes(request(expect))


def test_a_denial_is_told_from_the_lack_of_a_grant(house: Repository) -> None:
    scopes = '["repository:acme/frozen:push", "repository:acme/lib:push"]'
    frozen = 'expect: {granted: [], denied: ["repository:acme/frozen:push"]}'
    lacking = 'expect: {granted: [], denied: ["repository:acme/lib:push"]}'
    assert {"t": "passed"} == house.outcomes(request(frozen, scopes))
    assert {"t": "failed"} == house.outcomes(request(lacking, scopes))


BROKEN = """
at: 2026-11-01T12:00:00Z
tokens:
  main:
    profile: github-actions
    claims: {repository: acme/app, repository_owner_id: "1342004", run_number: many}
    impossible: the condition must fail
"""


@pytest.mark.parametrize(
    ("expect", "outcome"),
    [
        ("expect: {granted: []}", "error"),
        ("expect: {granted: [], errors: [broken]}", "passed"),
        ("expect: {granted: [], errors: [broken, push-own]}", "failed"),
    ],
)
def test_a_cel_error_is_expected_by_name_or_is_an_error(
    house: Repository, expect: str, outcome: str
) -> None:
    text = request(expect, '["repository:broken/x:pull"]')
    assert {"t": outcome} == house.outcomes(text, BROKEN)


def test_nothing_granted_to_a_refused_login_is_an_error(house: Repository) -> None:
    tokens = BROKEN.replace("1342004", "999")
    judged = house.judge(request("expect: {granted: []}"), tokens)
    assert "error" == judged["t"].outcome.value
    assert "write `refused: rule:our-organisation`" in judged["t"].summary
    right = request('expect: {refused: "rule:our-organisation"}')
    assert {"t": "passed"} == house.outcomes(right, tokens)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (request("expect: {}"), "wrong-value"),
        (request("expect: {granted: []}", '["repository:acme/app:puhs"]'), "bad-scope"),
        (request("expect: {granted: []}", '["repository:Acme/app:push"]'), "bad-scope"),
        (request("expect: {granted: []}", '["repositry:acme/app:push"]'), "bad-scope"),
        (request("expect: {granted: []}", '["registry:catalog:pull"]'), "bad-scope"),
        (request("expect: {refused: expired, granted: []}"), "wrong-value"),
        (request("expect: {refused: expird}"), "unknown-reason"),
        (request('expect: {refused: "rule:our-organization"}'), "unknown-reason"),
        (request('expect: {granted: ["repository:acme/x:pull"]}'), "outside-request"),
        (request("expect: {granted: [], errors: [brokn]}"), "unknown-grant"),
        (request("expect: {granted: []}, service: other"), "unknown-service"),
        (request("expect: {granted: []}, because: {other: [broken]}"), "outside-request"),
        ("tests:\n  - {name: t, token: mian, expect: {granted: []}}\n", "unknown-token"),
        ("tests:\n  - {name: 'a::b', token: main, expect: {granted: []}}\n", "bad-name"),
        ("tests:\n  - {name: 'a[b', token: main, expect: {granted: []}}\n", "bad-name"),
        ("tests: []\n", "wrong-value"),
        ("", "wrong-value"),
        ("tests:\n  - {name: t, token: main}\n", "wrong-value"),
        ("tests:\n  - {name: t, tokn: main, expect: {granted: []}}\n", "unknown-key"),
    ],
)
def test_what_is_wrong_with_a_test_is_told(house: Repository, text: str, code: str) -> None:
    assert code in [problem.partition(" ")[2] for problem in house.problems(text)]


def test_a_policy_of_several_services_needs_one_named(house: Repository) -> None:
    policy = house.root / "policy" / "policy.yaml"
    policy.write_text(policy.read_text().replace("[registry.example.com]", "[a, b]"))
    text = "tests:\n  - {name: t, token: main, expect: {granted: []}}\n"
    assert ["5:12 unknown-service"] == house.problems(text)
    named = text.replace("name: t", "name: t, service: b")
    assert {"t": "passed"} == house.outcomes(named)
