"""
Replaying: a recorded request, decided again by another policy.

What lives here: asking the engine about a record, and what differs from what was recorded.
Not here: a decision of its own (`regauth.engine.decisions`), counting (`report`), and reading logs
(`logs`, `records`).

A login is checked as of the moment when it was checked; its signature is taken as verified, for the
log holds no token.  A record that cannot be decided again is `Undecided`; nothing is guessed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec.structs import replace

from regauth.engine.access.outcomes import Decision, Identity, Reason, Refusal
from regauth.engine.decisions.authentication import Authenticated, refusal
from regauth.engine.decisions.decide import Request, decide
from regauth.engine.decisions.exchange import anonymous, login_verified
from regauth.engine.decisions.session import Begun, resume
from regauth.engine.decisions.trust import trust_digest
from regauth.engine.decisions.workload import choose, login_again
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import NO_CLAIMS, Claims
from regauth.engine.tokens.workload_claim import Workload

from .dependencies import Dependencies
from .questions import AskedAccesses, IncoherentError, asked_of
from .records import LOGIN_ACCEPTED, Answered, Record, login_refused, valid_for

MAX_REMEMBERED: Final = 20_000
"""Decisions that are remembered, so that equal ones are made once."""

LOGIN: Final = "login"
"""Stands in place of an access in a difference about the login alone."""

LIFETIME: Final = "token lifetime"
"""Stands in place of an access in a difference about how long the token is valid."""

_ANY_POLICY: Final = frozenset({Reason.MALFORMED_TOKEN, Reason.TOKEN_TOO_LARGE})
"""Why every policy refuses a login: its token is malformed."""

_BEFORE_CLAIMS: Final = frozenset(
    {
        Reason.UNKNOWN_PROVIDER,
        Reason.AMBIGUOUS_PROVIDER,
        Reason.ALGORITHM_NOT_ALLOWED,
        Reason.UNKNOWN_KEY,
        Reason.BAD_SIGNATURE,
        Reason.UNKNOWN_SESSION,
    }
)
"""Why a login is refused before its claims are believed."""


class UndecidedReason(StrEnum):
    """Why a line is not decided again."""

    NOT_A_RECORD = "not-a-record"
    TORN = "torn"
    NOT_VERIFIED = "not-verified"
    UNAVAILABLE = "unavailable"
    UNKNOWN_SERVICE = "unknown-service"
    NO_CLAIMS = "no-claims"
    REDACTED = "redacted"
    CUT = "cut"
    NO_ADDRESS = "no-address"


class Change(StrEnum):
    """How a decision differs from the recorded one."""

    WIDER = "wider"
    NARROWER = "narrower"
    OTHERWISE = "otherwise"
    """The same access, by another grant or for another reason."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One access that is answered otherwise than it was."""

    change: Change
    identity: str
    service: str
    access: str
    before: Answered
    after: Answered


@dataclass(frozen=True, slots=True)
class Redecided:
    """The decision of a record's request now; `request` can explain it."""

    record: Record
    asked: AskedAccesses
    outcome: Decision | Refusal
    request: Request | None


@dataclass(slots=True)
class Replay:
    """
    Decides records again with a policy.

    Args:
        policy: The policy.
        at: The time for grants and denials; None: for each record its own time.
    """

    policy: Policy
    at: datetime | None = None
    _reads: Dependencies = field(init=False)
    _trust: str = field(init=False)
    _known: "dict[bytes, _Answers]" = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._reads = Dependencies.of(self.policy)
        self._trust = trust_digest(self.policy)

    def differences(self, record: Record) -> list[Difference] | UndecidedReason:
        """
        Return the accesses of a record's request whose answer differs now.

        Raises:
            IncoherentError: The record contradicts itself.
        """
        if record.redacted:
            return UndecidedReason.REDACTED
        if record.cut:
            return UndecidedReason.CUT
        if self._reads.client and not record.addressed:
            return UndecidedReason.NO_ADDRESS
        asked = asked_of(record)
        before = (login_refused(record.reason),) * len(asked.names)
        if record.answered:
            before = asked.recorded(record.accesses)
        login = self.login(record)
        if isinstance(login, UndecidedReason):
            return login
        if login is None:
            return []
        if isinstance(login, Refusal):
            return list(_of_refusal(record, login))
        answers = self._answers(record, login, asked)
        if isinstance(answers, Refusal):
            return list(_of_refusal(record, answers))
        lifetime = list(_of_lifetime(record, login.identity, answers.lifetime))
        if record.answered and before == answers.accesses:
            return lifetime
        return [*_compared(record, login.identity, asked, before, answers.accesses), *lifetime]

    def again(self, record: Record) -> Redecided | None:
        """Decide a record again with all that explains it; None when it cannot be decided."""
        asked = asked_of(record)
        login = self.login(record)
        if login is None or isinstance(login, UndecidedReason):
            return None
        if isinstance(login, Refusal):
            return Redecided(record, asked, login, None)
        now = self.at or record.time
        decided = decide(
            self.policy, login.identity, login.claims, record.service, asked.accesses, now
        )
        if isinstance(decided, Refusal):
            return Redecided(record, asked, decided, None)
        request = Request(self.policy, login.identity, login.claims, record.service, now)
        decision = replace(decided, verdicts=choose(decided.verdicts, asked.choices))
        return Redecided(record, asked, decision, request)

    def login(self, record: Record) -> "LoggedIn | Refusal | UndecidedReason | None":
        """Check a record's login again; None when the result is known to be the same."""
        if record.anonymous or record.reason == Reason.NO_CREDENTIALS:
            outcome = anonymous(self.policy, record.service, (), record.time)
            return (
                outcome
                if isinstance(outcome, Refusal)
                else LoggedIn(Identity(client=record.address), NO_CLAIMS)
            )
        if record.claims is None:
            return self._without_claims(record)
        when = record.checked or record.time
        login: Authenticated | Refusal
        if record.by_reference:
            if not record.provider:
                raise IncoherentError("it names no provider of its workload")
            workload = Workload(record.provider, record.claims, when)
            login = login_again(self.policy, workload, record.service, record.time)
        elif record.routing == "session":
            begun = Begun(record.provider, record.claims, record.service, when)
            login = resume(self.policy, begun, record.service, record.time)
        else:
            username = "" if record.routing == "issuer" else record.provider
            login = login_verified(self.policy, username, record.claims, record.service, when)
        if isinstance(login, Authenticated):
            identity = login.identity.from_client(record.address)
            return LoggedIn(identity, login.claims, login)
        return login

    def _without_claims(self, record: Record) -> Refusal | UndecidedReason | None:
        same = record.policy == self.policy.hash
        if same and (self.at is None or not record.answered):
            return None  # this is the policy that decided
        if record.service not in self.policy.services:
            return refusal(Reason.UNKNOWN_SERVICE, f"service {record.service!r}")
        if record.answered:
            return UndecidedReason.NO_CLAIMS
        if record.reason == Reason.UNKNOWN_SERVICE:
            return UndecidedReason.UNKNOWN_SERVICE
        if record.reason in _ANY_POLICY or record.trust == self._trust:
            return None  # until its claims would be believed, the policies are the same
        if record.outcome == "unavailable":
            return UndecidedReason.UNAVAILABLE
        return (
            UndecidedReason.NOT_VERIFIED
            if record.reason in _BEFORE_CLAIMS
            else UndecidedReason.NO_CLAIMS
        )

    def _answers(
        self, record: Record, login: "LoggedIn", asked: AskedAccesses
    ) -> "_Answers | Refusal":
        now = self.at or record.time
        key = self._reads.key(login.identity, login.claims, record, now)
        known = self._known.get(key) if key is not None else None
        if known is None:
            decided = decide(
                self.policy, login.identity, login.claims, record.service, asked.accesses, now
            )
            if isinstance(decided, Refusal):
                return decided
            known = _Answers(
                tuple(
                    Answered(verdict.allowed, str(verdict.why), verdict.source)
                    for verdict in choose(decided.verdicts, asked.choices)
                ),
                decided.lifetime,
            )
            if key is not None:
                if len(self._known) >= MAX_REMEMBERED:
                    self._known.clear()
                self._known[key] = known
        return known


class _Answers(NamedTuple):
    """What a request is answered, and how long its token is valid at most by the grants."""

    accesses: tuple[Answered, ...]
    lifetime: timedelta | None


class LoggedIn(NamedTuple):
    """Who asks, with the claims that grants and denials see."""

    identity: Identity
    claims: Claims
    authenticated: Authenticated | None = None
    """The login itself; None where nobody logged in."""


def _of_refusal(record: Record, refused: Refusal) -> Iterator[Difference]:
    """Yield what is lost by a login that is refused."""
    after = login_refused(refused.reason)
    who = _who(record, refused.identity)
    if not record.answered:
        before = login_refused(record.reason)
        if record.outcome == "refused" and before != after:
            yield Difference(Change.OTHERWISE, who, record.service, LOGIN, before, after)
        return
    lost = [(name, before) for name, before in record.accesses.items() if before.reach]
    for name, before in lost:
        yield Difference(Change.NARROWER, who, record.service, name, before, after)
    if not lost:
        # A proxy let it through to nothing, then as now.
        change = Change.OTHERWISE if record.by_reference else Change.NARROWER
        yield Difference(change, who, record.service, LOGIN, LOGIN_ACCEPTED, after)


def _of_lifetime(
    record: Record, identity: Identity, limit: timedelta | None
) -> Iterator[Difference]:
    """Yield whether a token is valid for longer or shorter, where the record tells for how long."""
    then, most = record.lifetime, record.max_lifetime
    if record.outcome != "issued" or then is None or most is None:
        return
    now = most if limit is None else min(most, int(limit.total_seconds()))
    if now != then:
        change = Change.WIDER if now > then else Change.NARROWER
        who = _who(record, identity)
        yield Difference(change, who, record.service, LIFETIME, valid_for(then), valid_for(now))


def _compared(
    record: Record,
    identity: Identity,
    asked: AskedAccesses,
    before: Sequence[Answered],
    after: Sequence[Answered],
) -> Iterator[Difference]:
    who = _who(record, identity)
    refused = not record.answered
    gains = False
    for (name, *_), then, now in zip(asked.names, before, after, strict=True):
        if then == now or (refused and not now.reach):
            continue
        change = Change.OTHERWISE
        if now.reach != then.reach:
            change = Change.WIDER if now.reach > then.reach else Change.NARROWER
        gains = gains or now.reach > 0
        yield Difference(change, who, record.service, name, then, now)
    if refused and not gains and not record.by_reference:
        # It gets a token without access, but that it may log in is new.
        then = login_refused(record.reason)
        yield Difference(Change.WIDER, who, record.service, LOGIN, then, LOGIN_ACCEPTED)


def _who(record: Record, identity: Identity | None) -> str:
    if record.subject or record.anonymous:
        return str(Identity(record.provider, record.subject))
    if identity is not None:
        return str(identity)
    return record.provider or "unknown"
