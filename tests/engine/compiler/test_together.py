"""Conditions that contradict the rules before them, the schema, or themselves."""

import json
from typing import Any, Final

import pytest

from regauth.engine import Problem, Severity, compile_policy

GITHUB: Final = {
    "issuer": "https://token.actions.githubusercontent.com",
    "audience": "me",
    "claims": "github-actions",
}
GITLAB: Final = {"issuer": "https://gitlab.example.com", "audience": "me", "claims": "gitlab-ci"}
CLUSTER: Final = {"issuer": "https://k.example.com", "audience": "me", "claims": "kubernetes"}
OURS: Final = 'claims.repository_owner_id == "1342004"'
TENANT: Final = "11111111-2222-3333-4444-555555555555"
ENTRA: Final = {
    "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "audience": "me",
    "claims": "azure",
}
ENTRA_1: Final = {**ENTRA, "issuer": f"https://sts.windows.net/{TENANT}/"}
ID: Final = "00000000-1111-2222-3333-444444444444"
DEFINITIONS: Final = {
    "main": 'claims.ref == "refs/heads/main"',
    "tag": 'claims.ref_type == "tag" && claims.event_name == "push"',
    "teams": {"1": "a", "2": "b"},
}


def policy(
    provider: dict[str, Any], rules: list[str], when: str = "", denial: str = ""
) -> dict[str, Any]:
    named = [{"name": f"r{at}", "check": check} for at, check in enumerate(rules)]
    whole: dict[str, Any] = {
        "version": 1,
        "services": ["registry.example.com"],
        "providers": {"ci": {**provider, "rules": named} if named else provider},
        "grants": [{"name": "g", "repositories": ["acme/app"], "actions": ["pull"]}],
    }
    if provider is GITHUB:
        whole["definitions"] = DEFINITIONS
    if when:
        whole["grants"][0]["when"] = when
    if denial:
        one = {"name": "d", "when": denial, "repositories": ["acme/**"], "actions": ["pull"]}
        whole["denials"] = [one]
    return whole


def told(whole: dict[str, Any]) -> list[Problem]:
    found = compile_policy({"policy.yaml": json.dumps(whole)}).problems
    return [one for one in found if one.code == "impossible-together"]


CONTRADICTING: Final = [
    (GITHUB, [OURS, 'claims.event_name == "push"'], 'claims.event_name == "pull_request"'),
    (GITHUB, [OURS, 'claims.event_name in ["push", "schedule"]'], 'claims.event_name == "release"'),
    (GITHUB, ['claims.event_name == "push" || claims.event_name == "schedule"'],
     'claims.event_name in ["release", "create"]'),
    (GITHUB, ['!(claims.event_name != "push" || claims.ref_type == "tag")'],
     'claims.event_name == "release"'),
    (GITHUB, [OURS, 'claims.ref.startsWith("refs/heads/")'], 'claims.ref == "refs/tags/v1"'),
    (GITHUB, [OURS, r'claims.ref.matches("^refs/heads/v[0-9]+$")'], 'claims.ref == "refs/heads/v"'),
    (GITHUB, [OURS, 'claims.event_name == "push"'], 'claims.ref.startsWith("refs/pull/")'),
    (GITHUB, [OURS, "defs.main"], "defs.tag"),
    (GITHUB, ["claims.repository_id in defs.teams"], 'claims.repository_id == "3"'),
    (GITHUB, ['claims.repository_owner == "acme"'], 'claims.repository == "acne/app"'),
    (GITHUB, ['claims.repository.startsWith("acme/")'], 'claims.repository_owner == "acne"'),
    (GITHUB, ['claims.repository.lowerAscii() == "acme/app"'], 'claims.repository == "acme/other"'),
    (GITHUB, ['claims.repository == "acme/app"'],
     'claims.sub == "repo:acme/other:ref:refs/heads/main"'),
    (GITHUB, [OURS, 'claims.ref_type == "tag"'], 'claims.event_name == "schedule"'),
    (GITHUB, [OURS, 'claims.ref_type == "tag"'],
     'claims.ref == "refs/heads/main" || claims.ref == "refs/tags/v1"'),
    (GITHUB, [OURS, "!has(claims.environment)"],
     'claims.sub == "repo:acme/app:environment:prod"'),
    (GITHUB, [OURS, "has(claims.environment)"], "!has(claims.environment)"),
    (GITLAB, ['claims.project_path == "acme/app"'], 'claims.namespace_path == "other"'),
    (CLUSTER, ['claims["kubernetes.io"].namespace == "prod"'],
     'claims.sub == "system:serviceaccount:dev:app"'),
]  # fmt: skip
"""A provider, its rules, and a condition that no token behind them fulfils."""


@pytest.mark.parametrize(("provider", "rules", "when"), CONTRADICTING)
def test_a_grant_that_the_rules_exclude_is_found_where_it_stands(
    provider: dict[str, Any], rules: list[str], when: str
) -> None:
    whole = policy(provider, rules, when)
    (problem,) = told(whole)
    assert problem.severity is Severity.WARNING
    assert f"`r{len(rules) - 1}`" in problem.message
    text, begin = json.dumps(whole), problem.location.column
    assert begin is not None
    assert text[begin - 1 :].startswith(json.dumps(when)[1:12])


@pytest.mark.parametrize(("provider", "rules", "when"), CONTRADICTING)
def test_a_denial_that_the_rules_exclude_is_found(
    provider: dict[str, Any], rules: list[str], when: str
) -> None:
    (problem,) = told(policy(provider, rules, denial=when))
    assert problem.severity is Severity.WARNING


@pytest.mark.parametrize(("provider", "rules", "when"), CONTRADICTING)
def test_rules_that_exclude_one_another_are_found_once(
    provider: dict[str, Any], rules: list[str], when: str
) -> None:
    (problem,) = told(policy(provider, [*rules, when], "", denial=""))
    assert f"`r{len(rules) - 1}`" in problem.message


@pytest.mark.parametrize(
    ("rules", "when"),
    [
        ([OURS, 'claims.event_name == "push"'], 'claims.event_name in ["push", "release"]'),
        ([OURS, 'claims.event_name == "push" || claims.ref_type == "tag"'],
         'claims.event_name == "release"'),
        ([OURS, 'claims.ref.startsWith("refs/heads/")'], 'claims.ref != "refs/heads/main"'),
        (['claims.repository == "acme/app"'],
         'claims.sub == "repo:acme/app:ref:refs/heads/main"'),
        # An organisation can have a subject of the repository and the ref, whatever the environment.
        ([OURS, 'has(claims.environment) && claims.environment == "prod"'],
         'claims.sub == "repo:acme/app:ref:refs/heads/main"'),
        (["claims.repository == claims.workflow"], 'claims.repository == "acme/app"'),
        ([OURS, 'claims.repository.lowerAscii() == "acme/app"'], 'claims.repository == "Acme/App"'),
        ([OURS, 'claims.ref_type == "tag" ? claims.event_name == "push" : true'],
         'claims.event_name == "schedule"'),
    ],
)  # fmt: skip
def test_what_some_token_fulfils_is_silent(rules: list[str], when: str) -> None:
    assert told(policy(GITHUB, rules, when)) == []
    assert told(policy(GITHUB, rules, denial=when)) == []


def test_a_denial_may_repeat_what_a_rule_refuses() -> None:
    rules = [OURS, 'claims.event_name != "pull_request_target"']
    assert told(policy(GITHUB, rules, denial='claims.event_name == "pull_request_target"')) == []
    (problem,) = told(policy(GITHUB, rules, 'claims.event_name == "pull_request_target"'))
    assert problem.message == (
        "no token that the rule `r1` lets in is like this: "
        "the conditions on `claims.event_name` exclude one another"
    )


def test_a_grant_of_several_providers_is_silent_where_one_has_such_tokens() -> None:
    whole = policy(GITHUB, ['claims.event_name == "push"'], 'claims.event_name == "release"')
    assert len(told(whole)) == 1
    whole["providers"]["other"] = {**GITHUB, "issuer": "https://other.example.com"}
    assert told(whole) == []


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ('claims.event_name == "release"', "`event_name` would be 'push'"),
        ('claims.ref.startsWith("refs/pull/")', "correct one of the conditions, or remove it"),
        (
            'claims.ref_type == "tag" && claims.ref == "refs/heads/a"',
            "`ref_type` would be 'branch'",
        ),
        ('claims.repository == "acne/app"', "`repository` would be 'acme/sample'"),
    ],
)
def test_the_value_that_would_be_right_is_told(condition: str, hint: str) -> None:
    rules = ['claims.event_name == "push"', 'claims.repository_owner == "acme"']
    (problem,) = told(policy(GITHUB, rules, condition))
    assert problem.hint == hint


def test_a_definition_is_judged_where_it_is_used() -> None:
    """Another provider may use the definition too."""
    whole = policy(GITHUB, ["defs.main"], "defs.tag")
    (problem,) = told(whole)
    text = json.dumps(whole)
    assert problem.location.column is not None
    assert text[problem.location.column - 1 :].startswith("defs.tag")


@pytest.mark.parametrize("backwards", [False, True])
def test_conditions_of_one_policy_are_told_as_each_is_alone(*, backwards: bool) -> None:
    """Conditions share what follows from what they say, and nothing else."""
    asked = [
        *(one for provider, rules, when in CONTRADICTING if provider is GITHUB
          for one in (when, " && ".join(f"({part})" for part in (*rules, when)))),
        'claims.ref != "refs/heads/x"',
        'claims.ref.startsWith("refs/heads/") && claims.ref != "refs/heads/x"',
        'claims.run_number == "1"',
        'claims.event_name in ["push", "pull_request_target"]',
    ]  # fmt: skip
    whole = policy(GITHUB, [OURS])
    provider = {name: value for name, value in whole.items() if name != "grants"}
    files = {
        f"{at:02}.yaml": json.dumps(
            {"version": 1, "grants": [{**whole["grants"][0], "name": f"g{at}", "actions": ["push"],
                                       "repositories": [f"acme/{at}"], "when": when}]}
        )
        for at, when in enumerate(reversed(asked) if backwards else asked)
    }  # fmt: skip
    first = {"0.yaml": json.dumps(provider)}
    together = compile_policy({**first, **files}).problems
    for name, text in files.items():
        alone = compile_policy({**first, name: text}).problems
        assert [one for one in together if one.location.file == name] == [
            one for one in alone if one.location.file == name
        ]
    assert {"impossible-together", "only-excluded"} <= {one.code for one in together}


OF_VERSION_1: Final = {
    "appid": f'claims.appid == "{ID}"',
    "appidacr": 'claims.appidacr == "2"',
    "unique_name": 'claims.unique_name == "octocat@example.com"',
    "acr": 'claims.acr == "1"',
}
OF_VERSION_2: Final = {"azp": f'claims.azp == "{ID}"', "azpacr": 'claims.azpacr == "2"'}


class TestIssuer:
    """What `iss` is in each token of a provider counts beside the rules."""

    @pytest.mark.parametrize(
        ("provider", "other", "claims"),
        [(ENTRA, ENTRA_1, OF_VERSION_1), (ENTRA_1, ENTRA, OF_VERSION_2)],
        ids=["version 2.0", "version 1.0"],
    )
    def test_a_claim_of_the_other_version_is_told(
        self, provider: dict[str, Any], other: dict[str, Any], claims: dict[str, str]
    ) -> None:
        for name, test in claims.items():
            when = f"has(claims.{name}) && {test}"
            (problem,) = told(policy(provider, [], when))
            assert problem.severity is Severity.WARNING
            assert problem.message.startswith(f"no token of {provider['issuer']!r} is like this: ")
            assert len(told(policy(provider, [when]))) == 1
            (problem,) = told(policy(provider, [], denial=when))
            assert problem.severity is Severity.ERROR  # it denies nothing
            assert told(policy(other, [], when)) == []
            assert told(policy(other, [when])) == []
            assert told(policy(other, [], denial=when)) == []

    def test_the_claim_of_the_version_is_named(self) -> None:
        (problem,) = told(policy(ENTRA, [], f"has(claims.appid) && {OF_VERSION_1['appid']}"))
        assert problem.message.endswith("which have `azp` in place of `appid`.")

    def test_another_issuer_than_the_providers_is_told(self) -> None:
        assert len(told(policy(ENTRA, [], f'claims.iss == "{ENTRA_1["issuer"]}"'))) == 1
        assert told(policy(ENTRA, [], f'claims.iss == "{ENTRA["issuer"]}"')) == []
        assert len(told(policy(ENTRA, [], 'claims.ver == "1.0"'))) == 1

    def test_both_versions_of_one_tenant_are_good(self) -> None:
        both = f'has(claims.azp) && claims.azp == "{ID}" || has(claims.appid) && claims.appid == "{ID}"'
        whole = policy(ENTRA, [], both)
        whole["providers"]["first"] = ENTRA_1
        assert told(whole) == []

    def test_an_issuer_that_the_schema_does_not_know_says_nothing(self) -> None:
        odd = {**ENTRA, "issuer": "https://entra.example.com"}
        assert told(policy(odd, [], f"has(claims.appid) && {OF_VERSION_1['appid']}")) == []
