"""Invariants: proved for every token, or broken by one; never passed for a wrong reason."""

from dataclasses import replace

import pytest

from regauth.policytests.analysis.coverage import cover
from regauth.policytests.analysis.mutants import mutants
from regauth.policytests.analysis.mutation import Mutator, questions
from regauth.policytests.analysis.places import Places
from regauth.policytests.execution import invariants
from regauth.policytests.execution.invariants import InvariantCase
from regauth.policytests.execution.judging import CaseOutcome, Judgment
from regauth.policytests.execution.run import Loaded, SuiteError
from tests.policytests.conftest import POLICY, TOKENS, Repository

TESTS = """
tests:
  - {name: used, token: main, scopes: ["repository:acme/app:pull"], expect: {granted: ["repository:acme/app:pull"]}}
"""


def load(house: Repository, stated: str, policy: str | None = None) -> Loaded:
    """Load a suite with invariants, as YAML."""
    if policy is not None:
        house.write("policy/policy.yaml", policy)
    return house.load(f"{TESTS}invariants:\n{stated}")


def judged(loaded: Loaded) -> dict[str, Judgment]:
    """Return the outcome of each invariant by its name."""
    return {
        case.invariant.name: case.judge(loaded.evaluation)
        for case in loaded.cases
        if isinstance(case, InvariantCase)
    }


def codes(house: Repository, stated: str, policy: str | None = None) -> list[str]:
    """Return the codes of what is wrong with a suite."""
    with pytest.raises(SuiteError) as caught:
        load(house, stated, policy)
    return [problem.code for problem in caught.value.problems]


EVERYWHERE = 'repositories: ["**"], actions: [pull, push, delete]'


@pytest.mark.parametrize(
    "stated",
    [
        f"  never: [{{name: n, when: 'claims.repository_owner_id != \"1342004\"', {EVERYWHERE}}}]",
        f"  only: [{{name: n, to: 'claims.repository_owner_id == \"1342004\"', {EVERYWHERE}}}]",
        '  never: [{name: n, repositories: ["**"], actions: [delete]}]',
        "  never: [{name: n, repositories: [acme/frozen], actions: [push, delete]}]",
        "  never: [{name: n, catalog: true}]",
        "  only: [{name: n, to: 'claims.ref == \"refs/heads/main\"', repositories: ['**'], actions: [push]}]",
        "  only: [{name: n, to: scope.name == claims.repository.lowerAscii(), repositories: ['**'], actions: [push]}]",
    ],
)
def test_an_invariant_that_holds_is_proved(house: Repository, stated: str) -> None:
    assert {"n": CaseOutcome.PASSED} == {
        n: one.outcome for n, one in judged(load(house, stated)).items()
    }


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (
            "  never: [{name: n, when: 'claims.event_name == \"pull_request\"', repositories: ['**'], actions: [push]}]",
            "a token of github may push ",
        ),
        (
            "  only: [{name: n, to: 'claims.environment == \"release\"', repositories: ['**'], actions: [push]}]",
            "by grant push-own",
        ),
        ("  never: [{name: n, repositories: [acme/app], actions: [pull]}]", "may pull acme/app"),
    ],
)
def test_an_invariant_that_does_not_hold_fails_with_a_token(
    house: Repository, stated: str, words: str
) -> None:
    loaded = load(house, stated)
    [judgment] = judged(loaded).values()
    assert judgment.outcome is CaseOutcome.FAILED
    assert words in judgment.summary
    [case] = [one for one in loaded.cases if isinstance(one, InvariantCase)]
    told = "\n".join(case.tell(loaded.evaluation))
    assert 'provider: "github"' in told
    assert "got       A allowed" in told
    assert "policy/policy.yaml:" in told
    cause = case.cause(loaded.evaluation, loaded.causes)
    assert cause is not None
    assert cause.name in judgment.summary


def test_a_condition_that_fails_forbids(house: Repository) -> None:
    """A token without the claim is the one that an author forgets."""
    stated = "  never: [{name: n, when: 'claims.environment == \"x\"', repositories: ['**'], actions: [push]}]"
    [judgment] = judged(load(house, stated)).values()
    assert judgment.outcome is CaseOutcome.FAILED
    guarded = stated.replace("claims.env", "has(claims.environment) && claims.env", 1)
    [judgment] = judged(load(house, guarded)).values()
    assert judgment.outcome is CaseOutcome.FAILED  # by a token of the environment x
    assert "may push" in judgment.summary


def test_requests_without_credentials_are_meant_too(house: Repository) -> None:
    policy = f"{POLICY}anonymous:\n  repositories: [acme/public]\n"
    stated = f"  only: [{{name: n, to: 'claims.repository_owner_id == \"1342004\"', {EVERYWHERE}}}]"
    [judgment] = judged(load(house, stated, policy)).values()
    assert judgment.outcome is CaseOutcome.FAILED
    assert "anybody, without credentials may pull acme/public" in judgment.summary
    named = stated.replace("name: n", "name: n, providers: [github]")
    assert [CaseOutcome.PASSED] == [one.outcome for one in judged(load(house, named)).values()]


def test_what_is_not_proved_is_an_error(house: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    stated = "  only: [{name: n, to: 'claims.ref.startsWith(\"refs/heads/\")', repositories: ['**'], actions: [push]}]"
    loaded = load(house, stated)
    monkeypatch.setattr(invariants, "STEPS", 1)
    [judgment] = judged(loaded).values()
    assert judgment.outcome is CaseOutcome.ERROR
    assert "the bound on the solver's steps" in judgment.summary


@pytest.mark.slow
def test_an_opaque_condition_is_never_a_pass(house: Repository) -> None:
    stated = "  never: [{name: n, when: 'claims.ref < claims.sha', repositories: ['**'], actions: [push]}]"
    [judgment] = judged(load(house, stated)).values()
    assert judgment.outcome is not CaseOutcome.PASSED


# --- assumptions ---------------------------------------------------------------------------------

OURS = "{name: n, to: 'claims.repository.startsWith(\"acme/\")', repositories: ['**'], actions: [push]}"


def test_a_proof_can_use_an_assumption(house: Repository) -> None:
    assert [CaseOutcome.FAILED] == [
        one.outcome for one in judged(load(house, f"  only: [{OURS}]")).values()
    ]
    known = (
        "  assume: [{when: 'claims.repository_owner_id == \"1342004\"',"
        " then: 'claims.repository.startsWith(\"acme/\")'}]"
    )
    assert [CaseOutcome.PASSED] == [
        one.outcome for one in judged(load(house, f"  only: [{OURS}]\n{known}")).values()
    ]


@pytest.mark.parametrize(
    ("assumed", "code"),
    [
        (
            "{then: 'claims.ref.startsWith(\"refs/tags/\") && claims.ref.size() < 8'}",
            "impossible-assumption",
        ),
        (
            "{when: 'claims.event_name == \"push\"', then: 'claims.event_name == \"schedule\"'}",
            "impossible-assumption",
        ),
        (
            "{when: 'claims.repository == \"acme/app\"', then: 'claims.ref == \"refs/heads/x\"'}",
            "contradicted-assumption",
        ),
        ("{then: 'claims.environment == \"x\"'}", "contradicted-assumption"),
        ("{then: 'claims.ref < claims.sha'}", "undecided-assumption"),
        ("{then: 'scope.name == \"x\"'}", "cel-undeclared"),
        ("{then: 'service == \"x\"'}", "assumption-beyond-claims"),
        ("{then: 'claims.event_name == \"psh\"'}", "impossible-value"),
        ("{then: 'claims.ref.startsWith(\"refs/*\")'}", "glob-in-comparison"),
        ("{then: 'true', providers: [githbu]}", "unknown-provider"),
    ],
)
def test_an_assumption_that_proves_too_much_is_an_error(
    house: Repository, assumed: str, code: str
) -> None:
    assert code in codes(house, f"  assume: [{assumed}]")


def test_assumptions_that_exclude_each_other_are_an_error(house: Repository) -> None:
    assumed = (
        "{then: 'claims.ref != \"refs/heads/main\"'}, {then: 'claims.ref == \"refs/heads/main\"'}"
    )
    assert "impossible-assumption" in codes(house, f"  assume: [{assumed}]")


def test_a_token_that_no_issuer_makes_contradicts_nothing(house: Repository) -> None:
    token = "  odd: {from: main, claims: {ref: refs/heads/x}, impossible: to see what happens}\n"
    test = "  - {name: odd, token: odd, scopes: ['repository:a/b:pull'], expect: {granted: []}}\n"
    text = f"{TESTS}{test}invariants:\n  assume: [{{then: 'claims.ref == \"refs/heads/main\"'}}]\n"
    assert house.load(text, f"{TOKENS.strip()}\n{token}").cases


# --- what is wrong with an invariant -------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        (f"  never: [{{name: used, {EVERYWHERE}}}]", "duplicate-name"),
        (f"  never: [{{name: a, {EVERYWHERE}}}, {{name: a, {EVERYWHERE}}}]", "duplicate-name"),
        (f"  never: [{{name: 'a[b', {EVERYWHERE}}}]", "bad-name"),
        ("  never: [{name: a, repositories: ['**']}]", "missing-key"),
        (f"  only: [{{name: a, {EVERYWHERE}}}]", "missing-key"),
        (f"  never: [{{name: a, when: defs.x, {EVERYWHERE}}}]", "cel-undeclared"),
        (f"  never: [{{name: a, when: claims.rf == 'x', {EVERYWHERE}}}]", "cel-unknown-claim"),
        (f"  only: [{{name: a, to: claims.ref, {EVERYWHERE}}}]", "cel-result-type"),
        (
            f"  only: [{{name: a, to: claims.event_name == 'psh', {EVERYWHERE}}}]",
            "impossible-value",
        ),
        (f"  never: [{{name: a, providers: [x], {EVERYWHERE}}}]", "unknown-provider"),
        (f"  never: [{{name: a, services: [x], {EVERYWHERE}}}]", "unknown-service"),
        ("  never: [{name: a, repositories: ['a/**b'], actions: [pull]}]", "bad-pattern"),
        ("  nver: [{name: a}]", "unknown-key"),
    ],
)
def test_what_is_wrong_with_an_invariant_is_told(house: Repository, stated: str, code: str) -> None:
    assert code in codes(house, stated)


def test_an_invariant_does_not_see_the_definitions_of_the_policy(house: Repository) -> None:
    """A change of a definition would weaken the policy and what guards it at once."""
    policy = POLICY.replace("providers:", "definitions: {main: claims.ref == 'x'}\nproviders:", 1)
    policy = policy.replace('claims.ref == "refs/heads/main"', "defs.main")
    stated = f"  only: [{{name: a, to: defs.main, {EVERYWHERE}}}]"
    assert "cel-undeclared" in codes(house, stated, policy)


# --- counted by coverage and mutation ------------------------------------------------------------


def test_coverage_asks_for_a_case_that_tries_what_an_invariant_forbids(house: Repository) -> None:
    """Otherwise a wrong name of a repository proves everything."""
    stated = (
        "  never:\n"
        "    - {name: wrong, when: 'claims.ref == \"refs/heads/x\"', repositories: [acm/**], actions: [push]}\n"
        "    - {name: tried, when: 'claims.ref == \"refs/heads/x\"', repositories: [acme/**], actions: [pull]}\n"
    )
    loaded = load(house, stated)
    policy = loaded.evaluation.linked.policy
    asked = [pair for case in loaded.cases for pair in questions(loaded, case)]
    places = Places.of(loaded.compiled.compilation.sources)
    found = cover(policy, "policy", places, asked, loaded.evaluation.linked.invariants)
    missing = {
        (point.kind, point.name): point.missing
        for point in found.points
        if point.name in ("wrong", "tried")
    }
    assert {
        ("invariant", "wrong"): ("T",),
        ("invariant", "tried"): ("T",),
        ("part", "wrong"): ("T", "F"),
        ("part", "tried"): ("T",),
    } == missing
    [part] = [one for one in found.points if (one.kind, one.name) == ("part", "tried")]
    assert 'ref: "refs/heads/x"' in part.suggestions["T"]
    assert ("suite.policytest.yaml", 9) == (part.location.file, part.location.line)


def test_a_mutant_that_an_invariant_refutes_is_noticed(house: Repository) -> None:
    stated = "  only: [{name: n, to: 'claims.ref == \"refs/heads/main\"', repositories: ['**'], actions: [push]}]"
    loaded = load(house, stated)
    policy = loaded.evaluation.linked.policy
    places = Places.of(loaded.compiled.compilation.sources)
    cases = [(loaded, case) for case in loaded.cases]
    without = [pair for pair in cases if not isinstance(pair[1], InvariantCase)]

    def noticed(given: list[tuple[Loaded, object]]) -> set[tuple[str, str]]:
        mutator = Mutator(policy, "policy", places, given)
        return {
            (mutant.operator, mutant.owner)
            for mutant in mutants(policy, places)
            if mutant.owner == "push-own" and mutator._is_killed(mutant)
        }

    more = noticed(cases) - noticed(without)
    assert ("always-true", "push-own") in more
    assert ("never-true", "push-own") not in more  # nobody gains by it


def test_a_mutant_of_which_an_invariant_is_undecided_is_not_noticed(
    house: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(
        house, f"  only: [{{name: n, to: 'claims.ref.startsWith(\"refs/heads/\")', {EVERYWHERE}}}]"
    )
    [case] = [one for one in loaded.cases if isinstance(one, InvariantCase)]
    policy = loaded.evaluation.linked.policy
    mutant = next(iter(mutants(policy, Places.of(loaded.compiled.compilation.sources))))
    monkeypatch.setattr(invariants, "STEPS", 1)
    mutant = replace(mutant, policy=policy)
    assert not Mutator._refutes(loaded, case, mutant)


def test_of_a_large_policy_one_violation_is_enough(
    house: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = POLICY.replace(
        "  - name: push-own\n",
        "  - {name: push-more, repositories: [more/**], actions: [push]}\n  - name: push-own\n",
    )
    loaded = load(house, f"  never: [{{name: n, {EVERYWHERE}}}]", more)
    [case] = [one for one in loaded.cases if isinstance(one, InvariantCase)]
    assert 1 < len(case.answer(loaded.evaluation).witnesses)
    loaded.evaluation.proofs.clear()
    monkeypatch.setattr(invariants, "MAX_THOROUGH", 1)
    assert 1 == len(case.answer(loaded.evaluation).witnesses)
