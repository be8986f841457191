"""
Invariants: what no token may do, proved or refuted by a token.

What lives here: the case of one invariant, and what may not be assumed.  Not here: reading and
compiling them (`regauth.policytests.suites.invariants`), and the proof itself
(`regauth.policytests.proofs`), which is loaded only by suites that have invariants.

An invariant holds if a policy that also denies what the invariant forbids allows just as much.
What is not proved is an error and never passes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from regauth.engine.access.scope import REGISTRY, Access
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.policy import Grant, Policy
from regauth.engine.source.problems import Location, Problems
from regauth.policytests.suites.invariants import (
    GROUP,
    Invariant,
    InvariantKind,
    SuiteAssumption,
)
from regauth.policytests.suites.suite import Exemption
from regauth.policytests.tokens.issuing import Sample

from .causes import Cause, Causes
from .drawing import draw
from .evaluation import Evaluation
from .examples import claims_of, read_claims, request_of, tell_witness, who
from .judging import PASSED, CaseOutcome, Judgment

if TYPE_CHECKING:
    from regauth.policytests.proofs import Answer, Assumption, Witness

STEPS: Final = 12_000_000
"""Steps of the solver for one invariant: the outcome does not depend on the machine."""

MAX_THOROUGH: Final = 100
"""Grants of a policy of which each violation is looked for; of a larger one, the first."""

MAX_OTHERS: Final = 5
"""Further violations of an invariant that are listed."""


@dataclass(frozen=True, slots=True)
class InvariantCase:
    """One invariant of a suite."""

    invariant: Invariant

    @property
    def id(self) -> str:
        """`invariants`, and the invariant's name in brackets."""
        return f"{GROUP}[{self.invariant.name}]"

    @property
    def location(self) -> Location:
        """The name's place."""
        return self.invariant.location

    @property
    def exemption(self) -> Exemption | None:
        """Return None: a policy that breaks an invariant has no excuse."""
        return None

    def judge(self, evaluation: Evaluation) -> Judgment:
        """Prove the invariant."""
        from regauth.policytests.proofs import Status  # noqa: PLC0415 - only suites with invariants pay

        answer = self.answer(evaluation)
        if answer.status is Status.PROVED:
            return PASSED
        if answer.witnesses:
            return Judgment(CaseOutcome.FAILED, f"does not hold: {_violation(answer.witnesses[0])}")
        constructs = dict.fromkeys(str(one) for one in answer.unknown)
        return Judgment(CaseOutcome.ERROR, f"neither proved nor refuted: {'; '.join(constructs)}")

    def answer(self, evaluation: Evaluation) -> "Answer":
        """Return what the prover says of it; asked once for each evaluation."""
        known = evaluation.proofs.get(self.invariant.name)
        if known is None:
            known = _prove(evaluation, self.invariant)
            evaluation.proofs[self.invariant.name] = known
        return known

    def tell(self, evaluation: Evaluation) -> Iterator[str]:
        """Tell the first violation step by step, and what else is allowed."""
        answer = self.answer(evaluation)
        if not answer.witnesses:
            yield "A proof needs a simpler condition here, or in the policy."
            return
        first, *others = answer.witnesses
        policy = evaluation.linked.policy
        condition = self.invariant.condition
        read = read_claims(policy) | claims_of([] if condition is None else [condition])
        yield from tell_witness(policy, first, read)
        yield from self._forbidden(policy, first)
        for one in others[:MAX_OTHERS]:
            yield f"also      {_violation(one)}"
        if len(others) > MAX_OTHERS:
            yield f"          and {len(others) - MAX_OTHERS} more"

    def _forbidden(self, policy: Policy, witness: "Witness") -> Iterator[str]:
        """Say what the invariant's condition is for the witness."""
        invariant = self.invariant
        if invariant.condition is None:
            yield "never     by anybody"
            return
        request = request_of(policy, witness)
        if request is None:
            return
        request.see(witness.access)
        only = invariant.kind is InvariantKind.ONLY
        yield "only to" if only else "never when"
        for line in draw(invariant.condition, request.variables):
            yield f"          {line}"

    def cause(self, evaluation: Evaluation, causes: Causes) -> Cause | None:
        """Return the grant that lets the first violation in."""
        answer = self.answer(evaluation)
        return causes.statement(answer.witnesses[0].source) if answer.witnesses else None

    def accesses(self) -> Iterator[tuple[str, Access]]:
        """Yield nothing: an invariant is about no token of the suite."""
        return iter(())


def _violation(witness: "Witness") -> str:
    access = witness.access
    asked = access if access.resource.class_ or not access.place else access.place
    what = "list the catalog" if access.resource.type == REGISTRY else f"{access.action} {asked}"
    return f"{who(witness)} may {what}, by grant {witness.source}"


def _prove(evaluation: Evaluation, invariant: Invariant) -> "Answer":
    from regauth.policytests.proofs import Question, more_access  # noqa: PLC0415 - on demand

    from .believable import believable  # noqa: PLC0415 - on demand

    linked = evaluation.linked
    policy = linked.policy
    question = Question(
        new=policy,
        bound=replace(policy, denials=(*policy.denials, invariant.denial)),
        assumptions=proved_by(linked.assumptions),
        steps=STEPS,
        at=linked.suite.at,
        first=not evaluation.thorough or len(policy.grants) > MAX_THOROUGH,
    )
    answer = more_access(question)
    told, rest = answer.witnesses[: MAX_OTHERS + 1], answer.witnesses[MAX_OTHERS + 1 :]
    possible = (believable(one, policy, question.bound, question.assumptions) for one in told)
    return replace(answer, witnesses=(*possible, *rest))


def proved_by(assumptions: tuple[SuiteAssumption, ...]) -> "tuple[Assumption, ...]":
    """Return a suite's assumptions as the prover takes them."""
    from regauth.policytests.proofs import Assumption  # noqa: PLC0415 - on demand

    return tuple(Assumption(one.then, one.when, one.providers, one.name) for one in assumptions)


# --- assumptions ---------------------------------------------------------------------------------


def check_assumptions(evaluation: Evaluation, problems: Problems) -> None:
    """
    Report assumptions that prove nothing, or too much.

    The codes are `contradicted-assumption`, `impossible-assumption` and `undecided-assumption`.
    """
    linked = evaluation.linked
    for one in linked.assumptions:
        if not _is_possible(one, linked.assumptions, linked.policy, problems):
            continue
        against = [sample for sample in linked.samples.values() if _contradicts(sample, one)]
        if against:
            names = [f"`{sample.spec.name}`" for sample in against]
            more = f" and {len(names) - MAX_OTHERS} more" if len(names) > MAX_OTHERS else ""
            problems.error(
                one.location,
                "contradicted-assumption",
                f"sample tokens contradict this assumption: {', '.join(names[:MAX_OTHERS])}{more}",
                "an assumption holds for every token: correct it or the tokens, or write "
                "`impossible: REASON` at a token that no issuer makes",
            )


def are_possible(assumptions: tuple[SuiteAssumption, ...], policy: Policy) -> bool:
    """Tell whether some token satisfies assumptions, each alone and all together."""
    problems = Problems()
    return all(_is_possible(one, assumptions, policy, problems) for one in assumptions)


def _contradicts(sample: Sample, assumption: SuiteAssumption) -> bool:
    from regauth.policytests.proofs.refinement import holds_of  # noqa: PLC0415 - on demand

    spec = sample.spec
    # What no issuer makes says nothing of what issuers make.
    if spec.impossible or spec.forge:
        return False
    provider = sample.provider.name if sample.provider else (spec.provider or "")
    [one] = proved_by((assumption,))
    if not provider:
        one = replace(one, providers=None)
    return not holds_of(dict(sample.claims), (one,), provider)


def _is_possible(
    assumption: SuiteAssumption,
    every: tuple[SuiteAssumption, ...],
    policy: Policy,
    problems: Problems,
) -> bool:
    """Tell whether some token satisfies an assumption, alone and with the others, or report it."""
    from regauth.policytests.proofs import Status  # noqa: PLC0415 - on demand

    for name in sorted(policy.providers):
        if assumption.providers is not None and name not in assumption.providers:
            continue
        where = " for which `when` holds" if assumption.when is not None else ""
        for others in ((assumption,), every):
            answer = _satisfying(assumption, others, policy, name)
            if answer.status is Status.WITNESS:
                continue
            if answer.status is Status.PROVED:
                besides = " and the other assumptions" if others is every else ""
                code = "impossible-assumption"
                message = f"no token of {name}{where} satisfies this assumption{besides}"
                hint = "whatever is proved with it would say nothing; correct it"
            else:
                code = "undecided-assumption"
                message = f"it is not known whether a token of {name} satisfies this assumption"
                hint = "; ".join(dict.fromkeys(one.construct for one in answer.unknown))
            problems.error(assumption.location, code, message, hint)
            return False
    return True


def _satisfying(
    assumption: SuiteAssumption,
    assumptions: tuple[SuiteAssumption, ...],
    policy: Policy,
    provider: str,
) -> "Answer":
    """Return whether a token of a provider satisfies assumptions, and the `when` of one."""
    from regauth.policytests.proofs import About, Question, more_access  # noqa: PLC0415 - on demand

    probe = Grant(
        name="assumption",
        providers=frozenset({provider}),
        services=policy.services,
        when=assumption.when,
        patterns=(ANYTHING,),
        actions=frozenset({"pull"}),
        catalog=False,
        class_="",
        expires=None,
        location=assumption.location,
    )
    nothing = replace(policy, grants=(), denials=(), anonymous=None)
    question = Question(
        new=replace(nothing, grants=(probe,)),
        bound=nothing,
        universes=(About.SCHEMA,),
        assumptions=proved_by(assumptions),
        steps=STEPS,
        first=True,
    )
    return more_access(question)


ANYTHING: Final = Pattern("**", (Wildcard.REST,))
"""Every repository."""
