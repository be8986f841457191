"""
A witness, decided by both policies step by step.

What lives here: asking the engine for both explanations.  Not here: the steps themselves, which are
the engine's (`regauth.engine.explaining`).
"""

from collections.abc import Iterator

from regauth.engine.access.outcomes import Refusal
from regauth.engine.decisions.authentication import Authenticated, authenticate
from regauth.engine.explaining.explanation import Explanation, explain, explain_verified
from regauth.engine.explaining.narration import narrate
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import supposed
from regauth.policytests.proofs import Witness


def explain_witness(base: Policy | None, head: Policy | None, witness: Witness) -> list[str]:
    """Return the two decisions about a witness as lines."""
    return [
        *_told("before the change", base, witness),
        *_told("after the change", head, witness),
    ]


def _told(title: str, policy: Policy | None, witness: Witness) -> Iterator[str]:
    yield f"{title}:"
    for line in _decision(policy, witness):
        yield f"  {line}"


def _decision(policy: Policy | None, witness: Witness) -> list[str]:
    if policy is None:
        return ["there is no policy"]
    if witness.service not in policy.services:
        return [f"the policy does not answer for the service {witness.service}"]
    if not witness.provider:
        return _anonymous(policy, witness)
    provider = policy.providers.get(witness.provider)
    if provider is None:
        return [f"there is no provider {witness.provider}"]
    login: Authenticated | Refusal = authenticate(
        provider, supposed(witness.claims), witness.service, witness.at
    )
    if isinstance(login, Refusal):
        return [f"REFUSED {login.reason}: {login.message}"]
    found = explain_verified(policy, login, witness.service, [witness.access], witness.now)
    return narrate(found).split("\n")


def _anonymous(policy: Policy, witness: Witness) -> list[str]:
    steps = explain(policy, None, witness.service, [witness.access], witness.now)
    try:
        next(steps)
    except StopIteration as end:
        found: Explanation = end.value
        return narrate(found).split("\n")
    return []
