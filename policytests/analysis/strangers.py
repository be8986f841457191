"""
Strangers: the tokens that another customer of a public issuer has.

What lives here: what such a token says of whose it is.  Not here: which claims say that, which
claim schemas know (`regauth.engine.issuers.claims`), and what a policy gives to strangers
(`findings`).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from regauth.engine.cel import BOOL, Declarations, compile_expression, unparse
from regauth.engine.cel.syntax.nodes import Constant
from regauth.engine.issuers import Claim, ClaimSchema, check_token
from regauth.engine.policy.policy import Provider
from regauth.policytests.proofs import Assumption

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
"""The first six of them are those of hexadecimal numbers, of which UUIDs are made."""
_DIGITS: Final = "0123456789"

_MIN_DIGITS: Final = 6
"""How many digits a number has so that nobody's has the same digits behind the first by chance."""

_MAX_REPAIRS: Final = 3
"""Rounds in which a token is made coherent: what one claim follows from may change too."""


def stranger_of(provider: Provider) -> Assumption | None:
    """
    Return what holds of a stranger's tokens; None where an issuer serves one customer alone.

    The claims that tell customers apart have values that no policy names: those of the schema's
    examples, with every letter and every digit another one.  A number can begin with any digit.
    """
    schema = provider.claims
    if not schema.serves_everybody(provider.issuer):
        return None
    text = " && ".join(
        _pinned(claim, values)
        for claim in schema.claims.values()
        if claim.narrows and len(claim.path) == 1 and _is_outermost(claim, schema)
        if (values := list(_fresh(claim)))
    )
    declarations = Declarations({"claims": schema.type}, {})
    program = compile_expression(text, declarations, BOOL).program if text else None
    if program is None:
        return None
    return Assumption(program, providers=frozenset({provider.name}), name="a stranger")


def _pinned(claim: Claim, values: Sequence[str]) -> str:
    """Return the condition that a claim, if it is there, has one of some values."""
    name = f"claims.{claim.path[0]}"
    listed = ", ".join(unparse(Constant(0, 0, value=one)) for one in values)
    pinned = f"{name} in [{listed}]"
    return pinned if claim.always else f"(!has({name}) || {pinned})"


def _is_outermost(claim: Claim, schema: ClaimSchema) -> bool:
    """Tell whether a claim says who the customer is, and not what of theirs it is about."""
    if claim.name == "sub" and any(claim.path in dict(one.then) for one in schema.relations):
        return False  # it is made of other claims, which say it themselves
    named = [one for one in schema.claims.values() if claim.name in (one.name, one.twin)]
    return not any(one.within for one in named)


def _fresh(claim: Claim) -> Iterator[str]:
    """Yield a value of a claim that nobody has named, if there is one."""
    examples = [one for one in claim.examples if isinstance(one, str)]
    for letters in (_LETTERS, _LETTERS[:6]):
        fresh = "".join(_other(one, letters) for one in examples[0]) if examples else ""
        if fresh and claim.values.can_equal(fresh):
            yield fresh
            yield from _begun_otherwise(claim, fresh)
            return


def _begun_otherwise(claim: Claim, fresh: str) -> Iterator[str]:
    """
    Yield the same number with each other first digit.

    The numbers of strangers begin like those of the customer: a first digit says nothing.
    """
    if fresh.isdecimal() and len(fresh) >= _MIN_DIGITS:
        others = (f"{digit}{fresh[1:]}" for digit in _DIGITS if digit != fresh[0])
        yield from (one for one in others if claim.values.can_equal(one))


def _other(character: str, letters: str) -> str:
    for among in (letters, _DIGITS):
        if character in among:
            return among[(among.index(character) + len(among) // 2) % len(among)]
    return character


def as_issued(provider: Provider, claims: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """
    Yield the tokens like one that its issuer can make, if there are any.

    What nobody asks for has the value of an example.  Where that says whose a token is, it is the
    stranger's too.
    """
    strange = dict(claims)
    for claim in provider.claims.claims.values():
        name = claim.path[0]
        if claim.narrows and len(claim.path) == 1 and strange.get(name) in claim.examples:
            strange.update((name, value) for value in islice(_fresh(claim), 1))
    for made in (_made_coherent(provider, claims), _made_coherent(provider, strange)):
        if made is not None:
            yield made


def _made_coherent(provider: Provider, claims: Mapping[str, object]) -> dict[str, object] | None:
    """Return a token without what contradicts the claim schema; None where that is not enough."""
    made = dict(claims)
    for _ in range(_MAX_REPAIRS):
        wrong = [
            found
            for found in check_token(provider.claims, made)
            if found.kind not in ("unknown", "missing")
        ]
        if not wrong:
            return made
        for found in wrong:
            if found.coherent is None or len(found.path) != 1:
                return None
            made[found.path[0]] = found.coherent
    return None
