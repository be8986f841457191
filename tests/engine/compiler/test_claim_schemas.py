"""Claim schemas of one's own: found in every layout, and what is wrong with one at its place."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from regauth.engine.compiler.compiler import Compilation, compile_policy

POLICY = """\
version: 1
services: [registry.example.com]
providers:
  ci: {issuer: "https://ci.example.com", audience: me, claims: CLAIMS}
grants:
  - {name: pull, when: claims.teem == "red", repositories: ["acme/**"], actions: [pull]}
"""


def claim(kind: str = "string", **more: object) -> dict[str, object]:
    return {"type": kind, "presence": "always", "description": "It.", **more}


def document(**claims: object) -> dict[str, Any]:
    given = {"sub": claim(), "team": claim(), **claims}
    return {"name": "ours", "title": "Ours", "claims": given}


def compiled(
    schema: Mapping[str, Any] | str,
    written: str = "claims/ours.json",
    file: str = "claims/ours.json",
    folder: str = "",
) -> Compilation:
    text = schema if isinstance(schema, str) else json.dumps(schema, indent=2)
    files = {"policy.yaml": POLICY.replace("CLAIMS", written), file: text}
    return compile_policy(files, folder=folder)


@pytest.mark.parametrize("folder", ["", "policy", "deploy/registry/policy", "../policy", "/srv/p"])
@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("claims/ours.json", "claims/ours.json"),
        ("./claims/ours.json", "claims/ours.json"),
        ("ours.json", "ours.json"),
        ("./ours.json", "ours.json"),
        ("a/b/c/ours.json", "a/b/c/ours.json"),
    ],
)
def test_own_claim_schema(folder: str, written: str, file: str) -> None:
    """`author/own-claim-schema`: the path is written from the policy's folder, wherever that is."""
    problems = compiled(document(), written, file, folder).problems
    assert [one.code for one in problems] == ["cel-unknown-claim"]
    assert problems[0].hint == "did you mean `team`?"


def test_a_file_of_another_name_is_suggested() -> None:
    problem = compiled(document(), "claims/our.json", folder="policy").problems[0]
    assert problem.code == "unknown-claims"
    assert problem.hint == "did you mean `claims/ours.json`?"


WRONG: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "pattern that RE2 refuses": (
        document(team=claim(pattern="^(a$")),
        "RE2 refuses the pattern",
        '"^(a$"',
    ),
    "example that is no value": (
        document(team=claim(enum=["red", "blue"], examples=["red", "green"])),
        "the example 'green' is no possible value of `team`",
        '"green"',
    ),
    "enumeration of another type": (
        document(team=claim(enum=["red", 7])),
        "7 is no value of the type string",
        "7",
    ),
    "twin that is not there": (
        document(team=claim(mutable=True, twin="team_id"), teamid=claim()),
        "there is no claim `team_id` beside this one",
        '"team_id"',
    ),
    "relation of a claim that is not there": (
        {
            **document(),
            "relations": [{"then": {"teem": {"present": True}}, "description": "Always."}],
        },
        "there is no claim `teem`",
        "{",
    ),
    "template of a claim that is not there": (
        {
            **document(),
            "relations": [{"then": {"sub": {"template": ["t:{teem}"]}}, "description": "So."}],
        },
        "there is no claim `teem`",
        '"t:{teem}"',
    ),
    "template of a group that is not there": (
        {
            **document(team=claim(pattern="^(?P<first>[a-z]+)$")),
            "relations": [{"then": {"sub": {"template": ["{team.last}"]}}, "description": "So."}],
        },
        "the pattern of `team` has no group `last`",
        '"{team.last}"',
    ),
    "pattern that is not of the whole value": (
        document(team=claim(pattern="[a-z]+")),
        "a claim's pattern describes the whole value",
        '"[a-z]+"',
    ),
    "two kinds of values": (
        document(team=claim(pattern="^a$", enum=["a"])),
        "a claim has an `enum`, a `pattern` or a `format`",
        '"team"',
    ),
    "form of a list": (
        document(team=claim("list", format="uuid")),
        "`format` is for a claim of the type `string`",
        '"uuid"',
    ),
}


@pytest.mark.parametrize(("schema", "message", "marked"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_schema_is_told_at_its_place(
    schema: dict[str, Any], message: str, marked: str
) -> None:
    compilation = compiled(schema, folder="policy")
    problem = next(one for one in compilation.problems if one.code == "bad-claims")
    assert problem.message.startswith(message)
    assert problem.location.file == "policy/claims/ours.json"
    lines = compilation.sources["policy/claims/ours.json"].splitlines()
    assert lines[problem.location.line - 1][problem.location.column - 1 :].startswith(marked)


def test_a_schema_that_is_no_json_is_told() -> None:
    problem = compiled("{").problems[0]
    assert (problem.code, problem.location.file) == ("bad-claims", "claims/ours.json")


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\u200f"])
def test_what_changes_the_order_of_a_line_is_refused(sign: str) -> None:
    text = json.dumps(document(), indent=1, ensure_ascii=False)
    (problem,) = compiled(text.replace("It.", f"It{sign}.")).problems[:1]
    assert problem.code == "bad-claims"
    assert problem.message.startswith(f"the character U+{ord(sign):04X} cannot stand in it")
    line = text.split("\n")[problem.location.line - 1]
    assert line[: problem.location.column - 1].endswith('"It')
