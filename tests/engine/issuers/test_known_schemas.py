"""
The schemas of the known issuers against real claim sets, and each of their rules against its breach.

The claim sets in `claim_sets/` have the shape of those that the issuers' documentation and public
reports show; names, ids and addresses are replaced.  An `excerpt` shows only some claims.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from regauth import schemas
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.issuers import Contradiction, check_token, claim_schema
from regauth.engine.issuers.relations import Path as ClaimPath

from .breaking import NAMES, broken, put, read, relations, schema_of, sets_of, wrong

KNOWN = schemas.claims_names()


def found(schema: str, claims: Mapping[str, object]) -> list[Contradiction]:
    return list(check_token(schema_of(schema), claims))


@pytest.mark.parametrize("name", NAMES)
def test_a_real_claim_set_contradicts_nothing(name: str) -> None:
    document = read(name)
    contradictions = found(document["schema"], document["claims"])
    if document.get("excerpt"):
        contradictions = [one for one in contradictions if one.kind != "missing"]
    assert contradictions == []


@pytest.mark.parametrize("name", KNOWN)
def test_each_claim_can_have_the_values_of_its_examples_and_relations(name: str) -> None:
    """A schema of ours is read without this check (`known_schema`), which changes nothing else."""
    checked = claim_schema(schemas.load_claims(name))
    assert known_schema(name) == checked


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "generic"])
def test_every_issuer_has_several_real_claim_sets(name: str) -> None:
    assert len([file for file in NAMES if read(file)["schema"] == name]) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_set_names_its_source(name: str) -> None:
    assert read(name)["source"].startswith("https://")


@pytest.mark.parametrize("name", KNOWN)
def test_it_says_whom_its_issuers_serve_and_who_chooses_each_text(name: str) -> None:
    document = schemas.load_claims(name)
    assert document["serves"] in ("everybody", "customer")
    if name == "generic":
        return
    silent = [
        claim.name
        for claim in schema_of(name).claims.values()
        if claim.type == "string" and not claim.chosen_by and not claim.path[:-1]
    ]
    assert silent == []


@pytest.mark.parametrize("name", KNOWN)
def test_an_issuer_of_everybody_has_claims_that_narrow_it(name: str) -> None:
    schema = schema_of(name)
    everybody = schema.everybody or any(issuer.everybody for issuer in schema.issuers)
    assert everybody == any(claim.narrows for claim in schema.claims.values())


def limited() -> Iterator[tuple[str, ClaimPath]]:
    for name in KNOWN:
        for path, claim in schema_of(name).claims.items():
            if claim.values.limited or claim.items.limited:
                yield name, path


LIMITED = tuple(limited())


def _id(one: str | ClaimPath) -> str:
    return one if isinstance(one, str) else "/".join(one)


@pytest.mark.parametrize(("name", "path"), LIMITED, ids=_id)
def test_a_value_that_a_claim_can_never_have_is_found(name: str, path: ClaimPath) -> None:
    claims: dict[str, Any] = {}
    put(claims, path, wrong(schema_of(name).claims[path]))
    assert path in [one.path for one in found(name, claims) if one.kind == "value"]


@pytest.mark.parametrize(("name", "path"), LIMITED, ids=_id)
def test_every_example_is_a_value_that_is_possible(name: str, path: ClaimPath) -> None:
    for example in schema_of(name).claims[path].examples:
        claims: dict[str, Any] = {}
        put(claims, path, example)
        assert path not in [one.path for one in found(name, claims) if one.kind == "value"]


RELATIONS = tuple(relations())


@pytest.mark.parametrize(("name", "at"), RELATIONS)
def test_a_relation_speaks_of_a_real_claim_set_and_is_broken_by_a_change(
    name: str, at: int
) -> None:
    schema = schema_of(name)
    relation = schema.relations[at]
    spoken_of = [claims for claims in sets_of(name) if relation.applies(claims)]
    assert spoken_of, relation.description
    assert any(
        relation.description in one.message
        for claims in spoken_of
        for path, constraint in relation.then
        for changed in broken(schema, path, constraint, claims)
        for one in found(name, changed)
    ), relation.description
