"""What the tests of the schemas share."""

from collections.abc import Callable

import pytest
from jsonschema import Draft202012Validator, ValidationError

from regauth import schemas


@pytest.fixture
def refused() -> Callable[[str, object], list[tuple[str, str]]]:
    """
    Return a function that says why a document is refused by a schema.

    Each error is its JSON path, and what is said of it: the `x-message` of the failing subschema
    where it has one, else the validator's keyword.
    """

    def said(error: ValidationError) -> str:
        schema = error.schema if isinstance(error.schema, dict) else {}
        if error.validator in ("required", "additionalProperties"):
            return str(error.validator)
        return str(schema.get("x-message", error.validator))

    def errors(name: str, document: object) -> list[tuple[str, str]]:
        validator = Draft202012Validator(schemas.load(name))
        return [(error.json_path, said(error)) for error in validator.iter_errors(document)]

    return errors
