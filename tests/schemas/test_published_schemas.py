"""What holds for every JSON Schema that is published."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from regauth import schemas
from regauth.engine.source.nodes import parse
from regauth.engine.source.problems import Problems

HERE = Path(__file__).parent

_ONE = ("additionalProperties", "items", "propertyNames", "then", "else")
_BY_NAME = ("properties", "$defs")
_NEEDS_WORDS = ("pattern", "enum", "const", "not", "anyOf", "dependentRequired")


def declared(schema: object, path: str = "#") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each subschema with its path, but not conditions and what is in `not` and `anyOf`."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for keyword in _BY_NAME:
        for name, below in schema.get(keyword, {}).items():
            yield from declared(below, f"{path}/{keyword}/{name}")
    for keyword in _ONE:
        yield from declared(schema.get(keyword), f"{path}/{keyword}")
    for index, below in enumerate(schema.get("allOf", [])):
        yield from declared(below, f"{path}/allOf/{index}")


def subschemas() -> Iterator[Any]:
    for name in schemas.names():
        for path, schema in declared(schemas.load(name)):
            yield pytest.param(name, path, schema, id=f"{name}{path}")


def target(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a `$ref` points at, or the schema itself."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Mapping[str, Any] = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_the_schemas_are_those_of_the_files_a_user_writes() -> None:
    assert {"policy", "suite", "server", "claim-schema"} <= set(schemas.names())


@pytest.mark.parametrize("name", schemas.names())
def test_every_schema_is_a_valid_2020_12_schema(name: str) -> None:
    schema = schemas.load(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", schemas.names())
def test_every_schema_refuses_unknown_keys_at_its_top(name: str) -> None:
    assert schemas.load(name)["additionalProperties"] is False


@pytest.mark.parametrize(("name", "path", "schema"), list(subschemas()))
def test_every_example_and_default_is_valid(
    name: str, path: str, schema: Mapping[str, Any]
) -> None:
    validator = Draft202012Validator(schemas.load(name)).evolve(schema=schema)
    samples = list(schema.get("examples", []))
    if "default" in schema:
        samples.append(schema["default"])
    wrong = [
        f"{sample!r}: {error.message}"
        for sample in samples
        for error in validator.iter_errors(sample)
    ]
    assert wrong == [], path


@pytest.mark.parametrize("name", schemas.names())
def test_every_key_is_described_and_titled_for_an_editor(name: str) -> None:
    root = schemas.load(name)
    silent = [
        f"{path}/{key}"
        for path, schema in declared(root)
        if "then" not in path.split("/") and "else" not in path.split("/")
        if "allOf" not in path.split("/")
        for key, below in schema.get("properties", {}).items()
        if not {"title", "description"} <= {*below, *target(root, below)}
    ]
    assert silent == []


@pytest.mark.parametrize("name", schemas.names())
def test_every_object_with_keys_of_its_own_is_strict(name: str) -> None:
    """Public keys are the one exception: RFC 7517 has readers ignore members they do not know."""
    lax = [
        path
        for path, schema in declared(schemas.load(name))
        if schema.get("type") == "object" and "properties" in schema
        if schema.get("additionalProperties") is not False
    ]
    assert lax == (["#/$defs/keys/properties/jwks", "#/$defs/jwk"] if name == "policy" else [])


@pytest.mark.parametrize(("name", "path", "schema"), list(subschemas()))
def test_what_a_validator_would_say_badly_is_said_in_words(
    name: str, path: str, schema: Mapping[str, Any]
) -> None:
    only_a_condition = path.startswith("#/$defs/remoteHttp")
    used = [keyword for keyword in _NEEDS_WORDS if keyword in schema]
    assert only_a_condition or not used or "x-message" in schema, f"{name} {path}: {used}"


@pytest.mark.parametrize(
    ("file", "name"), [("contract-policy.yaml", "policy"), ("contract-suite.yaml", "suite")]
)
def test_the_example_of_the_contract_is_valid(file: str, name: str) -> None:
    problems = Problems()
    node = parse((HERE / file).read_text(encoding="utf-8"), file, problems)
    assert list(problems) == []
    assert node is not None
    errors = Draft202012Validator(schemas.load(name)).iter_errors(node.plain())
    assert [f"{error.json_path}: {error.message}" for error in errors] == []
