"""No attack on the soundness of proofs succeeds (`adversarial`)."""

from dataclasses import fields

import pytest

from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.patterns.tags import TagPattern
from regauth.engine.policy.policy import Denial, Grant, Policy, Provider, Rule, Statement
from regauth.policytests.proofs import About, Question, Status, more_access
from regauth.policytests.proofs.confirmation import Asked, ask
from tests.policytests.proofs.adversarial import ATTACKS, compiled
from tests.policytests.proofs.more_attacks import MORE_ATTACKS
from tests.policytests.proofs.random_policies import SERVICE

UNDECIDED = {
    *("no-break-space", "equal-lists", "alike-but-for-case"),
    *("all-with-an-error", "third-element", "pairs-in-a-list", "steps-of-what-is-before"),
    *("filter-of-three", "position-past-what-is-followed", "short-value-of-a-long-claim"),
    *("map-size", "name-and-tag-of-one-trimmed-claim", "final-sigma-folds", "many-lines"),
    *("largest-double", "double-and-its-int"),
}
"""Attacks that are not excluded, and no more; every other one gets a witness."""


EVERY = {**ATTACKS, **MORE_ATTACKS}


@pytest.mark.parametrize("name", list(EVERY))
def test_access_that_is_gained_is_never_proved_away(name: str) -> None:
    attack = EVERY[name]()
    new, bound = compiled(attack.new), compiled(attack.bound)
    at = attack.now - attack.session
    session = next(iter(new.providers)) if attack.session else ""
    asked = Asked(attack.claims, SERVICE, attack.access, attack.now, at, session, attack.client)
    assert ask(new, asked, list(new.providers)).allowed
    assert not ask(bound, asked, list(bound.providers)).allowed

    statuses = {
        about: more_access(
            Question(new, bound, universes=(about,), steps=3_000_000, first=True)
        ).status
        for about in About
    }

    if name in UNDECIDED:
        assert Status.PROVED not in statuses.values()
    else:
        assert set(statuses.values()) == {Status.WITNESS}


KNOWN = {
    Policy: "services providers grants denials anonymous definitions hash index",
    Provider: (
        "name issuer audiences keys algorithms claims rules subject clock_skew location "
        "max_token_age max_session"
    ),
    Rule: "name check message location",
    Statement: (
        "name providers services when patterns actions catalog class_ expires location tags token_lifetime new_tags_only"
    ),
    Grant: "name providers services when patterns actions catalog class_ expires location tags token_lifetime new_tags_only",
    Denial: "name providers services when patterns actions catalog class_ expires location tags token_lifetime new_tags_only",
    Pattern: "text parts",
    TagPattern: "text parts",
}


@pytest.mark.parametrize("kind", KNOWN)
def test_every_field_of_a_policy_is_known_to_the_prover(kind: type) -> None:
    """
    A field that a policy gets must get into the prover before it gets into this list.

    That is `comparison` (`statement_key`, `login_key`: two that differ in it are not the same) and
    `statements` or `logins` (when it allows and refuses), or `question` for a lifetime.
    """
    assert {one.name for one in fields(kind)} == set(KNOWN[kind].split())


def test_every_wildcard_is_known_to_the_prover() -> None:
    assert {one.value for one in Wildcard} == {"*", "**/", "**"}
