"""What the tools write is read again as it was, whatever characters are in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.engine.source import nodes
from regauth.engine.source.foreign_text import INVISIBLE, REORDERING
from regauth.engine.source.problems import Problems
from regauth.policytests.suites.writing import yaml_value
from tests.policytests.conftest import Repository

MISLEADING = [
    chr(code)
    for code in range(0x110000)
    if not 0xD800 <= code < 0xE000
    for one in [chr(code)]
    if REORDERING.match(one) or INVISIBLE.match(one) or code in (0x85, 0x2028, 0x2029, 0xFEFF)
]


def read_again(value: object) -> object:
    problems = Problems()
    root = nodes.parse(f"a: {yaml_value(value)}\n", "f", problems)
    assert list(problems) == []
    assert root is not None
    plain = root.plain()
    assert isinstance(plain, dict)
    return plain["a"]


def test_a_character_that_misleads_a_reviewer_is_written_as_an_escape() -> None:
    assert len(MISLEADING) > 4_000
    text = "".join(f"main{one}" for one in MISLEADING)
    assert read_again([text]) == [text]
    assert not INVISIBLE.search(yaml_value(text))
    assert not REORDERING.search(yaml_value(text))


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_text_is_read_again_as_it_was(text: str) -> None:
    assert read_again({"x": [text]}) == {"x": [text]}


def test_texts_of_ascii_are_written_as_json() -> None:
    assert yaml_value({"a": ["b", 1, None]}) == json.dumps({"a": ["b", 1, None]})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tests: [] # \u202e", "4:13 yaml-syntax"),
        ("tests:\n  - {name: a\u2066b}\n", "5:13 yaml-syntax"),
        ("tests:\n  - {name: a\u200bb}\n", "5:13 yaml-invisible"),
    ],
)
def test_a_suite_that_reads_otherwise_than_it_looks_is_refused(
    house: Repository, text: str, problem: str
) -> None:
    assert problem in [one for one in house.problems(text) if "yaml-" in one]
