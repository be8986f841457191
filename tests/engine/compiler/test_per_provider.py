"""A condition of several providers: what is said of it does not depend on their order."""

import pytest

from .issuing_policies import codes, problems

PAIRS = [("github", "gitlab"), ("github", "semaphore"), ("google", "keycloak")]
CONDITIONS = [
    'claims.ref == "main"',
    'claims.ref == "refs/heads/main"',
    'claims.ref.contains("main")',
    'claims.ref != "refs/heads/dev"',
    'claims.sub == "repo:acme/app:ref:refs/heads/main"',
    'has(claims.email) && claims.email == "a@example.com"',
    'has(claims.email) && claims.email.endsWith("example.com")',
]


@pytest.mark.parametrize("when", CONDITIONS)
@pytest.mark.parametrize("pair", PAIRS)
def test_the_order_of_providers_changes_nothing(pair: tuple[str, str], when: str) -> None:
    def said(names: tuple[str, ...]) -> set[tuple[str, str, str]]:
        return {(one.code, one.message, one.hint) for one in problems(names, when)}

    one, other = pair
    assert said((one, other)) == said((other, one))


def test_what_is_so_for_one_names_it() -> None:
    told = problems(("github", "gitlab"), 'claims.ref == "refs/heads/main"')
    assert [one.code for one in told] == ["ambiguous-name", "short-name"]
    assert all(one.message.startswith("for tokens of `gitlab`: ") for one in told)
    assert told[1].hint == "in a grant with `providers: [gitlab]`: did you mean 'main'?"


def test_what_is_so_for_all_names_none() -> None:
    [problem] = problems(
        ("github", "gitlab"), 'claims.ref.contains("ain") && claims.ref_type == "tag"'
    )
    assert problem.code == "loose-ref"
    assert problem.message.startswith("whoever can push")


def test_each_has_a_reason_of_its_own() -> None:
    when = (
        'claims.sub in ["repo:acme/app:ref:refs/heads/main", '
        '"project_path:acme/app:ref_type:branch:ref:main"]'
    )
    told = [one.message for one in problems(("github", "gitlab"), when)]
    assert sorted(one.partition(":")[0] for one in told) == [
        "for tokens of `github`",
        "for tokens of `gitlab`",
    ]


@pytest.mark.parametrize(
    "when",
    [
        # Each part is about the tokens of one provider.
        'claims.ref in ["main", "refs/heads/main"] && claims.ref_type == "branch"',
        (
            'provider == "github" && claims.ref == "refs/heads/main" || '
            'provider == "gitlab" && claims.ref == "main" && claims.ref_type == "branch"'
        ),
        'claims.ref == "main" && claims.ref_type == "branch"',
    ],
)
def test_what_is_meant_for_one_is_not_told_of_the_other(when: str) -> None:
    assert codes(("github", "gitlab"), when) == []


def test_the_subject_of_one_is_not_taken_for_that_of_another() -> None:
    when = 'claims.sub == "system:serviceaccount:ci:builder"'
    assert codes(("github", "cluster"), when) == []


def test_the_rules_of_one_say_nothing_of_the_other() -> None:
    """Only GitHub's rule says which refs are meant."""
    when = 'claims.ref != "refs/heads/dev"'
    rules = {"github": 'claims.ref.startsWith("refs/heads/")'}
    [both] = [one for one in problems(("github", "gitlab"), when) if one.code == "only-excluded"]
    assert "for tokens" not in both.message
    assert (
        'for `github`, say which refs are meant, such as `claims.ref == "refs/heads/main"`'
        in both.hint
    )
    assert 'for `gitlab`, say which refs are meant, such as `claims.ref == "main"`' in both.hint
    told = problems(("github", "gitlab"), when, rules=rules)
    [message] = [one.message for one in told if one.code == "only-excluded"]
    assert message.startswith("for tokens of `gitlab`")


def test_an_unknown_claim_says_whose_it_is() -> None:
    [problem] = problems(("gitlab", "github"), 'claims.repository_id == "1"')
    assert problem.code == "cel-unknown-claim"
    assert problem.hint == (
        "only tokens of GitHub Actions have it; say with `providers:` whose tokens this is for"
    )
    assert "only tokens" not in problems(("gitlab", "github"), 'claims.projekt == "1"')[0].hint
