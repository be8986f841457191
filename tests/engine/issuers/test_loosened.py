"""
What each schema refuses is written down in `refused/`, so a schema that is made looser is seen.

`--golden-update` writes the files.  A value that disappears from one is a value that policies and
suites may have from then on without a word: read why before you commit it.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regauth import schemas
from regauth.engine import Severity, compile_policy
from regauth.engine.compiler.lints.operands import written
from regauth.engine.issuers import Claim, ClaimSchemaError, check_token, claim_schema
from regauth.engine.issuers.relations import Path as ClaimPath
from regauth.engine.languages import both, find_outside, fully_matched
from tests.generated import some

from .breaking import KNOWN, as_condition, involved, put, schema_of, sets_of
from .refusing import called, of_claim, record, written_down
from .test_wrong_values import errors, issuer_of, with_value

pytestmark = pytest.mark.slow

REFUSED = Path(__file__).parent / "refused"
NAMES = [name for name in KNOWN if name != "generic"]
ASCII = fully_matched(r"^[\x00-\x7f]*$")
ALTERNATIVES = ("template", "sequence")
Document = dict[str, Any]


def recorded(name: str) -> Document:
    document: Document = json.loads((REFUSED / f"{name}.json").read_text("utf-8"))
    return document


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_refuses_what_is_written_down(
    name: str, golden: Callable[[Path, str], None]
) -> None:
    golden(REFUSED / f"{name}.json", written_down(record(name, schema_of(name))))


def refusing() -> Iterator[tuple[str, ClaimPath]]:
    for name in NAMES:
        known = schema_of(name).claims
        for path, claim in known.items():
            inside = path[:-1] and known[path[:-1]].type == "list"
            if (claim.values.limited or claim.items.limited) and not inside:
                yield name, path


def _id(one: object) -> str:
    return "/".join(one) if isinstance(one, tuple) else str(one)


@pytest.mark.parametrize(("name", "path"), tuple(refusing()), ids=_id)
def test_what_is_written_down_is_an_error_in_a_denial_and_in_a_token(
    name: str, path: ClaimPath
) -> None:
    schema = schema_of(name)
    claim = schema.claims[path]
    refused = recorded(name)["claims"][claim.name]["refused"]
    assert refused
    asked = "{literal} in {claim}" if claim.type == "list" else "{claim} == {literal}"
    denials = [
        {
            "name": f"d{at}",
            "when": asked.format(literal=json.dumps(one), claim=written(("claims", *path))),
            "repositories": ["**"],
            "actions": ["pull"],
        }
        for at, one in enumerate(refused)
    ]
    provider = {"issuer": "https://i.example.com", "audience": "me", "claims": name}
    policy = {
        "version": 1,
        "services": ["registry.example.com"],
        "providers": {"ci": provider},
        "grants": [{"name": "all", "repositories": ["**"], "actions": ["pull"]}],
        "denials": denials,
    }
    told = compile_policy({"policy.yaml": json.dumps(policy)}).problems
    wrong = [one for one in told if one.severity is Severity.ERROR]
    codes = ("impossible-value", "glob-in-comparison", "cel-")
    assert len([one for one in wrong if one.code.startswith(codes)]) >= len(refused)
    for value in refused:
        token = with_value(schema, path, [value] if claim.type == "list" else value)
        assert path in {one.path for one in check_token(schema, token)}, value


@pytest.mark.parametrize("name", NAMES)
def test_every_relation_has_a_breach_that_is_found_in_a_policy_and_in_a_token(name: str) -> None:
    schema = schema_of(name)
    known = {called(one): one for one in schema.relations if not one.usual}
    assert recorded(name)["relations"].keys() == known.keys()
    for key, found in recorded(name)["relations"].items():
        assert found, key
        for one in found:
            claims = json.loads(json.dumps(sets_of(name)[one["set"]]))
            path = tuple(one["claim"])
            if "value" in one:
                put(claims, path, one["value"])
            else:
                claims.pop(path[0])
            relation = known[key]
            assert any(relation.description in it.message for it in check_token(schema, claims))
            asked = as_condition(claims, involved(relation, path))
            said = errors(name, asked, issuer_of(claims))
            assert {"impossible-together", "impossible-value"} & set(said), (key, one)


# Schemas that are made looser


def looser_claims(document: Document, path: ClaimPath = ()) -> Iterator[tuple[ClaimPath, Document]]:
    """Yield each claim with a way to look at it, in the document itself."""
    for name, about in document.get("claims", {}).items():
        yield (*path, name), about
        yield from looser_claims(about, (*path, name))


def ways(about: Document) -> Iterator[tuple[str, Document]]:
    """Yield what one claim can be made to, each looser than it is."""
    limited = about.get("items", about) if about.get("type") == "list" else about

    def changed(**more: object) -> Document:
        inner = {key: value for key, value in {**limited, **more}.items() if value is not None}
        return inner if limited is about else {**about, "items": inner}

    if "enum" in limited:
        yield "any value", changed(enum=None)
        if isinstance(limited["enum"][0], str):
            yield "one value more", changed(enum=[*limited["enum"], "one-more"])
    if "format" in limited:
        yield "no form", changed(format=None)
    if "pattern" in limited:
        inner = limited["pattern"].removeprefix("^").removesuffix("$")
        yield "no pattern", changed(pattern=None, meaning=None)
        yield "any beginning", changed(pattern=f"^(?s:.*)(?:{inner})$")
        yield "any end", changed(pattern=f"^(?:{inner})(?s:.*)$")
        yield "any capitals", changed(pattern=f"^(?i:{inner})$")
    if about.get("presence") == "always":
        yield "not always there", {**about, "presence": "sometimes"}
    if not about.get("nullable") and about.get("type") == "string":
        yield "null too", {**about, "nullable": True}


def loosened() -> Iterator[tuple[str, ClaimPath, str]]:
    for name in NAMES:
        for path, about in looser_claims(schemas.load_claims(name)):
            yield from ((name, path, how) for how, _ in ways(about))


LOOSENED = tuple(loosened())


def with_claim(name: str, path: ClaimPath, how: str) -> Document:
    document: Document = json.loads(json.dumps(schemas.load_claims(name)))
    at = document
    for part in path[:-1]:
        at = at["claims"][part]
    about = at["claims"][path[-1]]
    about.clear()
    about.update(dict(ways(_about(name, path)))[how])
    return document


def _about(name: str, path: ClaimPath) -> Document:
    return dict(looser_claims(json.loads(json.dumps(schemas.load_claims(name)))))[path]


@pytest.mark.fuzz
@pytest.mark.parametrize("name", NAMES)
def test_a_claim_that_is_made_looser_is_seen(name: str) -> None:
    known = recorded(name)["claims"]
    unseen = []
    for path, how in some([(path, how) for of, path, how in LOOSENED if of == name]):
        try:
            loose = claim_schema(with_claim(name, path, how))
        except ClaimSchemaError:
            continue  # a relation uses a part of the form: the schema itself is refused
        claim, old = loose.claims[path], schema_of(name).claims[path]
        same = how.startswith("any ") and not _refuses_less(old, claim)
        if not same and of_claim(name, loose, claim) == known[claim.name]:
            unseen.append(f"{claim.name}: {how}")
    assert unseen == []


def _refuses_less(old: Claim, new: Claim) -> bool:
    """Whether a claim can have a value now that it could not have."""
    one, other = (it.items if it.type == "list" else it.values for it in (old, new))
    return find_outside(both(other.language, ASCII), one.language) is not None


def relations_made_looser(document: Document, at: int) -> Iterator[tuple[str, Document]]:
    """Yield the relations of a schema with one of them asking for less."""
    relations = document["relations"]
    one = relations[at]
    yield "gone", {**document, "relations": [*relations[:at], *relations[at + 1 :]]}
    for path, constraint in one["then"].items():
        # A text that can be made in one way less is one that is asked for more.
        parts = [key for key in constraint if key not in (*ALTERNATIVES, "escape")]
        less = [{key: value for key, value in constraint.items() if key != one} for one in parts]
        if "template" in constraint:
            less.append({**constraint, "template": [*constraint["template"], "{*}"]})
        if "enum" in constraint:
            less.append({**constraint, "enum": None})
        for other in less:
            then = {**one["then"], path: {k: v for k, v in other.items() if v is not None}}
            if not then[path]:
                del then[path]
            if then:
                changed = [*relations[:at], {**one, "then": then}, *relations[at + 1 :]]
                yield f"{path} {constraint} {other}", {**document, "relations": changed}


@pytest.mark.fuzz
@pytest.mark.parametrize("name", NAMES)
def test_a_relation_that_is_made_looser_is_seen(name: str) -> None:
    document: Document = json.loads(json.dumps(schemas.load_claims(name)))
    known = recorded(name)["relations"]
    unseen = []
    loosened = [
        (f"{relation['description']} {how}", looser)
        for at, relation in enumerate(document.get("relations", ()))
        if not relation.get("usual")
        for how, looser in relations_made_looser(document, at)
    ]
    for how, looser in some(loosened):
        try:
            schema = claim_schema(looser)
        except ClaimSchemaError:
            continue
        if record(name, schema)["relations"] == known:
            unseen.append(how)
    assert unseen == []
