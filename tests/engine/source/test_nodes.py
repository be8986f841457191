"""YAML is read into nodes that know where every character stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.engine.source import nodes
from regauth.engine.source.foreign_text import INVISIBLE, REORDERING
from regauth.engine.source.nodes import MappingNode, ScalarNode
from regauth.engine.source.problems import Problems

STYLES = r"""
plain: claims.ref == 1
long plain: claims.ref
  == 1
single: 'it''s == 1'
double: "a\tb \u0041 \x41 \U0001F600 c\
   joined"
literal: |
  first == é

    second 😀 line
folded: >-
  one
  two

  three
kept: |+
  x

flow: [{a: "b c"}, 'd']
"""


def scalars(node: nodes.Node | None) -> list[ScalarNode]:
    if isinstance(node, ScalarNode):
        return [node]
    if isinstance(node, MappingNode):
        return [one for entry in node.entries.values() for one in scalars(entry.value)]
    return [one for item in getattr(node, "items", ()) for one in scalars(item)]


def read(text: str) -> nodes.Node:
    problems = Problems()
    node = nodes.parse(text, "p.yaml", problems)
    assert list(problems) == []
    assert node is not None
    return node


def messages(text: str) -> list[str]:
    problems = Problems()
    nodes.parse(text, "p.yaml", problems)
    return [f"{p.location.line}:{p.location.column} {p.code}" for p in problems]


class TestLocate:
    def test_every_character_of_every_style_is_found_where_it_stands(self) -> None:
        lines = STYLES.split("\n")
        for scalar in scalars(read(STYLES)):
            for offset, character in enumerate(scalar.text):
                place = scalar.locate(offset)
                there = lines[place.line - 1][place.column - 1 : place.column]
                if not character.isspace():
                    assert there in (character, "\\"), (scalar.text, offset)

    def test_a_stretch_ends_after_its_last_character(self) -> None:
        scalar = scalars(read("a: |\n  x == 'y'\n  && z\n"))[0]
        place = scalar.locate(5, 13)

        assert (2, 8, 3, 7) == (place.line, place.column, place.end_line, place.end_column)

    def test_an_escape_is_as_long_as_it_is_written(self) -> None:
        scalar = scalars(read(r'a: "\u0041 b"'))[0]

        assert (5, 11, 12) == tuple(scalar.locate(at).column for at in (0, 1, 2))

    def test_a_byte_order_mark_shifts_nothing(self) -> None:
        assert scalars(read("\ufeffa: b"))[0].locate(0).column == 4

    @given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
    def test_any_text_in_double_quotes_is_found(self, text: str) -> None:
        if any(c in text for c in "\x85\u2028\u2029\ufeff\ufffe\uffff"):
            return
        if REORDERING.search(text) or INVISIBLE.search(text):
            return
        source = 'key: "' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for scalar in scalars(read(source)):
            assert scalar.text == text
            for offset, character in enumerate(text):
                place = scalar.locate(offset)
                if not character.isspace():
                    assert source[place.column - 1] in (character, "\\")


class TestMeaning:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("yes", "yes"),
            ("on", "on"),
            ("2027-01-31", "2027-01-31"),
            ("1342004", 1342004),
            ('"1342004"', "1342004"),
            ("0o17", 15),
            ("017", 17),
            ("1_000", "1_000"),
            ("12:30:45", "12:30:45"),
            ("1e3", 1000.0),
            (".5", 0.5),
            (".", "."),
            ("~", None),
            ("true", True),
            ("'true'", "true"),
            (".inf", ".inf"),
        ],
    )
    def test_plain_scalars_mean_what_json_has(self, text: str, value: object) -> None:
        scalar = scalars(read(f"a: {text}"))[0]

        assert scalar.value == value
        assert type(scalar.value) is type(value)


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("a: 1\na: 2", ["2:1 yaml-duplicate-key"]),
            ("a: {b: 1, b: 2}", ["1:11 yaml-duplicate-key"]),
            ("a: &x 1", ["1:4 yaml-unsupported"]),
            ("a: &x 1\nb: *x", ["1:4 yaml-unsupported", "2:4 yaml-unsupported"]),
            ("a: !!python/object:x 1", ["1:4 yaml-unsupported"]),
            ("a: 1\n---\nb: 2", ["2:1 yaml-unsupported"]),
            ("[x]: 1", ["1:1 yaml-unsupported"]),
            ("a: [1", ["1:4 yaml-syntax"]),
            ("a:\n\t- b", ["2:1 yaml-syntax"]),
            ("a: b: c", ["1:5 yaml-syntax"]),
            ("a: \x00", ["1:4 yaml-syntax"]),
            ("x: " + "[" * 40, ["1:35 yaml-unsupported"]),
        ],
    )
    def test_what_is_not_the_language_has_a_position(self, text: str, found: list[str]) -> None:
        assert found == messages(text)

    def test_every_duplicate_is_reported(self) -> None:
        assert len(messages("a: 1\na: 2\na: 3\nb: {c: 1, c: 2}")) == 3

    def test_an_exploding_file_is_refused_unread(self) -> None:
        bomb = "a: &a [x,x]\n" + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(20)
        )

        assert set(messages(bomb)) >= {"1:4 yaml-unsupported"}

    def test_a_huge_file_is_refused_unread(self) -> None:
        assert messages("#" * (nodes.MAX_DOCUMENT_BYTES + 1)) == ["1:1 file-too-large"]

    @given(st.text())
    def test_nothing_but_problems_comes_out_of_any_text(self, text: str) -> None:
        problems = Problems()
        node = nodes.parse(text, "p.yaml", problems)

        assert node is None or node.location.file == "p.yaml"
