"""
Mutation: whether the cases of a run notice each change of a policy.

What lives here: running the cases a mutant touches, and its score.  Not here: the mutants
themselves (`mutants`), and the search for tokens that tell one apart (`witnesses`).

Only answers that a mutant can change are decided again.  They are found by asking the one statement
that changed.  Only the cases that got such an answer are judged again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from regauth.engine.access.outcomes import Reason, Refusal
from regauth.engine.access.scope import REPOSITORY, Access
from regauth.engine.decisions.authentication import Authenticated, authenticate
from regauth.engine.policy.policy import Policy, Statement
from regauth.engine.tokens.jwt import MalformedTokenError, parse, supposed
from regauth.policytests.execution.cases import Case, SnapshotCase
from regauth.policytests.execution.evaluation import Evaluation, Session, ask
from regauth.policytests.execution.invariants import InvariantCase
from regauth.policytests.execution.judging import CaseOutcome
from regauth.policytests.execution.run import Loaded

from .mutants import Mutant, mutants, untried_entries
from .places import Places
from .witnesses import MutantWitness, Witnesses

if TYPE_CHECKING:
    from .equivalence import UndecidedMutant

AFTER_SIGNATURE: Final = frozenset(
    {Reason.WRONG_AUDIENCE, Reason.WRONG_ISSUER, Reason.TOO_OLD, Reason.EXPIRED}
)
"""Refusals of a login whose signature was verified."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no case notices, with a token and an access that tell it apart."""

    mutant: Mutant
    witness: MutantWitness


@dataclass(slots=True)
class Mutation:
    """The results of a policy's mutants."""

    folder: str
    killed: list[Mutant] = field(default_factory=list)
    survivors: list[Survivor] = field(default_factory=list)
    equivalent: list[Mutant] = field(default_factory=list)
    """
    Mutants of which it is proved that no request tells them apart.  The score leaves them out.
    """
    unreachable: list[Mutant] = field(default_factory=list)
    """
    Mutants that only tokens reveal which no issuer is known to make.  The score leaves them out.
    """
    undecided: list[UndecidedMutant] = field(default_factory=list)
    """Mutants without a token that tells them apart, and without a proof that there is none."""
    untried_entries: int = 0
    """Entries of large tables that no mutant leaves out."""

    @property
    def score(self) -> float:
        """The share of mutants that some case notices; 100 when there is none."""
        total = len(self.killed) + len(self.survivors)
        return 100.0 * len(self.killed) / total if total else 100.0


class Overlay(Evaluation):
    """
    A suite's answers by a mutant.

    Logins that the mutant does not change come from the policy itself.
    """

    def __init__(self, base: Evaluation, mutant: Mutant) -> None:
        linked = base.linked
        super().__init__(replace(linked, policy=mutant.policy), thorough=False)
        self._base = base
        self._mutant = mutant

    def session(self, token: str, service: str) -> Session:
        """Return a token's login under the mutant."""
        session = self._sessions.get((token, service))
        if session is None:
            session = moved(self._base.session(token, service), self._mutant)
            self._sessions[token, service] = session
        return session


def moved(session: Session, mutant: Mutant) -> Session:
    """Return the result of a login under a mutant."""
    outcome = session.outcome
    if mutant.providers:
        outcome = _login(session, mutant)
    if isinstance(outcome, Refusal):
        return replace(session, outcome=outcome, request=None)
    request = ask(mutant.policy, outcome, session.service, session.sample.now, mutant=True)
    return replace(session, outcome=outcome, request=request)


def _login(session: Session, mutant: Mutant) -> Authenticated | Refusal:
    outcome = session.outcome
    if isinstance(outcome, Authenticated):
        name, claims = outcome.provider.name, outcome.claims
    elif outcome.reason in AFTER_SIGNATURE or outcome.reason.startswith("rule:"):
        name = outcome.provider
        try:
            claims = supposed(parse(session.sample.text).claims)
        except MalformedTokenError:
            return outcome
    else:
        return outcome
    if name not in mutant.providers:
        return outcome
    provider = mutant.policy.providers[name]
    moved_login = authenticate(provider, claims, session.service, session.sample.now)
    if isinstance(moved_login, Refusal):
        return moved_login
    return moved_login.from_client(session.sample.client)


class Mutator:
    """Tries every mutant of one policy on the cases that passed."""

    def __init__(
        self, policy: Policy, folder: str, places: Places, passed: Iterable[tuple[Loaded, Case]]
    ) -> None:
        self._policy = policy
        self._places = places
        self._mutation = Mutation(folder, untried_entries=untried_entries(policy))
        self._askers: dict[tuple[int, str, str, Access], list[tuple[Loaded, Case]]] = {}
        self._sessions: dict[tuple[int, str, str], Session] = {}
        self._accesses: dict[tuple[int, str, str], list[Access]] = {}
        self._tables: dict[int, str] = {}
        self._statements = {one.name: one for one in (*policy.grants, *policy.denials)}
        self._invariants: list[tuple[Loaded, InvariantCase]] = []
        for loaded, case in passed:
            self._add(loaded, case)

    def _add(self, loaded: Loaded, case: Case) -> None:
        if isinstance(case, InvariantCase):
            self._invariants.append((loaded, case))
        if isinstance(case, SnapshotCase):
            self._tables[id(case)] = str(case.table(loaded.evaluation))
        for session, access in questions(loaded, case):
            key = (id(loaded), session.sample.spec.name, session.service)
            self._sessions[key] = session
            asker = (*key, access)
            if asker not in self._askers:
                self._askers[asker] = []
                self._accesses.setdefault(key, []).append(access)
            self._askers[asker].append((loaded, case))

    def run(self, most: int | None = None) -> Mutation:
        """Try every mutant, or the first so many."""
        from .equivalence import Equivalences, UndecidedMutant, Unreachable  # noqa: PLC0415 - the prover, on demand

        witnesses: Witnesses | None = None
        equivalences: Equivalences | None = None
        for mutant in islice(mutants(self._policy, self._places), most):
            if self._is_killed(mutant):
                self._mutation.killed.append(mutant)
                continue
            if witnesses is None or equivalences is None:
                witnesses = Witnesses(self._policy, self._sessions.values(), self._names())
                equivalences = Equivalences(self._policy, self._sessions.values())
            found = witnesses.find(mutant) or equivalences.judge(mutant)
            if found is None:
                self._mutation.equivalent.append(mutant)
            elif isinstance(found, UndecidedMutant):
                self._mutation.undecided.append(found)
            elif isinstance(found, Unreachable):
                self._mutation.unreachable.append(mutant)
            else:
                self._mutation.survivors.append(Survivor(mutant, found))
        return self._mutation

    def _names(self) -> list[str]:
        return list(
            dict.fromkeys(
                asker[3].place for asker in self._askers if asker[3].resource.type == REPOSITORY
            )
        )

    def _is_killed(self, mutant: Mutant) -> bool:
        overlays: dict[int, Overlay] = {}
        judged: set[int] = set()
        for asker in self._touched(mutant):
            for loaded, case in self._askers[asker]:
                if id(case) in judged:
                    continue
                judged.add(id(case))
                overlay = overlays.get(id(loaded))
                if overlay is None:
                    overlay = overlays[id(loaded)] = Overlay(loaded.evaluation, mutant)
                if self._notices(case, overlay):
                    return True
        return any(self._refutes(loaded, case, mutant) for loaded, case in self._invariants)

    @staticmethod
    def _refutes(loaded: Loaded, case: InvariantCase, mutant: Mutant) -> bool:
        """Tell whether an invariant does not hold of a mutant; what is undecided is no answer."""
        overlay = Overlay(loaded.evaluation, mutant)
        return case.judge(overlay).outcome is CaseOutcome.FAILED

    def _notices(self, case: Case, overlay: Overlay) -> bool:
        if isinstance(case, SnapshotCase):
            return str(case.table(overlay)) != self._tables[id(case)]
        return case.judge(overlay).outcome is not CaseOutcome.PASSED

    def _touched(self, mutant: Mutant) -> Iterator[tuple[int, str, str, Access]]:
        """Yield the questions whose answer the mutant can change."""
        changed = _changed_statements(self._policy, mutant)
        for key, session in self._sessions.items():
            if mutant.providers and _outcome_of(moved(session, mutant)) != _outcome_of(session):
                yield from ((*key, access) for access in self._accesses[key])
                continue
            request = session.request
            if request is None or not changed:
                continue
            for access in self._accesses[key]:
                for before, after in changed:
                    match = request.match(before, access)
                    shorter = after is not None and before.token_lifetime != after.token_lifetime
                    if match != (after is not None and request.match(after, access)) or shorter:
                        yield (*key, access)
                        break


def _outcome_of(session: Session) -> str:
    outcome = session.outcome
    return outcome.reason if isinstance(outcome, Refusal) else "accepted"


def _changed_statements(
    policy: Policy, mutant: Mutant
) -> Sequence[tuple[Statement, Statement | None]]:
    after: Mapping[str, Statement] = {
        one.name: one for one in (*mutant.policy.grants, *mutant.policy.denials)
    }
    return [
        (one, after.get(one.name))
        for one in (*policy.grants, *policy.denials)
        if one.name in mutant.statements
    ]


def questions(loaded: Loaded, case: Case) -> Iterator[tuple[Session, Access]]:
    """Yield each access a case asks for, with its login."""
    services = loaded.evaluation.linked.services
    test = getattr(case, "test", None)
    # An invariant asks for nothing, and is of no service.
    service = services.get(test.name if test is not None else "", "")
    for token, access in case.accesses():
        # A forgery is made when its case is judged.  A token that is refused has none.
        if token not in loaded.evaluation.linked.samples:
            continue
        yield loaded.evaluation.session(token, service), access


def mutate(
    policy: Policy,
    folder: str,
    places: Places,
    passed: Iterable[tuple[Loaded, Case]],
    most: int | None = None,
) -> Mutation:
    """
    Try every mutant of a policy on the cases that passed.

    Args:
        policy: The policy.
        folder: What reports call it.
        places: Where its parts stand.
        passed: The cases, with their suites.
        most: How many mutants to try; all by default.
    """
    return Mutator(policy, folder, places, passed).run(most)
