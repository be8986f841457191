"""Reading the shipped schemas."""

import json

import pytest

from regauth import schemas


@pytest.mark.parametrize("name", schemas.names())
def test_what_is_published_is_what_is_used(name: str) -> None:
    assert json.loads(schemas.text(name)) == schemas.load(name)


def test_a_schema_is_read_once() -> None:
    assert schemas.load("policy") is schemas.load("policy")
    assert schemas.load_claims("generic") is schemas.load_claims("generic")


@pytest.mark.parametrize(
    "name",
    ["polcy", "", "policy.schema.json", "../schemas/policy", "claims/generic", "/etc/passwd"],
)
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(schemas.UnknownSchema) as caught:
        schemas.load(name)
    assert name == caught.value.name
    assert schemas.names() == caught.value.known
    with pytest.raises(schemas.UnknownSchema):
        schemas.text(name)


def test_an_unknown_claim_schema_names_the_known_ones() -> None:
    with pytest.raises(schemas.UnknownSchema, match="there is no schema called 'github'; .*gitlab"):
        schemas.load_claims("github")


def test_an_unknown_schema_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        schemas.load_claims("policy")
