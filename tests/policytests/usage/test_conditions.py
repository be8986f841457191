"""
Conditions made narrower: random conditions keep what requests needed, as people write them.

SEED chooses the conditions, FUZZ_SECONDS how long all tests marked `fuzz` go on together.
"""

import json
import os
import random
import time
from collections.abc import Iterable
from typing import Any

import pytest

from regauth.engine.cel import BOOL, DYN, Declarations, Program, compile_expression, unparse
from regauth.engine.cel.syntax.parsing import parse
from regauth.policytests.usage.tightening.conditions import (
    Alternatives,
    narrowed,
    outermost,
    spliced,
)
from tests.generated import seeds, share

NAMES = ("a", "b", "c", "d")
WORDS = ("x", "y", "z")
SEED = int(os.environ.get("SEED", "1"))
SECONDS = float(os.environ.get("FUZZ_SECONDS", "0")) / 10


def condition(draw: random.Random, depth: int) -> str:
    """Write a condition as people do, with brackets, line breaks and comments."""
    kind = draw.random() if depth else 1
    if kind < 0.35 or kind < 0.6:
        mark = "||" if kind < 0.35 else "&&"
        gap = draw.choice([f" {mark} ", f" {mark}\n  ", f"\n  {mark} ", f" {mark} // why\n "])
        parts = [condition(draw, depth - 1) for _ in range(draw.randint(2, 4))]
        text = gap.join(f"({one})" if draw.random() < 0.8 else one for one in parts)
        return f"({text})" if draw.random() < 0.4 else text
    if kind < 0.65:
        return f"!({condition(draw, depth - 1)})"
    if kind < 0.7:
        one, two = condition(draw, depth - 1), condition(draw, depth - 1)
        return f"(a == 'x' ? {one} : {two})"
    name = draw.choice(NAMES)
    if draw.random() < 0.5:
        words = draw.sample(WORDS, draw.randint(1, 3))
        comma = draw.choice([", ", ",", " , ", ",\n  "])
        return f"{name} in [{comma.join(json.dumps(one) for one in words)}]"
    return f"{name} == {draw.choice(WORDS)!r}"


def compiled(text: str) -> Program:
    found = compile_expression(text, Declarations(dict.fromkeys(NAMES, DYN), {}), BOOL)
    assert found.program is not None, (text, found.findings)
    return found.program


@pytest.mark.fuzz
def test_a_narrower_condition_holds_for_every_request_that_needed_it() -> None:
    cut, kept_spelling = made_narrower(seeds(1_000))

    assert cut > share(240)
    assert kept_spelling > 0.9 * cut


@pytest.mark.fuzz
def test_a_narrower_condition_holds_for_every_request_for_long() -> None:
    end = time.monotonic() + SECONDS
    number = SEED * 1_000_000
    while time.monotonic() < end:
        made_narrower(range(number, number + 20))
        number += 20


def made_narrower(seeds: Iterable[int]) -> tuple[int, int]:
    """Narrow random conditions; return how many lost something, and how many kept their spelling."""
    cut = kept_spelling = 0
    for seed in seeds:
        draw = random.Random(seed)
        text = condition(draw, 3)
        program = compiled(text)
        requests: list[dict[str, Any]] = [
            {name: draw.choice((*WORDS, 5)) for name in NAMES if draw.random() < 0.9}
            for _ in range(40)
        ]
        users = [one for one in requests if _holds(program, one)][: draw.randint(1, 5)]
        if not users:
            continue
        alternatives = Alternatives(program)
        for one in users:
            alternatives.note(one)
        added = draw.choice([[], ["true"], ["true && 2 > 1", "1 == 1"]])
        splices = narrowed(text, alternatives.unused, added)
        narrow = compiled(spliced(text, splices))

        assert all(_holds(narrow, one) for one in users), (seed, text, narrow.text)
        assert all(_holds(program, one) for one in requests if _holds(narrow, one)), (seed, text)
        if alternatives.unused:
            cut += 1
            kept_spelling += splices[0].text == "" or len(splices) > 1
            again = Alternatives(narrow)
            for one in users:
                again.note(one)
            assert not again.unused, (seed, text, narrow.text)
    return cut, kept_spelling


def _holds(program: Program, variables: dict[str, Any]) -> bool:
    try:
        return program.holds(variables)
    except Exception:  # noqa: BLE001 - CEL's errors of values that are not there
        return False


@pytest.mark.parametrize(
    ("text", "user", "added", "wanted"),
    [
        ("a == 'x' || b == 'y'", {"a": "x"}, [], "a == 'x'"),
        ("a == 'x' || b == 'y'", {"a": "", "b": "y"}, [], "b == 'y'"),
        ("a == 'x' ||\n b == 'y' ||\n c == 'z'", {"a": "", "b": "y"}, [], "b == 'y'"),
        ("(a == 'x' || b == 'y') && c == 'z'", {"a": "x", "c": "z"}, [], "a == 'x' && c == 'z'"),
        ("a in ['x', 'y', 'z']", {"a": "y"}, ["b == 'q'"], "a in ['y'] && b == 'q'"),
        ("a == 'x' // so\n || b == 'y' // or so", {"a": "x"}, [], "a == 'x' // so // or so"),
        ("a == 'x' || b == 'y'", {"a": "x", "b": "y"}, ["c == 'z'"], "a == 'x' && c == 'z'"),
        ("a ? b : c", {"a": True, "b": True}, ["d == 'z'"], "(a ? b : c) && d == 'z'"),
        ("!(a == 'x' || b == 'y')", {"a": "", "b": ""}, [], "!(a == 'x' || b == 'y')"),
    ],
)
def test_what_stays_is_spelled_as_the_author_spelled_it(
    text: str, user: dict[str, Any], added: list[str], wanted: str
) -> None:
    alternatives = Alternatives(compiled(text))
    alternatives.note(user)

    assert spliced(text, narrowed(text, alternatives.unused, added)) == wanted


def test_both_alternatives_stay_when_requests_need_both() -> None:
    alternatives = Alternatives(compiled("a == 'x' || b == 'y'"))
    for user in ({"a": "x", "b": ""}, {"a": "", "b": "y"}):
        alternatives.note(user)

    assert not alternatives.unused


def test_an_alternative_within_another_is_told_once() -> None:
    assert list(outermost([(5, 9), (0, 10), (2, 3), (12, 14)])) == [(0, 10), (12, 14)]


def test_the_text_that_is_written_anew_means_the_same() -> None:
    text = "((a == 'x') || ((b == 'y')))"
    alternatives = Alternatives(compiled(text))
    alternatives.note({"a": "", "b": "y"})
    found = spliced(text, narrowed(text, alternatives.unused, []))

    assert unparse(parse(found)) == 'b == "y"'
