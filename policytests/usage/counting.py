"""
Counting: which parts of a policy the requests of a log used.

What lives here: the uses of grants, actions, patterns, providers and definitions, in bounded
memory.
Not here: a decision of its own (the engine decides each record again:
`regauth.policytests.replay.deciding`), and any format (`formats`).

A part counts as used when the policy of today grants an access by it.  What waits for a tag counts
too: a token server leaves such an access to a proxy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from regauth.engine.access.outcomes import Refusal, Verdict, Why
from regauth.engine.access.references import is_tag
from regauth.engine.access.scope import Access
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.decide import Request, Unseen, decide
from regauth.engine.decisions.workload import choose
from regauth.engine.policy.patterns.names import Pattern
from regauth.engine.policy.patterns.tags import TagPattern
from regauth.engine.policy.policy import Policy, Statement
from regauth.engine.tokens.jwt import Claims, recalled
from regauth.policytests.replay.deciding import LoggedIn, Replay, UndecidedReason
from regauth.policytests.replay.dependencies import Dependencies
from regauth.policytests.replay.questions import asked_of
from regauth.policytests.replay.records import Record
from regauth.policytests.usage.tightening.cases import CaseFile, UsageCase
from regauth.policytests.usage.tightening.claimed import (
    NarrowingClaims,
    SeenValues,
    Values,
    of_policy,
)

from .uses import GrantUse, Usage, Used

MAX_REMEMBERED: Final = 10_000
"""Kinds of requests that are remembered, so that equal ones are decided once."""

MAX_NEAR: Final = 1_000
"""Identities near a refusal that are remembered."""

_NUMBER: Final = 4
_NO_NARROWING: Final = NarrowingClaims(known_schema("generic"), (), (), frozenset())
"""For requests without credentials."""


@dataclass(slots=True)
class _Counted:
    """A kind of request, and how often it came."""

    uses: tuple[Used, ...]
    provider: str
    given: tuple[tuple[bool, str], ...] = ()
    lifetime: timedelta | None = None
    count: int = 0
    last: datetime | None = None
    seen: set[Values] = field(default_factory=set)
    """The values of narrowing claims that it came with."""


class UsageCounter:
    """
    Counts the uses of a policy, record by record.

    Args:
        policy: The policy.
        cases: Takes each kind of request; one kind can come more than once.
    """

    def __init__(self, policy: Policy, cases: CaseFile | None = None) -> None:
        self.usage = Usage(policy)
        self._cases = cases
        self._replay = Replay(policy)
        self._reads = Dependencies.of(policy)
        self._known: dict[bytes, _Counted] = {}
        self._remembered = 0
        self._named = {one.name: one for one in policy.grants}
        self._narrowing = of_policy(policy) if cases is not None else {}

    def add(self, record: Record) -> None:
        """
        Count a record.

        Raises:
            IncoherentError: The record contradicts itself.
            CasesError: The temporary file of `cases` cannot be written.
        """
        usage = self.usage
        if record.redacted or record.cut:
            usage.undecided[
                UndecidedReason.REDACTED if record.redacted else UndecidedReason.CUT
            ] += 1
            return
        login = self._replay.login(record)
        if login is None or isinstance(login, UndecidedReason):
            usage.undecided[login or UndecidedReason.NO_CLAIMS] += 1
            return
        usage.requests += 1
        moment = record.time
        usage.first = moment if usage.first is None else min(usage.first, moment)
        usage.last = moment if usage.last is None else max(usage.last, moment)
        if isinstance(login, Refusal):
            usage.refused[login.reason] += 1
            return
        usage.logins[login.identity.provider] += 1
        self._look_ahead(login, record)
        counted = self._counted(login, record)
        if counted is not None:
            counted.count += 1
            counted.last = moment if counted.last is None else max(counted.last, moment)
            if self._cases is not None:
                self._observe(self._cases, counted, login, record)

    def _counted(self, login: LoggedIn, record: Record) -> _Counted | None:
        key = self._reads.key(login.identity, login.claims, record, record.time)
        known = None if key is None else self._known.get(key)
        if known is None:
            known = self._decided(login, record)
            if known is None:
                return None
            if self._remembered >= MAX_REMEMBERED:
                self.result()
                self._known.clear()
                self._remembered = 0
            self._remembered += 1
            # What depends on the time is of a kind of its own.
            self._known[key or self._remembered.to_bytes(_NUMBER)] = known
        return known

    def _decided(self, login: LoggedIn, record: Record) -> _Counted | None:
        policy, now, asked = self.usage.policy, record.time, asked_of(record)
        decided = decide(policy, login.identity, login.claims, record.service, asked.accesses, now)
        if isinstance(decided, Refusal):
            self.usage.refused[decided.reason] += 1
            return None
        verdicts = choose(decided.verdicts, asked.choices)
        request = Request(policy, login.identity, login.claims, record.service, now)
        uses = tuple(use for one in verdicts for use in self._uses(request, one))
        given = tuple((one.allowed, str(one.why)) for one in verdicts)
        return _Counted(uses, login.identity.provider, given, decided.lifetime)

    def _observe(self, cases: CaseFile, counted: _Counted, login: LoggedIn, record: Record) -> None:
        """Take up the values of a request's claims, and write its kind with them."""
        claims = self._narrowing.get(counted.provider, _NO_NARROWING)
        values = claims.values(login.claims)
        if values in counted.seen:
            return
        counted.seen.add(values)
        self._remembered += 1
        asked = (record.service, record.asked, record.by_reference)
        read = self._read(login.claims, claims)
        given = (record.time, counted.given, counted.lifetime)
        cases.add(UsageCase(login.identity, read, *asked, *given))
        names = claims.names(login.claims)
        for grant in dict.fromkeys(use.grant for use in counted.uses):
            providers = self.usage.values.setdefault(grant, {})
            seen = providers.get(counted.provider)
            if seen is None:
                seen = providers[counted.provider] = SeenValues(claims)
            seen.add(values, names)

    def _read(self, claims: Claims, narrowing: NarrowingClaims) -> Claims:
        """Return the claims by which the policy decides, or could once it is narrower."""
        names = self._reads.claims
        if names is None:
            return claims
        wanted = dict.fromkeys((*names, *(path[0] for path in narrowing.paths)))
        return recalled({name: claims[name] for name in wanted if name in claims})

    def result(self) -> Usage:
        """Return what was counted so far."""
        for counted in self._known.values():
            if counted.count:
                self._settle(counted, counted.count, counted.last)
                counted.count = 0
        return self.usage

    def _settle(self, counted: _Counted, count: int, last: datetime | None) -> None:
        for use in counted.uses:
            grant = self.usage.grants.setdefault(use.grant, GrantUse())
            grant.add(use, counted.provider, count, last)

    def _uses(self, request: Request, verdict: Verdict) -> Iterator[Used]:
        access = verdict.access
        if verdict.why is Why.GRANTED:
            first = self._named.get(verdict.source)
            if first is None:  # the anonymous grant
                return
            yield self._used(request, first, access)
            if first.token_lifetime is not None:
                yield from self._for_longer(request, first, verdict)
        elif verdict.why.is_open:
            for grant in request.grants(access):
                match = request.match(grant, access)
                if grant.name not in self._named:
                    continue
                if match is True:
                    yield self._used(request, grant, access)
                elif isinstance(match, Unseen):
                    # Which tag it is for decides its condition.
                    self._need_all(grant)
                    yield _use(request, grant, access)

    def _for_longer(self, request: Request, first: Statement, verdict: Verdict) -> Iterator[Used]:
        """Yield the use of the grant because of which a token is valid for longer, if one is."""
        for grant in request.grants(verdict.access):
            lifetime = grant.token_lifetime
            longer = lifetime != first.token_lifetime and lifetime == verdict.lifetime
            if longer and request.match(grant, verdict.access) is True:
                yield self._used(request, grant, verdict.access)
                return

    def _used(self, request: Request, grant: Statement, access: Access) -> Used:
        use = _use(request, grant, access)
        alternatives = self.usage.alternatives.get(grant.name)
        if alternatives is not None:
            alternatives.note(request.variables)
        return use

    def _need_all(self, grant: Statement) -> None:
        alternatives = self.usage.alternatives.get(grant.name)
        if alternatives is not None:
            alternatives.need_all()

    def _look_ahead(self, login: LoggedIn, record: Record) -> None:
        """Note a login that is accepted by the clock skew alone: its next one may be refused."""
        if login.authenticated is None or record.checked is not None:
            return
        reason = _thin(login.authenticated, record.time)
        if reason:
            key = (str(login.identity), reason)
            if key in self.usage.near or len(self.usage.near) < MAX_NEAR:
                self.usage.near[key] = self.usage.near.get(key, 0) + 1


def _thin(login: Authenticated, now: datetime) -> str:
    if now >= login.expires:
        return "its token had expired; the provider's clockSkew let it in"
    age, issued = login.provider.max_token_age, login.claims.get("iat")
    if not isinstance(issued, int | float):
        return ""
    old = now.timestamp() - issued
    if age is not None and old > age.total_seconds():
        return "its token was older than maxTokenAge; the provider's clockSkew let it in"
    return "its token is issued later than it comes; the clocks differ" if old < 0 else ""


def _use(request: Request, grant: Statement, access: Access) -> Used:
    request.see(access)
    name, tag = access.resource.name, -1
    if is_tag(access.reference):
        tag = _first(request, grant, grant.tags, access.reference)
    return Used(grant.name, access.action, _first(request, grant, grant.patterns, name), name, tag)


def _first(
    request: Request, grant: Statement, patterns: Sequence[Pattern | TagPattern], text: str
) -> int:
    for number, pattern in enumerate(patterns):
        if request.pattern_matches(pattern, grant, text) is True:
            return number
    return -1
