"""
Longer tokens: whether a policy gives anybody a registry token that is valid for longer.

What lives here: for which lifetimes the question is asked, and what its answers come to.  Not here:
the question about one grant (`longer`).

A token is valid for longer than some time, where the bound gives one that is not.  The bound's
token has then the lifetime of one of its grants.  So there is one question for each of them.
"""

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final, Protocol

from msgspec import structs

from regauth.engine.access.references import UNKNOWN, TagState
from regauth.engine.policy.policy import Grant, Policy

from .answers import Answer, Longer, Question, Witness
from .comparison import statement_key
from .confirmation import Asked, token_of
from .longer import lasts, may_meet

MAX_COMPARED: Final = 1_000_000
"""Pairs of grants that are compared; of more, each pair counts as about one access."""


class Ask(Protocol):
    """Answers a question: about access, or about tokens that last longer than a limit."""

    def __call__(self, question: Question, limit: timedelta | None = None) -> Answer:
        """Return the answer."""


def with_lifetimes(question: Question, answer: Answer, more: Ask) -> Answer:
    """
    Return an answer with what is known of longer tokens.

    Args:
        question: The question.
        answer: Its answer about access.
        more: Answers a question.
    """
    longer: dict[Hashable, list[tuple[Witness, timedelta]]] = {}
    for limit in sorted(_limits(question.bound)):
        account = question.account.of_longer(limit) if question.account is not None else None
        if not any(lasts(one, limit) for one in question.new.grants):
            continue
        left = max(question.steps - answer.steps, 0)
        found = more(replace(question, steps=left, account=account), limit)
        for witness in found.witnesses:
            # Of several grants that wait for the tag, each gives the same token.
            longer.setdefault(_token_key(witness), []).append((witness, limit))
        answer = replace(
            answer,
            unknown=tuple(dict.fromkeys((*answer.unknown, *found.unknown))),
            about=max(answer.about, found.about, key=question.universes.index),
            queries=answer.queries + found.queries,
            steps=answer.steps + found.steps,
        )
    told = (_longer(question, alike) for alike in longer.values())
    return replace(answer, longer=(*answer.longer, *told))


def _token_key(witness: Witness) -> Hashable:
    """Return what tells a token from others: it is asked for without a tag."""
    access = structs.replace(witness.access, reference=UNKNOWN, tag_state=TagState.UNKNOWN)
    claims = json.dumps(witness.claims, sort_keys=True)
    times = (witness.now, witness.at)
    return witness.provider, claims, witness.service, access, times, witness.client


def limited(policy: Policy) -> dict[str, str]:
    """Return by the name of a grant a longer one with tags, whose tokens it may limit."""
    tagged = [one for one in policy.grants if one.tags]
    lasting = [one for one in policy.grants if one.token_lifetime is not None] if tagged else []
    many = len(tagged) * len(lasting) > MAX_COMPARED
    return {
        grant.name: one.name
        for grant in lasting
        for one in tagged
        if _is_longer(one, grant) and (many or may_meet(one, grant))
    }


def no_longer(new: Policy, bound: Policy, limit: timedelta) -> Iterator[Grant]:
    """
    Yield the grants of the bound that keep tokens from lasting longer, and that `new` has not.

    A grant that `new` has for all whom the bound has it for, and as short, is not among them.
    """
    kept: dict[Hashable, list[Grant]] = {}
    for one in new.grants:
        kept.setdefault(statement_key(one), []).append(one)
    # By another provider of the same issuer, a token may meet other grants than by its own.
    names = {(one.issuer, one.name) for one in (*new.providers.values(), *bound.providers.values())}
    apart = len({issuer for issuer, _ in names}) == len(names)
    for grant in bound.grants:
        alike = kept.get(statement_key(grant), []) if apart else []
        if not lasts(grant, limit) and not any(_covers(one, grant) for one in alike):
            yield grant


def _covers(one: Grant, grant: Grant) -> bool:
    """Tell whether a grant of the same meaning limits all that another one limits."""
    providers = one.providers is None or (
        grant.providers is not None and set(grant.providers) <= set(one.providers)
    )
    return providers and set(grant.services) <= set(one.services) and not _is_longer(one, grant)


def _is_longer(one: Grant, grant: Grant) -> bool:
    """Tell whether a grant's tokens are valid for longer than another's, which have a limit."""
    return grant.token_lifetime is not None and lasts(one, grant.token_lifetime)


def _limits(policy: Policy) -> set[timedelta]:
    return {one.token_lifetime for one in policy.grants if one.token_lifetime is not None}


def lifetimes_of(question: Question, witness: Witness) -> tuple[timedelta, timedelta]:
    """Return for how long its token is valid by the bound, and by the new policy."""
    asked = asked_by(witness)
    return (
        token_of(question.bound, asked, list(question.bound.providers)).most,
        token_of(question.new, asked, (witness.provider,)).most,
    )


def _longer(question: Question, alike: Sequence[tuple[Witness, timedelta]]) -> Longer:
    """Return what is said of one token, by witnesses of each grant that gives it."""
    witness, limit = alike[0]
    names = list(dict.fromkeys(f"`{one.source}`" for one, _ in alike))
    grants = f"the grant {names[0]}" if len(names) == 1 else f"the grants {', '.join(names)}"
    what = f"the token for {witness.access}, by {grants},"
    before, after = map(_shown, lifetimes_of(question, witness))
    return Longer(witness.provider, what, before, after, witness, limit)


def _shown(lifetime: timedelta) -> str:
    return "the server's" if lifetime == timedelta.max else str(lifetime)


def asked_by(witness: Witness) -> Asked:
    """Return the request of a witness."""
    return Asked(
        witness.claims if witness.provider else None,
        witness.service,
        witness.access,
        witness.now,
        witness.at,
        witness.provider if witness.session else "",
        witness.address,
    )
