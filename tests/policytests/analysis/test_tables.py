"""Tables in coverage and mutants: each entry is a change that a suite can notice."""

from regauth.policytests.analysis.coverage import cover
from regauth.policytests.analysis.mutants import mutants, untried_entries
from regauth.policytests.analysis.mutation import mutate, questions
from regauth.policytests.analysis.places import Places
from regauth.policytests.analysis.variations import sampled
from regauth.policytests.analysis.witnesses import Witnesses
from tests.policytests.conftest import Repository

POLICY = """
version: 1
services: [registry.example.com]
definitions:
  teams:
    "1": payments
    "2": search
providers:
  github:
    issuer: https://token.actions.githubusercontent.com/acme
    audience: https://registry.example.com
    algorithms: [RS256]
    claims: github-actions
grants:
  - name: own
    when: claims.repository_id in defs.teams && defs.teams[claims.repository_id] != "nobody"
    repositories: ["${defs.teams[claims.repository_id]}/*"]
    actions: [pull]
"""
SUITE = """
tests:
  - name: teams
    grid: |
      token repository   pull
"""
ROWS = {
    "one": "      one   payments/app A\n      one   search/app   .\n",
    "two": "      two   search/app   A\n      two   payments/app .\n",
    "none": "      none  search/app   .\n",
}
ONE = """
at: 2026-11-01T12:00:00Z
tokens:
  one:
    profile: github-actions
    claims: {iss: https://token.actions.githubusercontent.com/acme, repository_id: "1"}
"""
MORE = {
    "two": '{from: one, claims: {repository_id: "2"}}',
    "none": '{from: one, claims: {repository_id: "3"}}',
}
SAMPLES = ONE + "".join(f"  {name}: {token}\n" for name, token in MORE.items())


def survivors(house: Repository, *rows: str) -> list[tuple[str, str, str]]:
    house.write("policy/policy.yaml", POLICY)
    used = ONE + "".join(f"  {name}: {MORE[name]}\n" for name in rows)
    loaded = house.load(SUITE + "".join(ROWS[row] for row in ("one", *rows)), used)
    for case in loaded.cases:
        assert case.judge(loaded.evaluation).outcome.value == "passed"
    compilation = loaded.compiled.compilation
    assert compilation.policy is not None
    passed = [(loaded, case) for case in loaded.cases]
    found = mutate(compilation.policy, "policy", Places.of(compilation.sources), passed)
    return [
        (one.mutant.operator, one.mutant.before, str(one.witness))
        for one in found.survivors
        if one.mutant.operator in ("drop-entry", "exchange-values")
    ]


def test_each_entry_is_a_mutant_at_its_place(house: Repository) -> None:
    house.write("policy/policy.yaml", POLICY)
    loaded = house.load(SUITE + ROWS["one"], ONE)
    compilation = loaded.compiled.compilation
    assert compilation.policy is not None
    made = [
        (one.operator, one.before, one.after, one.location.line, sorted(one.statements))
        for one in mutants(compilation.policy, Places.of(compilation.sources))
        if one.owner == "defs.teams"
    ]

    assert made == [
        ("drop-entry", "1: payments", "", 5, ["own"]),
        ("drop-entry", "2: search", "", 6, ["own"]),
        ("exchange-values", "1: payments", "1: search", 5, ["own"]),
    ]


def test_an_entry_that_no_case_looks_up_survives_with_a_token_that_does(house: Repository) -> None:
    ((operator, before, witness),) = survivors(house, "none")

    assert (operator, before) == ("drop-entry", "2: search")
    assert 'repository_id: "2"' in witness


def test_a_suite_with_every_entry_leaves_none(house: Repository) -> None:
    assert [] == survivors(house, "two", "none")


def test_a_guard_need_not_decide_by_being_false(house: Repository) -> None:
    """Without the key the look-up behind the guard is an error, which refuses as well."""
    house.write("policy/policy.yaml", POLICY)
    loaded = house.load(SUITE + "".join(ROWS.values()), SAMPLES)
    compilation = loaded.compiled.compilation
    assert compilation.policy is not None
    asked = [pair for case in loaded.cases for pair in questions(loaded, case)]
    coverage = cover(compilation.policy, "policy", Places.of(compilation.sources), asked)
    parts = [one for one in coverage.points if one.kind in ("part", "mcdc")]

    assert [(one.kind, one.text.partition(" ")[2][:14], one.wanted) for one in parts] == [
        ("part", "in defs.teams", ("T", "F")),
        # The table has no such value, so that no token makes the comparison false.
        ("part", '!= "nobody"', ("T",)),
        ("mcdc", "in defs.teams", ("T",)),
        ("mcdc", '!= "nobody"', ("T",)),
    ]
    assert () == parts[0].missing


def test_a_token_for_what_is_not_covered_has_a_key_of_the_table(house: Repository) -> None:
    house.write("policy/policy.yaml", POLICY.replace('"nobody"', '"search"'))
    loaded = house.load(SUITE + ROWS["one"].replace("app   .", "x     ."), ONE)
    compilation = loaded.compiled.compilation
    assert compilation.policy is not None
    asked = [pair for case in loaded.cases for pair in questions(loaded, case)]
    coverage = cover(compilation.policy, "policy", Places.of(compilation.sources), asked)
    part = [one for one in coverage.points if one.kind == "part"][1]

    assert part.missing == ("F",)
    assert part.suggestions["F"] == '{from: one, claims: {repository_id: "2"}}'


def test_entries_of_a_large_table_are_tried_at_equal_distances_and_the_rest_is_counted(
    house: Repository,
) -> None:
    entries = "".join(f'    "{number}": team-{number}\n' for number in range(1, 101))
    small = '    "1": payments\n    "2": search\n'
    house.write("policy/policy.yaml", POLICY.replace(small, entries))
    row = "      one   team-1/app A\n      one   team-2/app .\n"
    loaded = house.load(SUITE + row, ONE)
    compilation = loaded.compiled.compilation
    assert compilation.policy is not None
    places = Places.of(compilation.sources)
    made = mutants(compilation.policy, places)
    dropped = [one for one in made if one.operator == "drop-entry"]
    tried = [1 + number * 99 // 19 for number in range(20)]

    assert [one.before for one in dropped] == [f"{n}: team-{n}" for n in tried]
    assert (tried[-1], untried_entries(compilation.policy)) == (100, 80)
    sessions = [session for case in loaded.cases for session, _ in questions(loaded, case)]
    for one in (dropped[1], dropped[-1]):
        number = one.before.partition(":")[0]
        witness = Witnesses(compilation.policy, sessions, [f"team-{number}/app"]).find(one)
        assert f'repository_id: "{number}"' in str(witness)


def test_nothing_is_left_out_of_a_small_table(house: Repository) -> None:
    house.write("policy/policy.yaml", POLICY)
    loaded = house.load(SUITE + ROWS["one"], ONE)
    policy = loaded.compiled.compilation.policy
    assert policy is not None

    assert untried_entries(policy) == 0
    for size in (1, 20, 21, 40, 1000):
        keys = [str(number) for number in range(size)]
        chosen = sampled(keys)
        assert len(set(chosen)) == len(chosen) == min(size, 20)
        assert {keys[0], keys[-1]} <= set(chosen)
