"""Regular languages: RE2 itself says what a pattern matches, and each answer comes with a text."""

import random
from collections.abc import Callable

import pytest
import re2

from regauth.engine.languages import (
    ANYTHING,
    Nfa,
    UncomparableError,
    UnsupportedPatternError,
    automaton,
    characters,
    containing,
    find_common,
    find_outside,
    fully_matched,
    literals,
    prefixed,
    reduction,
    searched,
    suffixed,
)
from regauth.engine.languages.reduction import reduced

A = characters.of("a")

PATTERNS = (
    "^refs/(heads|tags)/.+$",
    "a|b",
    "^a|b$",
    "[[:alpha:]]+x",
    "[[:^digit:]]",
    "[[:word:]-]",
    "(?i)kS$",
    "(?i)[^k]",
    r"(?i)\W",
    r"(?i)\w",
    r"(?i)[\W1]",
    r"(?i)[^\W]",
    "(?i)[[:^lower:]]",
    "(?i)[[:word:]]",
    r"[\d-z]",
    "^*a",
    "(?U)a+b",
    "(?i:A)b",
    "(?s).",
    "(?-m)^a",
    "a{2,3}",
    "a{,3}",
    "a{2,}b?",
    "{",
    "x{",
    "x{a}",
    "[^a-c]",
    r"[a\-z]",
    "[]a]",
    "[^]a]",
    "[a-]",
    r"[\d_]+\z",
    r"\Aa",
    r"\Qa.b\E+",
    r"\Qab",
    r"\x41\x{42}",
    r"\101",
    r"\.\/",
    r"\D\W\S",
    "x*?$",
    "^$",
    "$^",
    "a$|^b",
    "(?:^a)+",
    "(a|b)*c",
    "(a*)*b",
    "(?P<n>ab)c",
    "^.{0,3}$",
    "a||b",
    "()",
)
SIGNS = "abcxyzABKSk s\u212a\u017f.-_/1[]{},\n"


def texts(pattern: str) -> list[str]:
    pick = random.Random(pattern)
    made = ["".join(pick.choice(SIGNS) for _ in range(pick.randint(0, 5))) for _ in range(400)]
    return ["", "refs/heads/a", "a.b", "a.ba.b", "abc", "aaaa", "AB", "x{a}", *made]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_what_re2_says_it_matches(pattern: str) -> None:
    compiled = re2.compile(pattern)
    found, whole = searched(pattern), fully_matched(pattern)
    for text in texts(pattern):
        assert (compiled.search(text) is not None) == (text in found), text
        assert (compiled.fullmatch(text) is not None) == (text in whole), text


@pytest.mark.parametrize("pattern", [r"\bmain\b", r"\pL", "(?m)^a$", r"\C", "(?i)ä", r"\B"])
def test_what_is_not_followed_is_said_and_never_guessed(pattern: str) -> None:
    with pytest.raises(UnsupportedPatternError):
        searched(pattern)


def test_a_pattern_with_too_many_states_is_undecided() -> None:
    with pytest.raises(UncomparableError):
        searched("((a{100}){100}){10}")


@pytest.mark.slow
def test_two_languages_that_are_too_large_are_undecided() -> None:
    with pytest.raises(UncomparableError):
        find_outside(searched("b{400}"), searched("^(?:.*a.{20}.*b)$"))


REF = fully_matched("^refs/(heads|tags)/[^*?]+$")


@pytest.mark.parametrize(
    ("left", "right", "text"),
    [
        (REF, prefixed("refs/"), "refs/tags/a"),
        (REF, prefixed("ref/"), None),
        (REF, suffixed("/main"), "refs/tags/main"),
        (REF, containing("*"), None),
        (REF, literals(["main", "refs/heads/main"]), "refs/heads/main"),
        (REF, literals(["main"]), None),
        (REF, searched("^refs/pull/"), None),
        (REF, searched("heads"), "refs/heads/a"),
        (ANYTHING, literals([""]), ""),
        (literals([]), ANYTHING, None),
    ],
)
def test_a_shortest_common_text_is_found(left: Nfa, right: Nfa, text: str | None) -> None:
    found = find_common(left, right)
    assert (found is None) == (text is None)
    if found is not None and text is not None:
        assert len(found) == len(text)
        assert found in left
        assert found in right


@pytest.mark.parametrize(
    ("inside", "outside", "always"),
    [
        (REF, prefixed("refs/"), True),
        (REF, prefixed("refs/heads/"), False),
        (REF, searched("^refs/(heads|tags)/"), True),
        (literals(["true", "false"]), searched("^(true|false)$"), True),
        (literals(["true", "false"]), literals(["true"]), False),
        (ANYTHING, containing(""), True),
        (ANYTHING, suffixed("a"), False),
        (literals([]), literals([]), True),
    ],
)
def test_a_text_outside_is_found_where_there_is_one(
    inside: Nfa, outside: Nfa, *, always: bool
) -> None:
    found = find_outside(inside, outside)
    assert (found is None) == always
    if found is not None:
        assert found in inside
        assert found not in outside


def test_what_becomes_a_text_with_upper_case_by_lowering_is_nothing() -> None:
    assert find_common(ANYTHING, literals(["acme/App"]).before_lowering()) is None
    assert "ACME/app" in literals(["acme/app"]).before_lowering()
    assert "acme/Äpp" in literals(["acme/Äpp"]).before_lowering()
    assert find_common(ANYTHING, literals(["acme"]).before_raising()) is None
    assert "acme" in literals(["ACME"]).before_raising()


def test_how_texts_begin_is_told_as_far_as_it_is_certain() -> None:
    assert REF.beginnings() == ["refs/heads/", "refs/tags/"]
    assert literals(["a", "ab"]).beginnings() == ["ab"]
    assert ANYTHING.beginnings() == [""]


def test_a_pattern_whose_states_read_nothing_between_them_is_bounded() -> None:
    assert len(searched("(.?){100}q").moves) < 200
    with pytest.raises(UncomparableError):
        searched("(.?){1000}q")


@pytest.mark.parametrize("ask", [find_common, find_outside])
def test_what_is_looked_at_for_a_move_counts(
    ask: Callable[[Nfa, Nfa], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One move of a text can cost as many looks as the other language has moves."""
    pattern, word = fully_matched("^(.?){50}q$"), literals(["refs/heads/main"])
    assert ask(word, pattern) in ("refs/heads/main", None)
    monkeypatch.setattr(automaton, "MAX_WORK", 2000)
    with pytest.raises(UncomparableError):
        ask(word, pattern)


def test_states_that_read_alike_are_one() -> None:
    assert len(fully_matched("^(a|b|c|d)*$").moves) == 1
    assert len(fully_matched("^(ab|cb)(x|y|z)?$").moves) == 4


def test_a_state_from_which_no_text_ends_is_left_out() -> None:
    dead = Nfa(frozenset({0, 2}), frozenset({1}), (((A, 1), (A, 2)), (), ((A, 2),)))

    assert reduced(dead) == Nfa(frozenset({0}), frozenset({1}), (((A, 1),), ()))
    assert reduced(Nfa(frozenset({0}), frozenset(), (((A, 0),),))) == Nfa(
        frozenset(), frozenset(), ()
    )


@pytest.mark.parametrize("pattern", PATTERNS)
def test_fewer_states_have_the_same_texts(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = searched(pattern)
    monkeypatch.setattr(reduction, "MAX_LOOKS", 0)
    searched.cache_clear()
    whole = searched(pattern)
    searched.cache_clear()

    assert len(small.moves) <= len(whole.moves)
    assert find_outside(small, whole) is None
    assert find_outside(whole, small) is None


@pytest.mark.slow
def test_generated_pairs_agree_with_membership() -> None:
    """A common text is in both, and where there is none no sample is in both."""
    pick = random.Random(7)
    for _ in range(300):
        first, second = pick.sample(PATTERNS, 2)
        left, right = searched(first), searched(second)
        common, outside = find_common(left, right), find_outside(left, right)
        assert common is None or (common in left and common in right), (first, second)
        assert outside is None or (outside in left and outside not in right), (first, second)
        for text in texts(first)[:40]:
            both = text in left and text in right
            assert not (both and common is None), (first, second, text)
            apart = text in left and text not in right
            assert not (apart and outside is None), (first, second, text)
