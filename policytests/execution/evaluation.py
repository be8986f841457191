"""
Running: a linked suite's logins and accesses, each decided by the engine.

What lives here: asking the engine, and remembering its answers for a suite.  Not here: an opinion
about an answer (`judging`), and a decision (`regauth.engine.decisions`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from regauth.engine.access.outcomes import Refusal, Verdict
from regauth.engine.access.scope import Access
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.decide import Request, TooCostlyError, decide
from regauth.engine.decisions.exchange import Credentials, Keys, NeedKeys, login, run
from regauth.engine.policy.policy import Policy
from regauth.policytests.suites.linking import Linked
from regauth.policytests.tokens.issuing import Sample

if TYPE_CHECKING:
    from regauth.policytests.proofs import Answer

AccessAnswer = Verdict | Refusal
"""The answer for one access: a verdict, or the refusal of its whole login."""


MAX_EXHAUSTIVE: Final = 1000
"""
Statements of the largest policy of which every statement is evaluated.  In a larger one, only those
that its index finds are.
"""


def ask(
    policy: Policy,
    login: Authenticated,
    service: str,
    now: datetime,
    *,
    mutant: bool = False,
    bounded: bool = False,
) -> Request:
    """
    Return the request of a login, by which its accesses are decided.

    Every statement is evaluated, so that an error of a condition shows even where the index would
    skip it.  In a very large policy that would take too long.  A mutant has the index of the policy
    before the change, which must not be used.  A bounded request has the steps that a server gives
    one (`TooCostlyError`).
    """
    whole = mutant or len(policy.grants) + len(policy.denials) <= MAX_EXHAUSTIVE
    identity, claims = login.identity, login.claims
    return Request(policy, identity, claims, service, now, exhaustive=whole, bounded=bounded)


@dataclass(frozen=True, slots=True)
class Session:
    """One sample's login at one service, and what it may do after."""

    policy: Policy
    sample: Sample
    service: str
    outcome: Authenticated | Refusal
    request: Request | None

    def answer(self, access: Access) -> AccessAnswer:
        """Decide one access, as a server that is asked for it alone."""
        return self.answers((access,))[0]

    def answers(self, accesses: Sequence[Access]) -> list[AccessAnswer]:
        """Decide the accesses of one request, which a server refuses when it costs too much."""
        if isinstance(self.outcome, Refusal):
            return [self.outcome] * len(accesses)
        assert self.request is not None  # noqa: S101 - for the type checker
        return within_steps(self.policy, self.outcome, self.service, self.request, accesses)


def within_steps(
    policy: Policy,
    login: Authenticated,
    service: str,
    request: Request,
    accesses: Sequence[Access],
) -> list[AccessAnswer]:
    """
    Decide the accesses of one request by a bounded request of `ask`.

    A server refuses the whole request when it costs too much, and so does this.
    """
    request.count_anew()
    try:
        answers: list[AccessAnswer] = [request.verdict(access) for access in accesses]
        request.check_steps("the last access")
    except TooCostlyError:
        # Looking at every statement takes more steps than deciding does.
        decided = decide(policy, login.identity, login.claims, service, accesses, request.now)
        if isinstance(decided, Refusal):
            return [decided] * len(accesses)
        return list(decided.verdicts)
    return answers


def open_session(policy: Policy, sample: Sample, service: str) -> Session:
    """Log a sample in."""

    def keys_for(need: NeedKeys) -> Keys:
        return sample.key_set(need.provider)

    credentials = Credentials(sample.username, sample.text)
    outcome = run(login(policy, credentials, service, sample.now), keys_for)
    request = None
    if isinstance(outcome, Authenticated):
        outcome = outcome.from_client(sample.client)
        request = ask(policy, outcome, service, sample.now, bounded=True)
    return Session(policy, sample, service, outcome, request)


@dataclass(slots=True)
class Evaluation:
    """A suite's answers.  Each login happens once, however many cases use it."""

    linked: Linked
    thorough: bool = True
    """Whether each violation of an invariant is of interest; else the first one is enough."""
    proofs: "dict[str, Answer]" = field(default_factory=dict)
    """What was proved of the invariants, by their name."""
    _sessions: dict[tuple[str, str], Session] = field(default_factory=dict)

    def session(self, token: str, service: str) -> Session:
        """Return a token's login at a service."""
        session = self._sessions.get((token, service))
        if session is None:
            sample = self.linked.samples[token]
            session = open_session(self.linked.policy, sample, service)
            self._sessions[token, service] = session
        return session

    def answer(self, token: str, service: str, access: Access) -> AccessAnswer:
        """Decide one access of a token."""
        return self.session(token, service).answer(access)

    def answers(self, token: str, service: str, accesses: Sequence[Access]) -> list[AccessAnswer]:
        """Decide several accesses of a token."""
        return self.session(token, service).answers(accesses)
