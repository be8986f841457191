"""What a cell is told whose access is allowed although a statement failed on the way."""

import pytest

from regauth.engine import Location
from regauth.engine.access.outcomes import ConditionError, Verdict, Why
from regauth.engine.access.scope import parse_access
from regauth.policytests.execution.judging import CaseOutcome, judge_cell
from regauth.policytests.suites.suite import Mark, TableCell


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("missing-key", "guard the condition with has(),"),
        ("wrong-type", "guard the condition with has(),"),
        ("pattern-value", "let the pattern's statement match only tokens whose value can stand"),
    ],
)
def test_pattern_hint_has_is_no_help_where_a_value_cannot_stand(code: str, hint: str) -> None:
    access = parse_access("repository:acme/app:pull")
    error = ConditionError("own", code, "'acme/.x', the value of ${claims.r}, cannot stand there")
    judgment = judge_cell(
        TableCell("token", access, Mark.ALLOWED, Location("s.yaml")),
        Verdict(access, Why.GRANTED, "base", (error,)),
    )

    assert judgment.outcome is CaseOutcome.ERROR
    assert error.message in judgment.summary
    assert f"`base` allows it; {hint}" in judgment.summary
