"""Mutation: what a suite does not notice is named, with a token that would show it."""

import pytest

from regauth.policytests.analysis import equivalence
from regauth.policytests.analysis.mutants import Mutant, mutants
from regauth.policytests.analysis.mutation import Mutation, mutate
from regauth.policytests.analysis.places import Places
from regauth.policytests.execution.run import Loaded
from regauth.policytests.tokens.issuing import IssuerKeys
from tests.policytests.conftest import TOKENS, Repository

WEAK = """
tests:
  - name: grid
    grid: |
      token repository pull push
      main  acme/app   A    A
"""
STRONG = """
tests:
  - name: grid
    grid: |
      token  repository   pull  push  delete
      main   acme/app     A     A     .
      main   acme/app-x   A     .     .
      main   acme/frozen  A     .     .
      main   acme/frozenx A     .     .
      main   acme         .     .     .
      main   other/app    .     .     .
      main   broken/x     A     .     .
      main   broken/x/y   .     .     .
      branch acme/app     A     .     .
      folder acme/app     A     .     .
      suffix acme/app     A     .     .
      few    broken/x     .     .     .
      many   broken/x     A     .     .
      frozen acme/frozen  A     .     .
      frozen acme/frozenx A     .     .
      thawed acme/frozenx A     A     .
      own    other/mine   A     A     .
      alien  acme/app     U     U     U
      near   acme/app     U     U     U
      aud    acme/app     U     U     U
"""
MANY = (
    TOKENS.rstrip().replace("claims: {", 'claims: {run_number: "42", ')
    + """
  branch: {from: main, claims: {ref: refs/heads/x}}
  folder: {from: main, claims: {ref: refs/heads/x/main}}
  suffix: {from: main, claims: {ref: refs/heads/main-x}}
  few: {from: main, claims: {run_number: "10"}}
  many: {from: main, claims: {run_number: "11"}}
  frozen: {from: main, claims: {repository: acme/frozen}}
  thawed: {from: main, claims: {repository: acme/frozenx}}
  own: {from: main, claims: {repository: other/mine}}
  alien: {from: main, claims: {repository_owner_id: "999"}}
  near: {from: main, impossible: the mutants need it, claims: {repository_owner_id: "1342004-x"}}
  aud: {from: main, claims: {aud: https://another.example.com}}
"""
)


def tried(
    house: Repository, text: str, tokens: str = TOKENS, most: int | None = None
) -> tuple[Loaded, Mutation]:
    """Return what came of the mutants of a suite whose cases all pass."""
    loaded = house.load(text, tokens)
    outcomes = {case.id: case.judge(loaded.evaluation) for case in loaded.cases}
    assert {"passed"} == {one.outcome.value for one in outcomes.values()}, outcomes
    compilation = loaded.compiled.compilation
    assert compilation.policy is not None
    places = Places.of(compilation.sources)
    passed = [(loaded, case) for case in loaded.cases]
    return loaded, mutate(compilation.policy, "policy", places, passed, most)


@pytest.fixture(scope="module")
def weak(
    tmp_path_factory: pytest.TempPathFactory, issuer_keys: IssuerKeys
) -> tuple[list[Mutant], Mutation]:
    """All mutants of the usual policy, and what came of them by a weak suite."""
    loaded, mutation = tried(Repository(tmp_path_factory.mktemp("weak"), issuer_keys), WEAK)
    compilation = loaded.compiled.compilation
    assert compilation.policy is not None
    return list(mutants(compilation.policy, Places.of(compilation.sources))), mutation


def test_a_weak_suite_leaves_survivors_with_a_witness(
    weak: tuple[list[Mutant], Mutation],
) -> None:
    _, mutation = weak
    survivors = {(one.mutant.operator, one.mutant.owner): one for one in mutation.survivors}
    dropped = survivors["always-true", "our-organisation"]
    assert ("policy/policy.yaml", 11) == (
        dropped.mutant.location.file,
        dropped.mutant.location.line,
    )
    assert dropped.mutant.diff().startswith('- claims.repository_owner_id == "1342004"')
    assert "repository_owner_id" in str(dropped.witness)
    assert mutation.score < 100


def test_a_strong_suite_notices_every_mutant(house: Repository) -> None:
    _, mutation = tried(house, STRONG, MANY)
    assert [] == [(one.mutant.operator, one.mutant.diff()) for one in mutation.survivors]
    assert 100.0 == mutation.score
    assert len(mutation.killed) > 3 * len(mutation.equivalent)


def test_a_survivors_witness_kills_it(
    house: Repository, weak: tuple[list[Mutant], Mutation]
) -> None:
    every, mutation = weak
    survivor = next(one for one in mutation.survivors if one.mutant.operator == "widen-to-prefix")
    witness = survivor.witness
    repository, action = witness.access.split(":")[1:]
    tokens = f"{TOKENS}  w: {{from: {witness.token}, {witness.variation}}}\n"
    columns = " ".join("A" if name == "pull" else "." for name in ("pull", action))
    row = f"      w  {repository}  {columns}\n"
    number = [one.diff() for one in every].index(survivor.mutant.diff()) + 1
    _, better = tried(house, WEAK.replace("push", action) + row, tokens, most=number)
    assert survivor.mutant.diff() in [one.diff() for one in better.killed]


def test_a_mutant_that_changes_nothing_is_left_out_of_the_score(house: Repository) -> None:
    policy = house.root / "policy" / "policy.yaml"
    policy.write_text(
        policy.read_text()
        + "  - {name: frozen-again, repositories: [acme/frozen], actions: [push]}\n"
    )
    _, mutation = tried(house, WEAK)
    assert ("remove-denial", "frozen-again") in [
        (one.operator, one.owner) for one in mutation.equivalent
    ]


def test_what_the_search_does_not_find_is_a_survivor_by_the_prover(house: Repository) -> None:
    rows = (
        "      thawed acme/frozenx A     A     .\n",
        "      own    other/mine   A     A     .\n",
    )
    text = STRONG
    for row in rows:
        assert row in text
        text = text.replace(row, "")
    listed = MANY.replace("  thawed: {from: main, claims: {repository: acme/frozenx}}\n", "")
    listed = listed.replace("  own: {from: main, claims: {repository: other/mine}}\n", "")
    _, mutation = tried(house, text, listed)
    found = {(one.mutant.operator, one.mutant.owner): one.witness for one in mutation.survivors}
    assert {("drop-action", "push-own"), ("widen-suffix", "frozen")} == set(found)
    assert "claims:" in str(found["drop-action", "push-own"])


def test_what_is_not_proved_is_undecided_and_not_equivalent(
    house: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equivalence, "STEPS", 10)
    policy = house.root / "policy" / "policy.yaml"
    policy.write_text(
        policy.read_text()
        + "  - {name: frozen-again, repositories: [acme/frozen*], actions: [push]}\n"
    )
    _, mutation = tried(house, WEAK)
    assert mutation.undecided
    assert all("steps" in one.construct for one in mutation.undecided)
    assert mutation.equivalent == []


def test_every_mutant_differs_from_its_policy_and_from_the_others(
    weak: tuple[list[Mutant], Mutation],
) -> None:
    made, _ = weak
    seen = {(one.operator, one.owner, one.before, one.after, str(one.location)) for one in made}
    assert len(made) == len(seen)
    assert all(one.before != one.after for one in made)
