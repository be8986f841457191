"""
Judging: what the engine answered against what a case expects.

What lives here: the comparison of a decision with what a suite expects, and nothing else.
Not here: asking the engine (`evaluation`), how forged tokens are judged (`hostile`) and invariants
(`invariants`), and telling people (`telling`).

There are three outcomes.  An error is not a failure.  It says that the case proves nothing, because
the expected answer came about for another reason than the policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final, TypeGuard

from regauth.engine.access.outcomes import Reason, Refusal, Verdict, Why, token_lifetime
from regauth.engine.access.scope import Access
from regauth.engine.policy.patterns.text import PATTERN_VALUE
from regauth.policytests.suites.suite import Because, Mark, RequestTest, TableCell

from .evaluation import AccessAnswer


class CaseOutcome(Enum):
    """The outcome of a case."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Judgment:
    """A case's outcome; `summary` says in one line why it did not pass."""

    outcome: CaseOutcome
    summary: str = ""


PASSED: Final = Judgment(CaseOutcome.PASSED)

MEANING: Final = {
    Mark.ALLOWED: "allowed",
    Mark.REFUSED: "refused by the policy",
    Mark.UNAUTHENTICATED: "not authenticated",
    Mark.ERROR: "refused, with an error",
}
"""The meaning of each mark."""


def mark_of(answer: AccessAnswer) -> Mark:
    """Return the mark for an answer."""
    if isinstance(answer, Refusal):
        return Mark.ERROR if answer.reason == Reason.TOO_COSTLY else Mark.UNAUTHENTICATED
    if answer.errors:
        return Mark.ERROR
    return Mark.ALLOWED if answer.allowed else Mark.REFUSED


def is_open(answer: AccessAnswer) -> TypeGuard[Verdict]:
    """Tell whether only a tag or digest, or whether the tag is new, would decide an access."""
    return isinstance(answer, Verdict) and answer.why.is_open


def judge_named(answers: Sequence[AccessAnswer]) -> Judgment:
    """Judge that no answer depends on a tag, or on its state: such a case would prove nothing."""
    waiting = next((answer for answer in answers if is_open(answer)), None)
    if waiting is None:
        return PASSED
    place = waiting.access.place
    hint = f"write `{place}:TAG`"
    summary = f"`{waiting.source}` asks for the tag of {place}; {hint}"
    if waiting.why is Why.DEPENDS_ON_NEW_TAG:
        hint = f"write `{place}=new` or `{place}=existing`"
        summary = f"`{waiting.source}` allows new tags only, so say whether this one exists; {hint}"
    return Judgment(CaseOutcome.ERROR, summary)


def allowed_despite_error(answer: AccessAnswer) -> TypeGuard[Verdict]:
    """Tell whether an access is allowed although a condition failed on the way."""
    return isinstance(answer, Verdict) and answer.allowed and bool(answer.errors)


def judge_cell(cell: TableCell, answer: AccessAnswer) -> Judgment:
    """Judge a cell of a grid."""
    got = mark_of(answer)
    summary = f"expected {MEANING[cell.mark]}, got {describe(answer)}"
    if allowed_despite_error(answer):
        hint = f"{_guard(answer)}, or expect it by a request's `errors`"
        return Judgment(CaseOutcome.ERROR, f"{summary}; `{answer.source}` allows it; {hint}")
    waiting = judge_named([answer])
    if waiting is not PASSED:
        return waiting
    if got is cell.mark:
        return PASSED
    if got is Mark.ERROR:
        return Judgment(CaseOutcome.ERROR, f"{summary}; write E if that is meant")
    if got is Mark.UNAUTHENTICATED and cell.mark is Mark.REFUSED:
        return Judgment(
            CaseOutcome.ERROR, f"{summary}, so the policy was never asked; write U if that is meant"
        )
    return Judgment(CaseOutcome.FAILED, summary)


def _guard(answer: Verdict) -> str:
    """Say how a statement avoids its error."""
    if answer.errors[0].code == PATTERN_VALUE:
        return "let the pattern's statement match only tokens whose value can stand there"
    return "guard the condition with has()"


def describe(answer: AccessAnswer) -> str:
    """Say an answer in a few words."""
    if isinstance(answer, Refusal):
        costly = answer.reason == Reason.TOO_COSTLY
        return f"{'an error' if costly else 'not authenticated'}: {answer.reason}"
    if answer.errors:
        sources = ", ".join(f"`{source}`" for source in sources_of_errors([answer]))
        return f"an error in {sources}: {answer.errors[0].message}"
    if answer.allowed:
        return f"allowed by `{answer.source}`"
    if answer.why is Why.TAG_EXISTS:
        return f"refused: the tag exists, and `{answer.source}` allows new tags only"
    return f"refused by `{answer.source}`" if answer.source else f"refused: {answer.why}"


def sources_of_errors(answers: Sequence[AccessAnswer]) -> list[str]:
    """Return the statements whose conditions failed, each once."""
    return list(
        dict.fromkeys(
            error.source
            for answer in answers
            if isinstance(answer, Verdict)
            for error in answer.errors
        )
    )


def judge_because(because: Because, answers: Sequence[AccessAnswer]) -> Judgment:
    """Judge that exactly the named grants and denials decided."""
    decided = dict.fromkeys(
        answer.source for answer in answers if isinstance(answer, Verdict) and answer.source
    )
    missing = [name for name in because.names if name not in decided]
    extra = [name for name in decided if name not in because.names]
    if not missing and not extra:
        return PASSED
    parts = [f"`{name}` decided nothing" for name in missing]
    parts += [f"`{name}` decided too" for name in extra]
    return Judgment(CaseOutcome.FAILED, f"for `{because.token}` {', '.join(parts)}")


def judge_request(
    test: RequestTest,
    accesses: Sequence[Access],
    answers: Sequence[AccessAnswer],
    login: Refusal | None,
) -> Judgment:
    """Judge a login with scopes."""
    if test.refused is not None:
        if login is None:
            return Judgment(
                CaseOutcome.FAILED, f"expected the login refused for {test.refused}, it was not"
            )
        if login.reason != test.refused:
            summary = f"expected the login refused for {test.refused}, it was for {login.reason}"
            return Judgment(CaseOutcome.FAILED, summary)
        return PASSED
    wanted = test.granted or ()
    if login is not None:
        summary = f"the login is refused: {login.reason}"
        if wanted:
            return Judgment(CaseOutcome.FAILED, summary)
        return Judgment(
            CaseOutcome.ERROR,
            f"{summary}, so the policy was never asked; write `refused: {login.reason}`",
        )
    return _judge_verdicts(test, dict(zip(accesses, answers, strict=True)))


def _judge_verdicts(test: RequestTest, answers: dict[Access, AccessAnswer]) -> Judgment:
    failed = sources_of_errors(list(answers.values()))
    meant = [name for name, _ in test.errors]
    unexpected = [name for name in failed if name not in meant]
    if unexpected:
        first = next(a for a in answers.values() if isinstance(a, Verdict) and a.errors)
        return Judgment(CaseOutcome.ERROR, f"unexpected: {describe(first)}")
    unseen = [name for name in meant if name not in failed]
    if unseen:
        return Judgment(
            CaseOutcome.FAILED, f"expected an error in {', '.join(unseen)}; there was none"
        )
    granted = [
        access
        for access, answer in answers.items()
        if isinstance(answer, Verdict) and answer.allowed
    ]
    missing = [str(access) for access in test.granted or () if access not in granted]
    extra = [str(access) for access in granted if access not in (test.granted or ())]
    if missing or extra:
        parts = [f"{', '.join(missing)} not granted"] if missing else []
        parts += [f"{', '.join(extra)} granted too"] if extra else []
        return Judgment(CaseOutcome.FAILED, "; ".join(parts))
    waiting = [access for access, answer in answers.items() if is_open(answer)]
    if set(waiting) != set(test.deferred):
        told = ", ".join(str(access) for access in waiting) or "nothing"
        summary = f"{told} depends on the tag, and `deferred` says otherwise"
        return Judgment(CaseOutcome.FAILED, summary)
    for access in test.denied:
        answer = answers[access]
        if isinstance(answer, Verdict) and answer.why is not Why.DENIED:
            return Judgment(CaseOutcome.FAILED, f"{access} is refused, but by no denial")
    lifetime = _judge_lifetime(test, answers)
    if lifetime is not PASSED or test.because is None:
        return lifetime
    return judge_because(test.because, list(answers.values()))


def _judge_lifetime(test: RequestTest, answers: dict[Access, AccessAnswer]) -> Judgment:
    if test.lifetime is None:
        return PASSED
    got = token_lifetime(one for one in answers.values() if isinstance(one, Verdict))
    if got == (None if test.lifetime == "server" else test.lifetime):
        return PASSED
    wanted, given = (_seconds(one) for one in (test.lifetime, got))
    return Judgment(CaseOutcome.FAILED, f"expected a token that is valid {wanted}, it is {given}")


def _seconds(lifetime: timedelta | str | None) -> str:
    if not isinstance(lifetime, timedelta):
        return "as long as the server's are"
    return f"for at most {int(lifetime.total_seconds())} seconds"
