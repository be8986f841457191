"""
What a schema refuses, as values that can be written down: near misses of what tokens really have.

A schema that is made looser refuses less, and says so here.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from regauth.engine.issuers import Claim, ClaimSchema, check_token
from regauth.engine.issuers.formats import FORMATS
from regauth.engine.issuers.relations import MISSING, Relation, value_at
from regauth.engine.issuers.relations import Path as ClaimPath
from regauth.engine.issuers.values import Values

from .breaking import broken, sets_of

SWAPPED = ("_-", "-_", "/:", ":/", "/.", ".-", "@#")


def near(text: str) -> Iterator[str]:
    """Yield what an author, or an issuer of another kind, could write instead of a value."""
    yield from (text.swapcase(), text.capitalize(), text.upper(), text.lower())
    yield from (f"{text}x", f"x{text}", f"{text} ", f" {text}", f"{text}/", f"/{text}")
    yield from (
        text[:-1],
        text[1:],
        "",
        f"{text}\n",
        f"{text}:x",
        f"x:{text}",
        f"{text}*",
        f"*{text}",
    )
    yield from (text.replace(one, other) for one, other in SWAPPED)
    yield from (text.partition("/")[2], text.rpartition("/")[2], text.rpartition("/")[0])
    yield from (f"https://{text}", text.removeprefix("https://"), f"{{{text}}}", text.strip("{}"))


def near_refs(text: str) -> Iterator[str]:
    """Yield what git refuses as a ref, for each of its rules (git-check-ref-format(1))."""
    yield from (f"{text}//x", f"{text}/.x", f"{text}..x", f"{text}.", f"{text}.lock")
    yield from (f"{text}.lock/x", f"{text}@{{1}}", f"{text}\\x", f"{text}\x7f", f"{text}\tx")
    yield from (f"{text}/x{sign}1" for sign in "~^:?*[ ")


def is_a_ref(values: Values) -> bool:
    """Whether values are refs, or texts in which one stands."""
    return FORMATS["ref-name"].pattern[1:-1] in values.pattern


def known_values(name: str, schema: ClaimSchema, path: ClaimPath) -> list[object]:
    """Return the values of a claim, or of its items, that the real claim sets have."""
    claim = schema.claims[path]
    found = [value_at(claims, path) for claims in sets_of(name)]
    flat = [one for value in found for one in (value if isinstance(value, list) else [value])]
    flat += [*claim.values.enum, *claim.items.enum]
    flat += [it for one in claim.examples for it in (one if isinstance(one, list) else [one])]
    return [one for one in dict.fromkeys(map(json_of, flat)) if one is not None]


def json_of(value: object) -> object:
    return None if value is MISSING or isinstance(value, dict | list | bool) else value


def refused(name: str, schema: ClaimSchema, path: ClaimPath) -> list[object]:
    """Return values near the real ones that a claim can never have, one of each kind."""
    claim = schema.claims[path]
    values = claim.items if claim.type == "list" else claim.values
    known = known_values(name, schema, path)
    texts = [list(near(one)) for one in known if isinstance(one, str)]
    numbers = [(one + 7, -one - 1) for one in known if isinstance(one, int)]
    if is_a_ref(values):
        texts = [[*near(one), *near_refs(one)] for one in known if isinstance(one, str)]
    found: list[object] = []
    for kind in (*zip(*texts, strict=True), *numbers):
        found += [one for one in kind if not values.can_equal(one)][:1]
    return list(dict.fromkeys(found))


def breaches(name: str, schema: ClaimSchema, at: int) -> list[dict[str, Any]]:
    """Return, for each claim that a relation asks something of, real claim sets that break it."""
    relation = schema.relations[at]
    found: list[dict[str, Any]] = []
    for path, _ in relation.then:
        for number, claims in enumerate(sets_of(name)):
            changed = first_breach(schema, at, path, claims) if relation.applies(claims) else None
            if changed is not None:
                value = value_at(changed, path)
                missing = value is MISSING
                found.append(
                    {"set": number, "claim": list(path)} | ({} if missing else {"value": value})
                )
                break
    return found


def first_breach(
    schema: ClaimSchema, at: int, path: ClaimPath, claims: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    relation = schema.relations[at]
    constraint = dict(relation.then)[path]
    for changed in broken(schema, path, constraint, claims):
        if any(relation.description in one.message for one in check_token(schema, changed)):
            return changed
    return None


def of_claim(name: str, schema: ClaimSchema, claim: Claim) -> dict[str, Any]:
    """Return what is written down of one claim."""
    values = claim.items if claim.type == "list" else claim.values
    said: dict[str, Any] = {"type": claim.type}
    if claim.always:
        said["always"] = True
    if claim.nullable:
        said["nullable"] = True
    if values.enum:
        said["listed"] = list(values.enum)
    if values.limited:
        said["refused"] = refused(name, schema, claim.path)
    return said


def record(name: str, schema: ClaimSchema) -> dict[str, Any]:
    """Return all that is written down of a schema."""
    return {
        "claims": {claim.name: of_claim(name, schema, claim) for claim in schema.claims.values()},
        "relations": {
            called(relation): breaches(name, schema, at)
            for at, relation in enumerate(schema.relations)
            if not relation.usual
        },
    }


def called(relation: Relation) -> str:
    """Return what tells a relation from those that are described alike."""
    return f"{', '.join('/'.join(path) for path, _ in relation.then)}: {relation.description}"


def written_down(recorded: Mapping[str, Any]) -> str:
    """Return a record as text, a line a claim."""
    parts = []
    for kind, about in recorded.items():
        lines = [f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in about.items()]
        parts.append(f"  {json.dumps(kind)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(parts) + "\n}\n"
