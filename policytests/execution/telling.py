"""
Telling: explains a case that did not pass to its author.

What lives here: the words and their layout.  Not here: colour, which is the terminal's
(`reports.terminal`), and any judgement (`judging`).
"""

from collections.abc import Iterator, Sequence
from typing import Final

from regauth.engine.access.outcomes import Refusal, Verdict
from regauth.engine.access.scope import Access
from regauth.engine.decisions.decide import Request
from regauth.engine.policy.policy import Policy, Statement
from regauth.engine.source.problems import Location
from regauth.policytests.suites.suite import Mark

from .drawing import draw
from .evaluation import AccessAnswer, Session
from .judging import MEANING, mark_of

MAX_GRANTS: Final = 5
"""Grants that are explained one by one; the rest are counted."""


def tell_access(
    policy: Policy, session: Session, access: Access, answer: AccessAnswer, expected: Mark | None
) -> Iterator[str]:
    """Say line by line what was asked, expected and answered, and why."""
    yield from _head(session)
    yield f"asked     {access}"
    if expected is not None:
        yield f"expected  {expected.value} {MEANING[expected]}"
    got = mark_of(answer)
    yield f"got       {got.value} {MEANING[got]}"
    if isinstance(answer, Refusal):
        yield from tell_refusal(policy, answer)
        return
    if session.request is not None:
        yield from tell_verdict(policy, session.request, answer)


def _head(session: Session) -> Iterator[str]:
    sample = session.sample
    subject = sample.claims.get("sub")
    yield f"token     {sample.spec.name}, sub {subject!r}, at {sample.now:%Y-%m-%dT%H:%M:%SZ}"


def tell_refusal(policy: Policy, refusal: Refusal) -> Iterator[str]:
    """Say why a login as a whole is refused."""
    yield f"reason    {refusal.reason}: {refusal.message}"
    if refusal.detail:
        yield f"          {refusal.detail}"
    provider = policy.providers.get(refusal.provider)
    if provider is None:
        return
    for rule in provider.rules:
        if rule.reason == refusal.reason:
            yield f"rule      {rule.name}  {_place(rule.location)}"
            return
    yield f"provider  {provider.name}  {_place(provider.location)}"


def tell_verdict(policy: Policy, request: Request, verdict: Verdict) -> Iterator[str]:
    """Say why an access is allowed or refused: by which statement, or what each grant lacked."""
    statements = {one.name: one for one in (*policy.denials, *request.all_grants)}
    for error in verdict.errors:
        failed = statements.get(error.source)
        yield f"error     {error.message}"
        if failed is not None:
            yield from _statement("in", failed, request, verdict.access)
    decided = statements.get(verdict.source)
    if decided is not None and verdict.source not in {error.source for error in verdict.errors}:
        yield from _statement("by", decided, request, verdict.access)
    elif not verdict.allowed and not verdict.errors:
        yield from _nearest(request.all_grants, request, verdict.access)


def _statement(word: str, statement: Statement, request: Request, access: Access) -> Iterator[str]:
    yield f"{word:<9} {statement.name}  {_place(statement.location)}"
    yield from (f"          {line}" for line in _condition(statement, request, access))


def _condition(statement: Statement, request: Request, access: Access) -> Iterator[str]:
    request.see(access)
    if statement.when is not None:
        yield from draw(statement.when, request.variables)


def _nearest(grants: Sequence[Statement], request: Request, access: Access) -> Iterator[str]:
    """Go through the grants that could have allowed, and say what each lacked."""
    told, drawn = 0, set[str]()
    # Grants about the name come first: of three thousand grants, only they explain anything.
    about = [one for one in grants if not request.mismatch(one, access)]
    about.sort(key=lambda one: request.named(one, access) is False)
    for grant in about + [one for one in grants if request.mismatch(one, access)]:
        lines = list(_lacking(grant, request, access, drawn))
        if not lines:
            continue
        told += 1
        if told <= MAX_GRANTS:
            yield f"not by    {grant.name}  {_place(grant.location)}"
            yield from (f"          {line}" for line in lines)
    if told > MAX_GRANTS:
        yield f"          and {told - MAX_GRANTS} more"
    if not told:
        yield "          no grant of the policy is about this action of this provider's tokens"


def _lacking(grant: Statement, request: Request, access: Access, drawn: set[str]) -> Iterator[str]:
    """
    Say why a grant did not match; nothing for one about something else altogether.

    `drawn` are the parts of patterns, and the definitions, that a grant before has shown.
    """
    mismatch = request.mismatch(grant, access)
    if mismatch == "service":
        yield f"it is for the service {', '.join(sorted(grant.services))}"
    elif mismatch == "expires" and grant.expires is not None:
        yield f"it expired at {grant.expires:%Y-%m-%dT%H:%M:%SZ}"
    if mismatch:
        return
    request.see(access)
    if request.named(grant, access) is not True:
        patterns = ", ".join(pattern.text for pattern in grant.patterns)
        yield f"{access.resource.name} is none of {patterns}"
        for program in (one for pattern in grant.patterns for one in pattern.programs):
            if program.text not in drawn:
                yield from draw(program, request.variables, told=drawn)
            drawn.add(program.text)
    elif grant.when is not None:
        yield from draw(grant.when, request.variables, told=drawn)


def tell_login(policy: Policy, session: Session) -> Iterator[str]:
    """Say the outcome of a login."""
    yield from _head(session)
    if isinstance(session.outcome, Refusal):
        yield from tell_refusal(policy, session.outcome)
    else:
        identity = session.outcome.identity
        yield f"login     accepted as {identity}"


def _place(location: Location) -> str:
    return f"({location})"
