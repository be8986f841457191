"""
A sample token compared with what is known of its issuer.

What lives here: the claims that contradict the claim schema of the provider, each with a value that
would be right.  Not here: unknown claims (`claim_names`), and who is told (`suites.linking`,
`collection.fixtures`).

A token that no issuer makes proves nothing.  With the same typing error in the policy and in the
token, every case passes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from regauth.engine.issuers import ClaimSchema, Contradiction, check_token

from .claim_names import ClaimPath
from .issuing import Sample, profile_of
from .profiles.known import PLAIN

_KEEP: Final = "keep it, or leave out what asks for it too"


@dataclass(frozen=True, slots=True)
class ImpossibleClaim:
    """A claim with a value that no token of the issuer has, given the token's other claims."""

    path: ClaimPath
    message: str
    fix: str
    """What to write instead."""


def impossible_claims(sample: Sample) -> Iterator[ImpossibleClaim]:
    """
    Yield each claim of a token that contradicts its issuer's claim schema.

    What the issuer only usually does counts, too.  A claim that is left out does not count, because
    a suite leaves it out to see what a policy does without it.  But it counts where the token's
    other claims ask for it.  Nothing is checked of a token with the profile `plain`, a reason in
    `impossible`, or a forgery, nor of a real token.
    """
    if sample.spec.impossible is None:
        yield from _contradictions(sample)


def is_excused_for_nothing(sample: Sample) -> bool:
    """Tell whether a token gives a reason to contradict its issuer, and does not."""
    spec = sample.spec
    if spec.impossible is None or spec.impossible_at is None:
        return False
    return next(_contradictions(sample), None) is None


def _contradictions(sample: Sample) -> Iterator[ImpossibleClaim]:
    spec, provider = sample.spec, sample.provider
    if provider is None or spec.forge is not None or profile_of(spec, provider) is PLAIN:
        return
    for found in contradictions(provider.claims, sample.claims):
        message = f"no token of {provider.claims.name} is like this: {found.message}"
        fix = _fix(found.coherent) if _is_there(sample.claims, found.path) else _KEEP
        yield ImpossibleClaim(found.path, message, fix)


def contradictions(schema: ClaimSchema, claims: Mapping[str, object]) -> Iterator[Contradiction]:
    """Yield what contradicts a schema among the claims that are there or that these ask for."""
    for found in check_token(schema, claims):
        if found.kind not in ("unknown", "missing"):
            yield found


def is_possible(schema: ClaimSchema, claims: Mapping[str, object]) -> bool:
    """Tell whether nothing among some claims contradicts their issuer."""
    return next(contradictions(schema, claims), None) is None


def _is_there(claims: object, path: ClaimPath) -> bool:
    for name in path:
        if not isinstance(claims, dict) or name not in claims:
            return False
        claims = claims[name]
    return True


def _fix(coherent: object | None) -> str:
    if coherent is None:
        return "correct the claim"
    value = str(coherent).lower() if isinstance(coherent, bool) else coherent
    return f"`{value}` would be right" if value != "" else "an empty text would be right"
