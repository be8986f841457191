"""Tables: their type, their look-ups, and which look-ups can miss."""

import pytest

from regauth.engine.cel import (
    BOOL,
    STRING,
    CelError,
    Declarations,
    MapType,
    Program,
    compile_expression,
    compile_table,
    request_budget,
    unguarded_lookups,
    unparse,
)
from regauth.engine.cel.evaluation.budget import STEPS

TEAMS = compile_table({"1": "payments", "2": "search"})
STAGES = compile_table({"payments": ["dev", "prod"], "search": []})
FEW = compile_table({"payments": 2})
LEVELS = compile_table({"payments": 2, "search": 3})
TYPES = {"claims": MapType(STRING), "ids": MapType(MapType(STRING))}


def program(text: str, **more: str) -> Program:
    definitions = {"teams": TEAMS, "stages": STAGES, "levels": LEVELS, "few": FEW}
    for name, its in more.items():
        definitions[name] = program_of(its, definitions)
    return program_of(text, definitions)


def program_of(text: str, definitions: dict[str, Program]) -> Program:
    compiled = compile_expression(text, Declarations(TYPES, definitions), BOOL)
    if compiled.program is None:
        compiled = compile_expression(text, Declarations(TYPES, definitions), STRING)
    assert compiled.program is not None, compiled.findings
    return compiled.program


VALUES = {
    'claims.id in defs.teams && defs.teams[claims.id] == "payments"': True,
    'defs.teams["2"] == "search"': True,
    "defs.stages.payments.size() == 2": True,
    'has(defs.stages.payments) && "search" in defs.stages': True,
    '"prod" in defs.stages[defs.teams[claims.id]]': True,
    '"prod" in defs.stages.search': False,
    'claims.other in defs.teams && defs.teams[claims.other] == "search"': False,
    'defs.levels[defs.teams[claims.id]] >= 2 && defs.teams.exists(id, id == "2")': True,
    'defs.teams.all(id, defs.teams[id] != "nobody")': True,
}


@pytest.mark.parametrize(("text", "value"), VALUES.items())
def test_a_lookup_has_the_value_under_its_key(text: str, value: bool) -> None:
    variables = {"claims": {"id": "1", "other": "9"}}

    assert program(text).evaluate(variables) is value
    assert program(text).trace(variables).value is value


@pytest.mark.parametrize("key", ["9", "", "payments", " 1", 1, True, None, ["1"], {"1": "1"}])
def test_a_lookup_of_anything_else_is_an_error(key: object) -> None:
    with pytest.raises(CelError):
        program("defs.teams[claims.id] != ''").evaluate({"claims": {"id": key}})


@pytest.mark.parametrize("key", [1, True, None, ["1"]])
def test_what_is_no_text_is_no_key_and_an_error(key: object) -> None:
    with pytest.raises(CelError):
        program("claims.id in defs.teams").evaluate({"claims": {"id": key}})


@pytest.mark.parametrize(
    "text",
    [
        'defs.teams["3"] == "x"',
        'defs.teams.nobody == "x"',
        "defs.teams[claims.id] == 2",
        '"x" in defs.teams[claims.id]',
        "1 in defs.teams",
        "defs.levels.payments.startsWith('x')",
    ],
)
def test_what_can_never_be_right_does_not_compile(text: str) -> None:
    definitions = {"teams": TEAMS, "levels": LEVELS}

    assert compile_expression(text, Declarations(TYPES, definitions), BOOL).program is None


def test_values_have_one_type() -> None:
    for entries in ({}, {"a": "x", "b": 1}, {"a": True, "b": 1}, {"a": ["x"], "b": "x"}):
        with pytest.raises(ValueError, match="table"):
            compile_table(entries)


def test_a_lookup_costs_the_same_in_a_table_of_any_size() -> None:
    def left(size: int) -> int:
        table = compile_table({f"{number}": "x" for number in range(size)})
        text = '["5", "6"].exists(id, id in defs.t && defs.t[id] == "x")'
        compiled = program_of(text, {"t": table})
        budget = request_budget()
        assert compiled.holds({"claims": {}, STEPS: budget})
        return budget[0]

    assert left(10) == left(10_000)


GUARDED = [
    "claims.id in defs.teams && defs.teams[claims.id] == 'x'",
    "defs.teams[claims.id] == 'x' && claims.id in defs.teams",
    "!(claims.id in defs.teams) || defs.teams[claims.id] == 'x'",
    "claims.id in defs.teams ? defs.teams[claims.id] == 'x' : false",
    "!(claims.id in defs.teams) ? false : defs.teams[claims.id] == 'x'",
    "claims.id == '1' && defs.teams[claims.id] == 'x'",
    "claims.id in ['1', '2'] && defs.teams[claims.id] == 'x'",
    "(claims.id == '1' && claims.x == 'y' || claims.id == '1') && defs.teams[claims.id] == 'x'",
    "defs.known && defs.teams[claims.id] == 'x'",
    "claims.id in defs.teams && defs.own == 'x'",
    "ids.a.exists(id, id in defs.teams && defs.teams[id] == 'x')",
    "ids.a.filter(id, id in defs.teams).size() > 0 && defs.teams['1'] == 'x'",
    "ids.a.map(id, id in defs.teams, defs.teams[id]).size() > 0",
    "claims.id in defs.teams && defs.own in defs.few && defs.few[defs.own] > 1",
    "claims.id in defs.teams && defs.levels[defs.teams[claims.id]] > 1",
    "claims.id in defs.teams && defs.levels[defs.own] > 1",
]
UNGUARDED = {
    "defs.teams[claims.id] == 'x'": "claims.id",
    "claims.id in defs.teams || defs.teams[claims.id] == 'x'": "claims.id",
    "!(claims.id in defs.teams) && defs.teams[claims.id] == 'x'": "claims.id",
    "claims.id in defs.stages && defs.teams[claims.id] == 'x'": "claims.id",
    "claims.other in defs.teams && defs.teams[claims.id] == 'x'": "claims.id",
    "claims.id in ['1', '3'] && defs.teams[claims.id] == 'x'": "claims.id",
    "claims.id != '1' && defs.teams[claims.id] == 'x'": "claims.id",
    "(claims.id == '1' || claims.x == 'y') && defs.teams[claims.id] == 'x'": "claims.id",
    "claims.id in defs.teams ? true : defs.teams[claims.id] == 'x'": "claims.id",
    "defs.own == 'x'": "claims.id",
    "!defs.known && defs.own == 'x'": "claims.id",
    "ids.a.all(id, id in defs.teams) && ids.a.exists(id, defs.teams[id] == 'x')": "id",
    "ids.a.exists(id, id in defs.teams && ids.b.exists(id, defs.teams[id] == 'x'))": "id",
    "claims.id in defs.teams && defs.few[defs.teams[claims.id]] > 1": "defs.teams[claims.id]",
    "claims.id in defs.few && defs.teams['1'] in defs.few && defs.few[claims.x] > 1": "claims.x",
}
MORE = {"known": "claims.id in defs.teams", "own": "defs.teams[claims.id]"}


@pytest.mark.parametrize("text", GUARDED)
def test_a_guarded_lookup_is_not_found(text: str) -> None:
    assert [] == list(unguarded_lookups(program(text, **MORE)))


@pytest.mark.parametrize(("text", "key"), UNGUARDED.items())
def test_an_unguarded_lookup_is_found(text: str, key: str) -> None:
    (found,) = unguarded_lookups(program(text, **MORE))

    assert unparse(found.node.index) == key
    assert found.definition == ("own" if "defs.own" in text else "")


def test_a_condition_beside_it_guards_a_lookup() -> None:
    own, known = program("defs.teams[claims.id]"), program("claims.id in defs.teams")

    assert [] == list(unguarded_lookups(own, [known]))
    assert len(list(unguarded_lookups(own, [program("claims.x in defs.teams")]))) == 1
