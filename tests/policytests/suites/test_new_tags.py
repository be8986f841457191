"""Suites of a policy with `newTagsOnly`: a cell says whether the tag exists."""

import pytest

from regauth.policytests.cli import main
from tests.policytests.analysis.test_coverage import measure
from tests.policytests.analysis.test_mutation import tried
from tests.policytests.conftest import TOKENS, Repository

from .test_tags import POLICY as TAGS

POLICY = TAGS.replace(
    "    actions: [pull, push]\n", "    actions: [pull, push]\n    newTagsOnly: true\n", 1
)
GRID = """
tests:
  - name: grid
    grid: |
      token  repository            pull  push  delete
"""
CREATED = "      main   acme/app:v2=new       A     A     .\n"
KEPT = "      main   acme/app:v2=existing  A     .     .\n"


@pytest.fixture
def created(house: Repository) -> Repository:
    house.write("policy/policy.yaml", POLICY)
    return house


def test_a_cell_says_whether_the_tag_exists(created: Repository) -> None:
    outcomes = created.outcomes(GRID + CREATED + KEPT, TOKENS)

    assert outcomes["grid[main-acme/app:v2=new-push]"] == "passed"
    assert set(outcomes.values()) == {"passed"}


def test_a_wrong_expectation_fails_and_says_why(created: Repository) -> None:
    judged = created.judge(GRID + KEPT.replace("A     .     .", "A     A     ."), TOKENS)

    found = judged["grid[main-acme/app:v2=existing-push]"]
    assert found.outcome.value == "failed"
    assert "the tag exists, and `releases` allows new tags only" in found.summary


@pytest.mark.parametrize("mark", ["A", ".", "E"])
def test_a_cell_that_does_not_say_it_is_an_error(created: Repository, mark: str) -> None:
    text = f"{GRID}      main   acme/app:v2   A  {mark}   .\n"
    judged = created.judge(text, TOKENS)["grid[main-acme/app:v2-push]"]

    assert judged.outcome.value == "error"
    assert "write `acme/app:v2=new` or `acme/app:v2=existing`" in judged.summary


def test_snapshots_and_hostile_tokens_ask_for_it_too(created: Repository) -> None:
    snapshot = (
        "tests:\n  - {name: s, token: main, repositories: ['acme/app:v2%s'], snapshot: true}\n"
    )
    hostile = "hostile: {tokens: [main], repositories: ['acme/app:v2%s']}\n"

    for text, case in ((snapshot, "s"), (hostile, "hostile[main]")):
        stated, unstated = (created.outcomes(text % one, TOKENS) for one in ("=new", ""))
        assert (stated[case], unstated[case]) == ("passed", "error")


@pytest.mark.parametrize(
    "place", ["acme/app=new", "acme/app:v1=old", "acme/app:*=new", "acme/app@upload=existing"]
)
def test_only_a_tag_is_new(created: Repository, place: str) -> None:
    text = f"{GRID}      main   {place}   A  A   .\n"

    assert "bad-repository" in {one.split()[1] for one in created.problems(text)}


def test_coverage_asks_for_a_new_tag_and_for_one_that_exists(created: Repository) -> None:
    def missing(*rows: str) -> list[str]:
        points = measure(created, GRID + "".join(rows), TOKENS).points
        [point] = [one for one in points if one.kind == "new tags"]
        assert (point.name, point.text, point.location.line) == (
            "releases",
            "newTagsOnly: true",
            18,
        )
        return list(point.missing)

    other = "      main   acme/app:other=existing   .  .  .\n"  # refused, but not for this
    denied = "      main   acme/app:v1=new           A  .  .\n"
    assert missing(other, denied.replace("v1=new", "v0=new").replace("A", ".")) == ["T", "F"]
    assert missing(CREATED) == ["F"]
    assert missing(KEPT) == ["T"]
    assert missing(CREATED, KEPT) == []


def test_a_suite_without_a_tag_that_exists_leaves_a_mutant(created: Repository) -> None:
    def left(*rows: str) -> dict[str, str]:
        _, found = tried(created, GRID + "".join(rows), TOKENS)
        return {one.mutant.operator: str(one.witness) for one in found.survivors}

    assert "drop-new-tags-only" not in left(CREATED, KEPT)
    survivor = left(CREATED)["drop-new-tags-only"]
    assert "=existing:push" in survivor


def test_questions_say_it(created: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    suite = str(created.suite(GRID + CREATED + KEPT, TOKENS))

    def said(*words: str) -> str:
        assert main([*words, "--suite", suite]) == 0
        return capsys.readouterr().out

    why = said("why", "main", "acme/app:v2=existing:push")
    assert "REFUSED, the tag exists, and releases allows new tags only [tag-exists]" in why
    assert "REFUSED for now, releases allows it if the tag is new" in said(
        "why", "main", "acme/app:v2:push"
    )
    assert "ALLOWED by releases" in said("why", "main", "acme/app:v2=new:push")
    table = said("can", "main", "acme/app:v2", "acme/app:v2=new", "acme/app:v2=existing")
    assert [" ".join(line.split()) for line in table.splitlines()][2:5] == [
        "main acme/app:v2 A releases ? releases .",
        "main acme/app:v2=new A releases A releases .",
        "main acme/app:v2=existing A releases . releases .",
    ]
    assert "acme/app:v*,latest (new tags only)" in said("can", "main")
    assert "the tag does not exist yet" in said("who-can", "push", "acme/app")
    assert "the tag does not exist yet" not in said("who-can", "pull", "acme/app")
