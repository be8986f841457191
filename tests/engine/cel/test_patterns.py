"""Regular expressions: RE2's answers, also where its automaton is large."""

import random

import pytest
import re2

from regauth.engine.cel.library.regex import PatternError, compile_pattern
from regauth.engine.cel.syntax import limits

LARGE = (
    "[ab]*a[ab]{400}c",
    "(a|b)*a(a|b){12}(a|b){12}$",
    "(?:[ab]{1,30}c?){1,20}d",
    r"^(?:\w+[-./]){1,60}end$",
)


@pytest.mark.parametrize("pattern", LARGE)
def test_a_large_automaton_answers_as_the_search_that_cannot_run_out_of_memory(
    pattern: str,
) -> None:
    """The fast search has no second engine to fall back to; the bound on patterns makes up for it."""
    pick = random.Random(1)
    fast, sure = compile_pattern(pattern), re2.compile(pattern)
    for ending in ("", "c", "d", "-end"):
        text = "".join(pick.choice("ab") for _ in range(16_000)) + ending

        assert (sure.search(text) is not None) == bool(fast(text.encode()))


def test_a_pattern_that_compiles_to_too_much_is_refused() -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern("a{1000}b{1000}c")

    assert str(limits.PATTERN_SIZE) in caught.value.message


def test_nothing_is_written_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PatternError):
        compile_pattern("(")

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("", "", True),
        ("^$", "a", False),
        (r"^\d+$", "٣", False),
        (r"\pL", "é", True),
        ("^.$", "👍", True),
        ("(?i)ABC", "xabc", True),
        ("a$", "a\n", False),
        (r"\x00", "\x00", True),
    ],
)
def test_a_pattern_is_found_anywhere_unless_anchored(pattern: str, text: str, found: bool) -> None:
    assert found is bool(compile_pattern(pattern)(text.encode()))
