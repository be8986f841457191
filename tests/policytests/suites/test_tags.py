"""Policies with `tags`: suites say the tag with the repository, and nothing passes without it."""

import pytest

from tests.policytests.analysis.test_coverage import measure
from tests.policytests.analysis.test_mutation import tried
from tests.policytests.conftest import TOKENS, Repository
from tests.policytests.test_plugin import run

POLICY = """
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    algorithms: [RS256]
    claims: github-actions
    rules:
      - name: our-organisation
        check: claims.repository_owner_id == "1342004"
grants:
  - name: releases
    repositories: [acme/app]
    tags: ["v*", latest]
    when: scope.reference != "v0"
    actions: [pull, push]
denials:
  - name: frozen
    repositories: [acme/app]
    tags: [v1]
    actions: [push]
"""
DIGEST = "sha256:" + "0" * 64
WHOLE = f"""
tests:
  - name: grid
    grid: |
      token  repository            pull  push  delete
      main   acme/app:v2           A     A     .
      main   acme/app:v1           A     .     .
      main   acme/app:v1x          A     A     .
      main   acme/app:v0           .     .     .
      main   acme/app:latest       A     A     .
      main   acme/app:latestx      .     .     .
      main   acme/app:other        .     .     .
      main   acme/app@{DIGEST}     A     A     .
      main   acme/app@upload       A     A     .
      main   acme/app:*            .     .     .
      main   acme/appx:v2          .     .     .
    because: {{main: [releases, frozen]}}
  - name: a build asks
    token: main
    scopes: ["repository:acme/app:pull,push,delete"]
    expect: {{granted: [], deferred: ["repository:acme/app:pull,push"]}}
"""


@pytest.fixture
def tagged(house: Repository) -> Repository:
    house.write("policy/policy.yaml", POLICY)
    return house


def test_a_suite_that_names_the_tags_passes(tagged: Repository) -> None:
    assert set(tagged.outcomes(WHOLE, TOKENS).values()) == {"passed"}


@pytest.mark.parametrize("mark", ["A", ".", "E"])
def test_a_cell_without_the_tag_that_decides_is_an_error(tagged: Repository, mark: str) -> None:
    text = f"tests:\n  - name: g\n    grid: |\n      token repository pull\n      main acme/app {mark}\n"
    judged = tagged.judge(text, TOKENS)["g[main-acme/app-pull]"]

    assert judged.outcome.value == "error"
    assert "`releases` asks for the tag of acme/app; write `acme/app:TAG`" in judged.summary


@pytest.mark.parametrize("deferred", ["", 'deferred: ["repository:acme/app:pull"]'])
def test_a_request_says_exactly_what_depends_on_the_tag(tagged: Repository, deferred: str) -> None:
    expect = ", ".join(filter(None, ("granted: []", deferred)))
    text = (
        "tests:\n  - name: r\n    token: main\n    scopes: ['repository:acme/app:pull,push']\n"
        f"    expect: {{{expect}}}\n"
    )
    judged = tagged.judge(text, TOKENS)["r"]

    assert judged.outcome.value == "failed"
    assert "repository:acme/app:pull, repository:acme/app:push depends on the tag" in judged.summary


@pytest.mark.parametrize(
    "place", ["acme/app:-x", "acme/app:", "acme/app@sha256:abc", "Acme/app:v1"]
)
def test_what_is_no_place_is_reported(tagged: Repository, place: str) -> None:
    for text in (
        f"tests:\n  - name: g\n    grid: |\n      token repository pull\n      main {place} A\n",
        f"tests:\n  - {{name: s, token: main, repositories: ['{place}'], snapshot: true}}\n",
        f"hostile: {{tokens: [main], repositories: ['{place}']}}\n",
    ):
        assert "bad-repository" in {one.split()[1] for one in tagged.problems(text)}


@pytest.mark.parametrize(
    ("places", "outcome"), [("acme/app:v1, acme/lib", "passed"), ("acme/app:v1, acme/app", "error")]
)
def test_a_snapshot_without_the_tag_that_decides_is_an_error(
    tagged: Repository, places: str, outcome: str
) -> None:
    """Wider tags would not be seen in it."""
    text = f"tests:\n  - {{name: s, token: main, repositories: [{places}], snapshot: true}}\n"

    assert list(tagged.outcomes(text, TOKENS).values()) == [outcome]


def test_hostile_without_the_tag_that_decides_is_an_error(tagged: Repository) -> None:
    """What the token gets for some tags alone would not be guarded."""
    more = "  - {name: base, repositories: [base/os], actions: [pull]}\n"
    policy = POLICY.replace("denials:", f"{more}denials:")
    tagged.write("policy/policy.yaml", policy)
    named, unnamed = (
        tagged.judge(f"hostile: {{tokens: [main], repositories: ['{one}', base/os]}}\n", TOKENS)
        for one in ("acme/app:v2", "acme/app")
    )

    assert named["hostile[main]"].outcome.value == "passed"
    assert unnamed["hostile[main]"].outcome.value == "error"
    assert "write `acme/app:TAG`" in unnamed["hostile[main]"].summary


PART = """
tests:
  - name: grid
    grid: |
      token  repository   pull  push
      main   acme/app:v2  A     A
"""


def test_every_pattern_of_a_tag_is_to_be_covered(tagged: Repository) -> None:
    missing = {one.text for one in measure(tagged, PART).uncovered if one.kind == "pattern"}
    nothing = [one for one in measure(tagged, WHOLE).uncovered if one.kind == "pattern"]

    assert missing == {"latest", "v1"}
    assert nothing == []


def test_the_mutants_of_tags_are_noticed_by_a_suite_that_names_them(tagged: Repository) -> None:
    _, mutation = tried(tagged, WHOLE)
    own = ("releases", "frozen")
    survivors = [one.mutant.diff() for one in mutation.survivors if one.mutant.owner in own]
    operators = {one.operator for one in mutation.killed}

    assert {"drop-tag", "drop-tags", "widen-suffix", "widen-to-all"} <= operators
    assert survivors == []


def test_a_mutant_of_a_tag_that_nobody_notices_comes_with_a_tag_that_would(
    tagged: Repository,
) -> None:
    _, mutation = tried(tagged, PART)
    told = {
        one.mutant.operator: str(one.witness)
        for one in mutation.survivors
        if one.mutant.owner == "releases"
    }

    assert "acme/app:latest" in told["drop-tag"]
    assert "acme/app:" in told["widen-to-all"]


@pytest.mark.slow
def test_questions_take_a_tag(tagged: Repository) -> None:
    tagged.suite(WHOLE)

    def ask(*words: str) -> str:
        return run(tagged.root, *words).stdout

    refused = ask("why", "main", "repository:acme/app:v1:push")
    waiting = ask("why", "main", "repository:acme/app:push")

    assert "acme/app:v1:push: REFUSED by the denial frozen" in refused
    assert "acme/app:push: REFUSED for now, releases asks for the tag" in waiting
    assert "by releases" in ask("who-can", "push", "acme/app:v2")
    assert "for some tags" in ask("who-can", "push", "acme/app")
    assert "no token of the suites may push acme/app:v1" in ask("who-can", "push", "acme/app:v1")
    can = ask("can", "main")
    assert "acme/app:v*,latest  releases" in can
    assert "acme/app:v2 " in can
