"""
Explanations: one decision, step by step, as data.

What lives here: which checks a login passed or failed, which statements were looked at for each
access, and which part of which condition made each match or not.  Not here: a second opinion, and
text (`regauth.engine.explaining.narration`).

Every step here is answered by the code that decides (`exchange`, `authentication`, `decide`).  So
the explanation is wrong only where the decision is.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from regauth.engine.access.outcomes import Decision, Identity, Reason, Refusal, Verdict, Why
from regauth.engine.access.references import TagState, is_tag
from regauth.engine.access.scope import Access
from regauth.engine.cel import Trace, failing_atoms
from regauth.engine.decisions.authentication import CHECKS, Authenticated, identify, rule_variables
from regauth.engine.decisions.decide import Match, Request, creates_tag, decide
from regauth.engine.decisions.exchange import Credentials, Keys, NeedKeys, anonymous, login
from regauth.engine.policy.patterns.names import Pattern
from regauth.engine.policy.patterns.tags import TagPattern
from regauth.engine.policy.policy import Denial, Policy, Provider, Statement
from regauth.engine.source.addresses import IpAddress
from regauth.engine.source.problems import Location
from regauth.engine.tokens.jwt import NO_CLAIMS, Claims, recalled


@dataclass(frozen=True, slots=True)
class Step:
    """
    One check of a login.

    `passed` is None for a check that was not reached.
    """

    name: str
    passed: bool | None
    detail: str = ""
    location: Location | None = None
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class PatternStep:
    """One pattern of a statement: whether it matches the name or tag, with its expressions."""

    text: str
    matches: Match
    traces: tuple[Trace, ...] = ()


@dataclass(frozen=True, slots=True)
class StatementStep:
    """
    One grant or denial that was looked at for an access.

    `mismatch` names what it is not about (`action`, `provider`, `service`, `class`, `type`,
    `expires`); then neither patterns nor condition were asked.  `tags` are shown where there is a
    tag to match, and a `condition` where all it asks for is known.
    """

    name: str
    denial: bool
    location: Location
    matches: Match
    mismatch: str = ""
    patterns: tuple[PatternStep, ...] = ()
    condition: Trace | None = None
    tags: tuple[PatternStep, ...] = ()
    tag_state: TagState | None = None
    """Of a grant of new tags only: what is known of the tag; None where that does not matter."""


@dataclass(frozen=True, slots=True)
class AccessSteps:
    """One access: its verdict, and every statement that could have concerned it."""

    verdict: Verdict
    statements: tuple[StatementStep, ...]
    ruled_out: int
    """
    How many statements the index left out: their literals fit not the claims or not the name.

    Where no grant allows the access, `MAX_MISSED` of those grants that are about it are told all
    the same, and do not count here.
    """


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision or a refusal with the steps that led to it."""

    outcome: Decision | Refusal
    provider: Provider | None
    steps: tuple[Step, ...]
    accesses: tuple[AccessSteps, ...] = ()


Explaining = Generator[NeedKeys, Keys, Explanation]

MAX_MISSED: Final = 10
"""
Grants told of an access that no grant allows, though the claims alone rule them out.

Those come first whose conditions the fewest parts keep from matching.
"""

_BEFORE_CLAIMS: Final = (
    ("service", (Reason.UNKNOWN_SERVICE,)),
    ("form", (Reason.MALFORMED_TOKEN, Reason.TOKEN_TOO_LARGE)),
    ("provider", (Reason.UNKNOWN_PROVIDER, Reason.AMBIGUOUS_PROVIDER)),
    ("algorithm", (Reason.ALGORITHM_NOT_ALLOWED,)),
    ("key", (Reason.PROVIDER_UNAVAILABLE, Reason.UNKNOWN_KEY)),
    ("signature", (Reason.BAD_SIGNATURE,)),
)
"""The steps before any claim is believed, with the reasons that end a login there."""


def explain(
    policy: Policy,
    credentials: Credentials | None,
    service: str,
    accesses: Sequence[Access],
    now: datetime,
    client: IpAddress | None = None,
) -> Explaining:
    """
    Decide as `exchange` does, with the same arguments and questions, and keep every step.

    Claims are shown from the moment they are verified and not before.
    """
    if credentials is None:
        outcome = anonymous(policy, service, accesses, now, client)
        if isinstance(outcome, Refusal):
            name = "service" if outcome.reason == Reason.UNKNOWN_SERVICE else "credentials"
            return Explanation(outcome, None, (Step(name, passed=False, detail=outcome.detail),))
        given = (Step("credentials", passed=True, detail="none: anonymous access"),)
        return _explain_accesses(policy, outcome, NO_CLAIMS, None, given, now)
    answer = yield from login(policy, credentials, service, now)
    if isinstance(answer, Refusal):
        return _explain_refusal(policy, answer, service, now)
    identity = answer.identity.from_client(client)
    decided = decide(policy, identity, answer.claims, service, accesses, now)
    steps = (
        *(Step(name, passed=True) for name, _ in _BEFORE_CLAIMS),
        *_claim_steps(answer.provider, answer.claims, service, now, now),
    )
    return _explain_accesses(policy, decided, answer.claims, answer.provider, steps, now)


def explain_verified(
    policy: Policy,
    answer: Authenticated,
    service: str,
    accesses: Sequence[Access],
    now: datetime,
    client: IpAddress | None = None,
) -> Explanation:
    """Explain the decision for a login that was authenticated before."""
    identity = answer.identity.from_client(client)
    decided = decide(policy, identity, answer.claims, service, accesses, now)
    steps = tuple(_claim_steps(answer.provider, answer.claims, service, now, answer.at))
    return _explain_accesses(policy, decided, answer.claims, answer.provider, steps, now)


def explain_refused(policy: Policy, answer: Refusal, service: str, now: datetime) -> Explanation:
    """Explain a login that was refused before; with claims when its signature was verified."""
    return _explain_refusal(policy, answer, service, now)


def _explain_refusal(policy: Policy, answer: Refusal, service: str, now: datetime) -> Explanation:
    provider = policy.providers.get(answer.provider)
    steps: list[Step] = []
    for name, reasons in _BEFORE_CLAIMS:
        # A time of the wrong type also makes a token malformed, but is found after the signature.
        late = name == "form" and provider is not None
        if answer.reason in reasons and not late:
            steps.append(Step(name, passed=False, detail=answer.detail))
            unreached = [later for later, _ in _BEFORE_CLAIMS[len(steps) :]]
            steps += [Step(later, passed=None) for later in unreached]
            return Explanation(answer, provider, tuple(steps))
        steps.append(Step(name, passed=True))
    # A refusal has claims only when their signature was verified.  Without claims there is nothing
    # to check.
    if provider is not None and answer.claims is not None:
        claims = recalled(dict(answer.claims))
        steps += _claim_steps(provider, claims, service, now, answer.at or now)
    return Explanation(answer, provider, tuple(steps))


def _claim_steps(
    provider: Provider, claims: Claims, service: str, now: datetime, at: datetime
) -> list[Step]:
    """Run the checks of verified claims again, each to its own result."""
    steps: list[Step] = []
    for check in CHECKS:
        if any(step.passed is False for step in steps):
            steps.append(Step(check.name, passed=None))
            continue
        refused = check.reason(provider, claims, at) is not None
        steps.append(Step(check.name, not refused, check.describe(provider, claims, at)))
    if any(step.passed is False for step in steps):
        return steps
    variables = rule_variables(provider, claims, service, now)
    identity = identify(provider, variables)
    named = isinstance(identity, Identity)
    subject = identity.subject if isinstance(identity, Identity) else identity.detail
    steps.append(Step("subject", named, subject, trace=provider.subject.trace(variables)))
    for rule in provider.rules if named else ():
        trace = rule.check.trace(variables)
        holds = trace.error is None and trace.value is True
        detail = "" if holds else rule.message
        steps.append(Step(rule.reason, holds, detail, rule.location, trace))
    return steps


def _explain_accesses(
    policy: Policy,
    decided: Decision | Refusal,
    claims: Claims,
    provider: Provider | None,
    steps: tuple[Step, ...],
    now: datetime,
) -> Explanation:
    if isinstance(decided, Refusal):
        last = Step("cost", passed=False, detail=decided.detail)
        return Explanation(decided, provider, (*steps, last))
    request = Request(policy, decided.identity, claims, decided.service, now)
    total = len(policy.denials) + len(request.all_grants)
    explained = []
    for verdict in decided.verdicts:
        looked_at = _statements(request, verdict)
        explained.append(AccessSteps(verdict, looked_at, total - len(looked_at)))
    return Explanation(decided, provider, steps, tuple(explained))


def _statements(request: Request, verdict: Verdict) -> tuple[StatementStep, ...]:
    access = verdict.access
    candidates: list[Statement | Denial] = [*request.denials(access), *request.grants(access)]
    if verdict.why is Why.NO_GRANT:
        # The grant that somebody misses is often one that the claims alone rule out.
        known = {id(one) for one in candidates}
        missed = (one for one in request.all_grants if id(one) not in known)
        about = [one for one in missed if _is_about(request, one, access)]
        candidates += sorted(about, key=lambda one: _failing(request, one))[:MAX_MISSED]
    return tuple(_statement(request, statement, access) for statement in candidates)


def _is_about(request: Request, grant: Statement, access: Access) -> bool:
    """Tell whether a grant would give an access, were it not for its condition and its tags."""
    request.see(access)
    return not request.mismatch(grant, access) and request.named(grant, access) is True


def _failing(request: Request, grant: Statement) -> int:
    """Count the parts of a grant's condition that keep it from matching."""
    return 0 if grant.when is None else len(failing_atoms(grant.when, request.variables))


def _statement(request: Request, statement: Statement, access: Access) -> StatementStep:
    matches = request.match(statement, access)
    mismatch = request.mismatch(statement, access)
    denial = isinstance(statement, Denial)
    if mismatch:
        return StatementStep(statement.name, denial, statement.location, matches, mismatch)
    request.see(access)

    def steps(patterns: Sequence[Pattern | TagPattern], text: str) -> tuple[PatternStep, ...]:
        return tuple(
            PatternStep(
                pattern.text,
                request.pattern_matches(pattern, statement, text),
                tuple(program.trace(request.variables) for program in pattern.programs),
            )
            for pattern in patterns
        )

    condition = None
    if statement.when is not None and not request.is_open(statement, statement.when, access):
        condition = statement.when.trace(request.variables)
    tag = access.reference if is_tag(access.reference) else ""
    return StatementStep(
        statement.name,
        denial,
        statement.location,
        matches,
        patterns=steps(statement.patterns, access.resource.name),
        condition=condition,
        tags=steps(statement.tags, tag) if tag else (),
        tag_state=access.tag_state if creates_tag(statement, access) else None,
    )
