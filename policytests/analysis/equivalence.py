"""
Equivalence: whether a mutant answers every request as its policy does, by proof.

What lives here: asking the prover about a mutant in both directions, and showing its witness as a
change of one of the run's tokens.  Not here: the proof (`regauth.policytests.proofs`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.policy.policy import Policy
from regauth.policytests.execution.believable import promised
from regauth.policytests.execution.evaluation import Session
from regauth.policytests.proofs import About, Answer, Longer, Question, Status, more_access
from regauth.policytests.proofs import Witness as Proved
from regauth.policytests.proofs.confirmation import Asked, ask, token_of
from regauth.policytests.tokens.coherence import is_possible

from .mutants import Mutant
from .possible import Made as Whole
from .possible import make_with
from .variations import flow
from .witnesses import MutantWitness

STEPS: Final = 12_000_000
"""Steps of the solver for one mutant and one direction."""

_TIMES: Final = frozenset({"iat", "nbf", "exp"})


@dataclass(frozen=True, slots=True)
class UndecidedMutant:
    """A mutant that no case notices, and of which the prover could not say whether one can."""

    mutant: Mutant
    construct: str
    """The reason why there is no proof."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A mutant that only tokens tell apart which no issuer is known to make."""

    mutant: Mutant


class Equivalences:
    """Judges mutants that no case notices."""

    def __init__(self, policy: Policy, sessions: Iterable[Session]) -> None:
        self._policy = policy
        self._bases: dict[str, Session] = {}
        for session in sessions:
            name = session.sample.spec.name
            if isinstance(session.outcome, Authenticated) and "~" not in name:
                self._bases.setdefault(name, session)

    def judge(self, mutant: Mutant) -> MutantWitness | UndecidedMutant | Unreachable | None:
        """
        Return a token that tells a mutant apart, what is undecided, or None: no token does.

        `Unreachable`: some token would, and no token that the issuer is known to make.
        """
        unknown: list[str] = []
        reached = True
        both = ((mutant.policy, self._policy, True), (self._policy, mutant.policy, False))
        for new, bound, gained in both:
            found = self._ask(new, bound, gained=gained)
            if isinstance(found, Answer) and _is_open(found):
                reached = False
                found = self._ask(promised(new), promised(bound), (About.SCHEMA,), gained=gained)
                if isinstance(found, Answer) and _is_open(found):
                    unknown.append("relations between claims that the prover does not follow")
                    continue
            if isinstance(found, MutantWitness):
                return found
            unknown += [one.construct for one in found.unknown]
        if unknown:
            return UndecidedMutant(mutant, "; ".join(dict.fromkeys(unknown)))
        return None if reached else Unreachable(mutant)

    def _ask(
        self,
        new: Policy,
        bound: Policy,
        universes: tuple[About, ...] = (About.ANY_JSON, About.SCHEMA),
        *,
        gained: bool,
    ) -> MutantWitness | Answer:
        """Return a possible token that gets more, or the answer: WITNESS for an impossible one."""
        answer = more_access(
            Question(new, bound, universes=universes, steps=STEPS, at=self._moment, first=True)
        )
        for proved in answer.witnesses:
            found = self._witness(proved, new, bound, gained=gained)
            if found is not None:
                return found
        if answer.longer and answer.longer[0].witness is not None:
            return self._of_lifetime(answer.longer[0], new, bound, gained=gained) or answer
        return answer

    @property
    def _moment(self) -> datetime | None:
        return next((one.sample.now for one in self._bases.values()), None)

    def _of_lifetime(
        self, longer: Longer, new: Policy, bound: Policy, *, gained: bool
    ) -> MutantWitness | None:
        """Return a token by which a registry token is valid for longer, or for a shorter time."""
        if longer.witness is None or longer.limit is None:
            raise ValueError("it is not about a registry token")
        found = self._witness(longer.witness, new, bound, gained=gained, limit=longer.limit)
        before, after = longer.before, longer.after
        if not gained:
            before, after = after, before
        if found is None:
            return None
        return replace(found, before=f"a token of {before}", after=f"a token of {after}")

    def _witness(
        self,
        proved: Proved,
        new: Policy,
        bound: Policy,
        *,
        gained: bool,
        limit: timedelta | None = None,
    ) -> MutantWitness | None:
        difference = _Difference(proved, new, bound, limit)
        before, after = ("refused", "allowed") if gained else ("allowed", "refused")
        found = [
            _Made.of(name, session, session.outcome.claims, proved.claims)
            for name, session in self._bases.items()
            if isinstance(session.outcome, Authenticated)
            and session.outcome.provider.name == proved.provider
        ]
        for made in sorted(found):
            if not made.tells_apart(difference):
                continue
            least = made.reduced(difference)
            # A token of the issuer has these claims only with all that follows from them.
            whole = make_with(least.session.sample, least.changed, least.gone)
            if whole is None or not least.with_all(whole).tells_apart(difference):
                continue
            variation = f"{_client(proved)}{whole}"
            return MutantWitness(least.name, variation, str(proved.access), before, after)
        provider = new.providers.get(proved.provider)
        if provider is not None and not is_possible(provider.claims, proved.claims):
            return None
        variation = f"claims: {flow(proved.claims)}" if proved.provider else ""
        variation = f"{_client(proved)}{variation}"
        return MutantWitness(proved.provider or "~", variation, str(proved.access), before, after)


def _client(proved: Proved) -> str:
    """Return from where a token is used, if that matters, before what it holds."""
    return f"client: {proved.client}; " if proved.client else ""


def _is_open(answer: Answer) -> bool:
    """Tell whether some token gets more, or a longer token."""
    return answer.status is Status.WITNESS or bool(
        answer.longer and answer.longer[0].witness is not None
    )


@dataclass(frozen=True, slots=True)
class _Difference:
    """What one policy gives and the other does not: an access, or a token that lasts longer."""

    proved: Proved
    new: Policy
    bound: Policy
    limit: timedelta | None
    """For how long the token is valid by the bound at most, if it is about that."""

    def is_made_by(self, claims: Mapping[str, object], now: datetime) -> bool:
        """Tell whether a token with some claims gets more by one policy than by the other."""
        proved = self.proved
        asked = Asked(claims, proved.service, proved.access, now, now, client=proved.address)
        providers, believers = [proved.provider], list(self.bound.providers)
        allowed = ask(self.new, asked, providers).allowed
        if self.limit is None or not allowed:
            return allowed and not ask(self.bound, asked, believers).allowed
        before, after = token_of(self.bound, asked, believers), token_of(self.new, asked, providers)
        return before.given and before.most <= self.limit < after.most


@dataclass(frozen=True, slots=True)
class _Made:
    """A token made from one of the run's: its changed claims, and the removed ones."""

    name: str
    session: Session
    base: Mapping[str, object]
    changed: Mapping[str, object]
    gone: tuple[str, ...]

    @classmethod
    def of(
        cls, name: str, session: Session, base: Mapping[str, object], wanted: Mapping[str, object]
    ) -> "_Made":
        """Return the token with the wanted claims; its times stay."""
        changed = {
            one: value
            for one, value in wanted.items()
            if one not in _TIMES and base.get(one, ...) != value
        }
        gone = tuple(one for one in base if one not in wanted and one not in _TIMES)
        return cls(name, session, base, changed, gone)

    def __lt__(self, other: "_Made") -> bool:
        return len(self.changed) + len(self.gone) < len(other.changed) + len(other.gone)

    def with_all(self, whole: Whole) -> "_Made":
        """Return the token with all that follows from its changes; its times stay."""
        aud = whole.claims.get("aud")
        # The audience is a list to a condition, whichever way the token has it.
        claims = {**whole.claims, "aud": [aud] if isinstance(aud, str) else aud}
        return _Made.of(self.name, self.session, self.base, claims)

    def tells_apart(self, difference: "_Difference") -> bool:
        """Tell whether the token gets more by one policy than by the other."""
        kept = {one: value for one, value in self.base.items() if one not in self.gone}
        return difference.is_made_by({**kept, **self.changed}, self.session.sample.now)

    def reduced(self, difference: "_Difference") -> "_Made":
        """Return the token with as few changes as tell the policies apart."""
        found = self
        for one in (*self.gone, *self.changed):
            changed = {name: value for name, value in found.changed.items() if name != one}
            gone = tuple(name for name in found.gone if name != one)
            less = replace(found, changed=changed, gone=gone)
            if less.tells_apart(difference):
                found = less
        return found
