"""For each enumeration, form and relation of each schema, a wrong value is found in both places."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from regauth import schemas
from regauth.engine import Severity, compile_policy
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.issuers import ClaimSchema, check_token, coherent
from regauth.engine.issuers.relations import Path, value_at

WRONG = ("no such value", "", "?!", "-1", " main")
"""Texts of which each enumeration and each form excludes one at least."""


def limited() -> Iterator[tuple[str, Path]]:
    """Yield each claim of which not every text is a value, members of lists left out."""
    for name in schemas.claims_names():
        known = known_schema(name).claims
        for path, claim in known.items():
            if path[:-1] and known[path[:-1]].type == "list":
                continue
            if claim.type == "string" and claim.values.limited:
                yield name, path


def wrong(schema: ClaimSchema, path: Path) -> str:
    """Return a text that a claim never is."""
    return next(one for one in WRONG if not schema.claims[path].values.can_equal(one))


def with_value(schema: ClaimSchema, path: Path, value: object) -> dict[str, Any]:
    """Return a token with a value at a path, the objects around it made for it."""
    whole = coherent(schema, {}, [path[:size] for size in range(1, len(path) + 1)])
    at = whole
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return whole


def _id(one: object) -> str:
    return "/".join(one) if isinstance(one, tuple) else str(one)


@pytest.mark.parametrize(("name", "path"), tuple(limited()), ids=_id)
def test_a_wrong_value_is_found_in_a_token_and_in_a_policy(name: str, path: Path) -> None:
    schema = known_schema(name)
    text = wrong(schema, path)
    assert path in {one.path for one in check_token(schema, with_value(schema, path, text))}

    claim = "claims" + "".join(f"[{json.dumps(one)}]" for one in path)
    policy = {
        "version": 1,
        "services": ["registry.example.com"],
        "providers": {
            "ci": {"issuer": "https://i.example.com", "audience": "me", "claims": name},
        },
        "grants": [{"name": "all", "repositories": ["**"], "actions": ["pull"]}],
        "denials": [
            {
                "name": "d",
                "when": f"{claim} == {json.dumps(text)}",
                "repositories": ["**"],
                "actions": ["pull"],
            }
        ],
    }
    found = compile_policy({"policy.yaml": json.dumps(policy)}).problems
    assert any(one.code == "impossible-value" and one.severity is Severity.ERROR for one in found)


def broken_relations() -> Iterator[tuple[str, int, Path, object]]:
    """Yield each relation that an example or a listed value of a claim can break by itself."""
    for name in schemas.claims_names():
        schema = known_schema(name)
        for at, relation in enumerate(schema.relations):
            given = {
                path[0]: constraint.values.enum[0]
                for path, constraint in relation.when
                if len(path) == 1 and constraint.values is not None and constraint.values.enum
            }
            whole = coherent(schema, given)
            if relation.usual or not relation.applies(whole):
                continue
            for path, constraint in relation.then:
                claim = schema.claims[path]
                for value in (*claim.examples, *claim.values.enum, "other/name"):
                    other = {**whole, path[0]: value}
                    if len(path) == 1 and constraint.is_broken(other, path):
                        yield name, at, path, value
                        break


@pytest.mark.parametrize(("name", "at", "path", "value"), tuple(broken_relations()), ids=_id)
def test_a_broken_relation_is_found_in_a_token(
    name: str, at: int, path: Path, value: object
) -> None:
    schema = known_schema(name)
    relation = schema.relations[at]
    given = {
        one[0]: constraint.values.enum[0]
        for one, constraint in relation.when
        if len(one) == 1 and constraint.values is not None and constraint.values.enum
    }
    whole = coherent(schema, given)
    assert list(check_token(schema, whole)) == []
    assert value_at(whole, path) != value
    assert path in {one.path for one in check_token(schema, {**whole, path[0]: value})}


def test_many_are_tried() -> None:
    assert len(list(limited())) > 100
    assert len(list(broken_relations())) > 20
