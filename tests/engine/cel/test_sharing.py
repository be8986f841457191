"""A tree that is made from another expression's is the tree of a parse of the text itself."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.engine.cel.syntax.errors import RejectedError
from regauth.engine.cel.syntax.nodes import Node
from regauth.engine.cel.syntax.parsing import parse, parse_whole
from regauth.engine.cel.syntax.scanning import scan
from regauth.engine.cel.syntax.sharing import fill, shape_of, simple_shape

SHAPES = (
    "claims.a == S && claims.b in [S, S]",
    "claims[S].b[S] != S || has(claims.x.y)",
    "(S) + (S + S) == claims.a ? S.size() > 1 : !S.startsWith(S)",
    "[S, S].exists(x, x == S && [S].all(y, y != x)) // S",
    "claims.a.matches(S) && claims.b\n  == S && -1 < size(S)",
    "claims.list.filter(one, one.endsWith(S)).map(one, one + S) == [S]",
    "S in claims.groups && [1, true, 1.5, null] != [S]",
    "S S",
    "S.S",
    "a(S",
    "S == r'x' && S == '''y'''",
)

STRINGS = ('""', "''", '"x"', "'a/b-c'", '"true"', '"it is"', "'\"'", '"\'"', '"\\n"', "'\\''",
           "r'\\d'", '"é"', '"""t"""', "'''", '"', "b'x'", '"' + "y" * 70 + '"', "'S'")  # fmt: skip


def outcome(make: Callable[[str], Node], text: str) -> object:
    try:
        return make(text)
    except RejectedError as error:
        return error.finding


def whole(text: str) -> Node:
    found = scan(text)
    if not text.strip():
        return parse(text)
    return parse_whole(text, found)


def write(shape: str, strings: list[str]) -> str:
    parts = shape.split("S")
    return "".join(part + said for part, said in zip(parts, [*strings, ""], strict=False))


@pytest.mark.fuzz
@pytest.mark.parametrize("shape", SHAPES)
def test_equal_to_a_parse_of_the_text_itself(
    shape: str, explore: Callable[[Callable[[], None], int], None]
) -> None:
    count = shape.count("S")

    @given(st.lists(st.sampled_from(STRINGS), min_size=count, max_size=count))
    def holds(strings: list[str]) -> None:
        text = write(shape, strings)
        assert outcome(parse, text) == outcome(whole, text)

    explore(holds, 60)


@pytest.mark.fuzz
def test_a_shape_without_a_scan_is_that_of_the_scan(
    explore: Callable[[Callable[[], None], int], None],
) -> None:
    signs = st.sampled_from([*"\"'rbx/\\[]()_ \n&", "é", "//", '""', "'a'", '"b"', "true"])

    @given(st.lists(signs, max_size=12).map("".join))
    def holds(text: str) -> None:
        shape = simple_shape(text)
        try:
            found = scan(text)
        except RejectedError:
            return  # it is scanned again, because no tree has this shape either
        assert shape is None or shape == shape_of(text, found)

    explore(holds, 2000)


@pytest.mark.parametrize("text", ['a == "b"', "a == 'b' && c in [\"d\", 'e']", "", "a\n== b"])
def test_most_expressions_need_no_scan(text: str) -> None:
    assert simple_shape(text) == shape_of(text, scan(text))


@pytest.mark.parametrize(
    "text", ["a / b", "// c", '"""b"""', "r'b'", "xr'b'", '"b" "c', "'b''c'", '"\\n"', '"é"']
)
def test_others_are_scanned(text: str) -> None:
    assert simple_shape(text) is None


@pytest.mark.fuzz
def test_equal_for_any_words(explore: Callable[[Callable[[], None], int], None]) -> None:
    words = st.text(st.characters(max_codepoint=0x2FF), max_size=8)

    @given(st.sampled_from(SHAPES), st.lists(words, min_size=9, max_size=9), st.sampled_from("'\""))
    def holds(shape: str, said: list[str], quote: str) -> None:
        text = write(shape, [f"{quote}{word}{quote}" for word in said])
        assert outcome(parse, text) == outcome(whole, text)

    explore(holds, 300)


def test_expressions_of_one_shape_share_a_parse_and_no_string() -> None:
    first, second = 'claims.a == "one" && x', "claims.a == 'another' && x"

    assert shape_of(first, scan(first)).text == shape_of(second, scan(second)).text
    assert parse(second) == whole(second)
    assert parse(first) == whole(first)
    assert parse(first) != parse(second)


@pytest.mark.parametrize(
    "string", ['"\\n"', "r'x'", "'''x'''", '"""x"""', '"é"', "'\\''", "'\"'", '"\t"']
)
def test_only_plain_strings_are_blanks(string: str) -> None:
    text = f"a == {string}"
    shape = shape_of(text, scan(text))

    assert (shape.text, shape.strings) == (text, {})
    assert fill(whole(text), shape) == whole(text)
