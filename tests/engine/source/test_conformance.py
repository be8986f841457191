"""The quick test of a document says what jsonschema says, or that it cannot tell."""

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from regauth import schemas
from regauth.engine.source import conformance
from regauth.engine.source.conformance import Unsure, compile_schema, conforms

ODD = (None, True, False, 0, 1, -1, 1.0, 1.5, 10**6, "", "a", "A b", "x\n", "acme/app", "30s",
       "https://a.example.com", [], ["a"], ["a", "a"], [1, 1.0], {}, {"name": "a"}, {"x": {}})  # fmt: skip


@cache
def validator(schema: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schemas.load(schema))


def agrees(document: object, schema: str) -> bool:
    """Tell whether the quick test told; it must tell the truth."""
    try:
        quick = conforms(document, schema)
    except Unsure:
        return False
    assert quick is validator(schema).is_valid(document)
    return True


def examples(schema: object) -> Iterator[object]:
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name == "examples":
                yield from value
            else:
                yield from examples(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from examples(value)


@cache
def documents(repository: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {name: [] for name in schemas.names()}
    places = {
        "policy": ["policy/**/*.yaml", "tests/engine/compiler/cases/**/*.yaml"],
        "suite": ["policytests/cases/**/*.policytest.yaml", "policy/**/*.policytest.yaml"],
        "server": ["deploy/**/server.yaml"],
        "proxy": ["deploy/**/proxy.yaml"],
        "controller": ["deploy/**/controller.yaml"],
    }
    for name, patterns in places.items():
        for pattern in patterns:
            for path in sorted(repository.glob(pattern)):
                try:
                    document = yaml.safe_load(path.read_text(encoding="utf-8"))
                    found[name].append(json.loads(json.dumps(document, default=str)))
                except (yaml.YAMLError, ValueError, TypeError):
                    continue
    for path in sorted((repository / "schemas" / "claims").glob("*.json")):
        found["claim-schema"].append(json.loads(path.read_text(encoding="utf-8")))
    for name in found:
        found[name] += [one for one in examples(schemas.load(name)) if isinstance(one, dict)]
    return found


@pytest.mark.parametrize("schema", schemas.names())
def test_our_schemas_have_no_other_keywords(schema: str) -> None:
    assert conformance._compiled(schema) is not None


@pytest.mark.slow
def test_it_agrees_about_all_the_documents_there_are(repository: Path) -> None:
    told = [agrees(one, name) for name, all_ in documents(repository).items() for one in all_]

    assert len(told) > 200
    assert sum(told) > 0.97 * len(told)


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """Return each container with each of its keys."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


@pytest.mark.fuzz
@pytest.mark.parametrize("schema", schemas.names())
def test_it_agrees_about_changed_documents(
    repository: Path, schema: str, explore: Callable[[Callable[[], None], int], None]
) -> None:
    """A key is left out, added or renamed, a value replaced, an item doubled; one to three times."""
    known = documents(repository)[schema] or [{}]

    @given(st.data())
    def holds(data: st.DataObject) -> None:
        document = copy.deepcopy(data.draw(st.sampled_from(known)))
        for _ in range(data.draw(st.integers(1, 3))):
            spots = list(places(document))
            if not spots:
                break
            container, key = data.draw(st.sampled_from(spots))
            match data.draw(st.sampled_from(["drop", "replace", "add", "rename", "double"])):
                case "drop":
                    del container[key]
                case "replace":
                    container[key] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
                case "add" if isinstance(container, dict):
                    container[data.draw(st.sampled_from(["x", "name", "tags", "catalog", ""]))] = 1
                case "rename" if isinstance(container, dict):
                    container[f"{key}x"] = container.pop(key)
                case _ if isinstance(container, list):
                    container.append(copy.deepcopy(container[key]))
        agrees(document, schema)

    explore(holds, 150)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["integer", "null"]}, {"type": "number"}, {"enum": ["a", 1, None, True]},
        {"const": 0}, {"const": False}, {"minLength": 2}, {"pattern": "^a"}, {"maxItems": 1},
        {"uniqueItems": True}, {"uniqueItems": False}, {"minProperties": 1}, {"minimum": 1},
        {"exclusiveMinimum": 1}, {"items": {"type": "string"}, "prefixItems": [{"type": "null"}]},
        {"propertyNames": {"maxLength": 2}}, {"dependentRequired": {"name": ["x"]}},
        {"if": {"type": "string"}, "then": {"minLength": 1}}, {"if": {"type": "string"}, "else": False},
        {"oneOf": [{"type": "number"}, {"minimum": 1}]}, {"anyOf": [{"type": "null"}, False]},
        {"allOf": [{"minLength": 1}, {"maxLength": 3}]}, {"not": {"type": ["string", "object"]}},
        {"additionalProperties": False, "properties": {"name": True}}, {"required": ["x"]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_each_keyword_alone(schema: dict[str, Any], value: object) -> None:
    try:
        quick = compile_schema(schema)(value)
    except Unsure:
        return
    assert quick is jsonschema.Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    "schema",
    [{"format": "uri"}, {"contains": {}}, {"patternProperties": {}}, {"$ref": "other.json"},
     {"not": {"multipleOf": 2}}, {"enum": [1.5]}, {"$defs": {"a": {"format": "x"}}, "$ref": "#/$defs/a"}],
)  # fmt: skip
def test_an_unknown_keyword_is_no_guess(schema: dict[str, Any]) -> None:
    with pytest.raises(Unsure):
        compile_schema(schema)
