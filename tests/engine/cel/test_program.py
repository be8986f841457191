"""What a compiled expression tells about itself."""

import random
from typing import Any

import pytest

from regauth.engine.cel import (
    BOOL,
    DYN,
    STRING,
    CelError,
    Declarations,
    MapType,
    Program,
    Trace,
    Type,
    can_be_true,
    compile_expression,
    compile_node,
    unparse,
)
from regauth.engine.cel.library.values import Value
from regauth.engine.cel.syntax.nodes import Node, Span, children
from regauth.engine.cel.syntax.parsing import parse
from tests.generated import share

from .generating import Untyped
from .oracles import evaluate, ours
from .test_differential import NOW, SEED, SPAN

DECLARED = Declarations({"claims": MapType(DYN), "scope": MapType(STRING), "service": STRING})


def program(text: str, definitions: dict[str, Program] | None = None, of: Type = BOOL) -> Program:
    declared = Declarations(DECLARED.variables, definitions or {})
    made = compile_expression(text, declared, of).program
    assert made is not None
    return made


MAIN = program('claims.ref == "refs/heads/main" && claims.event == "push"')
TEAM = program('claims.groups.exists(g, g == "team") && defs.main', {"main": MAIN})


def test_variables_and_paths_are_those_that_are_read() -> None:
    made = program(
        'claims.sub == scope.name && claims.groups.exists(g, g.name == service && g["x"] > 1)'
        ' && has(claims.environment) && claims["a.b"].c[0] == "x" && service.size() > 1'
    )

    assert made.variables == {"claims", "scope", "service"}
    assert made.paths == {
        ("claims", "sub"),
        ("scope", "name"),
        ("claims", "groups"),
        ("service",),
        ("claims", "environment"),
        ("claims", "a.b", "c"),
    }


def test_definitions_are_counted_in() -> None:
    made = program("defs.team || service == 'x'", {"team": TEAM, "main": MAIN})

    assert made.variables == {"claims", "service"}
    assert made.paths == {
        ("service",),
        ("claims", "groups"),
        ("claims", "ref"),
        ("claims", "event"),
    }
    assert set(made.definitions) == {"team"}
    assert made.size > TEAM.size > MAIN.size
    assert made.depth > TEAM.depth > MAIN.depth


def test_a_definition_sees_the_variables_alone() -> None:
    """A macro variable of the same name does not reach into it."""
    made = program("['x'].exists(claims, claims == 'x' && defs.main)", {"main": MAIN})
    good = {"ref": "refs/heads/main", "event": "push"}

    assert made.holds({"claims": good}) is True
    assert made.holds({"claims": {**good, "event": "pull_request"}}) is False


def test_an_error_in_a_definition_is_placed_where_it_is_used() -> None:
    text = "service == 'x' && defs.main"
    with pytest.raises(CelError) as caught:
        program(text, {"main": MAIN}).evaluate({"service": "x", "claims": {}})

    assert "defs.main" == text[caught.value.start : caught.value.end]
    assert "in defs.main: there is no 'ref'" == caught.value.message


def test_definitions_cannot_grow_without_bounds() -> None:
    """Each doubles the one before: written out the last would have a million nodes."""
    known: dict[str, Program] = {"d0": MAIN}
    for at in range(20):
        text = f"defs.d{at} && defs.d{at}"
        compiled = compile_expression(text, Declarations(DECLARED.variables, known), BOOL)
        if compiled.program is None:
            assert ["cel-limit"] == [finding.code for finding in compiled.findings]
            return
        known[f"d{at + 1}"] = compiled.program
    pytest.fail("nothing stopped it")


@pytest.mark.parametrize(
    ("text", "equalities"),
    [
        ('claims.a == "x"', {("claims", "a"): {"x"}}),
        ('"x" == claims["a"]', {("claims", "a"): {"x"}}),
        ('claims.a in ["x", "y"]', {("claims", "a"): {"x", "y"}}),
        ('service == "x" && claims.a == "y"', {("service",): {"x"}, ("claims", "a"): {"y"}}),
        ('claims.a == "x" && claims.a in ["x", "y"]', {("claims", "a"): {"x"}}),
        ('claims.a == "x" || claims.a == "y"', {("claims", "a"): {"x", "y"}}),
        ('claims.a == "x" || claims.b == "y"', {}),
        ('claims.a == "x" || service.size() > 1', {}),
        ('(claims.a == "x" && claims.b == "y") || claims.a == "z"', {("claims", "a"): {"x", "z"}}),
        ('claims.a != "x"', {}),
        ('!(claims.a == "x")', {}),
        ("claims.a == 1 && claims.b in [1, 2]", {}),
        ('claims.a in ["x", service]', {}),
        ('claims.a == "x" ? true : false', {}),
        ('claims.l.exists(a, a == "x")', {}),
        ('claims.l[0] == "x"', {}),
        ("defs.main", {("claims", "ref"): {"refs/heads/main"}, ("claims", "event"): {"push"}}),
        (
            'defs.main && claims.event in ["push", "tag"]',
            {("claims", "ref"): {"refs/heads/main"}, ("claims", "event"): {"push"}},
        ),
    ],
)
def test_equalities_are_what_an_index_can_use(text: str, equalities: dict[Any, set[str]]) -> None:
    assert equalities == program(text, {"main": MAIN}).equalities


@pytest.mark.slow
def test_outside_its_equalities_a_condition_is_false() -> None:
    """Not true and not an error, whatever the other claims are."""
    pick = random.Random(SEED)
    generator = Untyped(SEED)
    tried = 0
    while tried < 300:
        name = pick.choice("st")
        test = pick.choice((f'c.{name} == "a"', f'c.{name} in ["a", "b"]'))
        rest = generator.expression()
        text = pick.choice((f"{test} && {rest}", f"{rest} && {test}"))
        text = pick.choice((text, f'({text}) || (c.{name} == "b" && {rest})'))
        made = ours(text)
        claims = generator.claims()
        for path, texts in made.equalities.items():
            tried += 1
            value = claims.get(path[1])
            if len(path) == 2 and type(value) is str and value not in texts:
                outcome = evaluate(made, {"c": claims, "now": NOW, "span": SPAN})
                assert outcome.value is False, text


def test_parts_are_the_atomic_conditions() -> None:
    text = 'defs.main && !(claims.a == "x" || has(claims.b)) ? service == "y" : claims.l.all(v, v)'
    parts = program(text, {"main": MAIN}).parts

    assert [
        "defs.main",
        'claims.a == "x"',
        "has(claims.b)",
        'service == "y"',
        "claims.l.all(v, v)",
    ] == [part.text for part in parts]
    assert [part.text for part in parts] == [text[part.start : part.end] for part in parts]


def find(trace: Trace, text: str) -> list[Trace]:
    found = [trace] if trace.text == text else []
    return found + [inner for child in trace.children for inner in find(child, text)]


def test_a_trace_shows_every_part_with_its_value_or_error() -> None:
    made = program(
        'has(claims.env) && claims.env == "x" || claims.groups.exists(g, g.size() > 3) && defs.main',
        {"main": MAIN},
    )
    variables = {"claims": {"groups": ["a", "team"], "ref": "refs/heads/main", "event": "push"}}
    trace = made.trace(variables)

    assert trace.text == made.text
    assert trace.value is True
    assert [False] == [part.value for part in find(trace, "has(claims.env)")]
    (missing,) = find(trace, 'claims.env == "x"')
    assert missing.error is not None
    assert "missing-key" == missing.error.code
    bodies = find(trace, "g.size() > 3")
    assert [(("g", "a"), False), (("g", "team"), True)] == [
        (body.element, body.value) for body in bodies
    ]
    assert ["push"] == [part.value for part in find(trace, "claims.event")]


def test_a_trace_is_bounded() -> None:
    made = program("claims.l.all(x, x > 0)")

    assert 21 == len(made.trace({"claims": {"l": [1] * 5_000}}).children)


@pytest.mark.fuzz
def test_a_trace_says_what_evaluation_says() -> None:
    generator = Untyped(SEED)
    for _ in range(share(500)):
        made = ours(generator.expression())
        variables = {"c": generator.claims(), "now": NOW, "span": SPAN}
        outcome, trace = evaluate(made, variables), made.trace(variables)

        assert outcome.error == (trace.error.code if trace.error else ""), made.text


def shape(node: Node) -> Value:
    """A tree without its positions."""
    fields = {
        name: getattr(node, name)
        for name in node.__struct_fields__
        if name not in ("start", "end", "field_start", "name_start", "text_start")
    }
    plain = {name: value for name, value in fields.items() if not isinstance(value, (Span, tuple))}
    return type(node).__name__, plain, [shape(child) for child in children(node)]


@pytest.mark.fuzz
def test_a_tree_written_as_text_is_the_same_tree() -> None:
    generator = Untyped(SEED)
    for _ in range(share(1500)):
        node = parse(generator.expression())

        assert shape(node) == shape(parse(unparse(node)))


@pytest.mark.parametrize(
    "text",
    [
        "-(5)",
        "(-5).size()",
        "(1).size()",
        "1 - (2 - 3)",
        "(a || b) && c",
        "a || b && c",
        "(a ? b : c) ? d : e ? f : g",
        "(a + b).size()",
        "!(a == b)",
        "!!a",
        "-(-a)",
        r'"\"\\\n\x07" == r"\d"',
        "a.map(x, x > 1, x + 1).filter(x, x in [1, 2])",
        "a.map(x, x)[0]",
        "has(a.b.c)",
        "1e+300 < 0.5",
        "a in b == c",
    ],
)
def test_text_keeps_the_brackets_it_needs(text: str) -> None:
    assert shape(parse(text)) == shape(parse(unparse(parse(text))))


def test_a_rebuilt_tree_can_be_checked_and_lowered() -> None:
    made = compile_node(parse('!(service == "x")'), DECLARED, BOOL).program

    assert made is not None
    assert '!(service == "x")' == made.text
    assert made.holds({"service": "y"}) is True
    assert compile_node(parse("service"), DECLARED, BOOL).program is None


ATOMS = [
    "claims.a == 'x'",
    "claims.b == 'x'",
    "claims.missing == 'x'",
    "scope.name == 'n'",
    "scope.reference == 'v1'",
    "scope.reference != claims.a",
    "claims.list.exists(one, one == scope.reference)",
    "scope.reference == claims.missing",
    "claims.missing.all(one, one == scope.reference)",
    "scope.reference.startsWith(claims.missing + 'v')",
    "claims.none.exists(one, one == scope.reference)",
    "claims.none.all(one, one == scope.reference)",
    "defs.known",
    "defs.unknown",
]


def drawn(draw: random.Random, depth: int) -> str:
    if depth == 0 or draw.random() < 0.2:
        return draw.choice(ATOMS)
    one, two, three = (drawn(draw, depth - 1) for _ in range(3))
    forms = [f"({one} && {two})", f"({one} || {two})", f"!({one})", f"({one} ? {two} : {three})"]
    return draw.choice(forms)


@pytest.mark.fuzz
def test_a_condition_that_some_reference_makes_true_can_be_true() -> None:
    draw = random.Random(SEED)
    known, unknown = program("claims.a == 'y'"), program("scope.reference.startsWith('v')")
    references = ["", "v1", "v2", "x", "y"]
    missed = ruled_out = 0
    for _ in range(share(600)):
        made = program(drawn(draw, 3), {"known": known, "unknown": unknown})
        claims = {"a": draw.choice("xy"), "b": draw.choice("xy"), "list": ["v1", "v3"], "none": []}
        values = set()
        for one in references:
            try:
                seen = {"claims": claims, "scope": {"name": "n", "reference": one}}
                values.add(made.holds(seen))
            except CelError:
                values.add(False)
        told = can_be_true(
            made,
            {"claims": claims, "scope": {"name": "n", "reference": ""}},
            ("scope", "reference"),
        )
        assert told or values == {False}
        ruled_out += not told
        missed += told and values == {False}

    assert ruled_out > share(600) / 10
    assert missed < ruled_out / 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("scope.reference == claims.missing", False),
        ("!(scope.reference == claims.missing)", False),
        ("scope.reference.startsWith(claims.missing + 'v')", False),
        ("[claims.missing].exists(one, one == scope.reference)", False),
        ("claims.missing.exists(one, one == scope.reference)", False),
        ("claims.none.exists(one, one == scope.reference)", False),
        ("claims.none.all(one, one == scope.reference)", True),
        ("(claims.missing == 'x' ? 'a' : 'b') == scope.reference", False),
        ("(scope.reference == 'v1' ? claims.missing : 'b') == scope.reference", True),
        ("scope.reference == claims.missing || scope.reference == 'v1'", True),
        ("(scope.reference == claims.missing || scope.reference == 'v1') == true", True),
        ("claims.list.exists(one, one + claims.missing == scope.reference)", True),
    ],
)
def test_what_needs_a_part_that_fails_cannot_be_true(text: str, told: bool) -> None:
    claims = {"list": ["v1"], "none": []}
    seen = {"claims": claims, "scope": {"name": "n", "reference": ""}}

    assert can_be_true(program(text), seen, ("scope", "reference")) is told
