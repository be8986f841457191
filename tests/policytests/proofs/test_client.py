"""Conditions on the client's address: opaque to the prover, so never a false proof."""

import json

import pytest

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.policytests.proofs import Question, Status, more_access

OFFICE = 'client.inNetwork("10.0.0.0/8")'
WIDER = 'client.inNetwork("10.0.0.0/7")'


def policy(when: str, denial: str = "") -> Policy:
    document = {
        "version": 1,
        "services": ["r"],
        "providers": {"ci": {"issuer": "https://ci.example.com", "audience": "me"}},
        "grants": [{"name": "g", "when": when, "repositories": ["a/*"], "actions": ["pull"]}],
    }
    if denial:
        denied = {"name": "d", "when": denial, "repositories": ["a/*"], "actions": ["pull"]}
        document["denials"] = [denied]
    found = compile_policy({"p.yaml": json.dumps(document)}).policy
    assert found is not None
    return found


CASES = [
    (policy(OFFICE), policy(OFFICE), {Status.PROVED}),
    (policy(f'{OFFICE} && claims.team == "x"'), policy(OFFICE), {Status.PROVED}),
    (policy(OFFICE), policy("true == true"), {Status.PROVED}),
    (policy("true == true", OFFICE), policy("true == true"), {Status.PROVED}),
    (policy(OFFICE), policy(WIDER), {Status.UNKNOWN}),
    (policy(WIDER), policy(OFFICE), {Status.UNKNOWN}),
    (policy(OFFICE), policy("false"), {Status.UNKNOWN}),
    (policy(f"!({OFFICE})"), policy("false"), {Status.UNKNOWN}),
    (policy("client == client"), policy("false"), {Status.UNKNOWN}),
    (policy("true == true"), policy(OFFICE), {Status.WITNESS}),
    (policy(f"{OFFICE} || !({OFFICE})"), policy("false"), {Status.UNKNOWN}),
    (policy("true == true"), policy(f"{OFFICE} || !({OFFICE})"), {Status.WITNESS}),
    (policy("true == true"), policy("true == true", OFFICE), {Status.WITNESS}),
    (policy("true == true", OFFICE), policy("true == true", WIDER), {Status.UNKNOWN}),
]


@pytest.mark.parametrize(("new", "bound", "wanted"), CASES)
def test_what_an_address_decides_is_never_proved_shut(
    new: Policy, bound: Policy, wanted: set[Status]
) -> None:
    assert more_access(Question(new, bound, steps=200_000)).status in wanted
