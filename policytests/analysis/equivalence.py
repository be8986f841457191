"""
Equivalence: whether a mutant answers every request as its policy does, by proof.

What lives here: asking the prover about a mutant in both directions, and showing its witness as a
change of one of the run's tokens.  Not here: the proof (`regauth.policytests.proofs`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.policy.policy import Policy
from regauth.policytests.execution.evaluation import Session
from regauth.policytests.proofs import Longer, Question, Status, Unknown, more_access
from regauth.policytests.proofs import Witness as Proved
from regauth.policytests.proofs.confirmation import Asked, ask
from regauth.policytests.proofs.lifetimes import longer_than
from regauth.policytests.suites.writing import yaml_value

from .mutants import Mutant
from .witnesses import MutantWitness

STEPS: Final = 4_000_000
"""Steps of the solver for one mutant and one direction."""

_TIMES: Final = frozenset({"iat", "nbf", "exp"})


@dataclass(frozen=True, slots=True)
class Undecided:
    """A mutant that no case notices, and of which the prover could not say whether one can."""

    mutant: Mutant
    construct: str
    """The reason why there is no proof."""


class Equivalences:
    """Judges mutants that no case notices."""

    def __init__(self, policy: Policy, sessions: Iterable[Session]) -> None:
        self._policy = policy
        self._bases: dict[str, Session] = {}
        for session in sessions:
            name = session.sample.spec.name
            if isinstance(session.outcome, Authenticated) and "~" not in name:
                self._bases.setdefault(name, session)

    def judge(self, mutant: Mutant) -> MutantWitness | Undecided | None:
        """Return a token that tells a mutant apart, what is undecided, or None: no token does."""
        unknown: tuple[Unknown, ...] = ()
        for new, bound in ((mutant.policy, self._policy), (self._policy, mutant.policy)):
            answer = more_access(Question(new, bound, steps=STEPS, at=self._moment, first=True))
            if answer.status is Status.WITNESS and answer.witnesses:
                return self._witness(answer.witnesses[0], new, bound)
            if answer.longer and answer.longer[0].witness is not None:
                return self._of_lifetime(answer.longer[0], new, bound)
            if answer.status is not Status.PROVED:
                unknown += answer.unknown
        if not unknown:
            return None
        return Undecided(mutant, "; ".join(dict.fromkeys(one.construct for one in unknown)))

    @property
    def _moment(self) -> datetime | None:
        return next((one.sample.now for one in self._bases.values()), None)

    def _of_lifetime(self, longer: Longer, new: Policy, bound: Policy) -> MutantWitness:
        """Return a token by which a registry token is valid for longer, or for a shorter time."""
        if longer.witness is None or longer.limit is None:
            raise ValueError("it is not about a registry token")
        of_new, of_bound = longer_than(new, longer.limit), longer_than(bound, longer.limit)
        found = self._witness(longer.witness, of_new, of_bound)
        before, after = longer.before, longer.after
        if new is self._policy:
            before, after = after, before
        return replace(found, before=f"a token of {before}", after=f"a token of {after}")

    def _witness(self, proved: Proved, new: Policy, bound: Policy) -> MutantWitness:
        gained = new is not self._policy
        before, after = ("refused", "allowed") if gained else ("allowed", "refused")
        nearest: _Made | None = None
        for name, session in self._bases.items():
            outcome = session.outcome
            if not isinstance(outcome, Authenticated) or outcome.provider.name != proved.provider:
                continue
            made = _Made.of(name, session, outcome.claims, proved.claims)
            if made.tells_apart(proved, new, bound) and (nearest is None or made < nearest):
                nearest = made
        if nearest is None:
            variation = f"claims: {_flow(proved.claims)}" if proved.provider else ""
            return MutantWitness(
                proved.provider or "~", variation, str(proved.access), before, after
            )
        least = nearest.reduced(proved, new, bound)
        return MutantWitness(least.name, str(least), str(proved.access), before, after)


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

    def __str__(self) -> str:
        parts = [f"claims: {_flow(self.changed)}"] if self.changed else []
        parts += [f"without: [{', '.join(self.gone)}]"] if self.gone else []
        return ", ".join(parts)

    def tells_apart(self, proved: Proved, new: Policy, bound: Policy) -> bool:
        """Tell whether the token gets the access by one policy and not by the other."""
        claims = {one: value for one, value in self.base.items() if one not in self.gone}
        now = self.session.sample.now
        asked = Asked({**claims, **self.changed}, proved.service, proved.access, now, now)
        providers = [proved.provider]
        return (
            ask(new, asked, providers).allowed
            and not ask(bound, asked, list(bound.providers)).allowed
        )

    def reduced(self, proved: Proved, new: Policy, bound: Policy) -> "_Made":
        """Return the token with as few changes as tell the policies apart."""
        found = self
        for one in (*self.gone, *self.changed):
            changed = {name: value for name, value in found.changed.items() if name != one}
            gone = tuple(name for name in found.gone if name != one)
            less = replace(found, changed=changed, gone=gone)
            if less.tells_apart(proved, new, bound):
                found = less
        return found


def _flow(claims: Mapping[str, object]) -> str:
    """Return claims as a YAML flow mapping on one line."""
    inner = ", ".join(f"{yaml_value(name)}: {yaml_value(value)}" for name, value in claims.items())
    return f"{{{inner}}}"
