"""Tokens that commands show a person: each is one that its issuer can make, or says that it is not."""

import re
from pathlib import Path

import pytest

from regauth.engine import Policy, compile_policy
from regauth.engine.access.scope import repository_accesses
from regauth.engine.files import read_policy_folder
from regauth.policytests.analysis.ways_in import WayIn, ways_in
from regauth.policytests.execution.examples import UNLIKELY, is_unlikely
from regauth.policytests.proofs.confirmation import Asked, ask
from regauth.policytests.tokens.coherence import contradictions
from tests.policytests.conftest import Repository

POLICIES = Path(__file__).parents[3] / "policy"
ASKED = {
    "buildkite": ("acme/app", "library/alpine"),
    "circleci": ("acme/app", "library/alpine"),
    "github-actions": ("acme/app", "release/acme/app", "library/alpine"),
    "gitlab-ci": ("acme/app", "release/acme/app", "library/alpine"),
    "kubernetes": ("team/app", "production/app", "library/alpine"),
    "proxy-tags": ("acme/app",),
    "spiffe": ("acme/app", "library/alpine"),
    "tekton": ("acme/app", "library/alpine"),
}
"""Repositories of each reference policy."""


def policy_of(folder: Path) -> Policy:
    found = compile_policy(read_policy_folder(folder)).policy
    assert found is not None
    return found


def examples(policy: Policy, repository: str) -> list[WayIn]:
    return [
        way
        for access in repository_accesses([repository])
        for way in ways_in(policy, access, min(policy.services)).ways
        if way.provider
    ]


def test_every_reference_policy_is_asked() -> None:
    assert set(ASKED) <= {one.name for one in POLICIES.iterdir() if one.is_dir()}
    assert len(ASKED) >= len(list(POLICIES.iterdir())) - 1  # one may be of the proxy's new tags


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_an_example_of_who_can_is_a_possible_token_that_gets_in(name: str) -> None:
    policy = policy_of(POLICIES / name)
    ways = [way for repository in ASKED[name] for way in examples(policy, repository)]
    assert ways
    for way in ways:
        one = way.example
        assert one.written is not None, way.grant.name
        assert one.written.profile.partition("/")[0] == policy.providers[way.provider].claims.name
        assert list(contradictions(policy.providers[way.provider].claims, one.claims)) == []
        asked = Asked(one.claims, one.service, one.access, one.now, one.at)
        assert ask(policy, asked, (way.provider,)).allowed


def test_where_no_possible_token_is_found_it_is_said(house: Repository) -> None:
    text = (house.root / "policy/policy.yaml").read_text()
    text = re.sub(r"when: .*", 'when: claims.sub == "repo:acme/app:x:y"', text)
    house.write("policy/policy.yaml", text)
    policy = policy_of(house.root / "policy")
    ways = examples(policy, "acme/app")
    assert ways
    assert any(is_unlikely(policy, way.example) for way in ways)
    assert UNLIKELY


INVARIANT = """
tests:
  - {name: used, token: main, scopes: ["repository:acme/app:pull"], expect: {granted: ["repository:acme/app:pull"]}}
invariants:
  never:
    - {name: nobody pushes, repositories: ["acme/**"], actions: [push]}
    - {name: nobody pulls of a branch, repositories: ["acme/**"], actions: [pull],
       when: claims.ref.startsWith("refs/heads/")}
"""


def test_a_violation_of_an_invariant_is_shown_by_a_possible_token(house: Repository) -> None:
    loaded = house.load(INVARIANT)
    policy = loaded.evaluation.linked.policy
    cases = [case for case in loaded.cases if case.id.startswith("invariants[")]
    assert len(cases) == 2
    for case in cases:
        told = "\n".join(case.tell(loaded.evaluation))
        assert "profile: github-actions" in told, told
        assert "acme/0" not in told
        [answer] = [loaded.evaluation.proofs[case.id[len("invariants[") : -1]]]
        for one in answer.witnesses:
            provider = policy.providers[one.provider]
            assert list(contradictions(provider.claims, one.claims)) == []
            assert one.written is not None
