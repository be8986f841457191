"""The JSON of our own tokens: orjson's where it is the same, and no number that JSON has not."""

import json

import pytest

from regauth.engine.tokens.json_text import write


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 1.5, True, None, "x"], "b": {"c": []}},
        {"big": 2**70, "small": -(2**65)},
        {"null": "null", "other": None},
        {"\u00e9": "\u20ac", "lone": "\ud800"},
        {},
    ],
    ids=["plain", "beyond 64 bits", "null", "text", "empty"],
)
def test_what_is_written_reads_as_it_was(value: dict[str, object]) -> None:
    text = write(value)

    assert json.loads(text) == value
    assert b" " not in text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("depth", [0, 2])
def test_a_number_that_is_not_finite_is_refused(number: float, depth: int) -> None:
    """orjson alone would write null, and a token would say something else than was meant."""
    value: object = number
    for _ in range(depth):
        value = [value]
    with pytest.raises(ValueError, match="JSON compliant"):
        write({"exp": value})


def test_what_json_has_no_form_for_is_refused() -> None:
    with pytest.raises(TypeError):
        write({"a": object()})
