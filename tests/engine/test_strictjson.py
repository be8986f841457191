"""JSON from strangers has one meaning or none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.engine.strictjson import JsonError, loads

TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
def test_ordinary_json_is_read_as_python_reads_it(value: object) -> None:
    assert loads(json.dumps(value), max_depth=50) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"a":1,"a":2}', "twice"),
        (b'{"x":{"a":1,"\\u0061":2}}', "twice"),
        (b"NaN", "not JSON"),
        (b'{"a":-Infinity}', "not JSON"),
        (b"1e999", "double"),
        (b"9223372036854775808", "64 bits"),
        (b"-9223372036854775809", "64 bits"),
        (b"1" * 5000, "64 bits"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udc00":1}', "surrogate"),
        (b'{"a":[["\\ud800"]]}', "surrogate"),
        (b'[{"a":["x",["\\udfff"]]}]', "surrogate"),
        (b"\xff", "UTF-8"),
        (b"\xed\xa0\x80", "UTF-8"),
        (b"[" * 9 + b"]" * 9, "more than 8 deep"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "more than 8 deep"),
        (b"[" * 100_000, "deep"),
        (b"", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"{'a':1}", "not JSON"),
    ],
)
def test_every_freedom_of_json_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(JsonError, match=why):
        loads(text)


def test_eight_levels_are_read() -> None:
    assert loads(b"[" * 8 + b"]" * 8) == [[[[[[[[]]]]]]]]


@given(st.binary())
def test_nothing_but_a_json_error_comes_out_of_any_bytes(data: bytes) -> None:
    try:
        loads(data)
    except JsonError as error:
        assert str(error)
