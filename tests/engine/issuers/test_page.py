"""The page about claim schemas: the schema that it builds up, and what it says of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.issuers import check_token, claim_schema

BLOCK = re.compile(r"^```(json|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def blocks(repository: Path) -> list[str]:
    page = (repository / "docs" / "claim-schemas.md").read_text(encoding="utf-8")
    return [found[2] for found in BLOCK.finditer(page)]


def whole(blocks: list[str]) -> dict[str, Any]:
    """Return the schema once everything of the page is added."""
    first, values, relations, samples = map(json.loads, blocks[2:6])
    document: dict[str, Any] = {**first, **relations, **samples}
    document["claims"] |= values
    return document


def test_the_policy_compiles_with_the_first_and_with_the_whole_schema(blocks: list[str]) -> None:
    for schema in (json.loads(blocks[2]), whole(blocks)):
        files = {"policy.yaml": blocks[1], "claims/build-farm.json": json.dumps(schema)}
        problems = compile_policy(files).problems
        assert [one.code for one in problems if one.severity.name == "ERROR"] == []


def test_each_step_of_the_page_is_content_with_the_policy(blocks: list[str]) -> None:
    """Whoever follows the page sees no warning that it does not speak of."""
    document = json.loads(blocks[2])
    for step in (
        {},
        {"claims": document["claims"] | json.loads(blocks[3])},
        json.loads(blocks[4]),
        json.loads(blocks[5]),
    ):
        document |= step
        files = {"policy.yaml": blocks[1], "claims/build-farm.json": json.dumps(document)}
        assert compile_policy(files).problems == ()


@pytest.mark.parametrize(
    ("right", "typo", "message"),
    [
        ('"enum": ["tag"]', '"enum": ["tga"]', "did you mean 'tag'?"),
        ('"{team}/{*}"', '"{teem}/{*}"', "did you mean `team`?"),
        ('"trigger": {"enum"', '"triger": {"enum"', "did you mean `trigger`?"),
        ('"trigger": "branch"', '"trigger": "brunch"', "is never `brunch`"),
        ('"format": "decimal"', '"format": "decimel"', "format"),
        ('"chosenBy": "anybody"', '"chosenBy": "anybdy"', "chosen by"),
        ('"relations"', '"relation"', "did you mean `relations`?"),
        ('"presence": "always"', '"presence": "allways"', "`always`"),
    ],
)
def test_a_typo_in_the_schema_is_told_where_it_stands(
    blocks: list[str], right: str, typo: str, message: str
) -> None:
    text = json.dumps(whole(blocks), indent=1)
    text = re.sub(r'\[\s+"tag"\s+\]', '["tag"]', re.sub(r'\{\s+"enum"', '{"enum"', text))
    assert right in text
    text = text.replace(right, typo, 1)
    files = {"policy.yaml": blocks[1], "claims/build-farm.json": text}
    problems = compile_policy(files).problems
    assert {one.code for one in problems} == {"bad-claims"}
    assert any(message in f"{one.message} {one.hint}" for one in problems), problems
    assert {one.location.file for one in problems} == {"claims/build-farm.json"}
    at = min(one.location.line for one in problems)
    assert at > 1


def test_a_misspelt_claim_is_an_error(blocks: list[str]) -> None:
    files = {
        "policy.yaml": blocks[1].replace("claims.team_id", "claims.teem_id"),
        "claims/build-farm.json": blocks[2],
    }
    assert "cel-unknown-claim" in [one.code for one in compile_policy(files).problems]


def test_a_broken_relation_has_the_value_that_would_be_right(blocks: list[str]) -> None:
    claims: dict[str, object] = {
        "iss": "https://farm.example.com",
        "sub": "team:blue:project:red/app",
        "aud": "https://registry.example.com",
        "exp": 1793534700,
        "team": "blue",
        "team_id": "17",
        "project": "blue/app",
        "trigger": "tag",
        "tag": None,
    }
    found = {one.path: one for one in check_token(claim_schema(whole(blocks)), claims)}
    assert found[("sub",)].coherent == "team:blue:project:blue/app"
    assert found[("tag",)].kind == "relation"
    assert set(found) == {("sub",), ("tag",)}
