"""For each enumeration, form and relation of each schema, a wrong value is found in both places."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from regauth import schemas
from regauth.engine import Severity, compile_policy
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.issuers import ClaimSchema, check_token, coherent
from regauth.engine.issuers.relations import Path, value_at

from .breaking import as_condition, broken_relation, involved, relations, sets_of

WRONG: tuple[str | int, ...] = ("no such value", "", "?!", "-1", " main", 77)
"""Values of which each enumeration and each form excludes one at least."""


def limited() -> Iterator[tuple[str, Path]]:
    """Yield each claim of which not every value is possible, members of lists left out."""
    for name in schemas.claims_names():
        known = known_schema(name).claims
        for path, claim in known.items():
            if path[:-1] and known[path[:-1]].type == "list":
                continue
            if claim.type != "list" and claim.values.limited:
                yield name, path


def wrong(schema: ClaimSchema, path: Path) -> str | int:
    """Return a value of a claim's type that it never is."""
    claim = schema.claims[path]
    kind = int if claim.type == "int" else str
    return next(one for one in WRONG if isinstance(one, kind) and not claim.values.can_equal(one))


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

    assert "impossible-value" in errors(name, f"{written(path)} == {json.dumps(text)}")


OURS = "https://i.example.com"


def issuer_of(claims: Mapping[str, Any]) -> str:
    """Return the issuer of a token, so that a policy trusts it; another one where it is none."""
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) and issuer.startswith("https://") else OURS


def errors(name: str, when: str, issuer: str = OURS) -> list[str]:
    """Return the codes of the errors of a denial, which would deny nothing."""
    policy = {
        "version": 1,
        "services": ["registry.example.com"],
        "providers": {
            "ci": {"issuer": issuer, "audience": "me", "claims": name},
        },
        "grants": [{"name": "all", "repositories": ["**"], "actions": ["pull"]}],
        "denials": [{"name": "d", "when": when, "repositories": ["**"], "actions": ["pull"]}],
    }
    found = compile_policy({"policy.yaml": json.dumps(policy)}).problems
    return [one.code for one in found if one.severity is Severity.ERROR]


def with_rules(name: str, rules: list[str], when: str, issuer: str) -> list[str]:
    """Return the codes that are told of a grant's condition behind rules."""
    provider = {"issuer": issuer, "audience": "me", "claims": name}
    named = [{"name": f"r{at}", "check": check} for at, check in enumerate(rules)]
    policy = {
        "version": 1,
        "services": ["registry.example.com"],
        "providers": {"ci": {**provider, "rules": named} if named else provider},
        "grants": [{"name": "g", "when": when, "repositories": ["a"], "actions": ["pull"]}],
    }
    found = compile_policy({"policy.yaml": json.dumps(policy)}).problems
    return [one.code for one in found]


def written(path: Path) -> str:
    return "claims" + "".join(f"[{json.dumps(one)}]" for one in path)


def listed() -> Iterator[tuple[str, Path]]:
    """Yield each list of which not every text is an item."""
    for name in schemas.claims_names():
        for path, claim in known_schema(name).claims.items():
            if claim.type == "list" and claim.items.limited:
                yield name, path


@pytest.mark.parametrize(("name", "path"), tuple(listed()), ids=_id)
def test_a_wrong_item_is_found_in_a_token_and_in_a_policy(name: str, path: Path) -> None:
    schema = known_schema(name)
    items = schema.claims[path].items
    text = next(one for one in WRONG if not items.can_equal(one))
    token = with_value(schema, path, [text])
    assert path in {one.path for one in check_token(schema, token)}
    literal, claim = json.dumps(text), written(path)
    for condition in (
        f"{literal} in {claim}",
        f"{claim}.exists(one, one == {literal})",
        f"{claim}.exists(one, one in [{literal}])",
    ):
        assert "impossible-value" in errors(name, condition), condition


@pytest.mark.slow
@pytest.mark.parametrize(("name", "at"), tuple(relations()))
def test_a_broken_relation_is_found_in_a_policy(name: str, at: int) -> None:
    relation = known_schema(name).relations[at]
    ways = list(broken_relation(name, at))
    assert ways
    for path, claims in ways:
        condition = as_condition(claims, involved(relation, path))
        said = errors(name, condition, issuer_of(claims))
        assert {"impossible-together", "impossible-value"} & set(said), condition


@pytest.mark.slow
@pytest.mark.parametrize(("name", "at"), tuple(relations()))
def test_a_relation_that_rules_and_a_grant_break_together_is_found(name: str, at: int) -> None:
    relation = known_schema(name).relations[at]
    for path, claims in broken_relation(name, at):
        paths = involved(relation, path)
        if len(paths) == 1:
            continue
        rules = [as_condition(claims, [one]) for one in paths[1:]]
        said = with_rules(name, rules, as_condition(claims, paths[:1]), issuer_of(claims))
        assert {"impossible-together", "impossible-value"} & set(said), (rules, paths)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "at"), tuple(relations()))
def test_a_relation_that_holds_is_not_reported_behind_rules(name: str, at: int) -> None:
    relation = known_schema(name).relations[at]
    for claims in sets_of(name):
        for path, _ in relation.then:
            paths = involved(relation, path)
            rules = [as_condition(claims, [one]) for one in paths[1:]]
            said = with_rules(name, rules, as_condition(claims, paths[:1]), issuer_of(claims))
            assert "impossible-together" not in said, (rules, paths)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "at"), tuple(relations()))
def test_a_relation_that_holds_is_not_reported_in_a_policy(name: str, at: int) -> None:
    schema = known_schema(name)
    relation = schema.relations[at]
    for claims in sets_of(name):
        for path, _ in relation.then:
            condition = as_condition(claims, involved(relation, path))
            assert "impossible-together" not in errors(name, condition, issuer_of(claims)), (
                condition
            )


@pytest.mark.parametrize("name", schemas.claims_names())
def test_all_of_a_real_claim_set_can_be_asked_at_once(name: str) -> None:
    schema = known_schema(name)
    for claims in sets_of(name):
        paths = [
            path
            for path in schema.claims
            if not isinstance(value_at(claims, path), list | dict)
            and (len(path) == 1 or isinstance(value_at(claims, path[:-1]), dict))
            and (path != ("iss",) or "iss" in claims)  # a token without it has no provider
        ]
        said = errors(name, as_condition(claims, paths), issuer_of(claims))
        assert "impossible-together" not in said


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


def test_every_enumeration_and_form_is_tried() -> None:
    tried = {*limited(), *listed()}
    for name in schemas.claims_names():
        known = known_schema(name).claims
        for path, claim in known.items():
            inside = path[:-1] and known[path[:-1]].type == "list"
            if (claim.values.limited or claim.items.limited) and not inside:
                assert (name, path) in tried


def test_many_are_tried() -> None:
    assert len(list(limited())) > 100
    assert len(list(listed())) > 3
    assert len(list(relations())) > 50
    assert len(list(broken_relations())) > 20
