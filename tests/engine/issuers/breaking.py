"""Real claim sets, and every way in which a token can break what its schema says."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from regauth import schemas
from regauth.engine.issuers import Claim, ClaimSchema, check_token, claim_schema
from regauth.engine.issuers.relations import MISSING, ClaimReference, Constraint, Relation, value_at
from regauth.engine.issuers.relations import Path as ClaimPath
from regauth.engine.languages import find_outside

SETS = Path(__file__).parent / "claim_sets"
NAMES = sorted(file.name for file in SETS.glob("*.json"))
KNOWN = schemas.claims_names()


@cache
def schema_of(name: str) -> ClaimSchema:
    return claim_schema(schemas.load_claims(name))


def read(name: str) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads((SETS / name).read_text(encoding="utf-8"))
    return document


def wrong(claim: Claim) -> object:
    """Return a value that the claim can never have."""
    values = claim.items if claim.type == "list" else claim.values
    if claim.type == "int":
        return 77_777
    for text in ("\x00 wrong\n*", "", "WRONG VALUE*"):
        if not values.can_equal(text):
            return [text] if claim.type == "list" else text
    raise AssertionError(claim.name)


def put(claims: dict[str, Any], path: ClaimPath, value: object) -> None:
    for name in path[:-1]:
        claims = claims.setdefault(name, {})
    claims[path[-1]] = value


def relations() -> Iterator[tuple[str, int]]:
    for name in KNOWN:
        known = enumerate(schema_of(name).relations)
        yield from ((name, at) for at, relation in known if not relation.usual)


def breaches(
    schema: ClaimSchema, path: ClaimPath, constraint: Constraint, claims: Mapping[str, Any]
) -> Iterator[object]:
    """Return values that the claim can have by itself, some of which break a constraint."""
    values = schema.claims[path].values
    if constraint.values is not None and not values.enum:
        outside = find_outside(values.language, constraint.values.language)
        yield from () if outside is None else (outside,)
    yield from values.enum
    text = str(value_at(claims, path))
    for at, sign in enumerate(text):
        for other in "bc12":
            if other.isalpha() == sign.isalpha() and sign.isalnum():
                yield text[:at] + other + text[at + 1 :]


def broken(
    schema: ClaimSchema, path: ClaimPath, constraint: Constraint, claims: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """Return the claims with one changed so that it may break a constraint."""
    changes: list[object] = list(breaches(schema, path, constraint, claims))
    if constraint.present is False:
        about = schema.claims[path]
        is_object = about.type == "object"
        changes = [{"name": "x", "uid": "x"}] if is_object else [*about.examples[:1], "0"]
    elif constraint.null is False:
        changes = [None]
    for change in changes:
        claim = schema.claims[path]
        if isinstance(change, str) and not claim.values.can_equal(change):
            continue
        changed = deepcopy(dict(claims))
        put(changed, path, change)
        yield changed
    if constraint.present is True:
        yield {name: value for name, value in claims.items() if name != path[0]}


@cache
def sets_of(name: str) -> tuple[Mapping[str, Any], ...]:
    """Return the real claim sets of an issuer."""
    return tuple(read(file)["claims"] for file in NAMES if read(file)["schema"] == name)


def broken_relation(name: str, at: int) -> Iterator[tuple[ClaimPath, Mapping[str, Any]]]:
    """Yield real claim sets with one claim changed so that just this relation is broken."""
    schema = schema_of(name)
    relation = schema.relations[at]
    for claims in sets_of(name):
        if not relation.applies(claims):
            continue
        for path, constraint in relation.then:
            for changed in broken(schema, path, constraint, claims):
                if any(relation.description in one.message for one in check_token(schema, changed)):
                    yield path, changed
                    break


def involved(relation: Relation, path: ClaimPath) -> list[ClaimPath]:
    """Return the claims that decide whether a relation holds of a claim."""
    found = [one for one, _ in relation.when]
    for one, constraint in relation.then:
        if one != path:
            continue
        for template in (*constraint.templates, *constraint.parts):
            found += [part for part, _ in template.when]
            found += [piece.path for piece in template.pieces if isinstance(piece, ClaimReference)]
    return list(dict.fromkeys([path, *found]))


def as_condition(claims: Mapping[str, Any], paths: list[ClaimPath]) -> str:
    """Return a condition that asks for what some claims of a token are."""
    asked = []
    for path in paths:
        holder = "claims" + "".join(f"[{json.dumps(one)}]" for one in path[:-1])
        key = json.dumps(path[-1])
        value = value_at(claims, path)
        if value is MISSING:
            asked.append(f"!({key} in {holder})")
        elif isinstance(value, dict):
            asked.append(f"{key} in {holder}")
        else:
            asked.append(f"{holder}[{key}] == {json.dumps(value)}")
    return " && ".join(asked)
