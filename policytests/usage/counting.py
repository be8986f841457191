"""
Counting: which parts of a policy the requests of a log used.

What lives here: the uses of grants, actions, patterns, providers and definitions, in bounded
memory.
Not here: a decision of its own (the engine decides each record again), and any format.

A part counts as used when the policy of today grants an access by it.  What waits for a tag counts
too: a token server leaves such an access to a proxy.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from regauth.engine.access.outcomes import Refusal, Verdict, Why
from regauth.engine.access.scope import Access
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.decide import Request, Unseen, decide
from regauth.engine.decisions.workload import choose
from regauth.engine.policy.policy import Policy, Statement
from regauth.engine.tokens.jwt import Claims, recalled
from regauth.policytests.replay.deciding import LoggedIn, Replay, UndecidedReason
from regauth.policytests.replay.dependencies import Dependencies
from regauth.policytests.replay.questions import asked_of
from regauth.policytests.replay.records import Record

from .cases import Case, CaseFile

MAX_REMEMBERED: Final = 10_000
"""Kinds of requests that are remembered, so that equal ones are decided once."""

MAX_NAMES: Final = 20
"""Names that are remembered of one pattern."""

MAX_NEAR: Final = 1_000
"""Identities near a refusal that are remembered."""


class Used(NamedTuple):
    """One access that a part of the policy gave, or leaves to the tag."""

    grant: str
    action: str
    pattern: int
    """The number of the pattern that matched; -1 for the catalog."""
    name: str


@dataclass(slots=True)
class _Counted:
    """A kind of request, and how often it came."""

    uses: tuple[Used, ...]
    provider: str
    count: int = 0
    last: datetime | None = None


@dataclass(slots=True)
class GrantUse:
    """How a grant was used."""

    count: int = 0
    last: datetime | None = None
    actions: Counter[str] = field(default_factory=Counter)
    patterns: Counter[int] = field(default_factory=Counter)
    providers: Counter[str] = field(default_factory=Counter)
    names: dict[int, set[str]] = field(default_factory=dict)
    """The names by pattern; more than `MAX_NAMES` stand for any."""

    def add(self, use: Used, provider: str, count: int, last: datetime | None) -> None:
        """Count a use that happened so often."""
        self.count += count
        self.actions[use.action] += count
        self.patterns[use.pattern] += count
        self.providers[provider] += count
        if last is not None and (self.last is None or last > self.last):
            self.last = last
        seen = self.names.setdefault(use.pattern, set())
        if len(seen) <= MAX_NAMES:
            seen.add(use.name)


@dataclass(slots=True)
class Usage:
    """What a log's requests used of a policy."""

    policy: Policy
    requests: int = 0
    first: datetime | None = None
    last: datetime | None = None
    logins: Counter[str] = field(default_factory=Counter)
    """Accepted logins by provider; "" for requests without credentials."""
    refused: Counter[str] = field(default_factory=Counter)
    """Requests whose login is refused, by the reason."""
    undecided: Counter[UndecidedReason] = field(default_factory=Counter)
    grants: dict[str, GrantUse] = field(default_factory=dict)
    near: dict[tuple[str, str], int] = field(default_factory=dict)
    """Identities near a refusal, each with the reason, and how often."""

    def unused_grants(self) -> list[Statement]:
        """Return the grants that nobody used."""
        return [one for one in self.policy.grants if one.name not in self.grants]

    def unused_providers(self) -> list[str]:
        """Return the providers of whom nobody logged in."""
        return [name for name in self.policy.providers if not self.logins[name]]

    def unused_definitions(self) -> list[str]:
        """Return the definitions that no denial, rule or used grant reads."""
        programs = [one for denial in self.policy.denials for one in denial.programs]
        programs += [one for each in self.policy.providers.values() for one in each.programs]
        for grant in self.policy.grants:
            programs += grant.programs if grant.name in self.grants else ()
        read: set[str] = set()
        waiting = [name for one in programs for name in one.definitions]
        while waiting:
            name = waiting.pop()
            if name not in read:
                read.add(name)
                waiting += self.policy.definitions[name].definitions
        return [name for name in self.policy.definitions if name not in read]

    def unused_parts(self) -> Iterator[tuple[Statement, tuple[str, ...], tuple[int, ...]]]:
        """Yield the used grants with the actions and the patterns that nobody used."""
        for grant in self.policy.grants:
            use = self.grants.get(grant.name)
            if use is None or grant.catalog:
                continue
            actions = tuple(one for one in sorted(grant.actions) if not use.actions[one])
            patterns = tuple(
                number for number in range(len(grant.patterns)) if not use.patterns[number]
            )
            if actions or patterns:
                yield grant, actions, patterns


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
        self._named = {one.name: one for one in policy.grants}

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

    def _counted(self, login: LoggedIn, record: Record) -> _Counted | None:
        key = self._reads.key(login.identity, login.claims, record, record.time)
        known = None if key is None else self._known.get(key)
        if known is None:
            known = self._decided(login, record)
            if known is None:
                return None
            if key is None:
                self._settle(known, 1, record.time)
                return None
            if len(self._known) >= MAX_REMEMBERED:
                self.result()
                self._known.clear()
            self._known[key] = known
        return known

    def _decided(self, login: LoggedIn, record: Record) -> _Counted | None:
        policy, now, asked = self.usage.policy, record.time, asked_of(record)
        decided = decide(policy, login.identity, login.claims, record.service, asked.accesses, now)
        if isinstance(decided, Refusal):
            self.usage.refused[decided.reason] += 1
            return None
        verdicts = choose(decided.verdicts, asked.choices)
        request = Request(policy, login.identity, login.claims, record.service, now)
        uses = tuple(use for one in verdicts for use in _uses(request, self._named, one))
        if self._cases is not None:
            given = tuple((one.allowed, str(one.why)) for one in verdicts)
            question = (self._read(login.claims), record.service, record.asked, record.by_reference)
            self._cases.add(Case(login.identity, *question, now, given))
        return _Counted(uses, login.identity.provider)

    def _read(self, claims: Claims) -> Claims:
        """Return the claims that the policy reads of a token, which decide alike."""
        names = self._reads.claims
        if names is None:
            return claims
        return recalled({name: claims[name] for name in names if name in claims})

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


def _uses(request: Request, named: Mapping[str, Statement], verdict: Verdict) -> Iterator[Used]:
    if verdict.why is Why.GRANTED:
        grant = named.get(verdict.source)
        if grant is not None:  # otherwise the anonymous grant
            yield _use(request, grant, verdict.access)
    elif verdict.why.is_open:
        for grant in request.grants(verdict.access):
            match = request.match(grant, verdict.access)
            if (match is True or isinstance(match, Unseen)) and grant.name in named:
                yield _use(request, grant, verdict.access)


def _use(request: Request, grant: Statement, access: Access) -> Used:
    request.see(access)
    name = access.resource.name
    for number, pattern in enumerate(grant.patterns):
        if request.pattern_matches(pattern, grant, name) is True:
            return Used(grant.name, access.action, number, name)
    return Used(grant.name, access.action, -1, name)
