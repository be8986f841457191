"""
A witness of a proof as its readers see it: a token as a suite writes it, and the decision.

What lives here: the words.  Not here: proofs (`regauth.policytests.proofs`).
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from regauth.engine.access.outcomes import Identity, Refusal
from regauth.engine.cel import Program
from regauth.engine.decisions.authentication import authenticate
from regauth.engine.decisions.decide import Request
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import NO_CLAIMS, supposed
from regauth.policytests.suites.writing import yaml_value
from regauth.policytests.tokens.coherence import is_possible

from .telling import tell_verdict

if TYPE_CHECKING:
    from regauth.policytests.proofs import Witness

_MADE: Final = ("iss", "iat", "nbf", "exp")
"""Claims that a suite's token gets by itself."""

_PLAIN: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_BOOLEANS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Names that some readers of YAML take for something else than text."""


def read_claims(*policies: Policy | None) -> frozenset[str]:
    """Return the claims that some policies read: the others decide nothing."""
    return claims_of(
        program
        for policy in policies
        if policy is not None
        for program in policy.programs(logins=True)
    )


def claims_of(programs: "Iterator[Program] | list[Program]") -> frozenset[str]:
    """Return the claims that some expressions read."""
    return frozenset(
        path[1]
        for program in programs
        for path in program.paths
        if path[0] == "claims" and len(path) > 1
    )


def token(witness: "Witness", read: frozenset[str] | None = None) -> Iterator[str]:
    """
    Yield the token of a witness as a suite writes it, a line each.

    Args:
        witness: The witness.
        read: The claims to write; None for all.
    """
    if not witness.provider:
        return
    written = witness.written
    claims = witness.claims if written is None else written.claims
    yield f"profile: {'plain' if written is None else written.profile}"
    yield f"provider: {yaml_value(witness.provider)}"
    if witness.session or witness.now != witness.at:
        yield f"at: {witness.at.isoformat()}"
    if witness.client:
        yield f"client: {yaml_value(witness.client)}"
    if claims:
        yield "claims:"
    for name, value in claims.items():
        if name not in _MADE and (read is None or written is not None or name in read):
            yield f"  {_key(name)}: {yaml_value(value)}"
    if written is not None and written.without:
        yield f"without: [{', '.join(map(_key, written.without))}]"


def _key(name: str) -> str:
    """Return a claim's name as a key of YAML."""
    return name if _PLAIN.fullmatch(name) and name not in _BOOLEANS else yaml_value(name)


def is_unlikely(policy: Policy, witness: "Witness") -> bool:
    """Tell whether no token of the issuer is known to be like a witness's."""
    provider = policy.providers.get(witness.provider)
    if provider is None or witness.written is not None:
        return False
    return not is_possible(provider.claims, witness.claims)


UNLIKELY: Final = "no token that its issuer is known to make is like this"
"""What is said beside the token of a witness that `is_unlikely`."""


def who(witness: "Witness") -> str:
    """Return who a witness is."""
    where = {"": "", "unknown": ", from an unknown address"}.get(
        witness.client, f", from {witness.client}"
    )
    if not witness.provider:
        return f"anybody, without credentials{where}"
    return f"a token of {witness.provider}{' in a session' if witness.session else ''}{where}"


def request_of(policy: Policy, witness: "Witness") -> Request | None:
    """Return the request of a witness by a policy; None when its login is refused."""
    if not witness.provider:
        identity, claims = Identity(), NO_CLAIMS
    else:
        provider = policy.providers[witness.provider]
        login = authenticate(provider, supposed(witness.claims), witness.service, witness.at)
        if isinstance(login, Refusal):
            return None
        identity, claims = login.identity, login.claims
    placed = identity.from_client(witness.address)
    return Request(policy, placed, claims, witness.service, witness.now, exhaustive=True)


def tell_witness(policy: Policy, witness: "Witness", read: frozenset[str]) -> Iterator[str]:
    """Say line by line who asks for what, and by which statement it is allowed."""
    yield f"asked     {witness.access} at {witness.service}, {witness.now:%Y-%m-%dT%H:%M:%SZ}"
    yield f"who       {who(witness)}"
    for line in token(witness, read | {"aud", "sub"}):
        yield f"          {line}"
    if is_unlikely(policy, witness):
        yield f"          ({UNLIKELY})"
    request = request_of(policy, witness)
    if request is not None:
        yield "got       A allowed"
        yield from tell_verdict(policy, request, request.verdict(witness.access))
