"""JSON from strangers has one meaning or none."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.engine.source.strictjson import JsonError, loads

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


def issuers_way(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def outcome(read: Callable[[bytes], object], text: bytes) -> str:
    try:
        return repr(read(text))  # tells 1 from 1.0 and from True
    except JsonError as error:
        return f"error: {error}"


def by_the_rules(text: bytes) -> object:
    """Read as `loads` reads what is not plainly written."""
    return loads(text.decode()) if is_utf8(text) else loads(text)


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


PIECES = st.sampled_from(
    [
        *('{"a":1}', '{"a":1,"a":1}', '{"a":1, "b":2}', '{"a":{"b":[1,2]},"c":"d"}', "[]", "null"),
        *("0", "-0", "1.0", "-0.0", "1e5", "1E5", "100000.0", "1e16", "1e-7", "0.1", "5e-324"),
        *("9007199254740991", "9007199254740992", "9223372036854775807", "9223372036854775808"),
        *("18446744073709551615", "18446744073709551616", "1e400", "NaN", "Infinity", "01", "+1"),
        *('"\\u0041"', '"\\u00e9"', '"é"', '"\\/"', '"\\n"', '"\\u001f"', '"\\ud800"', '"\\u2028"'),
        *(
            '"\u2028"',
            '"\x7f"',
            '"\\u007f"',
            "\ufeff1",
            " 1",
            "1 ",
            "true",
            "tru",
            "'a'",
            '{"a":1,}',
        ),
        *("[" * 8 + "]" * 8, "[" * 9 + "]" * 9, '{"\\u0061":1,"a":2}', '{"é":1,"\\u00e9":2}'),
    ]
)


@given(VALUES.map(issuers_way) | PIECES.map(str.encode) | st.binary())
def test_what_is_plainly_written_is_read_as_by_the_rules(text: bytes) -> None:
    assert outcome(loads, text) == outcome(by_the_rules, text)


@given(PIECES, PIECES)
def test_so_it_is_inside_of_objects_and_lists(first: str, second: str) -> None:
    for text in (f'{{"x":{first},"y":[{second}]}}', f'[{first},{{"x":{second}}}]'):
        assert outcome(loads, text.encode()) == outcome(by_the_rules, text.encode())
