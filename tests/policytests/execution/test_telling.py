"""A case that does not pass says where, what, which grant, and the value of each part."""

import pytest

from regauth.policytests.execution.drawing import draw
from tests.policytests.conftest import Repository


def told(house: Repository, text: str, case: str, tokens: str | None = None) -> str:
    """Return what is told of a case."""
    loaded = house.load(text) if tokens is None else house.load(text, tokens)
    found = next(one for one in loaded.cases if one.id == case)
    return "\n".join(found.tell(loaded.evaluation))


GRID = """
tests:
  - name: grid
    grid: |
      token repository pull push
      main  acme/app   A    .
      main  acme/lib   A    A
"""


def test_an_unwanted_allowance_names_the_grant_and_shows_its_condition(house: Repository) -> None:
    assert """\
token     main, sub 'repo:acme/app:ref:refs/heads/main', at 2026-11-01T12:00:00Z
asked     repository:acme/app:push
expected  . refused by the policy
got       A allowed
by        push-own  (policy/policy.yaml:16:11)
          claims.ref == "refs/heads/main"
          |          |
          |          true
          "refs/heads/main\"""" == told(house, GRID, "grid[main-acme/app-push]")


def test_a_missing_allowance_goes_through_the_grants_that_could_have(house: Repository) -> None:
    text = told(house, GRID, "grid[main-acme/lib-push]")
    assert "not by    push-own  (policy/policy.yaml:16:11)" in text
    assert "acme/lib is none of ${claims.repository.lowerAscii()}" in text
    assert '"acme/app"' in text


def test_a_refused_login_names_the_rule_and_its_place(house: Repository) -> None:
    tokens = """
    at: 2026-11-01T12:00:00Z
    tokens:
      main: {profile: github-actions, claims: {repository_owner_id: "999"}}
    """
    text = told(house, GRID, "grid[main-acme/app-push]", tokens)
    assert "reason    rule:our-organisation" in text
    assert "rule      our-organisation  (policy/policy.yaml:10:9)" in text


def test_a_definition_is_drawn_below_with_its_values(house: Repository) -> None:
    policy = house.root / "policy" / "policy.yaml"
    policy.write_text(
        policy.read_text()
        .replace("providers:", 'definitions:\n  main: claims.ref == "refs/heads/main"\nproviders:')
        .replace('when: claims.ref == "refs/heads/main"', "when: defs.main && true == true")
    )
    text = told(house, GRID, "grid[main-acme/app-push]")
    assert "where defs.main is" in text


def test_an_expression_over_several_lines_is_drawn_line_by_line(house: Repository) -> None:
    policy = house.root / "policy" / "policy.yaml"
    policy.write_text(
        policy.read_text().replace(
            'when: claims.ref == "refs/heads/main"',
            'when: |\n      claims.ref == "refs/heads/main" &&\n      claims.actor == "octocat"',
        )
    )
    lines = told(house, GRID, "grid[main-acme/app-push]").split("\n")
    actor = next(number for number, line in enumerate(lines) if "claims.actor" in line)
    assert lines[actor + 1].lstrip().startswith("|")
    assert '"octocat"' in "\n".join(lines[actor + 1 :])


LONG = (
    'claims.repository_owner_id == "1342004" && claims.ref == "refs/heads/main" && '
    'claims.event_name == "push" && claims.workflow_ref.endsWith("@refs/heads/main")'
)


@pytest.mark.parametrize("width", [30, 60, 100, 400])
def test_a_drawing_that_does_not_fit_is_a_list(house: Repository, width: int) -> None:
    policy = house.root / "policy" / "policy.yaml"
    text = policy.read_text().replace('claims.ref == "refs/heads/main"', LONG)
    policy.write_text(text)
    loaded = house.load(GRID)
    evaluation = loaded.evaluation
    grant = next(one for one in evaluation.linked.policy.grants if one.name == "push-own")
    request = evaluation.session("main", "registry.example.com").request
    assert grant.when is not None
    assert request is not None
    lines = list(draw(grant.when, request.variables, width))

    if width >= 400:
        assert lines[0] == LONG
        assert set(lines[1]) == {"|", " "}
    else:
        assert lines[0].endswith("  is  true")
        assert '    claims.ref  is  "refs/heads/main"' in lines
        assert '  claims.event_name == "push"  is  true' in lines


def test_a_definition_that_many_grants_use_is_drawn_once(house: Repository) -> None:
    grants = "".join(
        f"""
  - name: g{number}
    when: defs.main && claims.ref_type == "t{number}"
    repositories: ["x{number}/${{defs.own}}", "x{number}/${{defs.own}}/**", "acme/**"]
    actions: [push]"""
        for number in range(3)
    )
    house.write(
        "policy/policy.yaml",
        f"""
version: 1
services: [registry.example.com]
definitions:
  own: claims.repository.lowerAscii()
  main: claims.ref == "refs/heads/other"
providers:
  github:
    issuer: https://token.actions.githubusercontent.com/acme
    audience: https://registry.example.com
    claims: github-actions
grants:{grants}
  - {{name: last, repositories: ["${{defs.own}}/a", "${{defs.own}}/b"], actions: [push]}}
  - {{name: final, repositories: ["z/${{defs.own}}"], actions: [push]}}
""",
    )
    text = told(house, GRID, "grid[main-acme/lib-push]")

    assert text.count("not by") == 5
    assert text.count("where defs.main is") == 1
    assert text.count("where defs.own is") == 1
    assert [text.count(f't{number}"') for number in range(3)] == [1, 1, 1]
    assert "acme/lib is none of z/${defs.own}" in text
