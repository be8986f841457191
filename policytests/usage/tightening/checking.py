"""
Checking: a tightened policy, and that nothing is lost by it.

What lives here: compiling a plan, and deciding each kind of a log's requests again.  Not here: the
plan (`plans`) and the text of the change (`rewriting`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from regauth.engine.access.outcomes import Refusal, Why
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.decisions.decide import decide
from regauth.engine.decisions.workload import choose
from regauth.engine.policy.policy import Policy
from regauth.engine.source.problems import Location, Problem
from regauth.policytests.replay.deciding import Replay
from regauth.policytests.replay.records import Record

from .cases import UsageCase
from .claimed import NarrowedClaim
from .edits import EditError
from .plans import TighteningPlan
from .rewriting import edited, lines_of


class TighteningError(Exception):
    """The policy cannot be tightened; the message says why."""


@dataclass(frozen=True, slots=True)
class Tightened:
    """A tightened policy, and its files."""

    policy: Policy
    files: Mapping[str, str]
    plan: TighteningPlan


def tighten(
    files: Mapping[str, str],
    cases: Iterable[UsageCase],
    planned: TighteningPlan,
    now: datetime | None = None,
) -> Tightened:
    """
    Tighten a policy by a plan, and check that every kind of request gets what it got.

    Raises:
        TighteningError: It cannot be edited, does not compile, or would lose an access.
    """
    planned, new, policy = _without_warnings(files, planned, now)
    for case in cases:
        lost = _lost(policy, case)
        if lost:
            raise TighteningError(f"the tightened policy would lose {lost}; this is a defect")
    return Tightened(policy, new, planned)


def _compiled(
    files: Mapping[str, str], planned: TighteningPlan, now: datetime | None
) -> tuple[dict[str, str], Policy, tuple[Problem, ...]]:
    try:
        new = edited(files, planned)
    except EditError as error:
        raise TighteningError(str(error)) from error
    compilation = compile_policy(new, now=now)
    if compilation.policy is None:
        told = "; ".join(map(str, compilation.problems))
        raise TighteningError(f"the tightened policy does not compile: {told}")
    return new, compilation.policy, tuple(compilation.problems)


def _without_warnings(
    files: Mapping[str, str], planned: TighteningPlan, now: datetime | None
) -> tuple[TighteningPlan, dict[str, str], Policy]:
    """Compile a plan without the claims of which the compiler would warn."""
    new, policy, problems = _compiled(files, planned, now)
    if not planned.claims:
        return planned, new, policy
    _, _, usual = _compiled(files, planned.with_claims_of(()), now)
    known = {(one.code, one.message) for one in usual}
    while fresh := [one for one in problems if (one.code, one.message) not in known]:
        places, texts = lines_of(new), [_text_at(new, one.location) for one in fresh]
        claims: dict[str, list[NarrowedClaim]] = {}
        for grant, asked in planned.claims.items():
            told = [
                text
                for one, text in zip(fresh, texts, strict=True)
                if _is_within(one.location, places[grant])
            ]
            kept = [one for one in asked if not any(one.path[-1] in text for text in told)]
            claims[grant] = (
                kept if told and len(kept) < len(asked) else asked[: -1 if told else None]
            )
        left = {grant: asked for grant, asked in claims.items() if asked}
        planned = replace(planned, claims={} if left == planned.claims else left)
        new, policy, problems = _compiled(files, planned, now)
    return planned, new, policy


def _text_at(files: Mapping[str, str], location: Location) -> str:
    """Return the line, or the part of it, that a problem is about."""
    lines = files.get(location.file, "").split("\n")
    line = lines[location.line - 1] if 0 < location.line <= len(lines) else ""
    end = location.end_column - 1 if location.end_line == location.line else None
    return line[location.column - 1 : end]


def _is_within(location: Location, place: tuple[str, int, int]) -> bool:
    file, first, last = place
    return location.file == file and first <= location.line <= last


def contradicted(
    files: Mapping[str, str], planned: TighteningPlan, old: Policy, records: Iterable[Record]
) -> dict[str, str]:
    """
    Return the grants whose users would be asked for claims that some requests do not have.

    Args:
        files: The policy's files.
        planned: The plan.
        old: The policy.
        records: What the owner of the policy expects to be allowed, such as tests do.

    Returns:
        The grants, each with the id of a request that it would refuse.

    Raises:
        TighteningError: The policy cannot be edited, or does not compile.
    """
    if not planned.claims:
        return {}
    _, asking, _ = _compiled(files, planned, None)
    _, plain, _ = _compiled(files, planned.with_claims_of(()), None)
    replays = [Replay(one) for one in (plain, asking)]
    before = Replay(old)
    found: dict[str, str] = {}
    for record in records:
        without, lost = (_refused(replay, record) for replay in replays)
        again = before.again(record)
        if lost <= without or again is None or isinstance(again.outcome, Refusal):
            continue
        for verdict in again.outcome.verdicts:
            if str(verdict.access) in lost - without and verdict.source in planned.claims:
                found.setdefault(verdict.source, record.request_id)
    return found


def _refused(replay: Replay, record: Record) -> set[str]:
    again = replay.again(record)
    if again is None or isinstance(again.outcome, Refusal):
        return set()
    return {str(one.access) for one in again.outcome.verdicts if not one.allowed}


def _lost(policy: Policy, case: UsageCase) -> str:
    """Return an access that a request does not get as it got it, if there is one."""
    asked = case.asked
    decided = decide(policy, case.identity, case.claims, case.service, asked.accesses, case.now)
    if isinstance(decided, Refusal):
        return f"a request of {case.identity}"
    verdicts = choose(decided.verdicts, asked.choices)
    for verdict, (allowed, why) in zip(verdicts, case.given, strict=True):
        same = _without_grant(str(verdict.why)) == _without_grant(why)
        if verdict.allowed is not allowed or not same:
            return f"{verdict.access} of {case.identity}"
    if decided.lifetime != case.lifetime:
        return f"the lifetime of a token of {case.identity}"
    return ""


def _without_grant(why: str) -> str:
    """Return the reason that stays when the grant goes which a refusal names."""
    return str(Why.NO_GRANT) if why == Why.TAG_EXISTS else why
