"""
What a comparison shows, and the sentences that all its formats share.

What lives here: differences with their places, words, and the exit code.  Not here: any format
(`formats`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from regauth.engine.policy.policy import Policy
from regauth.engine.source.foreign_text import visible
from regauth.engine.source.problems import Location
from regauth.policytests.execution.examples import UNLIKELY, is_unlikely
from regauth.policytests.exit_codes import LOST_ACCESS, NEW_ACCESS, NOT_EXCLUDED
from regauth.policytests.proofs import About, Answer, Longer, Unknown, Witness
from regauth.policytests.wording import counted

from .comparison import Comparison, who_is_affected

WORDS: Final[Mapping[str, str]] = {
    "no-grant": "no grant",
    "no-credentials": "no anonymous access",
    "unknown-provider": "no such provider",
    "unknown-service": "no such service",
}
"""The prover's reasons, in words."""


@dataclass(frozen=True, slots=True)
class AcceptedResults:
    """The results that the caller accepts, each with its reason; empty where none is accepted."""

    widening: str = ""
    undecided: str = ""


@dataclass(frozen=True, slots=True)
class ChangeView:
    """What is shown: every policy of the change, and what it comes to."""

    comparisons: Sequence[Comparison]
    base: str
    head: str
    accepted: AcceptedResults
    fail_on_narrowing: bool = False
    limit: int = 0
    color: bool = False
    explained: Mapping[int, Sequence[str]] | None = None
    """With `--explain`, the two decisions about each witness, by the witness's `id`."""

    @property
    def code(self) -> int:
        """The exit code."""
        if any(_more(one.gained) for one in self.comparisons) and not self.accepted.widening:
            return NEW_ACCESS
        if any(one.gained.unknown for one in self.comparisons) and not self.accepted.undecided:
            return NOT_EXCLUDED
        lost = any(_more(one.lost) for one in self.comparisons)
        return LOST_ACCESS if lost and self.fail_on_narrowing else 0

    def left_out(self, answer: Answer) -> int:
        """Return how many differences are more than the limit shows."""
        each = (len(answer.witnesses), len(answer.longer))
        return sum(max(count - self.limit, 0) for count in each) if self.limit else 0

    def verdict(self) -> Iterator[str]:
        """Yield the reason for the exit code, and what can be done."""
        gained = sum(len(_more(one.gained)) for one in self.comparisons)
        unknown = sum(len(one.gained.unknown) for one in self.comparisons)
        if gained:
            yield (
                f"new access, accepted: {visible(self.accepted.widening)}"
                if self.accepted.widening
                else 'new access; accept it with --accept-widening "REASON"'
            )
        if unknown:
            yield (
                f"what is not excluded is accepted: {visible(self.accepted.undecided)}"
                if self.accepted.undecided
                else 'new access is not excluded; accept that with --accept-undecided "REASON"'
            )
        if not gained and not unknown:
            yield "nobody gains access: proved"


def witnesses(answer: Answer) -> list[Witness]:
    """Return the witnesses, those of strangers first, then those of providers."""
    return sorted(answer.witnesses, key=who_is_affected)


def requests(answer: Answer) -> list[Witness]:
    """Return every request that an answer is about: witnesses, and what gets a longer token."""
    longer = [one.witness for one in answer.longer if one.witness is not None]
    return [*witnesses(answer), *longer]


def _more(answer: Answer) -> Sequence[Witness | Longer]:
    return (*answer.witnesses, *answer.longer)


def title(comparison: Comparison) -> str:
    """Return what messages call a policy of the change."""
    if comparison.head is None:
        return f"{comparison.base_folder} (removed)"
    if comparison.base is None:
        return f"{comparison.head_folder} (new)"
    return comparison.head_folder


def compared(comparison: Comparison, answer: Answer) -> str:
    """Return how much was compared, and about which tokens."""
    about = {
        About.ANY_JSON: "for every token that the providers' keys can sign",
        About.SCHEMA: "for every token of the claim schemas",
    }[answer.about]
    if answer.about is About.SCHEMA and comparison.assumptions:
        assumed = counted(len(comparison.assumptions), "assumption")
        about += f" and {assumed} of the suites"
    statements = f"{answer.compared} statements compared, {answer.identical} identical"
    return f"{statements}; {about}"


def place_of(policy: Policy | None, name: str) -> Location:
    """Return where a grant or a denial stands; nowhere when there is none of the name."""
    if policy is None:
        return Location("")
    if policy.anonymous is not None and policy.anonymous.name == name:
        return policy.anonymous.location
    found = [one for one in (*policy.denials, *policy.grants) if one.name == name]
    return found[0].location if found else Location("")


def doubt(policy: Policy | None, witness: Witness) -> str:
    """Return what is said of a witness that no known token is like; "" of any other."""
    if policy is None or not is_unlikely(policy, witness):
        return ""
    return f"{UNLIKELY}; its claims may not fit each other"


def named(policy: Policy | None, source: str) -> str:
    """Return a grant, a denial or a reason in words, with its place."""
    place = place_of(policy, source)
    if place.file:
        denials = () if policy is None else policy.denials
        kind = "denial" if source in {one.name for one in denials} else "grant"
        return f"{kind} {source} ({place})"
    return WORDS.get(source, source)


def unknown_words(unknown: Unknown) -> str:
    """Return what could not be decided, as a sentence."""
    where = " of ".join(one for one in (unknown.statement, unknown.provider) if one)
    action = f" ({unknown.action})" if unknown.action else ""
    return f"{where or 'the policy'}{action}: not excluded because of {unknown.construct}"


def columns(*, gained: bool) -> tuple[str, ...]:
    """Return the heads of a table of witnesses."""
    return ("access", "by", *(("now allowed by", "before") if gained else ("allowed by", "now")))
