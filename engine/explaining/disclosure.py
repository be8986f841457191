"""
Answers to the one who asks: why an access was refused, and no more of the policy than may be known.

What lives here: what each level tells a caller about its own token.
Not here: a decision (`regauth.engine.decisions`), and the form that a host answers in
(`regauth.servers.token.why`).

At the level `reasons` an answer depends on four things alone: the caller's own claims, what the
policy allows the caller, whether a denial keeps from the caller what a grant would allow, and the
grants that the caller knows of (`_is_known`).  Of such a grant it tells the name, the claims that
it reads, and which of them keep it from matching; never a value that the policy wants.  Two
policies that differ in anything else give the same answer.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

from msgspec.structs import replace

from regauth.engine.access.outcomes import (
    ConditionError,
    Decision,
    Reason,
    Refusal,
    Verdict,
    Why,
)
from regauth.engine.access.references import UPLOAD
from regauth.engine.access.scope import Access
from regauth.engine.cel import Atom, Program, atoms_of, can_be_true, failing_atoms
from regauth.engine.decisions.authentication import refusal
from regauth.engine.decisions.decide import Request, TooCostlyError, Unseen
from regauth.engine.policy.policy import Policy, Statement
from regauth.engine.tokens.jwt import Claims

from .own_claims import Path, ReadClaim, own_part, read_claim

MAX_GRANTS: Final = 10
"""
Grants told of one access.

Those that are about such an access come first, and of them those that the fewest claims keep from
matching.
"""

_CLAIMS: Final = "claims"
_SCOPE: Final = "scope"
_REFERENCE: Final = (_SCOPE, "reference")
_ANY_TAG: Final = "latest"
"""A tag that shows whether patterns can be made of claims; it need not match."""
_ANY_DIGEST: Final = f"sha256:{'0' * 64}"
"""
A digest that stands for all.  A condition that asks for one other digest is told as not met, until
the caller names that digest.
"""

Told = TypeVar("Told")


class Level(StrEnum):
    """How much a caller is told."""

    REASONS = "reasons"
    """Reason codes, and which of its own claims grants read that it knows of."""
    CONDITIONS = "conditions"
    """Every grant about the name, with the text of its condition: this publishes the policy."""


@dataclass(frozen=True, slots=True)
class ConditionPart:
    """One atomic part of a grant's condition, for the level `conditions`."""

    text: str
    satisfied: bool


@dataclass(frozen=True, slots=True)
class NearestGrant:
    """A grant that does not allow the access, and what it reads of the caller."""

    grant: str
    read: tuple[ReadClaim, ...]
    parts: tuple[ConditionPart, ...] = ()
    """The parts of its condition; only at the level `conditions`."""

    @property
    def unsatisfied(self) -> int:
        """How many of the claims that it reads keep it from matching."""
        return sum(not one.satisfied for one in self.read)


@dataclass(frozen=True, slots=True)
class AccessAnswer:
    """What a caller is told of one access."""

    access: Access
    why: Why
    nearest: tuple[NearestGrant, ...] = ()
    denial: str = ""
    """The denial that refuses it; only at the level `conditions`."""

    @property
    def allowed(self) -> bool:
        """Whether the access is granted."""
        return self.why is Why.GRANTED


class Disclosure:
    """
    Tells callers about one policy.  Immutable after it is made; safe to use from many threads.

    Args:
        policy: The policy.
        level: How much is told.
    """

    def __init__(self, policy: Policy, level: Level) -> None:
        self.policy = policy
        self._level = level
        # Ten thousand grants are looked at once, and not for each question.
        self._templated = tuple(grant for grant in policy.grants if _is_templated(grant))

    def tell(
        self, decision: Decision, claims: Claims, now: datetime
    ) -> tuple[AccessAnswer, ...] | Refusal:
        """
        Tell why each access of a decision was allowed or refused.

        Args:
            decision: What this policy decided.
            claims: The verified claims that it decided by.
            now: The time of the decision.

        Returns:
            An answer for each access, or the refusal of a request that takes too much work.
        """
        return _within_steps(
            self.policy,
            decision,
            claims,
            now,
            lambda request: tuple(self._access(request, one) for one in decision.verdicts),
        )

    def _access(self, request: Request, verdict: Verdict) -> AccessAnswer:
        access = verdict.access
        if self._level is Level.CONDITIONS:
            why, denial = verdict.why, verdict.source if verdict.why is Why.DENIED else ""
        else:
            why, denial = _told(request, verdict), ""
        nearest = self._nearest(request, access) if why is Why.NO_GRANT else ()
        return AccessAnswer(access, why, nearest, denial)

    def _nearest(self, request: Request, access: Access) -> tuple[NearestGrant, ...]:
        told = []
        for grant in self._shown(request, access):
            elsewhere = bool(request.mismatch(grant, access))
            near = self._tell_of(request, grant, access)
            told.append(((elsewhere, near.unsatisfied, near.grant), near))
        # By name, not by place in the policy: the order of its files is nobody's business.
        return tuple(near for _, near in sorted(told, key=lambda one: one[0])[:MAX_GRANTS])

    def _shown(self, request: Request, access: Access) -> Iterator[Statement]:
        if request.anonymous:  # nobody in particular has no claims that a grant could read
            return
        if self._level is Level.CONDITIONS:
            for grant in request.all_grants:
                request.look_at(grant, access)
                if not request.mismatch(grant, access) and request.named(grant, access):
                    yield grant
            return
        # The index leaves out what other claims would open; those with a template are looked at.
        known = {one.name: one for one in (*self._templated, *request.grants(access))}
        for grant in known.values():
            request.look_at(grant, access)
            if _is_known(request, grant, access):
                yield grant

    def _tell_of(self, request: Request, grant: Statement, access: Access) -> NearestGrant:
        failing = _failing(request, grant, access)
        missed = frozenset(path for atom in failing for path in atom.paths)
        claims: dict[Path, bool] = {}
        for path in sorted({path for one in grant.programs for path in one.paths}):
            if path[0] == _CLAIMS and len(path) > 1:
                own = own_part(request.claims, path[1:])
                claims[own] = claims.get(own, True) and path not in missed
        parts: tuple[ConditionPart, ...] = ()
        if self._level is Level.CONDITIONS and grant.when is not None:
            atoms = atoms_of(grant.when)
            parts = tuple(ConditionPart(one.text, one not in failing) for one in atoms)
        read = (
            read_claim(request.claims, path, satisfied=satisfied)
            for path, satisfied in claims.items()
        )
        return NearestGrant(grant.name, tuple(read), parts)


def reasons_told(
    policy: Policy, decision: Decision, claims: Claims, now: datetime
) -> tuple[Why, ...] | Refusal:
    """Return why each access of a decision is allowed or refused, as `Level.REASONS` tells it."""
    return _within_steps(
        policy,
        decision,
        claims,
        now,
        lambda request: tuple(_told(request, one) for one in decision.verdicts),
    )


def _within_steps(
    policy: Policy,
    decision: Decision,
    claims: Claims,
    now: datetime,
    tell: Callable[[Request], Told],
) -> Told | Refusal:
    """Tell about a decision, or refuse what takes more steps than a request may."""
    identity = decision.identity
    request = Request(policy, identity, claims, decision.service, now, bounded=True)
    try:
        told = tell(request)
        request.check_steps("the last access")
    except TooCostlyError as error:
        return refusal(Reason.TOO_COSTLY, str(error), provider=identity.provider, identity=identity)
    return told


def _told(request: Request, verdict: Verdict) -> Why:
    """
    Return the reason of a verdict as a caller may know it.

    Where no grant allows an access, a denial changes nothing.  Saying that there is one would let
    a caller find denials by guessing names.  And where no tag can make a grant match, nothing
    depends on the tag.
    """
    why = verdict.why
    if why is Why.DENIED:
        granted = request.granted(verdict.access).why
        why = Why.DENIED if granted is Why.GRANTED or granted.is_open else granted
    open_ = why is Why.DENIED or why.is_open
    return why if not open_ or _may_match(request, verdict.access) else Why.NO_GRANT


def _may_match(request: Request, access: Access) -> bool:
    """
    Tell whether a grant matches an access, or may match it by its tag.

    The engine asks no more of a condition that may read the tag, and leaves it open.  That would
    tell everybody of a grant whose other parts their claims do not meet.
    """
    for grant in request.grants(access):
        match = request.match(grant, access)
        if match is True:
            return True
        if isinstance(match, Unseen):
            if grant.when is None or not request.is_open(grant, grant.when, access):
                return True
            if not _has_tag(request, grant):
                if any(request.match(grant, one) is True for one in _without_tag(access)):
                    return True
                continue
            request.see(access)
            may = can_be_true(grant.when, request.variables, _REFERENCE)
            request.check_steps(repr(grant.name))
            if may:
                return True
    return False


def _has_tag(request: Request, grant: Statement) -> bool:
    """Tell whether a grant's patterns of tags can be made of the caller's claims."""
    return any(
        one.reads_scope
        or not isinstance(request.pattern_matches(one, grant, _ANY_TAG), ConditionError)
        for one in grant.tags
    )


def _without_tag(access: Access) -> Iterator[Access]:
    """Yield an access by what names no tag: an upload, and a digest that stands for all."""
    for reference in (UPLOAD, _ANY_DIGEST):
        yield replace(access, reference=reference)


def _is_known(request: Request, grant: Statement, access: Access) -> bool:
    """
    Tell whether a caller may hear of a grant that does not give it an access.

    It may when a pattern that is made of its own claims matches the name, and the grant is about
    such an access; or when the grant gives it another action on the same name.
    """
    if not request.mismatch(grant, access):
        name = access.resource.name
        templates = [one for one in grant.patterns if _reads_claims(one.programs)]
        if any(request.pattern_matches(one, grant, name) is True for one in templates):
            return True
    others = (replace(access, action=one) for one in sorted(grant.actions - {access.action}))
    return any(
        request.match(grant, other) is True and request.verdict(other).allowed for other in others
    )


def _failing(request: Request, grant: Statement, access: Access) -> tuple[Atom, ...]:
    """Return the parts of a grant's condition that keep it from matching an access it is about."""
    if grant.when is None or request.mismatch(grant, access):
        return ()
    request.see(access)
    failing = failing_atoms(grant.when, request.variables)
    request.check_steps(repr(grant.name))
    if request.is_open(grant, grant.when, access):  # what asks for the tag has no answer yet
        return tuple(one for one in failing if all(path[0] != _SCOPE for path in one.paths))
    return failing


def _is_templated(grant: Statement) -> bool:
    return any(_reads_claims(pattern.programs) for pattern in grant.patterns)


def _reads_claims(programs: Iterable[Program]) -> bool:
    return any(_CLAIMS in one.variables for one in programs)
