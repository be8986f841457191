"""The cases of the CEL specification: what is in the subset agrees, what is not is listed."""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from regauth.engine.cel import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    CelError,
    Declarations,
    Duration,
    ListType,
    MapType,
    Timestamp,
    Type,
    compile_expression,
)
from regauth.engine.cel.library.values import NANOSECONDS, Value

from .oracles import same

GOLDEN = Path(__file__).parent / "conformance_refused.txt"
DEFAULT = "../shared/cel-spec/simple.jsonl"

# Deliberate differences, described in docs/cel.md: the specification compares values of different
# kinds as unequal, here that is an error.
STRICT_EQUALITY = "cannot-compare"


class OutsideError(Exception):
    """A binding or a result is of a kind the policy language does not have."""


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    bindings: Mapping[str, Any]
    expect: Mapping[str, Any]


def _cases(repository: Path) -> list[Case]:
    path = repository / os.environ.get("CEL_SPEC_CASES", DEFAULT)
    if not path.exists():
        pytest.skip(f"the specification's cases are not at {path}; set CEL_SPEC_CASES")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Case(
            f"{row['file']}/{row['section']}/{row['name']}",
            row["expr"],
            row["bindings"],
            row["expect"],
        )
        for row in rows
    ]


def _value(given: Mapping[str, Any]) -> Value:
    ((kind, value),) = given.items()
    match kind:
        case "int":
            return int(value)
        case "double":
            return float(value)
        case "string" | "bool" | "null":
            return value
        case "list":
            return [_value(item) for item in value]
        case "map":
            return {_key(key): _value(item) for key, item in value}
        case "ts":
            return Timestamp(value[0] * NANOSECONDS + value[1])
        case "dur":
            return Duration(value[0] * NANOSECONDS + value[1])
    raise OutsideError(f"a value of type {kind}")


def _key(given: Mapping[str, Any]) -> str:
    if "string" not in given:
        raise OutsideError("a map whose keys are not strings")
    return str(given["string"])


def _type(value: Value) -> Type:
    if isinstance(value, list):
        kinds = {str(_type(item)): _type(item) for item in value}
        return ListType(next(iter(kinds.values())) if len(kinds) == 1 else DYN)
    if isinstance(value, dict):
        return MapType(DYN)
    types: dict[type, Type] = {
        bool: BOOL,
        int: INT,
        float: DOUBLE,
        str: STRING,
        Timestamp: TIMESTAMP,
        Duration: DURATION,
    }
    return types.get(type(value), NULL)


def _outcome(case: Case) -> str:
    """Run one case; give `agrees`, or why it was refused, or how it differs."""
    try:
        variables = {name: _value(value) for name, value in case.bindings.items()}
        wanted = None
        if case.expect.keys().isdisjoint({"error", "type_only"}):
            wanted = _value(case.expect)
    except OutsideError as error:
        return f"refused: {error}"
    if any("." in name for name in variables):
        return "refused: names with a namespace"
    declared = {name: _type(value) for name, value in variables.items()}
    compiled = compile_expression(case.text, Declarations(declared), DYN)
    if compiled.program is None:
        return _refusal(case, compiled.findings[0].code, compiled.findings[0].message)
    if "type_only" in case.expect:
        return "agrees"
    try:
        given = compiled.program.evaluate(variables)
    except CelError as error:
        if "error" in case.expect:
            return "agrees"
        return f"strict: {error.code}" if error.code == STRICT_EQUALITY else f"DIFFERS: {error}"
    if "error" in case.expect:
        return f"DIFFERS: {given!r} and no error"
    return "agrees" if same(given, wanted) else f"DIFFERS: {given!r}"


def _refusal(case: Case, code: str, message: str) -> str:
    if "error" in case.expect:
        return "agrees"
    return f"refused: {code}: {message}"


def test_cases_inside_the_subset_agree_and_the_others_are_listed(
    repository: Path, golden: Callable[[Path, str], None]
) -> None:
    outcomes = {case.name: (_outcome(case), case.text) for case in _cases(repository)}

    assert [] == [(name, text, how) for name, (how, text) in outcomes.items() if "DIFFERS" in how]

    counts = Counter(how for how, _ in outcomes.values())
    files = {
        name: Counter(
            how.partition(":")[0]
            for case, (how, _) in outcomes.items()
            if case.startswith(f"{name}/")
        )
        for name in sorted({case.partition("/")[0] for case in outcomes})
    }
    lines = ["# cases by file: agree, refused when compiled, strict"]
    lines += [
        f"{name}: {count['agrees']} {count['refused']} {count['strict']}"
        for name, count in files.items()
    ]
    lines += ["", "# why cases are refused, and how often"]
    lines += [f"{count:4} {how}" for how, count in sorted(counts.items()) if how != "agrees"]
    golden(GOLDEN, "\n".join(lines) + "\n")
