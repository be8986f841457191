"""
The second path for readers: a witness decided step by step, and a proof retold by the engine.

What lives here: asking the engine for both explanations, and what a proof compared.  Not here: the
steps themselves, which are the engine's (`regauth.engine.explaining`), and the notes of a proof
(`regauth.policytests.proofs.retelling`).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from regauth.engine.access.outcomes import Refusal
from regauth.engine.decisions.authentication import Authenticated, authenticate
from regauth.engine.explaining.explanation import Explanation, explain, explain_verified
from regauth.engine.explaining.narration import narrate
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import supposed
from regauth.policytests.proofs import Unknown, Witness
from regauth.policytests.proofs.refinement import Refuted
from regauth.policytests.proofs.retelling import (
    Notes,
    described,
    login_of,
    names_of,
    retell,
)
from regauth.policytests.proofs.statements import Reference

DISAGREES: Final = "a request that the engine decides otherwise; please report this"


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
    found = explain_verified(
        policy, login, witness.service, [witness.access], witness.now, witness.address
    )
    return narrate(found).split("\n")


def _anonymous(policy: Policy, witness: Witness) -> list[str]:
    steps = explain(policy, None, witness.service, [witness.access], witness.now, witness.address)
    try:
        next(steps)
    except StopIteration as end:
        found: Explanation = end.value
        return narrate(found).split("\n")
    return []


def explain_proof(account: Notes, at: datetime | None) -> tuple[list[str], list[Unknown]]:
    """
    Return what was compared, which cells there are and why none is left, as lines.

    A comparison for which the engine finds something left is no proof: it is returned as unknown.
    """
    logins: dict[str, Mapping[str, object]] = {}
    lines, doubts = _explained(account, at, logins)
    for limit, notes in account.longer.items():
        lines.append(f"tokens that are valid for longer than the {limit} of others:")
        told, more = _explained(notes, at, logins)
        lines += [f"  {line}" for line in told or ["no grant is longer"]]
        doubts += more
    return lines, doubts


def _explained(
    account: Notes, at: datetime | None, logins: dict[str, Mapping[str, object]]
) -> tuple[list[str], list[Unknown]]:
    """Return the lines and the doubts of one question; `logins` are kept by provider."""
    lines: list[str] = []
    doubts: list[Unknown] = []
    by_how: dict[str, list[str]] = {}
    for (provider, name), how in account.same.items():
        by_how.setdefault(f"{provider or 'anonymous'}: {how}", []).append(name)
    lines += [f"{how}: {', '.join(names)}" for how, names in by_how.items()]
    for one in account.refuted:
        name = one.pair.name
        if name not in logins:
            logins[name] = login_of(one.pair.new, name, at)
        lines.append(_compared(one))
        if name and not logins[name]:
            lines.append("  no token is known that logs in, so the engine was not asked")
            continue
        retold = retell(one, logins[name])
        if retold is None:
            lines.append("  the values cannot be divided by themselves")
            continue
        lines += [f"  {line}" for line in described(retold, longer=one.limit is not None)]
        if retold.against:
            doubts.append(Unknown(name, one.grant.name, one.target.action, DISAGREES))
    return lines, doubts


def _compared(one: Refuted) -> str:
    target = one.target
    state = {"": "", "new": "a new ", "existing": "an existing "}[target.tag_state]
    waits = ", the tag not known yet" if target.reference is Reference.PENDING else ""
    plain = waits or target.reference is Reference.NONE
    reference = "" if plain else f" of {state}{target.reference.value}"
    action = "list" if target.catalog else f"{target.action}{reference}"
    pattern = "" if target.catalog else f" {one.grant.patterns[one.pattern].text}"
    what = f"{one.grant.name} ({action}{pattern}{waits})"
    return f"{one.pair.name or 'anonymous'}: {what}, with {names_of((*one.old, *one.new))}"
