"""
Our evaluation against Google's C++ CEL, on random expressions over random claims.

What must hold: where ours has a value, the C++ library has the same; where ours is an error, so is
theirs, or two values of different kinds were compared, which is an error here on purpose.

SEED chooses the expressions, FUZZ_SECONDS how long all tests marked `fuzz` go on together; the
first FUZZ_EXPRESSIONS are judged in any case.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from regauth.engine.cel import (
    BOOL,
    DOUBLE,
    DURATION,
    INT,
    STRING,
    TIMESTAMP,
    CelErrorCode,
    Declarations,
    Duration,
    Field,
    ListType,
    MapType,
    Program,
    RecordType,
    Timestamp,
    compile_expression,
)
from regauth.engine.cel.evaluation.tracing import Trace
from regauth.engine.cel.syntax.errors import RejectedError
from tests.generated import share

from .generating import Conforming, Plain, Untyped
from .oracles import Cpp, Interpreter, evaluate, ours, same

SEED = int(os.environ.get("SEED", "20260610"))
SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
EXPRESSIONS = int(os.environ.get("FUZZ_EXPRESSIONS", "20000" if SECONDS else "5000"))
NOW, SPAN = Timestamp(1_700_000_000_123_456_000), Duration(90_000_000_000)


def errors(trace: Trace) -> Iterator[str]:
    """Every error anywhere in an evaluation."""
    if trace.error is not None:
        yield trace.error.code
        if "int() does not take (bool)" in trace.error.message:
            yield "int-of-bool"
    for child in trace.children:
        yield from errors(child)


def judge(text: str, program: Program, variables: Mapping[str, Any], cpp: Cpp) -> str:
    """Compare one evaluation; a name that begins with DIFFERS is a bug."""
    mine, theirs = evaluate(program, variables), cpp.evaluate(text, variables)
    if mine.error == CelErrorCode.INTERNAL:
        return "DIFFERS: an exception of Python"
    if mine.error:
        if theirs.error:
            return "both are errors"
        met = set(errors(program.trace(variables)))
        deliberate = met & {CelErrorCode.MISMATCH, CelErrorCode.LIMIT, "int-of-bool"}
        return f"strict: {min(deliberate)}" if deliberate else f"DIFFERS: {mine} {theirs}"
    return "agree" if same(mine.value, theirs.value) else f"DIFFERS: {mine} {theirs}"


def compare(seed: int, count: int, cpp: Cpp) -> tuple[Counter[str], list[str]]:
    """Judge `count` expressions; an expression that is refused counts as a difference."""
    generator = Untyped(seed)
    counts: Counter[str] = Counter()
    different: list[str] = []
    for _ in range(count):
        text = generator.expression()
        variables = {"c": generator.claims(), "now": NOW, "span": SPAN}
        try:
            verdict = judge(text, ours(text), variables, cpp)
        except RejectedError as error:
            verdict = f"DIFFERS: refused: {error}"
        if verdict.startswith("DIFFERS"):
            different.append(f"{text}\n  {variables['c']}\n  {verdict}")
        counts[verdict.partition(" Outcome")[0]] += 1
    return counts, different


SCHEMA = RecordType(
    "claims",
    {
        "s": Field(STRING, required=True),
        "t": Field(STRING, required=True),
        "i": Field(INT, required=True),
        "d": Field(DOUBLE, required=True),
        "b": Field(BOOL, required=True),
        "l": Field(ListType(STRING), required=True),
        "z": Field(ListType(STRING), required=True),
        "m": Field(MapType(STRING), required=True),
        "kubernetes.io": Field(
            RecordType(
                "kubernetes.io",
                {"namespace": Field(STRING, required=True), "other": Field(STRING, required=False)},
                open=False,
            ),
            required=True,
        ),
        "x": Field(STRING, required=False),
    },
    open=False,
)
DECLARED = Declarations({"c": SCHEMA, "now": TIMESTAMP, "span": DURATION})


def accepted(generator: Untyped, count: int) -> Iterator[tuple[Program, dict[str, Any]]]:
    """Programs the checker accepts, each with variables that conform to the schema."""
    found = 0
    while found < count:
        program = compile_expression(generator.expression(), DECLARED, BOOL).program
        if program is not None:
            found += 1
            yield program, {"c": generator.claims(), "now": NOW, "span": SPAN}


@pytest.mark.fuzz
def test_checked_expressions_over_conforming_claims_fail_only_for_their_values() -> None:
    # No wrong types and nothing that cannot be compared: the checker has seen to it.
    values = {
        CelErrorCode.MISSING,
        CelErrorCode.OVERFLOW,
        CelErrorCode.DIVISION,
        CelErrorCode.INDEX,
        CelErrorCode.ARGUMENT,
    }
    unsound = [
        (program.text, variables["c"], outcome.error)
        for program, variables in accepted(Conforming(SEED), share(3000))
        if (outcome := evaluate(program, variables)).error and outcome.error not in values
    ]

    assert unsound == []


@pytest.mark.fuzz
def test_checked_decisions_are_those_of_cel_python() -> None:
    """
    cel-python's interpreter decides alike, inside the checked subset.

    Except where it compares an int with a double in one order only, leaks a Python class from `+`,
    or has no such conversion: all of those are errors there.
    """
    oracle = Interpreter()
    generator = Plain(SEED)
    counts: Counter[str] = Counter()
    different: list[tuple[str, Any, str]] = []
    for program, variables in accepted(generator, share(1500)):
        mine, theirs = evaluate(program, variables), oracle.evaluate(program.text, variables)
        verdict = "agree" if (mine.value is True) == (theirs.value is True) else "differ"
        if verdict == "differ" and mine.value is True and theirs.error:
            verdict = "error there"
        counts[verdict] += 1
        if verdict == "differ":
            different.append((program.text, variables["c"], f"{mine} {theirs}"))

    assert different[:5] == []
    assert counts["agree"] > counts.total() * 0.9


@pytest.mark.fuzz
def test_random_expressions_have_the_value_that_the_cpp_library_gives(
    request: pytest.FixtureRequest,
) -> None:
    cpp = Cpp()
    marked = [item for item in request.session.items if item.get_closest_marker("fuzz")]
    end = time.monotonic() + SECONDS / max(len(marked), 1)
    counts, different = compare(SEED, EXPRESSIONS, cpp)
    seed = SEED
    while time.monotonic() < end and not different:
        seed += 1
        more, different = compare(seed, 1000, cpp)
        counts += more

    assert different[:5] == [], f"SEED={seed}"
    assert counts.total() >= EXPRESSIONS
    # A generator whose expressions mostly fail would prove little.
    assert counts["agree"] > counts.total() * 0.5
    assert counts["strict: cannot-compare"] > 0
