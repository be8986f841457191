"""
Possible tokens: which of the tokens that an analysis thinks of an issuer can make.

What lives here: a variation of a sample token as a suite would write it, with everything that
follows from it, and the question whether any possible token shows an outcome of a condition.
Not here: what is shown (`coverage`, `witnesses`), and the proof (`regauth.policytests.proofs`).

What is only known of an issuer counts here like what it guarantees: a suite with a token that the
issuer is not known to make is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from regauth.engine.issuers import ClaimSchema
from regauth.engine.issuers.relations import ClaimReference, Path
from regauth.engine.policy.policy import Policy
from regauth.policytests.execution.believable import promised
from regauth.policytests.tokens.coherence import is_possible
from regauth.policytests.tokens.issuing import Sample, claims_of
from regauth.policytests.tokens.profiles.profile import Claims, merge
from regauth.policytests.tokens.spec import TokenSpec

from .variations import Variation, flow


@dataclass(frozen=True, slots=True)
class Made:
    """A token that a suite can make `from` one of its own: the claims that it changes."""

    claims: Claims
    changed: Mapping[str, object]
    without: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"claims: {flow(self.changed)}"] if self.changed else []
        parts += [f"without: [{', '.join(self.without)}]"] if self.without else []
        return ", ".join(parts)


def make(sample: Sample, variation: Variation) -> Made | None:
    """Return a sample token with a variation and all that follows from it; see `make_with`."""
    return make_with(sample, *variation.written())


class Maker:
    """Makes variations of sample tokens, each once: the parts of a condition ask for the same."""

    def __init__(self) -> None:
        # With its sample, because only a sample that lives has an `id` of its own.
        self._made: dict[tuple[int, str], tuple[Sample, Made | None]] = {}

    def make(self, sample: Sample, variation: Variation) -> Made | None:
        """Return a sample token with a variation and all that follows from it; see `make_with`."""
        key = (id(sample), str(variation))
        if key not in self._made:
            self._made[key] = (sample, make(sample, variation))
        return self._made[key][1]


def make_with(
    sample: Sample, changed: Mapping[str, object], without: tuple[str, ...]
) -> Made | None:
    """
    Return a sample token with other claims, without some, and with all that follows from it.

    None where no token of the issuer is like this, or where a suite cannot make one from the
    sample: a captured or forged token, one that may be impossible, one of the hostile layer.
    """
    spec, provider = sample.spec, sample.provider
    if provider is None or spec.forge is not None or spec.impossible is not None:
        return None
    if "~" in spec.name or _is_never_absent(provider.claims, without):
        return None
    made = _make(sample, spec, changed, without)
    if made is None:
        return None
    broken = _involved(provider.claims, made.claims)
    if not broken and is_possible(provider.claims, made.claims):
        return made
    # What the suite says of other claims contradicts the variation: those follow from it instead.
    freed = {name for path in broken for name in path[:1]} & set(spec.claims) - set(changed)
    freed -= set(without)
    if not freed:
        return None
    less = {name: value for name, value in spec.claims.items() if name not in freed}
    followed = _make(sample, replace(spec, claims=less), changed, without)
    if followed is None:
        return None
    gone = tuple(name for name in sorted(freed) if name not in followed.claims)
    more = {name: followed.claims[name] for name in sorted(freed) if name in followed.claims}
    made = _make(sample, spec, merge(more, changed), (*without, *gone))
    return made if made is not None and is_possible(provider.claims, made.claims) else None


def _is_never_absent(schema: ClaimSchema, without: Sequence[str]) -> bool:
    """Whether each token of an issuer has one of some claims."""
    found = (claim for claim in schema.claims.values() if claim.name in without)
    return any(claim.always and len(claim.path) == 1 for claim in found)


def _make(
    sample: Sample, spec: TokenSpec, changed: Mapping[str, object], without: tuple[str, ...]
) -> Made | None:
    if sample.provider is None:
        return None
    new = replace(
        spec, claims=merge(spec.claims, changed), without=(*spec.without, *without), named={}
    )
    issued = sample.now - spec.shift
    return Made(claims_of(new, sample.provider, issued), changed, without)


def _involved(schema: ClaimSchema, claims: Mapping[str, object]) -> set[Path]:
    """Return the claims that the broken relations of a token speak of."""
    found: set[Path] = set()
    for relation in schema.relations:
        for path, constraint in relation.broken(claims):
            found.add(path)
            found.update(one for one, _ in relation.when)
            for template in (*constraint.templates, *constraint.parts):
                found.update(one.path for one in template.pieces if isinstance(one, ClaimReference))
    return found


# --- proofs --------------------------------------------------------------------------------------


def shows_nothing(new: Policy, bound: Policy, steps: int) -> bool:
    """Tell whether it is proved that no possible token gets by `new` what `bound` refuses."""
    from regauth.policytests.proofs import About, Question, Status, more_access  # noqa: PLC0415 - on demand

    question = Question(
        promised(new), promised(bound), universes=(About.SCHEMA,), steps=steps, first=True
    )
    return more_access(question).status is Status.PROVED
