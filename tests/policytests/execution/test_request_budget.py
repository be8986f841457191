"""S4: a case is decided within the steps that a server gives one request."""

import pytest

from tests.policytests.conftest import Repository

GROUPS = ", ".join(f"acme/group-{number}" for number in range(100))
COSTLY = """
  - name: g%d
    when: claims.groups_direct.exists(a, claims.groups_direct.exists(b, a + b == "%d"))
    repositories: ["acme/**"]
    actions: [%s]
"""
POLICY = """
version: 1
services: [registry.example.com]
providers:
  gitlab:
    issuer: https://gitlab.example.com
    audience: https://registry.example.com
    claims: gitlab-ci
grants:
"""
CHEAP = """
  - {name: cheap, repositories: ["acme/**"], actions: [%s]}
"""
SUITE = f"""
at: 2026-11-01T12:00:00Z
tokens:
  main: {{profile: gitlab-ci/push, claims: {{groups_direct: [{GROUPS}]}}}}
tests:
  - name: cells
    grid: |
      token  repository  pull  push
      main   acme/app    A     A
      main   acme/lib    A     A
  - name: nothing
    token: main
    scopes: ["repository:acme/app:delete"]
    expect: {{granted: []}}
  - name: refused
    token: main
    scopes: ["repository:acme/app:pull"]
    expect: {{refused: too-costly}}
"""


def policy(number: int, actions: str) -> str:
    return POLICY + "".join(COSTLY % (one, one, actions) for one in range(number))


@pytest.mark.slow
def test_s4_a_case_that_costs_a_server_too_much_is_no_success(house: Repository) -> None:
    """What is known from the cell before counts as if it were asked for the first time."""
    house.write("policy/policy.yaml", policy(70, "pull, push, delete") + CHEAP % "pull, push")
    judged = house.judge(SUITE, tokens="")

    for one in ("main-acme/app-pull", "main-acme/app-push", "main-acme/lib-push"):
        assert judged[f"cells[{one}]"].outcome.value == "error"
        assert "too-costly" in judged[f"cells[{one}]"].summary
    assert judged["nothing"].outcome.value == "error"
    assert "too-costly" in judged["nothing"].summary
    assert judged["refused"].outcome.value == "passed"


def test_s4_each_cell_has_the_steps_of_a_request_of_its_own(house: Repository) -> None:
    """Together the cells take more than one request may; none of them does alone."""
    house.write(
        "policy/policy.yaml",
        policy(25, "pull").replace("when: ", 'when: scope.name != "x" && ') + CHEAP % "pull, push",
    )
    judged = house.judge(SUITE, tokens="")

    assert {one.outcome.value for name, one in judged.items() if name.startswith("cells")} == {
        "passed"
    }
    assert judged["nothing"].outcome.value == "passed"
    assert judged["refused"].outcome.value == "failed"
