"""
What an author is told who writes the form of another language, or of another kind of value.

The examples of `cases/msg-*` are one of a kind each; here are their siblings.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from regauth import schemas
from regauth.engine import Problem, Severity, compile_policy

POLICY = """\
version: 1
services: [registry.example.com]
providers:
  ci: {issuer: "https://ci.example.com", audience: me}
grants:
  - name: one
    repositories: [acme/app]
    actions: [pull]
"""


def told(text: str) -> list[Problem]:
    return list(compile_policy({"policy.yaml": text}).problems)


def condition(text: str) -> Problem:
    """Return the first error of a condition, in a block where YAML leaves all signs alone."""
    block = "".join(f"      {line}\n" for line in text.split("\n"))
    found = told(f"{POLICY}    when: |\n{block}")
    return next(one for one in found if one.severity is Severity.ERROR)


@pytest.mark.parametrize("before", ['claims.a == "x"', "has(claims.a)", "(true)", "!claims.a"])
@pytest.mark.parametrize(
    ("word", "hint"),
    [("and", "&&"), ("AND", "&&"), ("And", "&&"), ("or", "||"), ("OR", "||"), ("is", "=="),
     ("eq", "=="), ("equals", "=="), ("ne", "!="), ("contains", "x.contains(y)"),
     ("startsWith", "x.startsWith(y)"), ("endswith", "x.endsWith(y)"), ("like", "x.matches("),
     ("xor", "!="), ("not in", "!(x in list)")],
)  # fmt: skip
def test_msg_28_and_a_word_between_two_values(before: str, word: str, hint: str) -> None:
    problem = condition(f'{before} {word} "y"')

    assert (problem.code, problem.message) == (
        "cel-syntax",
        f"'{word.partition(' ')[0]}' cannot stand here",
    )
    assert f"`{hint}" in problem.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("not has(claims.a)", "write `!` for `not`"),
        ("NOT has(claims.a)", "write `!` for `not`"),
        ('claims.a == "x" && not has(claims.b)', "write `!` for `not`"),
        ("if claims.a then true", "write `condition ? this : that`, or the condition alone"),
        ("return claims.a", "an expression is its value: write it without `return`"),
        ("when claims.a", "write the condition without `when`"),
        ('claims.a = "x"', "equality is `==`"),
        ('claims.a === "x"', "equality is `==`"),
        ('claims.a !== "x"', "inequality is `!=`"),
        ('claims.a <> "x"', "inequality is `!=`"),
        ('claims.a =~ "x"', 'write `x.matches("^...$")`'),
        ('claims.a ~= "x"', 'write `x.matches("^...$")`'),
        ("true & true", "and is `&&`"),
        ("true | true", "or is `||`"),
        ("true;", "an expression ends without `;`"),
        ('claims->a == "x"', "a member is written `a.b`"),
        ("claims::a", "a member is written `a.b`"),
        ('claims?.a == "x"', "write `has(a.b) && a.b == ...` for a member that may be missing"),
        ("true ? false", "write `condition ? this : that`"),
        ("claims.a == “x”", "write straight quotes: `\"` or `'`"),
        ("claims.a == ‘x’", "write straight quotes: `\"` or `'`"),
        ("claims.a == 'it''s'", "inside ' write \\', or use the other quotes around it"),
        ('${claims.a} == "x"', "`${...}` belongs to patterns; write what is inside alone"),
        ('$claims.a == "x"', "`${...}` belongs to patterns; write what is inside alone"),
        ('claims.a in ("x", "y")', "a list is written in brackets: `[a, b]`"),
        ('claims.a == "x" \\|| true', "write it without the backslash"),
        ("claims.a == True", "write `true`"),
        ("claims.a == FALSE", "write `false`"),
        ("claims.a != None", "write `null`; ask `has(claims.NAME)` whether a token has a claim"),
        ("claims.a != nil", "write `null`; ask `has(claims.NAME)` whether a token has a claim"),
        ('github.ref == "x"', "what a token says is written `claims.NAME`"),
        ('token.sub == "x"', "what a token says is written `claims.NAME`"),
        ('claims.a.toLowerCase() == "x"', "CEL calls it `lowerAscii`"),
        ('claims.a.lower() == "x"', "CEL calls it `lowerAscii`"),
        ("len(claims.a) > 1", "CEL calls it `size`"),
        ("claims.a.length() > 1", "CEL calls it `size`"),
        ('claims.a.includes("x")', "CEL calls it `contains`"),
        ('claims.a.match("x")', "CEL calls it `matches`"),
        ('claims.a.hasPrefix("x")', "CEL calls it `startsWith`"),
    ],
)
def test_msg_28_and_other_signs_and_names(text: str, hint: str) -> None:
    assert condition(text).hint == hint


@pytest.mark.parametrize("text", ['claims.a == "x" &&', "(true", "true)", "claims.a ==", "x y"])
def test_no_hint_is_made_up(text: str) -> None:
    assert condition(text).hint == ""


@pytest.mark.parametrize(
    "text",
    ['"claims.a" == "x"', "'a' in claims.b", '"a" + "b"', "'it''s' == claims.a",
     '"say \\"x\\"" == claims.a', '"a"b', '""x'],
)  # fmt: skip
@pytest.mark.parametrize(
    "place", ["    when: ", "    tags:\n      - ", "    tags: [", "    tags: [v, "]
)
def test_msg_06_quote_in_every_place_of_a_value(text: str, place: str) -> None:
    problem = told(f"{POLICY}{place}{text}\n")[0]

    assert problem.message == f"a value that begins with {text[0]} ends at the next {text[0]}"
    assert problem.code == "yaml-syntax"
    assert problem.hint.endswith("or in the lines after `>-`")


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ('    when: "claims.a', 'the " that begins here is never closed', "close it"),
        ("    when: 'claims.a", "the ' that begins here is never closed", "close it"),
        ("    tags: [a, b", "the [ that begins here is not closed, or a comma is missing in it",
         "separate the items with commas, and close with ]"),
        ("    tags: [a b: c", "the [ that begins here is not closed, or a comma is missing in it",
         "separate the items with commas, and close with ]"),
        ("    x: {a: b", "the { that begins here is not closed, or a comma is missing in it",
         "separate the items with commas, and close with }"),
        ("    x: {when: defs.t[claims.a]}", "a text with `[` needs quotes between brackets",
         "quote the text, or write it in a line of its own"),
        ("    tags: [${claims.a}]", "`${...}` needs quotes between brackets",
         'write "${claims.NAME}"'),
        ("    tags: [v, ${claims.a}]", "`${...}` needs quotes between brackets",
         'write "${claims.NAME}"'),
        ("    when:claims.a", "a key, a colon and a blank are expected here",
         "write a blank after the colon"),
        ("    when", "a key, a colon and a blank are expected here",
         "write a key as `NAME: VALUE`, and indent the lines that go on with a value"),
        ("    when: !claims.a", "a tag (!claims.a) is not part of the language",
         "quote the value: YAML reads what begins with `!` as a tag"),
        ("    when: @a", "a text that begins with `@` needs quotes", "quote it"),
        ("   when: true", "this line is no item of the list above it",
         "keys of one mapping, and items of one list, begin in the same column"),
    ],
)  # fmt: skip
def test_other_slips_in_yaml(line: str, message: str, hint: str) -> None:
    problem = told(f"{POLICY}{line}\n")[0]

    assert (problem.message, problem.hint) == (message, hint)


@pytest.mark.parametrize("at", range(POLICY.count("\n") + 1))
@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", "=======", ">>>>>>> feature"])
def test_msg_19_conflict_at_every_line(at: int, marker: str) -> None:
    lines = POLICY.split("\n")
    problem = told("\n".join([*lines[:at], marker, "x", *lines[at:]]))[0]

    assert problem.message == f"a merge conflict is not resolved ({marker[:7]})"
    assert problem.location.line == at + 1


@pytest.mark.parametrize(
    "word",
    ["write", "WRITE", "upload", "publish", "put", "create", "read", "download", "all", "admin",
     "*", "manage", "list", "catalog", "tag", "pul", "Push", "mount"],
)  # fmt: skip
def test_msg_34_write_action_no_word_makes_delete_a_suggestion(word: str) -> None:
    problem = told(POLICY.replace("[pull]", f'["{word}"]'))[0]

    assert problem.message == "an action is `pull`, `push` or `delete`"
    assert problem.hint
    assert "delete" not in problem.hint


def lists(schema: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the keys of a schema under which a list must stand."""
    if isinstance(schema, Mapping):
        own = [path] if schema.get("type") == "array" and path[-2:-1] == ("properties",) else []
        return own + [one for name, value in schema.items() for one in lists(value, (*path, name))]
    return []


def test_msg_31_grants_mapping_at_every_list_of_a_statement() -> None:
    document: Any = schemas.load("policy")
    names = {
        path[-1] for path in lists(document["$defs"]["statement"]["properties"], ("properties",))
    }
    assert {"actions", "tags", "providers"} <= names
    for name in names:
        lines = [line for line in POLICY.splitlines() if not line.startswith(f"    {name}:")]
        problem = told("\n".join([*lines, f"    {name}:", "      x: y", ""]))[0]

        assert problem.message == f"`{name}` must be a list, not a mapping"
        assert problem.hint == "write each item behind `- `"


@pytest.mark.parametrize(
    ("place", "instead", "message", "hint"),
    [
        ("  - name: one\n", "    name: one\n", "`grants` must be a list, not a mapping",
         "an item of a list begins with `- `: write `- name: ...`, its other keys below"),
        ("  ci: {", "  - ci: {", "`providers` must be a mapping, not a list",
         "write each under its name, `NAME:`, without `- `"),
        ('issuer: "https://ci.example.com"', 'issuer: ["https://ci.example.com"]',
         "`issuer` must be a string, not a list",
         "write it without the brackets: https://ci.example.com"),
        ("audience: me", "audience: me, rules: {a: {check: 'true', message: x}}",
         "`rules` must be a list, not a mapping",
         "write each as an item of a list, with its name in it: `- name: a`"),
    ],
)  # fmt: skip
def test_msg_31_grants_mapping_other_kinds_of_values(
    place: str, instead: str, message: str, hint: str
) -> None:
    problem = told(POLICY.replace(place, instead))[0]

    assert (problem.message, problem.hint) == (message, hint)


@pytest.mark.parametrize("place", ["when", "rule", "definition", "subject"])
def test_msg_39_when_list_wherever_an_expression_stands(place: str) -> None:
    written = "['claims.a == 1', 'claims.b == 1']"
    text = {
        "when": f"{POLICY}    when: {written}\n",
        "rule": POLICY.replace(
            "audience: me", f"audience: me, rules: [{{name: r, check: {written}, message: x}}]"
        ),
        "definition": f"{POLICY}definitions:\n  d: {written}\n",
        "subject": POLICY.replace("audience: me", f"audience: me, subject: {written}"),
    }[place]
    problem = told(text)[0]

    assert problem.code == "wrong-type"
    assert problem.hint == "an expression is one text: join the lines with `&&`"
