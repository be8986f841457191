"""`why` and `can`: short scopes, the catalog, classes, and policies of thousands of grants."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from regauth.policytests.commands import answers
from regauth.policytests.commands.questions import Options, QuestionError
from tests.policytests.conftest import TOKENS, Repository

GRID = 'tests:\n  - {name: all, grid: "token repository pull\\nmain acme/app A\\n"}\n'
MORE = """
version: 1
grants:
  - {name: catalog, catalog: true}
  - {name: plugins, repositories: [plugins/*], class: plugin, actions: [pull]}
"""


@pytest.fixture
def asked(house: Repository, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with a suite, which is the current folder."""
    house.suite(GRID)
    monkeypatch.chdir(house.root)
    return house


def can(*places: str) -> list[str]:
    return "\n".join(answers.can(Options(), "main", places)).splitlines()


def why(*scopes: str) -> str:
    return "\n".join(answers.why(Options(), "main", scopes))


@pytest.mark.parametrize(
    ("short", "whole"),
    [
        (["acme/app:push"], ["repository:acme/app:push"]),
        (["acme/app:pull,push"], ["repository:acme/app:pull,push"]),
        (["nginx:pull"], ["repository:nginx:pull"]),
        (["acme/app"], ["repository:acme/app:pull,push,delete"]),
        (["acme/app:v1:push"], ["repository:acme/app:v1:push"]),
        (["acme/app:v1"], ["repository:acme/app:v1:pull,push,delete"]),
        (["acme/app:pull acme/lib:pull"], ["repository:acme/app:pull", "repository:acme/lib:pull"]),
        (["registry:catalog:*"], ["registry:catalog:*"]),
        (["repository(plugin):acme/app:pull"], ["repository(plugin):acme/app:pull"]),
    ],
)
def test_why_takes_a_scope_without_its_type(
    asked: Repository, short: Sequence[str], whole: Sequence[str]
) -> None:
    assert why(*short) == why(*whole)
    assert "ok  signature" in why(*whole)


@pytest.mark.parametrize("text", ["acme/app:puhs", "Acme/App:push:", "acme//app:pull:x"])
def test_what_is_no_scope_is_an_error_that_names_it(asked: Repository, text: str) -> None:
    """Nothing is guessed: a scope of an unknown type would be refused, and look answered."""
    try:
        told = why(text)
    except QuestionError as error:
        assert text.split(":", maxsplit=1)[0] in str(error)
    else:
        assert "unknown-type" in told or "REFUSED" in told or "refused" in told


def test_can_shows_the_catalog_and_classes(asked: Repository) -> None:
    assert not any("catalog" in line for line in can())
    asked.write("policy/more.yaml", MORE)
    told = can()

    assert "registry:catalog:*  A catalog" in told
    assert ["main", "repository(plugin):plugins/some", "A", "plugins", ".", "."] in [
        line.split() for line in told
    ]
    assert any(line.split()[:3] == ["*", "registry:catalog", "catalog"] for line in told)
    assert any("repository(plugin):plugins/*  plugins (policy/more.yaml" in line for line in told)


def test_can_is_asked_for_the_catalog_and_a_class(asked: Repository) -> None:
    assert "registry:catalog:*  ." in can("registry:catalog")
    asked.write("policy/more.yaml", MORE)
    told = can("registry:catalog:*", "repository(plugin):plugins/x", "plugins/x")

    assert "registry:catalog:*  A catalog" in told
    rows = {words[1]: words[2] for words in map(str.split, told[2:]) if words[0] == "main"}
    assert {"repository(plugin):plugins/x": "A", "plugins/x": "."} == rows


def test_a_token_is_found_where_its_name_is_nearly_right(asked: Repository) -> None:
    with pytest.raises(QuestionError, match="did you mean `main`"):
        next(answers.can(Options(), "mian", ()))


def test_a_token_of_nobodys_issuer_asks_for_the_provider(asked: Repository, tmp_path: Path) -> None:
    loaded = Options().suites()[0]
    text = loaded.evaluation.linked.samples["main"].text
    token = asked.write("token.jwt", text)
    asked.write(
        "policy/policy.yaml",
        (asked.root / "policy" / "policy.yaml")
        .read_text()
        .replace("token.actions.githubusercontent.com", "token.example.com"),
    )
    with pytest.raises(QuestionError, match="choose the provider with --provider: github"):
        list(answers.can(Options(policy=Path("policy")), str(token), ()))
    options = Options(policy=Path("policy"), provider="github")
    [refused] = answers.can(options, str(token), ())
    assert "the login is refused, wrong-issuer" in refused


def test_a_misnamed_suite_is_not_passed_over(asked: Repository) -> None:
    """`suite-yml-ignored`, where the suites are asked."""
    asked.write("x.policytest.yml", TOKENS)
    with pytest.raises(QuestionError, match="the name of a suite ends in"):
        can()


COSTLY_SUITE = """
at: 2026-11-01T12:00:00Z
tokens:
  main: {profile: gitlab-ci/push, claims: {groups_direct: [GROUPS]}}
tests:
  - {name: pull, token: main, scopes: ["repository:acme/app:pull"], expect: {granted: []}}
""".replace("GROUPS", ", ".join(f"acme/group-{number}" for number in range(100)))
COSTLY_GRANT = """
  - name: g%d
    when: claims.groups_direct.exists(a, claims.groups_direct.exists(b, a + b == "%d"))
    repositories: ["acme/**"]
    actions: [pull]
"""
COSTLY_HEAD = """
version: 1
services: [registry.example.com]
providers:
  gitlab: {issuer: https://gitlab.example.com, audience: https://registry.example.com, claims: gitlab-ci}
grants:
"""


@pytest.mark.parametrize(("number", "mark"), [(3, "A"), (70, "E")])
def test_can_has_the_steps_of_a_servers_request(
    house: Repository, monkeypatch: pytest.MonkeyPatch, number: int, mark: str
) -> None:
    grants = "".join(COSTLY_GRANT % (one, one) for one in range(number))
    cheap = '  - {name: cheap, repositories: ["acme/**"], actions: [pull, push]}\n'
    house.write("policy/policy.yaml", COSTLY_HEAD + grants + cheap)
    house.suite(COSTLY_SUITE, tokens="")
    monkeypatch.chdir(house.root)
    told = can("acme/app")
    [row] = [line.split() for line in told if line.startswith("main ")]

    assert row[2] == mark, told
    assert ("too-costly" in row) is (mark == "E")


def test_can_counts_each_grant_of_a_large_policy_alone(
    house: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each grant is for a repository of its own, so no request evaluates all conditions."""
    grants = "".join(
        (COSTLY_GRANT % (one, one)).replace('+ b == "', '+ b != "').replace("**", f"n{one}")
        for one in range(70)
    )
    house.write("policy/policy.yaml", COSTLY_HEAD + grants)
    house.suite(COSTLY_SUITE, tokens="")
    monkeypatch.chdir(house.root)
    told = can()

    assert sum("(policy.yaml:" in line or "policy/policy.yaml:" in line for line in told) == 70
    assert not any("too-costly" in line for line in told)
