"""
The hostile layer: tokens that must be refused, which the suite's author did not think of.

What lives here: the cases of forgeries and near misses, and how they are judged.  Not here: how a
hostile token is made (`tokens.forgeries`, `tokens.near_misses`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from regauth.engine.access.outcomes import Refusal
from regauth.engine.access.scope import Access, repository_accesses
from regauth.engine.source.problems import Location
from regauth.policytests.suites.suite import Exemption, Hostile, Suite
from regauth.policytests.tokens.forgeries import known as forgeries
from regauth.policytests.tokens.issuing import Sample, make_sample, profile_of
from regauth.policytests.tokens.near_misses import NearMiss, near_misses
from regauth.policytests.tokens.spec import TokenSpec

from .causes import Cause, Causes
from .evaluation import Evaluation
from .judging import PASSED, CaseOutcome, Judgment, is_open, judge_named
from .telling import tell_access, tell_login

OTHER_SUBJECT: Final = "-other-sub"
"""The ending of the name of a near miss whose `sub` has the other of GitHub's two forms."""

READ: Final = "pull"
"""The one action that a near miss from inside may share with the token."""


def _targets(hostile: Hostile) -> Sequence[Access]:
    return repository_accesses(hostile.repositories)


@dataclass(frozen=True, slots=True)
class ForgeryCase:
    """One forgery of one token: its login must be refused."""

    hostile: Hostile
    token: str
    forgery: forgeries.Forgery

    @property
    def id(self) -> str:
        """The token's and the forgery's name."""
        return f"hostile[{self.token}-{self.forgery.name}]"

    @property
    def location(self) -> Location:
        """The token's place in `hostile`."""
        return self.hostile.token_locations[self.token]

    @property
    def exemption(self) -> Exemption | None:
        """None: no policy may accept a forgery."""
        return None

    @property
    def sample(self) -> str:
        """The name under which the forged token is known."""
        return f"{self.token}~{self.forgery.name}"

    def judge(self, evaluation: Evaluation) -> Judgment:
        """Log the forged token in; it must be refused, and the genuine one must not."""
        service = evaluation.linked.services[""]
        refused = _refused(evaluation, self.token)
        if refused is not None:
            return _not_let_in(self.token, refused)
        self.prepare(evaluation)
        if isinstance(evaluation.session(self.sample, service).outcome, Refusal):
            return PASSED
        about = self.forgery.about
        return Judgment(CaseOutcome.FAILED, f"a forged token is accepted: the verifier {about}")

    def prepare(self, evaluation: Evaluation) -> None:
        """Make the forged token known."""
        samples = evaluation.linked.samples
        if self.sample not in samples:
            genuine = samples[self.token]
            spec = replace(genuine.spec, name=self.sample, forge=self.forgery.name)
            samples[self.sample] = replace(genuine, spec=spec)

    def tell(self, evaluation: Evaluation) -> Iterator[str]:
        """Tell the forged token's login, or the genuine one's when that is refused."""
        name = self.token
        if _refused(evaluation, self.token) is None:
            self.prepare(evaluation)
            name = self.sample
        session = evaluation.session(name, evaluation.linked.services[""])
        return tell_login(evaluation.linked.policy, session)

    def cause(self, evaluation: Evaluation, causes: Causes) -> Cause | None:
        """Return what refuses the genuine token, or the provider that accepts the forged one."""
        refused = _refused(evaluation, self.token)
        if refused is not None:
            return causes.of_refusal(refused)
        outcome = evaluation.session(self.sample, evaluation.linked.services[""]).outcome
        if isinstance(outcome, Refusal):
            return None
        return Cause(outcome.provider.name, outcome.provider.location)

    def accesses(self) -> Iterator[tuple[str, Access]]:
        """Yield what the forged token asks for."""
        for access in _targets(self.hostile):
            yield self.sample, access


@dataclass(frozen=True, slots=True)
class NearMissCase:
    """One near miss of one token: it must not get what the token gets."""

    hostile: Hostile
    token: str
    miss: NearMiss
    excepted: bool

    @property
    def id(self) -> str:
        """The token's and the near miss's name."""
        return f"hostile[{self.token}-{self.miss.name}]"

    @property
    def location(self) -> Location:
        """The token's place in `hostile`, or that of the exception."""
        place = self.hostile.token_locations[self.token]
        return self.hostile.except_.get(self.miss.name, place)

    @property
    def exemption(self) -> Exemption | None:
        """None: an exception is judged too."""
        return None

    @property
    def sample(self) -> str:
        """The name under which the near miss is known."""
        return self.miss.spec.name

    def judge(self, evaluation: Evaluation) -> Judgment:
        """Compare what the near miss gets with what the token gets."""
        refused = _refused(evaluation, self.token)
        if refused is not None:
            return _not_let_in(self.token, refused)
        self.prepare(evaluation)
        got = [str(access) for access in self.guarded(evaluation) if self._gets(evaluation, access)]
        if self.excepted:
            if got:
                return PASSED
            summary = f"`{self.miss.name}` is not let in, so it needs no exception"
            return Judgment(CaseOutcome.ERROR, summary)
        if got:
            return Judgment(CaseOutcome.FAILED, f"{self.miss.about} gets {', '.join(got)}")
        return PASSED

    def guarded(self, evaluation: Evaluation) -> Iterator[Access]:
        """Yield what the token gets and the near miss must not."""
        service = evaluation.linked.services[""]
        for access in _targets(self.hostile):
            answer = evaluation.answer(self.token, service, access)
            allowed = not isinstance(answer, Refusal) and answer.allowed
            if allowed and (self.miss.outsider or access.action != READ):
                yield access

    def _gets(self, evaluation: Evaluation, access: Access) -> bool:
        answer = evaluation.answer(self.sample, evaluation.linked.services[""], access)
        if isinstance(answer, Refusal):
            return False
        return answer.allowed or is_open(answer)

    def prepare(self, evaluation: Evaluation) -> None:
        """Make the near miss known."""
        samples = evaluation.linked.samples
        genuine = samples[self.token]
        if self.sample not in samples and genuine.provider is not None:
            at = evaluation.linked.suite.at
            samples[self.sample] = make_sample(self.miss.spec, genuine.provider, at, genuine.keys)

    def tell(self, evaluation: Evaluation) -> Iterator[str]:
        """Tell each access that the near miss gets, or why the genuine token gets nothing."""
        if _refused(evaluation, self.token) is not None:
            session = evaluation.session(self.token, evaluation.linked.services[""])
            yield from tell_login(evaluation.linked.policy, session)
            return
        self.prepare(evaluation)
        session = evaluation.session(self.sample, evaluation.linked.services[""])
        for access in self.guarded(evaluation):
            if self._gets(evaluation, access):
                answer = session.answer(access)
                yield from tell_access(evaluation.linked.policy, session, access, answer, None)

    def cause(self, evaluation: Evaluation, causes: Causes) -> Cause | None:
        """Return what refuses the genuine token, or what gives the near miss its first access."""
        refused = _refused(evaluation, self.token)
        if refused is not None:
            return causes.of_refusal(refused)
        session = evaluation.session(self.sample, evaluation.linked.services[""])
        got = (one for one in self.guarded(evaluation) if self._gets(evaluation, one))
        access = next(got, None)
        return causes.of(session, access, session.answer(access)) if access is not None else None

    def accesses(self) -> Iterator[tuple[str, Access]]:
        """Yield what the near miss asks for."""
        for access in _targets(self.hostile):
            yield self.sample, access


@dataclass(frozen=True, slots=True)
class GenuineCase:
    """The token itself: it must get something, or the refusals of its twins prove nothing."""

    hostile: Hostile
    token: str

    @property
    def id(self) -> str:
        """The token's name."""
        return f"hostile[{self.token}]"

    @property
    def location(self) -> Location:
        """The token's place in `hostile`."""
        return self.hostile.token_locations[self.token]

    @property
    def exemption(self) -> Exemption | None:
        """None."""
        return None

    def judge(self, evaluation: Evaluation) -> Judgment:
        """Ask for everything that its hostile twins ask for."""
        refused = _refused(evaluation, self.token)
        if refused is not None:
            return _not_let_in(self.token, refused)
        service = evaluation.linked.services[""]
        answers = [evaluation.answer(token, service, access) for token, access in self.accesses()]
        waiting = judge_named(answers)
        if waiting is not PASSED:
            return waiting
        if any(not isinstance(answer, Refusal) and answer.allowed for answer in answers):
            return PASSED
        summary = f"`{self.token}` gets nothing of these repositories, so this proves nothing"
        return Judgment(CaseOutcome.ERROR, summary)

    def tell(self, evaluation: Evaluation) -> Iterator[str]:
        """Tell the login."""
        session = evaluation.session(self.token, evaluation.linked.services[""])
        return tell_login(evaluation.linked.policy, session)

    def cause(self, evaluation: Evaluation, causes: Causes) -> Cause | None:
        """Return what refuses the login."""
        refused = _refused(evaluation, self.token)
        return None if refused is None else causes.of_refusal(refused)

    def accesses(self) -> Iterator[tuple[str, Access]]:
        """Yield everything that its hostile twins ask for."""
        for access in _targets(self.hostile):
            yield self.token, access


def _refused(evaluation: Evaluation, token: str) -> Refusal | None:
    """Return why the genuine token is not let in, if it is not."""
    outcome = evaluation.session(token, evaluation.linked.services[""]).outcome
    return outcome if isinstance(outcome, Refusal) else None


def _not_let_in(token: str, refused: Refusal) -> Judgment:
    summary = f"the hostile token `{token}` is not let in: {refused.reason}"
    return Judgment(CaseOutcome.ERROR, f"{summary}; so its forgeries prove nothing")


HostileCase = GenuineCase | ForgeryCase | NearMissCase


def hostile_cases(suite: Suite, samples: Mapping[str, Sample]) -> Iterator[HostileCase]:
    """
    Yield the hostile cases of a suite.

    Args:
        suite: The suite.
        samples: Its sample tokens.
    """
    hostile = suite.hostile
    if hostile is None:
        return
    for token in hostile.tokens:
        spec = suite.tokens[token]
        yield GenuineCase(hostile, token)
        for forgery in forgeries.FORGERIES.values():
            yield ForgeryCase(hostile, token, forgery)
        for miss in _both_subjects(spec, samples[token]):
            yield NearMissCase(
                hostile, token, miss, miss.name.removesuffix(OTHER_SUBJECT) in hostile.except_
            )


def _both_subjects(spec: TokenSpec, sample: Sample) -> Iterator[NearMiss]:
    """Yield each near miss, and for GitHub each with the other form of `sub` too."""
    schema = profile_of(spec, sample.provider).schema
    for miss in near_misses(spec, sample.claims, schema):
        yield miss
        if (spec.profile or "").startswith("github-actions") and "sub" not in spec.claims:
            name = f"{miss.name}{OTHER_SUBJECT}"
            other = replace(
                miss.spec, name=f"{spec.name}~{name}", immutable_subject=not spec.immutable_subject
            )
            yield replace(miss, name=name, spec=other)
