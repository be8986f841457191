"""Claims that are there beside others: what a schema promises needs no `has()`."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from regauth import schemas
from regauth.engine import compile_policy

Document = dict[str, Any]


def codes(schema: str | Document, when: str) -> list[str]:
    files = {}
    if not isinstance(schema, str):
        files["own.json"] = json.dumps(schema)
    provider = {"issuer": "https://i.example.com", "audience": "me"}
    policy = {
        "version": 1,
        "services": ["registry.example.com"],
        "providers": {"ci": {**provider, "claims": "own.json" if files else schema}},
        "grants": [{"name": "g", "when": when, "repositories": ["a"], "actions": ["pull"]}],
    }
    found = compile_policy({"policy.yaml": json.dumps(policy), **files}).problems
    return [one.code for one in found if one.code.startswith("cel-")]


def promises() -> Iterator[tuple[str, str, str, bool]]:
    """Yield each pair of claims of which one is said to be there beside the other."""
    for name in schemas.claims_names():
        for relation in schemas.load_claims(name).get("relations", ()):
            for first, asked in relation.get("when", {}).items():
                for then, constraint in relation["then"].items():
                    if asked == {"present": True} and constraint.get("present"):
                        yield name, first, then, bool(relation.get("guaranteed"))


PROMISES = tuple(promises())


@pytest.mark.parametrize(("name", "first", "then", "guaranteed"), PROMISES)
def test_only_what_is_guaranteed_needs_no_guard(
    name: str, first: str, then: str, guaranteed: bool
) -> None:
    kind = schemas.load_claims(name)["claims"][then]["type"]
    reads = f'claims["{then}"]' + ("" if kind == "bool" else ' != "x"')
    assert codes(name, f'"{first}" in claims && {reads}') == ["cel-unguarded"] * (not guaranteed)
    assert codes(name, f"{reads} && {json.dumps(first)} in claims") == ["cel-unguarded"] * (
        not guaranteed
    )
    assert codes(name, reads) == ["cel-unguarded"]


def test_both_kinds_are_tried() -> None:
    assert {guaranteed for *_, guaranteed in PROMISES} == {True, False}


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ('has(claims.environment) && claims.environment_protected == "true"', 0),
        ('claims.environment == "x" && claims.environment_protected == "true"', 1),
        ('!has(claims.environment) || claims.environment_protected == "true"', 0),
        ('has(claims.environment) ? claims.environment_protected == "true" : true', 0),
        ('!has(claims.environment) && claims.environment_protected == "true"', 1),
        ('has(claims.environment) || claims.environment_protected == "true"', 1),
        ('has(claims.environment_protected) && claims.environment == "x"', 0),
        ('has(claims.environment) && claims.environment_action == "start"', 1),
    ],
)
def test_the_protection_of_an_environment(when: str, told: int) -> None:
    assert codes("gitlab-ci", when).count("cel-unguarded") == told


def test_a_schema_of_ones_own_promises_too() -> None:
    def claim(presence: str) -> Document:
        return {"type": "string", "presence": presence, "description": "It."}

    def schema(**more: object) -> Document:
        relation = {
            "when": {"tag": {"present": True}},
            "then": {"signer": {"present": True}},
            "description": "A tag has a signer.",
            **more,
        }
        claims = {"tag": claim("sometimes"), "signer": claim("sometimes"), "kind": claim("always")}
        return {"name": "own", "title": "Own", "claims": claims, "relations": [relation]}

    when = 'has(claims.tag) && claims.signer == "me"'
    assert codes(schema(), when) == ["cel-unguarded"]
    assert codes(schema(guaranteed=True), when) == []
    # A relation of tags of one kind says nothing of all tags, nor one that only helps samples.
    kinds = {"tag": {"present": True}, "kind": {"enum": ["release"]}}
    assert codes(schema(guaranteed=True, when=kinds), when) == ["cel-unguarded"]
    assert codes(schema(usual=True), when) == ["cel-unguarded"]
