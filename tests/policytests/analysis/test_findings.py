"""`policytest check --prove`: what changes nothing is found, and nothing else."""

from pathlib import Path

import pytest

from regauth.engine import compile_policy
from regauth.engine.files import read_policy_folder
from regauth.policytests.analysis.findings import DEFAULT_STEPS, Findings, find
from regauth.policytests.analysis.places import Places
from tests.conftest import REPOSITORY

BASE = """
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    claims: github-actions
RULES"""
OURS = '{name: ours, check: claims.repository_owner_id == "1342004"}'


def with_rules(rules: str) -> str:
    """Return the beginning of a policy."""
    return BASE.replace("RULES", f"    rules: [{rules}]\n" if rules else "")


def found(statements: str, rules: str = OURS, steps: int = DEFAULT_STEPS) -> Findings:
    """Return what is found about a policy."""
    text = with_rules(rules) + statements
    compilation = compile_policy({"policy.yaml": text})
    assert compilation.policy is not None, compilation.problems
    return find(compilation.policy, Places.of(compilation.sources), steps)


def codes(statements: str, rules: str = OURS) -> list[tuple[str, str]]:
    """Return the codes of what is found, each with what it is about."""
    return sorted(
        (one.code, one.message.split("`")[1] if "`" in one.message else "")
        for one in found(statements, rules).problems
    )


@pytest.mark.slow
@pytest.mark.parametrize("folder", sorted((REPOSITORY / "policy").iterdir()), ids=lambda f: f.name)
def test_the_reference_policies_have_nothing_useless(folder: Path) -> None:
    compilation = compile_policy(read_policy_folder(folder))
    assert compilation.policy is not None
    result = find(compilation.policy, Places.of(compilation.sources))
    assert [] == result.problems
    assert {} == result.unanswered
    assert result.questions > len(compilation.policy.grants)


def test_of_two_equal_grants_the_later_one_is_swallowed() -> None:
    grants = """grants:
  - {name: a, repositories: [acme/**], actions: [pull]}
  - {name: b, repositories: [acme/**], actions: [pull]}
"""
    assert [("swallowed-grant", "b")] == codes(grants)


@pytest.mark.parametrize(
    ("lifetime", "swallowed"), [("1m", []), ("5m", [("swallowed-grant", "b")])]
)
def test_a_grant_that_shortens_tokens_while_the_tag_is_not_known_is_not_swallowed(
    lifetime: str, swallowed: list[tuple[str, str]]
) -> None:
    grants = f"""grants:
  - {{name: a, repositories: [acme/**], actions: [pull], tags: ["*"], tokenLifetime: 5m}}
  - {{name: b, repositories: [acme/x], actions: [pull], tags: ["v*"], tokenLifetime: {lifetime}}}
"""
    assert codes(grants) == swallowed


KEPT_SHORT = """grants:
  - {name: a, repositories: [acme/**], actions: [push], tags: ["*"], tokenLifetime: 5m}
"""


def short_grant(name: str, lifetime: str, when: str) -> str:
    """Write a grant that may shorten the tokens of `a` in `KEPT_SHORT`."""
    return f"""  - name: {name}
    repositories: [acme/x]
    actions: [push]
    tags: ["v*"]
    tokenLifetime: {lifetime}
    when: {when}
"""


@pytest.mark.parametrize(
    ("lifetime", "when", "problem"),
    [
        # It waits for the tag, though no tag meets its condition, and its token is the shortest.
        ("1m", 'scope.reference == "x"', "but it shortens tokens by `a`"),
        # It is as long, so nothing depends on it.
        ("5m", 'scope.reference == "x"', "no token meets its condition"),
        # A claim rules it out, so it never waits.
        ("1m", 'claims.ref == "x" && claims.ref == "y" && scope.name != ""', "no token meets"),
    ],
)
def test_a_grant_that_never_matches_says_which_tokens_it_shortens(
    lifetime: str, when: str, problem: str
) -> None:
    [one] = found(KEPT_SHORT + short_grant("b", lifetime, when)).problems
    assert one.code == "grant-never-matches"
    assert problem in one.message
    assert ("valid for longer" in one.hint) is problem.startswith("but")


def test_a_part_that_decides_which_tokens_are_short_is_not_useless() -> None:
    # A condition without `scope` is evaluated before the tag is known, so fewer tokens are short.
    short = short_grant("b", "1m", 'claims.ref.startsWith("x") && scope.action == "push"')
    assert codes(KEPT_SHORT + short) == []
    assert codes(f"grants:\n{short}") == [("useless-part", 'scope.action == "push"')]


def test_of_two_dead_grants_the_second_is_not_to_be_removed_too() -> None:
    grants = [short_grant(name, "1m", 'scope.reference == "x"') for name in ("b", "c")]
    first, second = found(KEPT_SHORT + "".join(grants)).problems
    assert ["valid for longer" in one.hint for one in (first, second)] == [False, True]


def test_grants_that_swallow_only_together_are_not_named() -> None:
    grants = """grants:
  - {name: a, when: 'claims.ref_type == "tag"', repositories: [acme/**], actions: [pull]}
  - {name: b, when: 'claims.ref_type == "branch"', repositories: [acme/**], actions: [pull]}
  - {name: c, when: 'claims.ref_type in ["tag", "branch"]', repositories: [acme/x], actions: [pull]}
"""
    [problem] = found(grants).problems
    assert "other grants together give all of it" in problem.message


def test_what_denials_refuse_altogether_is_told_with_them() -> None:
    statements = """grants:
  - {name: a, repositories: [acme/x], actions: [push]}
denials:
  - {name: d, repositories: [acme/**], actions: [push]}
"""
    [problem] = found(statements).problems
    assert ("grant-never-matches", "remove it, or narrow the denials: `d`") == (
        problem.code,
        problem.hint,
    )


def test_a_denial_of_anonymous_access_is_useful() -> None:
    statements = """anonymous:
  repositories: [public/**]
denials:
  - {name: d, repositories: [public/secret], actions: [pull]}
"""
    assert [] == codes(statements)


@pytest.mark.parametrize(
    "when",
    [
        'has(claims.environment) && claims.environment == "release"',
        '"environment" in claims && claims.environment == "release"',
        'claims.ref == "refs/heads/main" || claims.ref == "refs/heads/next"',
        'claims.event_name == "push" && claims.ref.startsWith("refs/heads/")',
        # For tokens of the schema alone the first part follows; a part may be there for others.
        'claims.ref_type == "tag" && claims.ref.startsWith("refs/tags/v")',
    ],
)
def test_a_part_that_matters_is_not_found(when: str) -> None:
    grants = f"grants: [{{name: a, when: '{when}', repositories: [acme/**], actions: [pull]}}]\n"
    assert [] == codes(grants)


def test_a_useless_part_has_its_place() -> None:
    grants = """grants:
  - name: a
    when: claims.ref == "refs/heads/main" && claims.ref != "refs/heads/x"
    repositories: [acme/**]
    actions: [pull]
"""
    [problem] = found(grants).problems
    assert "useless-part" == problem.code
    assert (12, 46) == (problem.location.line, problem.location.column)


def test_a_part_of_a_denial_that_changes_nothing_is_found() -> None:
    statements = """grants:
  - {name: a, repositories: [acme/**], actions: [push]}
denials:
  - {name: d, when: 'claims.ref_type == "tag" && claims.ref_type != "branch"', repositories: [acme/**], actions: [push]}
"""
    assert [("useless-part", 'claims.ref_type != "branch"')] == codes(statements)


PUSH = "grants: [{name: a, WHEN repositories: [acme/**], actions: [pull, push]}]\n"


@pytest.mark.parametrize(
    ("when", "rule", "is_open"),
    [
        ("", OURS, False),
        ("", '{name: x, check: claims.repository_owner_id != "999"}', True),
        ("", '{name: x, check: claims.repository_owner_id.startsWith("1")}', True),
        ("", '{name: x, check: claims.repository_owner_id.startsWith("134200")}', False),
        ("", '{name: x, check: claims.repository_owner == "acme"}', False),
        ("when: 'claims.repository_owner_id == \"1342004\"',", "", False),
        ("when: 'claims.repository.endsWith(\"/app\")',", "", True),
        ("when: 'claims.repository.startsWith(\"acme/\")',", "", False),
        # Its form is only usual: the token is made whole before the engine is asked.
        ("when: 'claims.sub.startsWith(\"repo:acme/\")',", "", False),
        ("when: 'claims.ref == \"refs/heads/main\"',", "", True),
    ],
)
def test_what_strangers_get_is_found(when: str, rule: str, *, is_open: bool) -> None:
    listed = [code for code, _ in codes(PUSH.replace("WHEN", when), rule)]
    assert ["open-to-everybody"] * is_open == listed


GOOGLE = """version: 1
services: [registry.example.com]
providers:
  google:
    issuer: https://accounts.google.com
    audience: https://registry.example.com
    claims: google
grants: [{name: a, when: 'WHEN', repositories: [acme/**], actions: [pull]}]
"""


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ('claims.sub == "105271527809661757734"', False),
        ('claims.sub in ["105271527809661757734", "1"]', False),
        ('claims.sub != "1"', True),
        ("has(claims.email) && has(claims.email_verified) && claims.email_verified", True),
        # A first digit tells nobody apart; nearly the whole number does.
        ('claims.sub.startsWith("1")', True),
        ('claims.sub.matches("^[18][0-9]+$")', True),
        ('claims.sub.startsWith("10527152780966175773")', False),
    ],
)
def test_an_account_that_is_named_is_no_stranger(when: str, *, is_open: bool) -> None:
    compilation = compile_policy({"policy.yaml": GOOGLE.replace("WHEN", when)})
    assert compilation.policy is not None
    problems = find(compilation.policy, Places.of(compilation.sources)).problems
    assert ["open-to-everybody"] * is_open == [one.code for one in problems]


def test_what_strangers_get_comes_with_a_token_of_theirs() -> None:
    when = "when: 'claims.ref == \"refs/heads/main\"',"
    [problem] = found(PUSH.replace("WHEN", when), "").problems
    assert 'Such a token has `ref: "refs/heads/main"`' in (problem.hint or "")


def test_a_provider_of_ones_own_has_no_strangers() -> None:
    text = with_rules("").replace(".com\n", ".com/acme\n", 1)
    compilation = compile_policy({"policy.yaml": text + PUSH.replace("WHEN", "")})
    assert compilation.policy is not None
    assert [] == find(compilation.policy, Places.of(compilation.sources)).problems


@pytest.mark.slow
def test_what_has_no_answer_is_told_and_is_no_finding() -> None:
    grants = """grants:
  - {name: a, when: 'claims.ref.startsWith("refs/heads/main") && claims.ref < claims.sha', repositories: [acme/**], actions: [pull]}
"""
    result = found(grants)
    assert [] == result.problems
    assert ["a"] == result.unanswered["`<`"]
    late = found(grants, steps=1)
    assert ["a", "ours", "github"] == late.unanswered["the bound on the solver's steps"]
