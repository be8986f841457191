"""
Longer tokens: whether a policy gives anybody a registry token that is valid for longer.

What lives here: the question about lifetimes as questions about access.  Not here: answering those
(`question`).

For an access the longest lifetime of all matching grants holds.  So a token is valid for longer
than some time by the grants whose lifetime is longer, and by no other.  A policy gives no longer
tokens when, for each lifetime of the bound, its grants with a longer one give no access that those
of the bound do not.  No other lifetime matters: below the shortest all grants of the bound count.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

from regauth.engine.policy.policy import Policy

from .answers import Answer, Longer, Question, Unknown, Witness
from .confirmation import Asked, ask

Ask = Callable[[Question], Answer]

CONTRADICTION: Final = "a contradiction of two proofs"


def with_lifetimes(question: Question, answer: Answer, more: Ask) -> Answer:
    """
    Return an answer with what is known of longer tokens.

    Args:
        question: The question.
        answer: Its answer about access.
        more: Answers a question about access.
    """
    for limit in sorted(_limits(question.bound)):
        new, bound = longer_than(question.new, limit), longer_than(question.bound, limit)
        if not new.grants:
            continue
        left = max(question.steps - answer.steps, 0)
        found = more(replace(question, new=new, bound=bound, steps=left))
        answer = replace(
            answer,
            longer=(*answer.longer, *_longer(question, found, limit)),
            unknown=tuple(
                dict.fromkeys((*answer.unknown, *found.unknown, *_doubts(question, answer, found)))
            ),
            about=max(answer.about, found.about, key=question.universes.index),
            queries=answer.queries + found.queries,
            steps=answer.steps + found.steps,
        )
    return answer


def longer_than(policy: Policy, limit: timedelta) -> Policy:
    """Return a policy with the grants alone whose tokens may be valid for longer than a limit."""
    grants = tuple(
        one for one in policy.grants if one.token_lifetime is None or one.token_lifetime > limit
    )
    return replace(policy, grants=grants)


def _limits(policy: Policy) -> set[timedelta]:
    return {one.token_lifetime for one in policy.grants if one.token_lifetime is not None}


def _longer(question: Question, found: Answer, limit: timedelta) -> Iterator[Longer]:
    lifetimes = {one.name: one.token_lifetime for one in question.new.grants}
    for witness in found.witnesses:
        if _is_allowed(question.bound, witness):
            after = lifetimes.get(witness.source)
            what = f"the token for {witness.access}, by the grant `{witness.source}`,"
            shown = "the server's" if after is None else str(after)
            yield Longer(witness.provider, what, str(limit), shown, witness, limit)


def _doubts(question: Question, answer: Answer, found: Answer) -> Iterator[Unknown]:
    """Yield a doubt where a witness is new access, which the answer about access excludes."""
    new = [one for one in found.witnesses if not _is_allowed(question.bound, one)]
    if new and not answer.witnesses and not answer.unknown:
        yield Unknown(new[0].provider, new[0].source, new[0].access.action, CONTRADICTION)


def _is_allowed(bound: Policy, witness: Witness) -> bool:
    asked = Asked(
        witness.claims if witness.provider else None,
        witness.service,
        witness.access,
        witness.now,
        witness.at,
        witness.provider if witness.session else "",
        witness.address,
    )
    return ask(bound, asked, list(bound.providers)).allowed
