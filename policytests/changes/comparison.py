"""
A change of a policy, compared in both directions by the prover.

What lives here: which question is asked, and which parts of the change may not serve to answer it.
Not here: the prover (`regauth.policytests.proofs`), and how the answer is shown (`view`).

A change must not excuse itself: the claim schemas that bound the tokens are those of the base.  A
schema that comes with the change proves nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from regauth import schemas
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.issuers import ClaimSchema
from regauth.engine.policy.policy import Policy, Provider
from regauth.policytests.execution.believable import believable
from regauth.policytests.execution.invariants import proved_by
from regauth.policytests.proofs import (
    About,
    Answer,
    Assumption,
    Question,
    Status,
    Unknown,
    Witness,
    more_access,
)
from regauth.policytests.proofs.retelling import Notes
from regauth.policytests.suites.invariants import SuiteAssumption

MAX_MADE_ANEW: Final = 100
"""
Witnesses of one direction that are made anew as possible tokens: the first that are shown.

Each asks the engine some dozens of times, about a quarter of what it took to find it.
"""

CHANGED_SCHEMA: Final = "a claim schema that comes with the change"
REMOVED: Final = "its removal: a policy that was moved elsewhere is not compared"


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    What a change means.

    Attributes:
        base: The policy before; None where there was none.
        head: The policy after; None where it is gone.
        gained: Who has more access than before.
        lost: Who has less.
        base_folder: What messages call the policy before.
        head_folder: What they call it after.
        assumptions: What the suites of both sides assume of tokens.
        accounts: How both answers came about, if that is wanted.
    """

    base: Policy | None
    head: Policy | None
    gained: Answer
    lost: Answer
    base_folder: str
    head_folder: str
    assumptions: tuple[SuiteAssumption, ...] = ()
    accounts: tuple[Notes, Notes] | None = None

    @property
    def same(self) -> bool:
        """Whether there was nothing to compare, because the files are equal."""
        return self.base is not None and self.head is not None and self.base.hash == self.head.hash


def compare(
    base: Policy | None,
    head: Policy | None,
    folders: tuple[str, str],
    steps: int,
    at: datetime | None,
    assumptions: tuple[SuiteAssumption, ...] = (),
    *,
    account: bool = False,
) -> Comparison:
    """
    Compare two states of a policy.

    Args:
        base: The policy before; None where there was none: then everything is gained.
        head: The policy after; None where it is gone.
        folders: What messages call each.
        steps: How many steps of the solver each direction may take.
        at: The time that is preferred for witnesses.
        assumptions: What the suites of both sides assume of tokens.
        account: Whether to keep how the answers came about.
    """
    present = head or base
    if present is None:
        raise ValueError("there is no policy on either side")
    nothing = replace(present, grants=(), denials=(), anonymous=None)
    before, after = base or nothing, head or nothing
    judged = replace(after, providers=dict(_by_known_schemas(after, base)))
    own = _own_schemas(after, base)
    known = proved_by(assumptions)
    notes = (Notes(), Notes()) if account else None
    gained, lost = (
        more_access(
            Question(*pair, assumptions=known, steps=steps, at=at, account=notes and notes[number])
        )
        for number, pair in enumerate(((judged, before), (before, judged)))
    )
    gained = _doubted(_by_possible_tokens(gained, judged, before, known), own)
    lost = _by_possible_tokens(lost, before, judged, known)
    if head is None:
        # Else a change could move the policy away, widen it, and be proved harmless.
        gone = Unknown("", "", "", REMOVED)
        gained = replace(gained, unknown=(*gained.unknown, gone))
    return Comparison(base, head, gained, lost, *folders, assumptions, notes)


def _by_possible_tokens(
    answer: Answer, new: Policy, bound: Policy, assumptions: tuple[Assumption, ...]
) -> Answer:
    ordered = sorted(answer.witnesses, key=who_is_affected)
    shown, rest = ordered[:MAX_MADE_ANEW], ordered[MAX_MADE_ANEW:]
    found = (believable(one, new, bound, assumptions) for one in shown)
    return replace(answer, witnesses=(*found, *rest))


def who_is_affected(witness: Witness) -> tuple[bool, str, str, str]:
    """Return what witnesses are sorted by: those of strangers first, then those of providers."""
    one = witness
    return one.provider != "", one.provider, one.source, str(one.access)


def _by_known_schemas(head: Policy, base: Policy | None) -> Iterator[tuple[str, Provider]]:
    """Yield the head's providers, each with the claim schema that the base has for it."""
    known: Mapping[str, Provider] = {} if base is None else base.providers
    for name, provider in head.providers.items():
        old = known.get(name)
        yield name, provider if old is None else replace(provider, claims=old.claims)


def _own_schemas(head: Policy, base: Policy | None) -> list[str]:
    """Return the providers whose claim schema is not the base's and not one of ours."""
    known: Mapping[str, Provider] = {} if base is None else base.providers
    return [
        name
        for name, provider in head.providers.items()
        if (provider.claims != known[name].claims if name in known else _is_own(provider.claims))
    ]


def _is_own(schema: ClaimSchema) -> bool:
    known = schema.name in schemas.claims_names()
    return not known or known_schema(schema.name) is not schema


def _doubted(answer: Answer, providers: list[str]) -> Answer:
    """Return an answer without the proofs that depend on a schema of the change."""
    if answer.about is About.ANY_JSON or answer.status is not Status.PROVED or not providers:
        return answer
    doubts = tuple(Unknown(name, "", "", CHANGED_SCHEMA) for name in providers)
    return replace(answer, unknown=(*answer.unknown, *doubts))
