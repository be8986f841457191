"""Tables in proofs: finite maps, however large, within the budget."""

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

import pytest

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.policytests.proofs import About, Question, Status, more_access
from regauth.policytests.proofs.answers import DEFAULT_STEPS
from tests.policytests.proofs.random_policies import Random, compiled, refutation

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TEAMS = {"1": "payments", "2": "search", "3": "search"}
GRANT = {
    "name": "own",
    "when": "claims.id in defs.teams",
    "repositories": ["${defs.teams[claims.id]}/**"],
    "actions": ["pull"],
}


def policy(teams: Mapping[str, object] = TEAMS, **more: object) -> Policy:
    document = {
        "version": 1,
        "services": ["r"],
        "definitions": {"teams": teams},
        "providers": {"ci": {"issuer": "https://ci.example.com", "audience": "me"}},
        "grants": [{**GRANT, **more}],
    }
    compilation = compile_policy({"policy.yaml": json.dumps(document)})
    assert compilation.policy is not None, compilation.problems
    return compilation.policy


def status(new: Policy, bound: Policy) -> Status:
    answer = more_access(Question(new, bound, at=NOW, steps=200_000))
    assert answer.status is not Status.WITNESS or answer.witnesses
    return answer.status


def test_the_order_of_a_table_says_nothing() -> None:
    turned = dict(reversed(TEAMS.items()))

    assert status(policy(turned), policy()) is Status.PROVED
    assert status(policy(), policy(turned)) is Status.PROVED


def test_a_new_entry_opens_and_its_removal_closes() -> None:
    more = policy({**TEAMS, "4": "search"})

    assert status(more, policy()) is Status.WITNESS
    assert status(policy(), more) is Status.PROVED


def test_another_value_opens_both_ways() -> None:
    other = policy({**TEAMS, "3": "payments"})

    assert status(other, policy()) is Status.WITNESS
    assert status(policy(), other) is Status.WITNESS


def test_a_table_is_what_its_entries_say_one_by_one() -> None:
    written = policy(
        when='claims.id == "1" || (claims.id in ["2", "3"] && defs.teams["1"] == "payments")',
        repositories=['${claims.id == "1" ? "payments" : "search"}/**'],
    )

    assert status(written, policy()) is Status.PROVED
    assert status(policy(), written) is Status.PROVED


def test_a_missing_guard_opens_nothing() -> None:
    unguarded = policy(when="true")

    assert status(unguarded, policy()) is Status.PROVED
    assert status(policy(), unguarded) is Status.PROVED


@pytest.mark.parametrize("size", [201, 1_000])
def test_one_changed_entry_of_a_large_table_is_found(size: int) -> None:
    large = {f"{number}": f"team-{number % 7}" for number in range(size)}
    changed = {**large, "5": "team-0"}

    assert status(policy(large), policy(large)) is Status.PROVED
    assert status(policy(changed), policy(large)) is Status.WITNESS


def test_what_many_entries_say_is_proved() -> None:
    large = {f"team-{number}": f"group-{number // 2}" for number in range(400)}
    strict, loose, named = (
        policy(large, when=f"claims.id in defs.teams{one}", repositories=["x/*"])
        for one in (
            " && defs.teams[claims.id] == claims.group",
            "",
            ' && claims.id.startsWith("team-")',
        )
    )

    assert status(strict, loose) is Status.PROVED
    assert status(loose, strict) is Status.WITNESS
    assert status(loose, named) is Status.PROVED


def test_a_table_that_takes_too_many_steps_is_never_proved_shut() -> None:
    large = {f"team-{number}": f"group-{number}" for number in range(3_000)}
    strict, loose = (
        policy(large, when=f"claims.id in defs.teams{one}")
        for one in (" && defs.teams[claims.id] == claims.group", "")
    )

    assert more_access(Question(loose, strict, steps=20_000)).status is Status.UNKNOWN


OPAQUE = [
    'defs.teams.exists(id, id == claims.id) && claims.team == "x"',
    "defs.teams == claims.teams",
    '(claims.flag ? defs.teams : defs.others)[claims.id] == "payments"',
    "size(defs.teams) == claims.number",
    "defs.teams.filter(id, id != claims.id).size() == 2",
]


@pytest.mark.parametrize("when", OPAQUE)
def test_what_is_not_followed_is_never_proved_shut(when: str) -> None:
    """Another table must not count as the same, whatever is done with it."""
    document = {
        "version": 1,
        "services": ["r"],
        "definitions": {"teams": TEAMS, "others": {"9": "payments"}},
        "providers": {"ci": {"issuer": "https://ci.example.com", "audience": "me"}},
        "grants": [{**GRANT, "when": when, "repositories": ["x/*"]}],
    }
    other = {**document, "definitions": {"teams": {**TEAMS, "4": "x"}, "others": {"8": "x"}}}
    policies = []
    for one in (document, other):
        found = compile_policy({"policy.yaml": json.dumps(one)}).policy
        assert found is not None
        policies.append(found)
    never = policy(when="false")

    assert status(policies[0], policies[0]) is Status.PROVED
    assert status(policies[0], never) is not Status.PROVED
    assert status(policies[1], policies[0]) is not Status.PROVED


VALUES: Mapping[str, list[object]] = {
    "t": ["x", "acme", "acme/x", "xy"],
    "u": [["x"], ["acme", "x"], []],
    "w": [True, False],
}


class TableRandom(Random):
    """Random policies whose conditions look claims up in tables."""

    def table(self, name: str) -> dict[str, object]:
        keys = ["x", "xy", "acme", "y", "Acme", "é", "x-y", ""]
        return {key: self.choice(VALUES[name]) for key in self.sample(keys, self.choice([1, 2, 4]))}

    def lookup(self, key: str) -> str:
        literal = self.literal()
        return self.choice(
            [
                f"defs.t[{key}] == {literal}",
                f"defs.t[{key}] != {self.text()}",
                f"defs.t[{key}].startsWith({literal})",
                f"defs.t[{key}] in defs.w",
                f"{literal} in defs.u[{key}]",
                f"defs.u[{key}].exists(g, g == {self.text()})",
                f"claims.l == defs.u[{key}]",
                f"defs.w[{key}]",
                f"!defs.w[{key}]",
                f"(defs.w[{key}] ? defs.t[{key}] : {literal}) == claims.a",
            ]
        )

    def atom(self) -> str:
        if self.random() < 0.4:
            return super().atom()
        name, key = (
            self.choice(["t", "u", "w"]),
            self.choice([self.text(), self.text(), "claims.y"]),
        )
        return self.choice(
            [
                f"{key} in defs.{name}",
                f"!({key} in defs.{name})",
                self.lookup(key),
                f"({key} in defs.t && {key} in defs.u && {key} in defs.w && {self.lookup(key)})",
                f"({key} in defs.t && {key} in defs.u && {key} in defs.w && {self.lookup(key)})",
                f"(!({key} in defs.t) || defs.t[{key}] == {self.literal()})",
                f"has(defs.{name}.x)",
                f"defs.{name}.exists(k, k == {key})",
                f"claims.l.exists(g, g in defs.t && defs.t[g] == {self.literal()})",
                f"claims.l.all(g, g in defs.{name})",
                "defs.t == claims.p",
            ]
        )

    def policy(self) -> dict[str, object]:
        tables = {name: self.table(name) for name in VALUES}
        found = super().policy()
        more = cast("dict[str, object]", found.get("definitions", {}))
        return {**found, "definitions": {**more, **tables}}

    def edited(self, policy: dict[str, object]) -> dict[str, object]:
        found = super().edited(policy)
        before, after = (
            cast("dict[str, object]", one.get("definitions", {})) for one in (policy, found)
        )
        found["definitions"] = {**before, **after}
        if self.random() < 0.4:
            tables = cast("dict[str, object]", found["definitions"])
            name = self.choice(list(VALUES))
            found["definitions"] = {**tables, name: self.table(name)}
        return found


def test_a_table_of_thousands_of_names_is_decided_well_within_the_budget() -> None:
    choose = random.Random(3)
    names = ["".join(choose.choices("abcdefghijklmnopqrstuvwxyz/-", k=18)) for _ in range(3_000)]
    whole, less = (
        policy(dict.fromkeys(listed, "x"), repositories=["a/*"]) for listed in (names, names[1:])
    )

    gained = more_access(Question(whole, less, at=NOW))
    assert [one.claims["id"] for one in gained.witnesses] == names[:1]
    assert gained.steps <= DEFAULT_STEPS / 40
    assert more_access(Question(less, whole, at=NOW)).proved


def test_entries_that_make_names_of_their_own_are_decided_well_within_the_budget() -> None:
    large = {f"{number:04}": f"team-{number}" for number in range(3_000)}
    changed = {**large, **{f"{number:04}": f"crew-{number}" for number in range(2_400, 2_405)}}
    before, after = policy(large), policy(changed)

    for new, bound in ((after, before), (before, after)):
        answer = more_access(Question(new, bound, at=NOW))
        [witness] = answer.witnesses
        assert witness.claims["id"] == "2400"
        assert answer.steps <= DEFAULT_STEPS / 20


@pytest.mark.parametrize(
    "pattern",
    ["${defs.teams[claims.id]}", "x/${defs.teams[claims.id]}/*", "${claims.org}/${%s}/**"],
)
def test_no_entry_is_missed_where_entries_begin_alike(pattern: str) -> None:
    """`t-1` begins what `t-10` is, and `t` is a name of its own."""
    teams = {f"{number}": f"t-{number}" for number in range(12)} | {"t": "t", "deep": "t-1/t-2"}
    repositories = [pattern.replace("%s", "defs.teams[claims.id]")]
    whole = policy(teams, repositories=repositories)

    for key in teams:
        less = policy(
            {one: team for one, team in teams.items() if one != key}, repositories=repositories
        )
        found = more_access(Question(whole, less, at=NOW)).witnesses
        assert [one.claims["id"] for one in found] == [key]
        assert status(less, whole) is Status.PROVED


def test_a_claim_that_is_one_of_hundreds_is_found() -> None:
    large = {f"{number:03}": f"team-{number}" for number in range(200)}
    when = "claims.id in defs.teams && claims.group == defs.teams[claims.id]"
    new = policy(large, when=when, repositories=["${claims.group}/*"])
    answer = more_access(Question(new, policy({**large, "199": "other"}), at=NOW))

    assert [one.claims["id"] for one in answer.witnesses] == ["199"]
    assert answer.steps <= DEFAULT_STEPS / 60


@pytest.mark.parametrize("about", list(About))
@pytest.mark.parametrize("part", range(3))
def test_no_proof_with_tables_is_refuted(part: int, about: About) -> None:
    found = []
    for number in range(12):
        choose = TableRandom(1_000 * part + number)
        before = choose.policy()
        after = choose.edited(before)
        old, new = compiled(before), compiled(after)
        if old is None or new is None:
            continue
        for one, bound in ((new, old), (old, new)):
            question = Question(one, bound, universes=(about,), first=True, steps=60_000)
            answer = more_access(question)
            found.append(answer.status)
            if answer.status is Status.PROVED:
                against = refutation(choose, one, bound, 12, anything=about is About.ANY_JSON)
                assert against is None, (
                    part,
                    number,
                    against,
                    json.dumps(before),
                    json.dumps(after),
                )

    assert Status.PROVED in found
    assert len(found) >= 8
