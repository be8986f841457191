"""What a mistake in a JSON file is called, and where it is."""

import json
from string import printable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.engine.compiler.json_faults import explain, located
from regauth.engine.source import strictjson

DEPTH = 4
FAULTS = {
    "": (1, 1, "the file is empty"),
    " \n": (1, 1, "the file is empty"),
    "\ufeff{}": (1, 1, "the file begins with a byte order mark"),
    '{\n<<<<<<< ours\n"a": 1\n=======\n}': (2, 1, "a merge conflict is not resolved"),
    '{"a": 1,\n "b": "c\n}': (2, 7, "a text is not closed in its line"),
    '{"a": "b': (1, 7, 'the " that begins here is never closed'),
    '{"a": "b\tc"}': (1, 9, "a tab cannot stand in a text"),
    '{"a": "b\x01c"}': (1, 9, "a control character cannot stand in a text"),
    '{"a": "b\\.c"}': (1, 9, "JSON has no such escape"),
    '{"a": "b\\u12"}': (1, 9, "`\\u` needs 4 hexadecimal digits"),
    '{"a": 1}\n}': (2, 1, "nothing is open that this `}` closes"),
    '{"a": 1} {}': (1, 10, "the document has ended before this"),
    '{"a": 1,\n}': (1, 8, "a comma cannot stand before `}`"),
    '{"a": [1, 2,\n ]}': (1, 12, "a comma cannot stand before `]`"),
    '{"a": 1, // why\n}': (1, 10, "JSON has no comments"),
    "{\n  # why\n}": (2, 3, "JSON has no comments"),
    "{'a': 1}": (1, 2, "names and texts stand in double quotes"),
    "{\"a\": 'b'}": (1, 7, "names and texts stand in double quotes"),
    '{"a": {"b": 1}': (1, 1, "the { that begins here is never closed"),
    '{"a": [1,\n2': (1, 7, "the [ that begins here is never closed"),
    '{"a": "}", "b": {': (1, 17, "the { that begins here is never closed"),
    '{"a": [1}': (1, 9, "a `]` is expected before this `}`"),
    '{"a": 007}': (1, 7, "this is not how JSON writes a number"),
    '{"a": .5}': (1, 7, "this is not how JSON writes a number"),
    '{"a": +1}': (1, 7, "this is not how JSON writes a number"),
    '{"a": 0x10}': (1, 7, "this is not how JSON writes a number"),
    '{"a" 1}': (1, 6, "a colon is missing after the name"),
    '{"a" = 1}': (1, 6, "a colon is missing after the name"),
    '{"a": 1\n "b": 2}': (2, 2, "a comma is missing before this"),
    "{a: 1}": (1, 2, "a name in double quotes is expected here"),
    '{"a": True}': (1, 7, "JSON has no True"),
    '{"a": blue}': (1, 7, "a text stands in double quotes"),
    '{"a": }': (1, 7, "a value is expected here"),
    '{"a": 1,, "b": 2}': (1, 9, "a name in double quotes is expected here"),
    '{"ä": 1,\r\n "b": 1, "ä": 2}': (2, 10, "this name stands twice in one object"),
    '{"a": 1, "\\u0061": 2}': (1, 10, "this name stands twice in one object"),
    '{"a": NaN}': (1, 7, "JSON has no NaN"),
    '{"a": [1, -Infinity]}': (1, 11, "JSON has no -Infinity"),
    '{"a": 9223372036854775808}': (1, 7, "an integer is beyond 64 bits"),
    '{"a": 1e999}': (1, 7, "a number is beyond a double"),
    '{"a": "\\ud800"}': (1, 7, "a text holds half of a surrogate pair"),
    "[" * 5 + "]" * 5: (1, 5, "values nest more than 4 deep"),
    "[" * 100_000: (1, 5, "values nest more than 4 deep"),
    "[[[": (1, 3, "the [ that begins here is never closed"),
    '{"a": 0 1}': (1, 9, "a comma is missing before this"),
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_mistake_has_a_name_a_place_and_a_way_out(text: str) -> None:
    with pytest.raises(strictjson.JsonError):
        strictjson.loads(text, max_depth=DEPTH)
    fault = explain(text, DEPTH)

    assert fault is not None
    place = fault.location(text, "a.json")
    assert (place.line, place.column, fault.message) == FAULTS[text]
    assert fault.hint


GOOD = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(st.characters(codec="utf-8"), max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(printable, max_size=3), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip


@given(GOOD, st.data())
def test_every_text_that_is_refused_has_a_fault_within_it_and_no_other_has(
    value: object, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    at = data.draw(st.integers(0, len(text)))
    new = data.draw(st.text("{}[]:,\"'\\ \n0123.eE-+aNu/#\ud800", max_size=3))
    text = text[:at] + new + text[at + data.draw(st.integers(0, 3)) :]
    try:
        strictjson.loads(text, max_depth=DEPTH)
    except strictjson.JsonError:
        fault = explain(text, DEPTH)

        assert fault is not None
        assert 0 <= fault.at <= len(text)
        assert fault.hint
    else:
        assert explain(text, DEPTH) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": 1,\n "b" 2}', "f.json:2:6: not JSON: a colon is missing after the name; "),
        ('{"a": 1,\n "b" 2}', "f.json:2:6: not JSON: a colon is missing after the name; "),
        (b"\xff", "f.json: not JSON: it is not UTF-8; "),
        ("{\n<<<<<<< HEAD\n}", "f.json:2:1: not JSON: a merge conflict is not resolved; "),
        ("", "f.json:1:1: not JSON: the file is empty; "),
        ('{"a": 1, "a": 2}', None),
        (b"[" * 100_000, None),
    ],
)
def test_a_file_is_told_with_its_place_where_it_is_not_json(
    data: bytes | str, said: str | None
) -> None:
    told = located(data, "f.json")
    assert told is None if said is None else str(told).startswith(said)
