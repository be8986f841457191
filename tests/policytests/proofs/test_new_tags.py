"""New tags only: who may move a tag again has gained access, and nothing is proved too early."""

import json
from itertools import product

import pytest

from regauth.engine.access.references import TagState
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.policytests.proofs import Question, Status, more_access

Written = tuple[str, list[str], bool]
"""The condition of a grant, its tags, and whether it is of new tags only."""


def policy(*written: Written, denied: str = "") -> Policy:
    document: dict[str, object] = {
        "version": 1,
        "services": ["r"],
        "providers": {"ci": {"issuer": "https://ci.example.com", "audience": "me"}},
        "grants": [
            {
                "name": f"g{number}",
                **({"when": when} if when else {}),
                "repositories": ["a/*"],
                "actions": ["pull", "push"],
                "tags": tags,
                **({"newTagsOnly": True} if new else {}),
            }
            for number, (when, tags, new) in enumerate(written)
        ],
    }
    if denied:
        denial = {"name": "d", "repositories": ["a/*"], "tags": [denied], "actions": ["push"]}
        document["denials"] = [denial]
    found = compile_policy({"p.yaml": json.dumps(document)}).policy
    assert found is not None
    return found


CREATE, MOVE = policy(("", ["v*"], True)), policy(("", ["v*"], False))
RED = 'claims.team == "red"'


@pytest.mark.parametrize(
    ("new", "bound", "state"),
    [
        (MOVE, CREATE, TagState.EXISTING),
        (policy(("", ["v*"], True), (RED, ["v1"], False)), CREATE, TagState.EXISTING),
        (policy(("", ["*"], True)), CREATE, TagState.NEW),
        (policy(("", ["v*", "x"], True)), CREATE, TagState.NEW),
        (CREATE, policy((RED, ["v*"], True)), TagState.NEW),
        (CREATE, policy(("", ["v*"], True), denied="v1"), TagState.NEW),
        (CREATE, policy(("", ["v1"], False)), TagState.NEW),
    ],
)
def test_what_is_gained_has_a_witness_that_says_whether_the_tag_exists(
    new: Policy, bound: Policy, state: TagState
) -> None:
    answer = more_access(Question(new, bound))

    assert answer.status is Status.WITNESS
    pushes = [one.access for one in answer.witnesses if one.access.action == "push"]
    assert state in {one.tag_state for one in pushes}


@pytest.mark.parametrize(
    ("new", "bound"),
    [
        (CREATE, CREATE),
        (CREATE, MOVE),
        (policy((RED, ["v*"], True)), CREATE),
        (policy(("", ["v1"], True), ("", ["v*"], True)), CREATE),
        (policy(("", ["v*"], True), ("", ["v1"], False)), MOVE),
        (policy(("", ["v*"], False), ("", ["v*"], True)), MOVE),
        (policy(("", ["v*"], True), denied="v1"), CREATE),
    ],
)
def test_what_gives_no_more_is_proved(new: Policy, bound: Policy) -> None:
    assert more_access(Question(new, bound)).status is Status.PROVED


def test_a_flag_that_goes_is_gained_for_each_kind_of_policy() -> None:
    """Other grants and denials hide it only where they really do."""
    for tags, denied, other in product((["*"], ["v*"]), ("", "v1", "*"), ("", RED)):
        more = [(other, ["v2"], False)] if other else []
        new = policy(("", tags, False), *more, denied=denied)
        bound = policy(("", tags, True), *more, denied=denied)

        wanted = Status.PROVED if denied == "*" else Status.WITNESS
        assert more_access(Question(new, bound)).status is wanted
        assert more_access(Question(bound, new)).status is Status.PROVED
