"""Lints of values: what a claim can never be, what it always is, and who may log in."""

from collections.abc import Iterator

import pytest

from regauth import schemas
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.issuers import Claim, ClaimSchema
from regauth.engine.source.problems import Problem, Severity

HEAD = """\
version: 1
services: [registry.example.com]
providers:
  p:
    issuer: ISSUER
    audience: me
    claims: SCHEMA
"""
GRANT = """\
grants:
  - {name: all, repositories: ["acme/**"], actions: [pull]}
  - name: g
    when: >-
      CONDITION
    repositories: [b/x]
    actions: [pull]
"""
DENIAL = GRANT.replace("  - name: g", "denials:\n  - name: g")
ACME = "https://token.actions.githubusercontent.com/acme"
CODES = {"impossible-value", "glob-in-comparison", "always-true"}


def found(text: str, condition: str, schema: str = "github-actions") -> list[Problem]:
    head = HEAD.replace("ISSUER", ACME).replace("SCHEMA", schema)
    compilation = compile_policy({"p.yaml": head + text.replace("CONDITION", condition)})
    problems = [one for one in compilation.problems if one.code in CODES]
    errors = [one for one in compilation.problems if one.severity is Severity.ERROR]
    assert (compilation.policy is None) == bool(errors)
    return problems


IMPOSSIBLE = {
    'claims.event_name == "pull-request"': "did you mean 'pull_request'?",
    'claims.event_name == "workflow_call"': "did you mean 'workflow_run'?",
    '"Push" == claims.event_name': "did you mean 'push'?",
    'claims.event_name in ["push", "tags"]': "",
    'claims.ref == "main"': "did you mean 'refs/heads/main'?",
    'claims.ref == "refs/head/main"': "did you mean 'refs/heads/main'?",
    'claims.ref == "heads/main"': "did you mean 'refs/heads/main'?",
    'claims.ref.startsWith("ref/heads/")': "did you mean 'refs/heads/'?",
    'claims.ref.startsWith("/refs/heads/")': "did you mean 'refs/heads/'?",
    'claims.ref.endsWith(" ")': "",
    'claims.ref.contains("..*")': "",
    'claims.ref.matches("^main$")': "",
    'claims.ref.matches("^refs/heads/[ ]$")': "",
    'claims.ref_type == "brnach"': "did you mean 'branch'?",
    'claims.ref_protected == "True"': "did you mean 'true'?",
    'claims.runner_environment == "selfhosted"': "did you mean 'self-hosted'?",
    'claims.repository_visibility == "Public"': "did you mean 'public'?",
    'claims.repository == "app"': "it is OWNER/NAME",
    'claims.repository == "https://github.com/acme/app"': "it is OWNER/NAME",
    'claims.repository.lowerAscii() == "acme/App"': "did you mean 'acme/app'?",
    'claims.repository.lowerAscii().startsWith("Acme/")': "did you mean 'acme/'?",
    'claims.repository.upperAscii() == "acme"': "did you mean 'ACME'?",
    'claims.repository_id == "acme"': "it is a number, written as text",
    'claims.sha == "abc123"': "",
    'claims.sub == "acme/app"': "",
    "has(claims.job_workflow_ref) && claims.job_workflow_ref == "
    '"acme/ci/.github/workflows/x.yml@main"': "",
    'has(claims.environment) && claims.ref in ["main", "dev"]': "",
}


@pytest.mark.parametrize(("condition", "hint"), IMPOSSIBLE.items(), ids=IMPOSSIBLE)
def test_denial_never_matches(condition: str, hint: str) -> None:
    """`author/denial-never-matches`: in a denial what no token satisfies is an error."""
    problems = found(DENIAL, condition)
    assert problems
    assert {one.severity for one in problems} == {Severity.ERROR}
    assert hint in problems[0].hint


def test_msg_25_enum_typo() -> None:
    [problem] = found(GRANT, 'claims.event_name == "psuh"')

    assert problem.message == "`claims.event_name` never equals 'psuh'"
    assert problem.hint == "did you mean 'push'?"


@pytest.mark.parametrize("condition", IMPOSSIBLE)
def test_in_a_grant_it_is_a_warning(condition: str) -> None:
    assert {one.severity for one in found(GRANT, condition)} == {Severity.WARNING}


POSSIBLE = (
    'claims.event_name == "pull_request"',
    'claims.event_name in ["push", "release", "workflow_dispatch", "merge_group"]',
    'claims.ref == "refs/heads/main"',
    'claims.ref == "refs/pull/7/merge"',
    'claims.ref == ""',
    'claims.ref.startsWith("refs/tags/v")',
    'claims.ref.startsWith("refs/heads/release/")',
    'claims.ref.endsWith("/main")',
    'claims.ref.contains("release")',
    'claims.ref.matches("^refs/tags/v[0-9]+[.][0-9]+$")',
    r'claims.ref.matches(r"\bmain\b")',
    'claims.repository == "Acme/App.js"',
    'claims.repository == "jdoe_acme/.github"',
    'claims.repository.lowerAscii() == "acme/app"',
    'claims.repository.startsWith("acme/")',
    'claims.repository.lowerAscii().startsWith("acme/")',
    'claims.actor == "dependabot[bot]"',
    'claims.head_ref == ""',
    'claims.sub.startsWith("repo:acme/")',
    'claims.sub == "repo:acme@1/app@2:environment:a%3Ab"',
    'claims.workflow == "Build"',
    'claims.workflow.contains("*")',
    '"registry" in claims.aud',
    'claims.aud.exists(a, a == "registry")',
    'has(claims.repo_property_team) && claims.repo_property_team == "payments"',
    'claims.workflow_ref.startsWith("acme/ci/.github/workflows/release.yml@refs/heads/")',
)


@pytest.mark.parametrize("condition", POSSIBLE)
@pytest.mark.parametrize("where", [GRANT, DENIAL], ids=["grant", "denial"])
def test_what_a_token_can_satisfy_is_not_reported(condition: str, where: str) -> None:
    assert found(where, condition) == []


GLOBS = {
    'claims.ref == "refs/heads/release-*"': "claims.ref.startsWith('refs/heads/release-')",
    'claims.ref in ["refs/heads/hotfix/*"]': "claims.ref.startsWith('refs/heads/hotfix/')",
    'claims.ref == "refs/*/main"': "claims.ref.matches(...)",
    'claims.ref.startsWith("refs/heads/*")': "claims.ref.matches(...)",
    'claims.repository == "acme/*"': "claims.repository.startsWith('acme/')",
    'claims.repository.lowerAscii() == "acme/*"': ".lowerAscii().startsWith('acme/')",
    'claims.actor == "acme-?"': "claims.actor.matches(...)",
}


@pytest.mark.parametrize(("condition", "hint"), GLOBS.items(), ids=GLOBS)
def test_a_wildcard_is_compared_as_it_is_written(condition: str, hint: str) -> None:
    (problem,) = found(DENIAL, condition)
    assert (problem.code, problem.severity) == ("glob-in-comparison", Severity.ERROR)
    assert hint in problem.hint
    (problem,) = found(GRANT, condition)
    assert problem.severity is Severity.WARNING


@pytest.mark.parametrize(
    "condition",
    [
        'claims.sub == "repo:acme/app:*"',
        'claims.workflow == "release-*"',
        'has(claims.environment) && claims.environment == "prod*"',
    ],
)
def test_a_wildcard_that_a_value_could_have_is_a_warning(condition: str) -> None:
    (problem,) = found(DENIAL, condition)
    assert (problem.code, problem.severity) == ("glob-in-comparison", Severity.WARNING)


@pytest.mark.parametrize(
    "condition",
    [
        'claims.event_name != "pull-request"',
        '!(claims.event_name == "pull-request")',
        '!(claims.event_name in ["pull-request"])',
        '!claims.ref.startsWith("ref/pull/")',
    ],
)
def test_a_grant_that_asks_for_what_is_always_so_is_an_error(condition: str) -> None:
    """A list of what is refused that refuses nothing lets everybody in."""
    (problem,) = found(GRANT, condition)
    assert (problem.code, problem.severity) == ("impossible-value", Severity.ERROR)


@pytest.mark.parametrize(
    "condition",
    [
        'claims.repository.contains("/")',
        'claims.repository.matches("^[^/]+/[^/]+$")',
        'claims.job_workflow_ref.contains("@")',
        'claims.run_id.matches("^[0-9]")',
    ],
)
def test_what_every_token_satisfies_is_said(condition: str) -> None:
    (problem,) = found(GRANT, f"has(claims.job_workflow_ref) && {condition}")
    assert (problem.code, problem.severity) == ("always-true", Severity.WARNING)


@pytest.mark.parametrize("schema", ["github-actions", "generic"])
@pytest.mark.parametrize("function", ["startsWith", "endsWith", "contains", "matches"])
def test_an_empty_text_asks_for_nothing(function: str, schema: str) -> None:
    (problem,) = found(GRANT, f'claims.sub.{function}("")', schema)
    assert (problem.code, problem.severity) == ("always-true", Severity.WARNING)


def test_an_open_schema_knows_nothing() -> None:
    assert found(DENIAL, 'claims.sub == "*" && claims.x == "y"', "generic") != []
    assert found(DENIAL, 'has(claims.ref) && claims.ref == "main"', "generic") == []


def test_a_value_of_one_of_two_issuers_is_possible() -> None:
    """GitLab's `ref` is a name, GitHub's a whole ref."""
    both = HEAD.replace("ISSUER", ACME).replace("SCHEMA", "github-actions") + (
        '  l: {issuer: "https://gitlab.example.com", audience: me, claims: gitlab-ci}\n'
    )
    text = both + DENIAL.replace("CONDITION", 'claims.ref == "main"')
    assert not CODES & {one.code for one in compile_policy({"p.yaml": text}).problems}
    text = both + DENIAL.replace("CONDITION", 'claims.ref == "a b"')
    assert CODES & {one.code for one in compile_policy({"p.yaml": text}).problems}


def test_an_error_that_rests_on_what_is_known_today_can_be_silenced() -> None:
    head = HEAD.replace("ISSUER", ACME).replace("SCHEMA", "github-actions")
    text = head + DENIAL.replace("CONDITION", 'claims.event_name == "brand_new"')
    silenced = text.replace("when: >-", "when: >-  # policytest: ignore[impossible-value] newer")
    assert compile_policy({"p.yaml": text}).policy is None
    compilation = compile_policy({"p.yaml": silenced})
    assert compilation.policy is not None
    assert not CODES & {one.code for one in compilation.problems}


def test_a_definition_is_reported_where_it_stands() -> None:
    head = HEAD.replace("ISSUER", ACME).replace("SCHEMA", "github-actions")
    text = (
        head
        + ("definitions:\n  from_pull: claims.event_name == 'pull-request'\n")
        + DENIAL.replace("CONDITION", "defs.from_pull")
    )
    (problem,) = [one for one in compile_policy({"p.yaml": text}).problems if one.code in CODES]
    assert problem.severity is Severity.ERROR
    assert problem.location.line == len((head + "definitions:\n").splitlines()) + 1


# Every enumeration and form of every schema


def limited() -> Iterator[tuple[str, tuple[str, ...]]]:
    for name in schemas.claims_names():
        schema = known_schema(name)
        for path, claim in schema.claims.items():
            inner = schema.claims.get(path[:-1])
            in_list = inner is not None and inner.type == "list"
            if (claim.values.limited or claim.items.limited) and not in_list:
                yield name, path


LIMITED = tuple(limited())


def wrong(claim: Claim) -> str:
    values = claim.items if claim.type == "list" else claim.values
    if claim.type == "int":
        return "77777"
    texts = ("wrong value", "", "WRONG_VALUE")
    return next(f'"{text}"' for text in texts if not values.can_equal(text))


def guarded(schema: ClaimSchema, path: tuple[str, ...], text: str) -> str:
    """Return a condition on a claim, with everything that may be missing asked for."""
    written = "claims"
    asked = []
    for at, part in enumerate(path, start=1):
        claim = schema.claims[path[:at]]
        if not claim.always:
            asked.append(f'"{part}" in {written}')
        written += f'["{part}"]'
        if claim.nullable:
            asked.append(f"{written} != null")
    return " && ".join([*asked, text.replace("CLAIM", written)])


def _id(one: object) -> str:
    return "/".join(one) if isinstance(one, tuple) else str(one)


@pytest.mark.parametrize(("name", "path"), LIMITED, ids=_id)
def test_a_wrong_value_of_any_claim_is_found_in_a_policy(name: str, path: tuple[str, ...]) -> None:
    schema = known_schema(name)
    claim = schema.claims[path]
    value = wrong(claim)
    text = f"{value} in CLAIM" if claim.type == "list" else f"CLAIM == {value}"
    codes = [one.code for one in found(DENIAL, guarded(schema, path, text), name)]
    assert codes == ["impossible-value"]


@pytest.mark.parametrize(("name", "path"), LIMITED, ids=_id)
def test_every_example_and_listed_value_of_any_claim_is_silent(
    name: str, path: tuple[str, ...]
) -> None:
    schema = known_schema(name)
    claim = schema.claims[path]
    for example in (*claim.examples, *claim.values.enum):
        for one in example if isinstance(example, list) else [example]:
            value = f'"{one}"' if isinstance(one, str) else str(one).lower()
            text = f"{value} in CLAIM" if claim.type == "list" else f"CLAIM == {value}"
            assert found(DENIAL, guarded(schema, path, text), name) == []


# Who may log in


def open_issuer(issuer: str, schema: str, rules: str = "", grants: str = GRANT) -> bool:
    head = HEAD.replace("ISSUER", issuer).replace("SCHEMA", schema)
    rest = grants.replace("CONDITION", 'claims.aud.exists(a, a != "x")')
    listed = f"    rules:\n      - {{name: r, check: '{rules}'}}\n" if rules else ""
    problems = compile_policy({"p.yaml": head + listed + rest}).problems
    return "open-issuer" in {one.code for one in problems}


GITHUB = "https://token.actions.githubusercontent.com"


@pytest.mark.parametrize(
    ("issuer", "schema", "expected"),
    [
        (GITHUB, "github-actions", True),
        (ACME, "github-actions", False),
        ("https://token.actions.acme.ghe.com", "github-actions", False),
        ("https://github.example.com/_services/token", "github-actions", False),
        ("https://gitlab.com", "gitlab-ci", True),
        ("https://gitlab.example.com", "gitlab-ci", False),
        ("https://agent.buildkite.com", "buildkite", True),
        ("https://accounts.google.com", "google", True),
        ("https://kubernetes.default.svc", "kubernetes", False),
        ("https://ci.example.com", "generic", False),
    ],
)
def test_github_provider_without_rules(issuer: str, schema: str, *, expected: bool) -> None:
    """`author/github-provider-without-rules`: an issuer of everybody needs a rule."""
    assert open_issuer(issuer, schema) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('claims.repository_owner_id == "1342004"', False),
        ('claims.repository_owner == "acme"', False),
        ('claims.repository.startsWith("acme/")', False),
        ('claims.repository_id in ["1", "2"]', False),
        ('claims.sub.startsWith("repo:acme/")', False),
        ('claims.ref == "refs/heads/main" && claims.repository_id == "1"', False),
        ('claims.repository_id == "1" || claims.repository_id == "2"', False),
        ('!(claims.repository_id != "1")', False),
        ('claims.ref == "refs/heads/main"', True),
        ('claims.repository_visibility == "private"', True),
        ('claims.repository_owner_id != "1342004"', True),
        ('!(claims.repository_owner_id == "1342004")', True),
        ('claims.repository_id == "1" || claims.event_name == "push"', True),
        ("has(claims.enterprise_id)", True),
        ('claims.actor == "octocat"', True),
        ('claims.event_name == "push" ? claims.repository_id == "1" : true', True),
    ],
)
def test_a_rule_narrows_where_it_holds_for_one_customer_only(rule: str, *, expected: bool) -> None:
    assert open_issuer(GITHUB, "github-actions", rule) == expected


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("NUMBER == 123456789012", False),
        ('NUMBER == "123456789012"', False),
        ("NUMBER != null && NUMBER == 123456789012", False),
        ("NUMBER == null", True),
        ("!(NUMBER != null)", True),
    ],
)
def test_an_organisation_of_google_narrows_and_none_does_not(test: str, *, expected: bool) -> None:
    """Everybody has accounts that are in no organisation: their claim is null."""
    number = "claims.google.organization_number"
    rule = f"has(claims.google) && has({number}) && {test.replace('NUMBER', number)}"
    assert open_issuer("https://accounts.google.com", "google", rule) == expected


def test_grants_that_all_narrow_do_as_well() -> None:
    one = "  - {name: a, when: claims.repository_id == '1', repositories: [a], actions: [pull]}\n"
    other = "  - {name: b, repositories: [b], actions: [pull]}\n"
    assert not open_issuer(GITHUB, "github-actions", grants=f"grants:\n{one}")
    assert open_issuer(GITHUB, "github-actions", grants=f"grants:\n{one}{other}")
