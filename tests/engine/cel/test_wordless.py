"""What is taken over from an expression of the same shape is what the checks themselves find."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.engine.cel import BOOL, DYN, STRING, Declarations, Field, ListType, RecordType
from regauth.engine.cel.checks.compiling import Compiled, compile_expression, compile_node
from regauth.engine.cel.syntax.parsing import parse_whole
from regauth.engine.cel.syntax.scanning import scan

CLAIMS = RecordType(
    "token",
    {
        **{name: Field(STRING, required=True) for name in "abc"},
        "n": Field(STRING, required=True, nullable=True),
        "o": Field(STRING, required=False),
        "list": Field(ListType(STRING), required=True),
        "any": Field(DYN, required=True),
    },
    open=False,
)
VARIABLES = {"claims": CLAIMS, "service": STRING}

WORDLESS = (
    "claims.a == S",
    "claims.a == S && claims.b in [S, S]",
    "S == claims.a || S != claims.b",
    "claims.a.startsWith(S) && claims.b.endsWith(S) && service.contains(S)",
    "claims.any.x == S && claims.any.y == S && size(claims.a) > 1",
    "has(claims.o) && claims.o == S",
    "claims.n == S || claims.n == null",
    "claims.a == claims.b && claims.c in [claims.n, S]",
)
WORDY = (
    "claims.a == S && claims.a == S",
    "claims.a != S || claims.a != S",
    "claims.a == S || !(claims.b == S)",
    "!(claims.a == S) || claims.a == S",
    "claims[S] == S",
    "S in claims.any",
    "S == S",
    "S in [S]",
    "claims.a.matches(S)",
    "claims.a == S + S",
    "claims.a == (claims.b == S ? S : S)",
    "claims.list.exists(x, x == S) && claims.list.exists(x, x == S)",
    "timestamp(S) == timestamp(S)",
    "claims.a.lowerAscii() == S && claims.a == S",
    "[claims.a] == [S]",
    "claims.o == S",
    "claims.a < S",
)
WORDS = ("", "x", "y", "a", "b", "2026-01-01T00:00:00Z", "[", "true")


def write(shape: str, words: list[str]) -> str:
    parts = shape.split("S")
    said = [f'"{word}"' for word in words[: len(parts) - 1]]
    return "".join(part + one for part, one in zip(parts, [*said, ""], strict=False))


def outcome(compiled: Compiled) -> object:
    program = compiled.program
    if program is None:
        return compiled.findings
    return compiled.findings, program.text, program.node, program.type, program.paths


def alone(text: str) -> object:
    """Return what the checks find in an expression that shares nothing."""
    return outcome(compile_node(parse_whole(text, scan(text)), Declarations(VARIABLES), BOOL, text))


@pytest.mark.fuzz
@pytest.mark.parametrize("shape", WORDLESS + WORDY)
def test_equal_to_checks_of_the_expression_itself(
    shape: str, explore: Callable[[Callable[[], None], int], None]
) -> None:
    count = shape.count("S")
    words = st.lists(st.sampled_from(WORDS), min_size=count, max_size=count)

    @given(st.lists(words, min_size=1, max_size=4))
    def holds(several: list[list[str]]) -> None:
        declared = Declarations(VARIABLES)
        for text in (write(shape, one) for one in several):
            assert outcome(compile_expression(text, declared, BOOL)) == alone(text)

    explore(holds, 60)


@pytest.mark.parametrize("shape", WORDLESS)
def test_one_check_is_enough_for_expressions_that_only_compare(shape: str) -> None:
    declared = Declarations(VARIABLES)

    first = compile_expression(write(shape, ["x", "y", "z"]), declared, BOOL)
    second = compile_expression(write(shape, ["u", "v", "w"]), declared, BOOL)

    assert first.program is not None
    assert second.program is not None
    assert len(declared.checked) == 1
    assert second.program.paths is first.program.paths


@pytest.mark.parametrize("shape", WORDY)
def test_expressions_in_which_words_matter_are_checked_each(shape: str) -> None:
    declared = Declarations(VARIABLES)
    compile_expression(write(shape, ["x", "y", "z"]), declared, BOOL)

    assert not declared.checked


@pytest.mark.parametrize("shape", WORDLESS)
def test_values_are_those_of_the_words_of_each(shape: str) -> None:
    declared = Declarations(VARIABLES)
    variables = {"service": "s", "claims": {**dict.fromkeys("abcno", "x"), "any": {"x": "x"}}}
    for words in (["x", "x", "x"], ["y", "y", "y"], ["", "x", "y"]):
        text = write(shape, words)
        shared = compile_expression(text, declared, BOOL).program
        own = compile_expression(text, Declarations(VARIABLES), BOOL).program
        assert shared is not None
        assert own is not None
        assert str(shared.trace(variables)) == str(own.trace(variables))


def test_a_definition_is_never_left_out() -> None:
    declared = Declarations(VARIABLES)
    named = compile_expression('claims.a == "x"', declared, BOOL).program
    assert named is not None
    defining = Declarations(VARIABLES, {"main": named})
    text = 'defs.main && claims.b == "y"'

    program = compile_expression(text, defining, BOOL).program

    assert program is not None
    assert set(program.definitions) == {"main"}
    assert not defining.checked
