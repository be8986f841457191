"""
Bounds of a decision record: a client must not be able to make a record of any size.

What lives here: the errors of conditions as a record holds them, and what is cut from a record that
is too long.
Not here: the other members of a record (`decision_log`).

A record grows with the accesses that are asked for, and with the statements that fail.  A client
chooses both.  An error that is the same for every access stands in the record once, errors have a
bound of their own, and a record that is still too long is cut.  `cut` names what is not whole.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from regauth.engine import ConditionError, Verdict

MAX_RECORD: Final = 256 * 1024
"""Bytes of a record in JSON."""

MAX_ERRORS: Final = 100
"""Errors of conditions in a record, or in what its shadow policy would have said."""

MAX_ERROR_MESSAGE: Final = 300
"""Characters of such an error's message."""

MAX_MALFORMED: Final = 10
"""Entries of `scope` parameters in a record that are no scope."""

MAX_MALFORMED_LENGTH: Final = 100
"""Characters of such an entry in a record."""

MIN_ACCESSES: Final = 10
"""Accesses that a cut record has at most; enough to see what was asked for."""

Members = dict[str, object]


def decided(verdicts: Sequence[Verdict]) -> Members:
    """Return the members of a record that say what was decided, with the errors bounded."""
    left = MAX_ERRORS
    everywhere: dict[ConditionError, None] = {}
    accesses: list[Members] = []
    cut = False
    for verdict in verdicts:
        own: list[ConditionError] = []
        for error in verdict.errors:
            if error in everywhere:
                continue
            if not left:
                cut = True
                break
            left -= 1
            if error.everywhere:
                everywhere[error] = None
            else:
                own.append(error)
        accesses.append(_access(verdict, own))
    return {
        "accesses": accesses,
        **({"errors": [_error(one) for one in everywhere]} if everywhere else {}),
        **({"cut": ["errors"]} if cut else {}),
    }


def malformed(entries: Sequence[str]) -> list[str]:
    """Return the first of the entries that are no scope, each shortened."""
    return [entry[:MAX_MALFORMED_LENGTH] for entry in entries[:MAX_MALFORMED]]


def shortened(record: Members, length: int) -> Iterator[Members]:
    """
    Yield ever shorter forms of a record that is too long, until one is short enough.

    Members that a replay does not need go first.

    Args:
        record: The record.
        length: Its bytes in JSON.
    """
    if length <= MAX_RECORD:
        return
    without = _without_errors(record)
    yield without
    if "shadow" in without:
        shadow = without["shadow"]
        assert isinstance(shadow, dict)  # noqa: S101 - for the type checker
        without = _cut({**without, "shadow": _first({**shadow})}, "shadow")
        yield without
    without = _cut(_first(without), "asked", "accesses")
    yield without
    yield _cut({name: value for name, value in without.items() if name != "claims"}, "claims")


def _first(record: Members) -> Members:
    """Keep the first accesses, and the first scopes."""
    kept = dict(record)
    for name in ("asked", "accesses"):
        listed = kept.get(name)
        if isinstance(listed, list):
            kept[name] = listed[:MIN_ACCESSES]
    return kept


def _without_errors(record: Members) -> Members:
    kept = dict(record)
    for place in (kept, _object(kept.get("shadow"))):
        place.pop("errors", None)
        accesses = place.get("accesses")
        if isinstance(accesses, list):
            place["accesses"] = [
                {name: value for name, value in one.items() if name != "errors"} for one in accesses
            ]
    return _cut(kept, "errors")


def _object(value: object) -> Members:
    """Return a member that is an object, or an empty one."""
    return value if isinstance(value, dict) else {}


def _cut(record: Members, *names: str) -> Members:
    before = record.get("cut")
    listed = before if isinstance(before, list) else []
    return {**record, "cut": sorted({*listed, *names})}


def _access(verdict: Verdict, errors: Sequence[ConditionError]) -> Members:
    resource = verdict.access.resource
    return {
        "type": resource.type,
        **({"class": resource.class_} if resource.class_ else {}),
        "name": resource.name,
        "action": verdict.access.action,
        **({"reference": verdict.access.reference} if verdict.access.reference else {}),
        **({"tagState": str(verdict.access.tag_state)} if verdict.access.tag_state else {}),
        "allowed": verdict.allowed,
        "why": str(verdict.why),
        **({"source": verdict.source} if verdict.source else {}),
        **({"errors": [_error(one) for one in errors]} if errors else {}),
    }


def _error(error: ConditionError) -> Members:
    message = error.message[:MAX_ERROR_MESSAGE]
    return {"source": error.source, "code": error.code, "message": message}
