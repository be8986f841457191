"""
Mistakes planted in a copy of each schema: the real claim sets show them.

All mistakes of a kind are planted at once.  Each must be found at its own claim or relation.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from regauth import schemas
from regauth.engine.issuers import Contradiction, check_token, claim_schema
from regauth.engine.issuers.relations import Path

from .breaking import sets_of

NAMES = [name for name in schemas.claims_names() if name != "generic"]
Document = dict[str, Any]


def claims_in(document: Document, path: Path = ()) -> Iterator[tuple[Path, Document]]:
    for name, about in document.get("claims", {}).items():
        yield (*path, name), about
        yield from claims_in(about, (*path, name))


def copied(name: str) -> Document:
    """Return a schema without examples, which would show a mistake before any claim set."""
    document: Document = json.loads(json.dumps(schemas.load_claims(name)))
    for _, about in claims_in(document):
        about.pop("examples", None)
        about.pop("causedByStrangers", None)
        about.pop("composed", None)
    document.pop("sampleTokens", None)
    return document


def told(name: str, document: Document) -> list[Contradiction]:
    """Return what contradicts a schema in the real claim sets of its issuer."""
    schema = claim_schema(document)
    return [one for claims in sets_of(name) for one in check_token(schema, claims)]


def other_values(document: Document) -> list[str]:
    """Give each listed value of each claim another name."""
    planted = []
    for path, about in claims_in(document):
        if "enum" in about:
            about["enum"] = [
                one + 70 if isinstance(one, int) else f"{one}x" for one in about["enum"]
            ]
            planted.append("/".join(path))
    return planted


def other_forms(document: Document) -> list[str]:
    """Give each claim that has a form another one."""
    planted = []
    for path, about in claims_in(document):
        if "format" in about or "pattern" in about:
            about.pop("format", None)
            about.update(pattern="^a form that no claim has$")
            planted.append("/".join(path))
    return planted


def never_null(document: Document) -> list[str]:
    """Let no claim be null."""
    found = [(path, about) for path, about in claims_in(document) if about.pop("nullable", None)]
    return ["/".join(path) for path, _ in found]


@pytest.mark.parametrize("plant", [other_values, other_forms, never_null])
@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_in_what_a_claim_can_be_is_found(
    name: str, plant: Callable[[Document], list[str]]
) -> None:
    document = copied(name)
    document.pop("relations", None)  # they use the values and the parts of forms
    planted = plant(document)
    found = {"/".join(one.path) for one in told(name, document)}
    assert set(planted) <= found


def inverted(constraint: Document) -> None:
    """Ask a claim for something else than an issuer does."""
    for key in ("present", "null"):
        if key in constraint:
            constraint[key] = not constraint[key]
            return
    constraint.clear()
    constraint["present"] = False


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_in_what_a_relation_asks_for_is_found(name: str) -> None:
    document = copied(name)
    relations = [one for one in document.get("relations", ()) if not one.get("usual")]
    for at, relation in enumerate(relations):
        relation["description"] = f"Relation number {at}."
        for constraint in relation["then"].values():
            inverted(constraint)
    messages = " ".join(one.message for one in told(name, {**document, "relations": relations}))
    for relation in relations:
        assert relation["description"] in messages


@pytest.mark.parametrize("name", NAMES)
def test_a_relation_that_speaks_of_too_many_tokens_is_found(name: str) -> None:
    document = copied(name)
    relations = [one for one in document.get("relations", ()) if not one.get("usual")]
    wide = [one for one in relations if one.pop("when", None)]
    for at, relation in enumerate(wide):
        relation["description"] = f"Relation number {at}."
    messages = " ".join(one.message for one in told(name, {**document, "relations": wide}))
    for relation in wide:
        assert relation["description"] in messages
