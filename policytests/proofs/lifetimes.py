"""
Longer tokens: whether a policy gives anybody a registry token that is valid for longer.

What lives here: the question about lifetimes as questions about access.  Not here: answering those
(`question`).

For an access the longest lifetime of all matching grants holds.  So a token is valid for longer
than some time by the grants whose lifetime is longer, and by no other.  A policy gives no longer
tokens when, for each lifetime of the bound, its grants with a longer one give no access that those
of the bound do not.  No other lifetime matters: below the shortest all grants of the bound count.

A token for what depends on the tag is asked for without the tag, so it is only as long as the
shortest of the grants that may match.  Where a shorter grant is gone beside one with tags, nothing
is proved.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

from regauth.engine.policy.policy import Grant, Policy

from .answers import Answer, Longer, Question, Unknown, Witness
from .comparison import are_apart, share_a_value, statement_key
from .confirmation import Asked, ask

Ask = Callable[[Question], Answer]

CONTRADICTION: Final = "a contradiction of two proofs"
OPEN: Final = "a shorter token while the tag is not known"

MAX_COMPARED: Final = 1_000_000
"""Pairs of grants that are compared; of more, each pair counts as about one access."""


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
    open_ = dict.fromkeys((*answer.unknown, *_open(question)))
    return replace(answer, unknown=tuple(open_))


def longer_than(policy: Policy, limit: timedelta) -> Policy:
    """Return a policy with the grants alone whose tokens may be valid for longer than a limit."""
    grants = tuple(
        one for one in policy.grants if one.token_lifetime is None or one.token_lifetime > limit
    )
    return replace(policy, grants=grants)


def _open(question: Question) -> Iterator[Unknown]:
    """Yield a doubt for each grant with tags that a shorter grant of the bound no longer limits."""
    names = question.grants
    tagged = [one for one in _tagged(question.new) if names is None or one.name in names]
    gone = list(_gone(question.new, question.bound)) if tagged else []
    many = len(tagged) * len(gone) > MAX_COMPARED
    for grant in tagged:
        if any(_is_longer(grant, one) and (many or _may_meet(grant, one)) for one in gone):
            yield Unknown("", grant.name, "", OPEN)


def limited(policy: Policy) -> dict[str, str]:
    """Return by the name of a grant a longer one with tags, whose tokens it may limit."""
    tagged = _tagged(policy)
    lasting = [one for one in policy.grants if one.token_lifetime is not None] if tagged else []
    many = len(tagged) * len(lasting) > MAX_COMPARED
    return {
        grant.name: one.name
        for grant in lasting
        for one in tagged
        if _is_longer(one, grant) and (many or _may_meet(one, grant))
    }


def _tagged(policy: Policy) -> list[Grant]:
    return [one for one in policy.grants if one.tags]


def _gone(new: Policy, bound: Policy) -> Iterator[Grant]:
    """Yield the grants of the bound with a lifetime that the new policy has not, or not for all."""
    kept: dict[Hashable, list[Grant]] = {}
    for one in new.grants:
        kept.setdefault(statement_key(one), []).append(one)
    # By another provider of the same issuer, a token may meet other grants than by its own.
    names = {(one.issuer, one.name) for one in (*new.providers.values(), *bound.providers.values())}
    apart = len({issuer for issuer, _ in names}) == len(names)
    for grant in bound.grants:
        alike = kept.get(statement_key(grant), []) if apart else []
        if grant.token_lifetime is not None and not any(_covers(one, grant) for one in alike):
            yield grant


def _covers(one: Grant, grant: Grant) -> bool:
    """Tell whether a grant of the same meaning limits all that another one limits."""
    providers = one.providers is None or (
        grant.providers is not None and set(grant.providers) <= set(one.providers)
    )
    return providers and set(grant.services) <= set(one.services) and not _is_longer(one, grant)


def _is_longer(one: Grant, grant: Grant) -> bool:
    """Tell whether a grant's tokens are valid for longer than another's, which have a limit."""
    limit = grant.token_lifetime
    return limit is not None and (one.token_lifetime is None or one.token_lifetime > limit)


def _may_meet(one: Grant, other: Grant) -> bool:
    """Tell whether two grants may be about one access of one token."""
    return (
        one.class_ == other.class_
        and bool(one.actions & other.actions)
        and not set(one.services).isdisjoint(other.services)
        and not are_apart(one, other)
        and (_reads_scope(one) or _reads_scope(other) or share_a_value(one, other))
    )


def _reads_scope(grant: Grant) -> bool:
    """Tell whether a condition may wait for the tag, whatever else it asks for."""
    return grant.when is not None and "scope" in grant.when.variables


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
