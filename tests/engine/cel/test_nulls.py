"""Claims that can be null: asked for before use, and named where one is an error."""

import pytest

from regauth.engine.cel import (
    BOOL,
    INT,
    STRING,
    CelError,
    Declarations,
    Field,
    ListType,
    RecordType,
    Type,
    compile_expression,
)
from regauth.engine.source.problems import Severity

INNER = RecordType("inner", {"a": Field(STRING, required=True)}, open=False)


def field(of: Type, *, required: bool = True) -> Field:
    return Field(of, required, nullable=True)


CLAIMS = RecordType(
    "claims",
    {
        "x": field(STRING),
        "y": field(STRING, required=False),
        "n": field(INT),
        "l": field(ListType(STRING)),
        "o": field(INNER),
        "b": field(BOOL),
        "s": Field(STRING, required=True),
    },
    open=False,
)
NULLS = {"x": None, "y": None, "n": None, "l": None, "o": None, "b": None, "s": "s"}
DECLARED = Declarations({"claims": CLAIMS})

ERRORS_OF_NULL = (
    'claims.x.startsWith("a")',
    "claims.s.startsWith(claims.x)",
    'claims.x + "b" == "c"',
    "claims.n > 3",
    "3 > claims.n",
    "claims.n + 1 == 2",
    "-claims.n == 2",
    'claims.x < "b"',
    '"a" in claims.l',
    'claims.o.a == "x"',
    'claims.o["a"] == "x"',
    'claims.l[0] == "a"',
    'claims.l.exists(i, i == "a")',
    "size(claims.x) > 1",
    'claims.x.matches("^a$")',
    "claims.b",
    "!claims.b",
    "claims.b && true",
    'claims.b ? true : claims.s == "a"',
    '(claims.s == "s" ? claims.x : "a").startsWith("a")',
    'has(claims.y) && claims.y.startsWith("a")',
    'claims.x == "a" || claims.x.startsWith("b")',
    'claims.x != null || claims.x.startsWith("b")',
    'has(claims.o.a) && claims.s == "s"',
)
ASKED_FOR = (
    'claims.x != null && claims.x.startsWith("a")',
    'null != claims.x && claims.x.startsWith("a")',
    'claims.x.startsWith("a") && claims.x != null',
    'claims.x == null || claims.x.startsWith("a")',
    '!(claims.x == null) && claims.x.startsWith("a")',
    'claims.x != null ? claims.x.startsWith("a") : false',
    'claims.x == null ? false : claims.x.startsWith("a")',
    '(claims.x == null ? "" : claims.x).startsWith("a")',
    'claims.x == "ab" && claims.x.startsWith("a")',
    'claims.x in ["ab", "ac"] && claims.x.startsWith("a")',
    'has(claims.y) && claims.y != null && claims.y.startsWith("a")',
    'claims.l != null && claims.l.exists(i, i == "a")',
    'claims.o != null && claims.o.a == "x"',
    "claims.b != null && claims.b",
    "claims.n != null && claims.n > 3",
    # These have an answer for null.
    'claims.x == "a"',
    'claims.x != "a"',
    'claims.x in ["a"]',
    "claims.n == 3",
    "claims.x == claims.s",
    "claims.x == null",
)


def codes(text: str, expected: Type = BOOL) -> list[str]:
    return [one.code for one in compile_expression(text, DECLARED, expected).findings]


@pytest.mark.parametrize("text", ERRORS_OF_NULL)
def test_a_use_of_what_can_be_null_is_warned_of(text: str) -> None:
    assert "cel-null" in codes(text)


@pytest.mark.parametrize("text", ASKED_FOR)
def test_what_is_asked_for_is_not(text: str) -> None:
    assert "cel-null" not in codes(text)


@pytest.mark.parametrize("text", ASKED_FOR)
def test_what_is_asked_for_is_no_error_when_it_is_null(text: str) -> None:
    program = compile_expression(text, DECLARED, BOOL).program
    assert program is not None
    assert program.evaluate({"claims": NULLS}) in (True, False)


@pytest.mark.parametrize("text", [text for text in ERRORS_OF_NULL if text != "claims.b"])
def test_the_error_names_the_claim_that_is_null(text: str) -> None:
    """Each use that is warned of can be an error, or be undecided beside one."""
    program = compile_expression(text, DECLARED, BOOL).program
    assert program is not None
    with pytest.raises(CelError) as caught:
        program.evaluate({"claims": NULLS})
    if not text.startswith(("claims.b", "!claims.b", "(claims")):
        assert " is null: " in caught.value.message


def test_null_itself_is_compared_only_with_what_can_be_null() -> None:
    assert codes("claims.s == null") == ["cel-type"]


def test_a_text_that_can_be_null_is_no_text() -> None:
    """A template of a pattern, or a subject."""
    assert codes("claims.x", STRING) == ["cel-null"]
    assert codes('claims.x == null ? "none" : claims.x', STRING) == []


def test_a_definition_is_seen_through() -> None:
    inner = compile_expression("claims.x", DECLARED, STRING).program
    assert inner is not None
    declared = Declarations({"claims": CLAIMS}, {"tag": inner})
    found = compile_expression('defs.tag.startsWith("a")', declared, BOOL).findings
    assert [(one.code, one.severity) for one in found] == [("cel-null", Severity.WARNING)]


def test_the_hint_is_the_guard_that_satisfies_it() -> None:
    (finding,) = compile_expression('claims.x.startsWith("a")', DECLARED, BOOL).findings
    assert finding.hint == "ask first: claims.x != null && ..."


def test_one_claim_is_warned_of_once() -> None:
    assert codes('claims.x.startsWith("a") || claims.x.endsWith("b")') == ["cel-null"]


@pytest.mark.parametrize("text", ["has(claims.y)", '!has(claims.y) && claims.s == "a"'])
def test_presence_says_nothing_of_null(text: str) -> None:
    assert codes(text) == ["cel-null"]


@pytest.mark.parametrize(
    "text",
    [
        "has(claims.y) && claims.y != null",
        "!has(claims.y) || claims.y == null",
        'has(claims.y) && claims.y == "v1"',
    ],
)
def test_presence_beside_a_look_at_the_value_is_enough(text: str) -> None:
    assert codes(text) == []
