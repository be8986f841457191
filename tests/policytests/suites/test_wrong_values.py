"""A wrong value of each enumeration, form and relation of each schema is an error of a suite."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from regauth import schemas
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.issuers import check_token, coherent
from regauth.engine.issuers.relations import MISSING, Path, value_at
from regauth.policytests.execution.run import SuiteError
from tests.engine.issuers.breaking import broken_relation, relations, wrong
from tests.policytests.conftest import Repository

NAMES = [name for name in schemas.claims_names() if name != "generic"]


def policy(name: str) -> str:
    issuer = coherent(known_schema(name), {}).get("iss", "https://issuer.example.com")
    provider = {"issuer": issuer, "audience": "us", "algorithms": ["RS256"], "claims": name}
    return json.dumps(
        {
            "version": 1,
            "services": ["registry.example.com"],
            "providers": {"p": provider},
            "grants": [{"name": "g", "repositories": ["a"], "actions": ["pull"]}],
        }
    )


def given(path: Path, value: object) -> dict[str, Any]:
    made: dict[str, Any] = {path[-1]: value}
    for holder in reversed(path[:-1]):
        made = {holder: made}
    return made


def wrong_values(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each claim with a value that it never has, alone."""
    schema = known_schema(name)
    for path, claim in schema.claims.items():
        limited = claim.items.limited if claim.type == "list" else claim.values.limited
        inside = path[:-1] and schema.claims[path[:-1]].type == "list"
        if limited and not inside:
            yield claim.name, given(path, wrong(claim))


def wrong_together(name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield a token of a suite for each way in which a real claim set breaks a relation."""
    schema = known_schema(name)
    usual = schema.samples.variants[""].including
    for _, at in (one for one in relations() if one[0] == name):
        for path, claims in broken_relation(name, at):
            token = {**claims, "aud": "us"}
            if value_at(claims, path) is MISSING:
                yield at, {"claims": token, "without": ["/".join(path)]}
            elif next(check_token(schema, coherent(schema, token, usual)), None) is not None:
                yield at, {"claims": token}  # what a profile adds can make a token possible


def impossible(house: Repository, tokens: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the tokens of a suite that no issuer makes, by the line that they stand in."""
    lines = ["at: 2026-11-01T12:00:00Z", "tokens:"]
    lines += [f"  {name}: {json.dumps(token)}" for name, token in tokens.items()]
    grid = "".join(f"      {name} a A\n" for name in tokens)
    text = f"tests:\n  - name: grid\n    grid: |\n      token repository pull\n{grid}"
    try:
        house.load(text, "\n".join(lines))
    except SuiteError as error:
        at = list(tokens)
        found = [one for one in error.problems if one.code == "impossible-claim"]
        return {at[one.location.line - 3] for one in found}
    return set()


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_value_is_an_error_of_the_suite(house: Repository, name: str) -> None:
    house.write("policy/policy.yaml", policy(name))
    tokens = {
        f"t{at}": {"profile": name, "claims": claims}
        for at, (_, claims) in enumerate(wrong_values(name))
    }
    assert impossible(house, tokens) == set(tokens)


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_relation_is_an_error_of_the_suite(house: Repository, name: str) -> None:
    house.write("policy/policy.yaml", policy(name))
    tried = list(wrong_together(name))
    assert {at for at, _ in tried} == {at for one, at in relations() if one == name}
    tokens = {f"t{at}": {"profile": name, **token} for at, (_, token) in enumerate(tried)}
    assert impossible(house, tokens) == set(tokens)


def test_many_are_tried() -> None:
    assert sum(len(list(wrong_values(name))) for name in NAMES) > 130
    assert sum(len(list(wrong_together(name))) for name in NAMES) > 250
