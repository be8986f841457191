"""
Other implementations of CEL, as functions from text and variables to an outcome.

What lives here: Google's C++ CEL and cel-python's interpreter behind one interface.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import celpy
import celpy.celtypes
import pytest

from regauth.engine.cel import DYN, CelError, Duration, Program, Timestamp
from regauth.engine.cel.evaluation.program import make
from regauth.engine.cel.library.values import Value
from regauth.engine.cel.syntax.parsing import parse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Outcome:
    """A value, or an error."""

    value: Any = None
    error: str = ""


def ours(text: str) -> Program:
    """Parse and lower without the checker, as an unchecked expression."""
    return make(text, parse(text), DYN, {})


def evaluate(program: Program, variables: Mapping[str, Any]) -> Outcome:
    try:
        return Outcome(program.evaluate(variables))
    except CelError as error:
        return Outcome(error=error.code)


def same(left: Value, right: Value) -> bool:
    """Whether two values are of one kind and equal; NaN is itself, 0.0 is not -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, float):
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, (Timestamp, Duration)):
        # The other side knows microseconds.
        return abs(left.nanoseconds - right.nanoseconds) < 1000
    return bool(left == right)


class Cpp:
    """Google's implementation, by the package cel-expr-python."""

    def __init__(self, types: Mapping[str, str] | None = None) -> None:
        cel = pytest.importorskip(
            "cel_expr_python.cel", reason="cel-expr-python has no wheel for this platform"
        )
        from cel_expr_python.ext.ext_strings import ExtStrings  # noqa: PLC0415 - optional

        self._cel = cel
        names = types or {"c": "DYN", "now": "TIMESTAMP", "span": "DURATION"}
        variables = {name: self._type(of) for name, of in names.items()}
        self._env = cel.NewEnv(variables=variables, extensions=[ExtStrings()])

    def _type(self, name: str) -> Value:
        of = self._cel.Type
        return {"LIST_STRING": of.List(of.STRING), "MAP_DYN": of.Map(of.STRING, of.DYN)}.get(
            name
        ) or getattr(of, name)

    def accepts(self, text: str) -> tuple[bool, str]:
        """Whether its checker accepts an expression, and the type or the reason."""
        try:
            return True, self._env.compile(text).return_type().name()
        except Exception as error:  # noqa: BLE001 - it has no exception of its own
            return False, str(error)

    def evaluate(self, text: str, variables: Mapping[str, Any]) -> Outcome:
        """Evaluate without its checker."""
        data = {name: _to_python(value) for name, value in variables.items()}
        try:
            value = self._env.compile(text, disable_check=True).eval(data=data)
            if value.type() == self._cel.Type.ERROR:
                return Outcome(error=str(value.value()))
            return Outcome(_from_python(value.plain_value()))
        except Exception as error:  # noqa: BLE001 - it has no exception of its own
            return Outcome(error=f"raised {error}")


class Interpreter:
    """cel-python's InterpretedRunner."""

    def __init__(self) -> None:
        before = sys.getrecursionlimit()
        self._env = celpy.Environment()
        sys.setrecursionlimit(before)

    def evaluate(self, text: str, variables: Mapping[str, Any]) -> Outcome:
        """Evaluate; whatever it raises is an error, and only its own bool type is a bool."""
        data = {name: _to_celpy(value) for name, value in variables.items()}
        try:
            value = self._env.program(self._env.compile(text)).evaluate(data)
        except Exception as error:  # noqa: BLE001 - it raises more than its own exceptions
            return Outcome(error=f"{type(error).__name__}: {error}"[:200])
        return Outcome(bool(value) if type(value) is celpy.celtypes.BoolType else value)


def _to_celpy(value: Value) -> Value:
    if isinstance(value, Timestamp):
        return celpy.celtypes.TimestampType(_to_python(value))
    if isinstance(value, Duration):
        return celpy.celtypes.DurationType(_to_python(value))
    return celpy.json_to_cel(value)


def _to_python(value: Value) -> Value:
    if isinstance(value, Timestamp):
        return EPOCH + timedelta(microseconds=value.nanoseconds // 1000)
    if isinstance(value, Duration):
        return timedelta(microseconds=value.nanoseconds // 1000)
    return value


def _from_python(value: Value) -> Value:
    if isinstance(value, datetime):
        return Timestamp((value - EPOCH) // MICROSECOND * 1000)
    if isinstance(value, timedelta):
        return Duration(value // MICROSECOND * 1000)
    if isinstance(value, list):
        return [_from_python(item) for item in value]
    if isinstance(value, dict):
        return {key: _from_python(item) for key, item in value.items()}
    return value
