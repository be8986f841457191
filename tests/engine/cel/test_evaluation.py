"""What expressions evaluate to, and which errors they have instead."""

import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from regauth.engine.cel import DYN, CelError, Declarations, compile_expression, timestamp
from regauth.engine.cel.syntax import limits

from .oracles import ours

CLAIMS: dict[str, Any] = {
    "sub": "repo:acme/app:ref:refs/heads/main",
    "owner": "ACME",
    "number": 7,
    "ratio": 1.5,
    "flag": True,
    "none": None,
    "groups": ["admins", "team-a"],
    "mixed": ["a", 1, None, True],
    "kubernetes.io": {"namespace": "payments", "pod": {"name": "web-0"}},
    "min": -(2**63),
    "max": 2**63 - 1,
    "huge": 2**70,
    "lone": "\ud800",
}
VARIABLES = {
    "claims": CLAIMS,
    "service": "registry.example.com",
    "now": timestamp(datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)),
}


@pytest.mark.parametrize(
    "text",
    [
        # members
        'claims.sub == "repo:acme/app:ref:refs/heads/main"',
        'claims["sub"] == claims.sub',
        'claims["kubernetes.io"].namespace == "payments"',
        'claims["kubernetes.io"].pod["name"].startsWith("web")',
        "claims.groups[0] == 'admins' && claims.groups[1.0] == 'team-a'",
        "has(claims.none) && claims.none == null && !has(claims.other)",
        'has(claims.sub) && !has(claims["kubernetes.io"].node)',
        '"sub" in claims && !("other" in claims)',
        # strings
        'claims.owner.lowerAscii() == "acme" && "acme".upperAscii() == claims.owner',
        '"a,b,c".split(",") == ["a", "b", "c"] && "a,b,c".split(",", 2)[1] == "b,c"',
        '"abc".split("") == ["a", "b", "c"] && "abc".split("", 2) == ["a", "bc"]',
        '"".split("") == [""] && "".split(",") == [""] && "a".split(",", 0) == []',
        '["a", "b"].join("/") == "a/b" && ["a", "b"].join() == "ab" && [].join("x") == ""',
        '"aXbX".replace("X", "-") == "a-b-" && "aXbX".replace("X", "-", 1) == "a-bX"',
        '"abc".substring(1) == "bc" && "abc".substring(0, 2) == "ab" && "é👍".substring(1) == "👍"',
        '"\\t a\\u00a0".trim() == "a" && "\\u200ba".trim() == "\\u200ba"',
        '"abcabc".indexOf("c") == 2 && "abcabc".indexOf("c", 3) == 5 && "a".indexOf("x") == -1',
        '"abcabc".lastIndexOf("c") == 5 && "abcabc".lastIndexOf("c", 4) == 2',
        '"abc".charAt(1) == "b" && "abc".charAt(3) == "" && "abc".reverse() == "cba"',
        '"é👍".size() == 2 && size("") == 0 && size(claims.groups) == 2 && size([]) == 0',
        'claims.sub.matches("^repo:acme/[a-z]+:") && !claims.sub.matches("^acme")',
        'matches("abc", "b") && "x\\ny".matches("(?s)x.y") && "É".matches("^.$")',
        '"a" < "b" && "Z" < "a" && "a" <= "a" && "b" > "a" && "\\uffff" < "\\U00010000"',
        # numbers
        "7 / 2 == 3 && -7 / 2 == -3 && 7 % -2 == 1 && -7 % 2 == -1",
        "1.0 / 0.0 > 1e300 && -1.0 / 0.0 < -1e300 && !(0.0 / 0.0 == 0.0 / 0.0)",
        "claims.number + 1 == 8 && claims.number * -2 == -14 && claims.number - 8 == -1",
        "claims.number == 7.0 && claims.ratio > 1 && claims.number >= 7.0",
        "claims.min < 0 && -claims.max < 0",
        "false < true && !(true < true)",
        # conversions
        'int("-7") == -7 && int(2.9) == 2 && int(-2.9) == -2 && int(timestamp(5)) == 5',
        'string(7) == "7" && string(true) == "true" && string(1.5) == "1.5" && string(1.0) == "1"',
        'string(1e6) == "1e+06" && string(0.00001) == "1e-05" && string(-0.0) == "-0"',
        'string(123456.5) == "123456.5" && string(1234567.5) == "1.2345675e+06"',
        'double("1.5e1") == 15.0 && double(2) == 2.0 && bool("true") && !bool("f")',
        'string(timestamp("2024-02-29T01:02:03.5+01:00")) == "2024-02-29T00:02:03.500Z"',
        'string(duration("-1m30.000001s")) == "-90.000001s" && string(duration("0")) == "0s"',
        # time
        'now - timestamp("2026-03-01T12:00:00Z") > duration("30m")',
        'now + duration("24h") > now && duration("1h") + duration("-1h") == duration("0s")',
        "now.getFullYear() == 2026 && now.getMonth() == 2 && now.getDate() == 1",
        "now.getDayOfMonth() == 0 && now.getDayOfWeek() == 0 && now.getDayOfYear() == 59",
        "now.getHours() == 12 && now.getMinutes() == 30 && now.getSeconds() == 15",
        "now.getMilliseconds() == 250 && now.getHours('+02:00') == 14",
        "now.getDate('-13:00') == 28 && now.getMinutes('05:45') == 15",
        'duration("90m").getHours() == 1 && duration("-90s").getMinutes() == -1',
        'duration("1.5s").getMilliseconds() == 500 && duration("1.5s").getSeconds() == 1',
        # lists and macros
        'claims.groups.exists(g, g == "admins") && claims.groups.all(g, g.size() > 3)',
        'claims.groups.exists_one(g, g.startsWith("team-"))',
        'claims.groups.filter(g, g != "admins") == ["team-a"]',
        'claims.groups.map(g, g.upperAscii()) == ["ADMINS", "TEAM-A"]',
        'claims.groups.map(g, g != "admins", size(g)) == [6]',
        'claims["kubernetes.io"].exists(key, key == "pod")',
        "[1, 2].all(x, [2, 3].exists(y, y > x))",
        "[1].all(x, [2].all(x, x == 2) && x == 1)",
        "[].all(x, false) && ![].exists(x, true) && ![].exists_one(x, true)",
        "[1] + [2] == [1, 2] && 2 in [1] + [2] && [[1], []] == [[1], []]",
        # absorption, on either side
        "claims.other || true",
        "true || claims.other",
        "!(claims.other && false)",
        "!(false && claims.other)",
        "claims.number || claims.other || true",
        "[0, 1].exists(n, 1 / n == 1) && ![1, 0].all(n, n / n == 2)",
        "claims.flag ? true : claims.other",
        # strict equality, where it has an answer
        'claims.none != "x" && null == null && !(claims.none in ["x"]) && null in [claims.none]',
        '"a" in claims.mixed',
        '["x", claims.number] != ["y", claims.sub]',
        'claims["kubernetes.io"] == claims["kubernetes.io"]',
    ],
)
def test_it_is_true(text: str) -> None:
    assert ours(text).holds(VARIABLES) is True


@pytest.mark.parametrize(
    ("text", "code", "where", "message"),
    [
        ("claims.other", "missing-key", "claims.other", "there is no 'other'"),
        ("claims.other.deeper == 1", "missing-key", "claims.other", "there is no 'other'"),
        ('claims["other"]', "missing-key", 'claims["other"]', "there is no such key"),
        ("has(claims.other.deeper)", "missing-key", "claims.other", "there is no 'other'"),
        ("claims.sub.deeper", "wrong-type", "claims.sub.deeper", "string has no members"),
        ("has(claims.sub.deeper)", "wrong-type", "has(claims.sub.deeper)", "string has no members"),
        (
            "claims.none.deeper.x",
            "wrong-type",
            "claims.none.deeper",
            "claims.none is null: null has no members",
        ),
        ("claims.groups.x", "wrong-type", "claims.groups.x", "list has no members"),
        ("unbound == 1", "unbound-variable", "unbound", "the variable 'unbound' has no value here"),
        ("1 == claims.flag", "cannot-compare", "1 == claims.flag", "cannot compare int with bool"),
        ('claims.number != "7"', "cannot-compare", 'claims.number != "7"', "cannot compare int with string"),
        ('claims.groups == "admins"', "cannot-compare", 'claims.groups == "admins"', "cannot compare list with string"),
        ('"b" in claims.mixed', "cannot-compare", '"b" in claims.mixed', "cannot compare string with int"),
        ("claims.number in ['a', 'b']", "cannot-compare", "claims.number in ['a', 'b']", "cannot compare int with string"),
        ("1 in claims", "cannot-compare", "1 in claims", "cannot look up int with map"),
        ("claims[1]", "cannot-compare", "claims[1]", "cannot look up int with map"),
        ('"a" in claims.sub', "wrong-type", '"a" in claims.sub', "'in' needs a list or a map on its right, not string"),
        ("claims.groups < claims.groups", "wrong-type", "claims.groups < claims.groups", "cannot order list and list"),
        ("claims.flag < 2", "wrong-type", "claims.flag < 2", "cannot order bool and int"),
        ("claims.flag + 1", "wrong-type", "claims.flag + 1", "'+' does not take (bool, int)"),
        ('claims.number + "a"', "wrong-type", 'claims.number + "a"', "'+' does not take (int, string)"),
        ("-claims.sub", "wrong-type", "-claims.sub", "'-' does not take (string)"),
        ("!claims.sub", "wrong-type", "claims.sub", "a condition is bool, this is string"),
        ("true && claims.number", "wrong-type", "claims.number", "a condition is bool, this is int"),
        ("claims.number ? 1 : 2", "wrong-type", "claims.number", "a condition is bool, this is int"),
        ("claims.groups.exists(x, x)", "wrong-type", "x", "a condition is bool, this is string"),
        ("claims.sub.all(x, true)", "wrong-type", "claims.sub.all(x, true)", "all() needs a list or a map, not string"),
        ("claims.number.startsWith('a')", "wrong-type", "claims.number.startsWith('a')", "startsWith() does not take (int, string)"),
        ("claims.number.matches('a')", "wrong-type", "claims.number.matches('a')", "matches() does not take (int, string)"),
        ("claims.mixed.join('')", "wrong-type", "claims.mixed.join('')", "join() takes a list of strings"),
        ("size(claims.number)", "wrong-type", "size(claims.number)", "size() does not take (int)"),
        ("int(claims.flag)", "wrong-type", "int(claims.flag)", "int() does not take (bool)"),
        ("claims.groups[2]", "index-out-of-range", "claims.groups[2]", "the list is shorter"),
        ("claims.groups[-1]", "index-out-of-range", "claims.groups[-1]", "the list is shorter"),
        ("claims.groups[claims.flag]", "wrong-type", "claims.groups[claims.flag]", "a list is indexed by an int, not bool"),
        ("claims.sub[0]", "wrong-type", "claims.sub[0]", "string has no members"),
        ("'abc'.substring(2, 1)", "index-out-of-range", "'abc'.substring(2, 1)", "the end is before the start"),
        ("'abc'.charAt(4)", "index-out-of-range", "'abc'.charAt(4)", "the position is outside the string"),
        ("claims.max + 1", "overflow", "claims.max + 1", "the result does not fit into 64 bits"),
        ("-claims.min", "overflow", "-claims.min", "the result does not fit into 64 bits"),
        ("claims.min / -1", "overflow", "claims.min / -1", "the result does not fit into 64 bits"),
        ("claims.min % -1", "overflow", "claims.min % -1", "the result does not fit into 64 bits"),
        ("claims.huge + 0", "overflow", "claims.huge + 0", "the result does not fit into 64 bits"),
        ("string(claims.huge)", "overflow", "string(claims.huge)", "the result does not fit into 64 bits"),
        ("int(9.3e18)", "overflow", "int(9.3e18)", "the number does not fit into 64 bits"),
        ("timestamp(claims.max)", "overflow", "timestamp(claims.max)", "the timestamp is not in the years 1 to 9999"),
        ("now + duration('87660000h')", "overflow", "now + duration('87660000h')", "the timestamp is not in the years 1 to 9999"),
        ("timestamp(0).getHours('+1')", "bad-argument", "timestamp(0).getHours('+1')", "a time zone is UTC or a fixed offset such as +02:00"),
        ("1 / 0", "division-by-zero", "1 / 0", "division by zero"),
        ("1 % 0", "division-by-zero", "1 % 0", "division by zero"),
        ("[1, 0].exists_one(n, 1 / n == 1)", "division-by-zero", "1 / n", "division by zero"),
        ("[0, 1].filter(n, 1 / n == 1)", "division-by-zero", "1 / n", "division by zero"),
        ("claims.lone.matches('a')", "bad-argument", "claims.lone.matches('a')", "the string has a lone surrogate"),
        ("string(0.0 / 0.0)", "bad-argument", "string(0.0 / 0.0)", "the number is not finite"),
    ],
)  # fmt: skip
def test_it_is_an_error_where_it_stands_that_shows_no_value(
    text: str, code: str, where: str, message: str
) -> None:
    with pytest.raises(CelError) as caught:
        ours(text).evaluate(VARIABLES)
    error = caught.value

    assert (code, where, message) == (error.code, text[error.start : error.end], error.message)


@pytest.mark.parametrize(
    "text",
    [
        "int(' 7')",
        "int('+7')",
        "int('0x7')",
        "int('1_0')",
        "int('')",
        "int('7.0')",
        "int('٧')",
        "double('inf')",
        "double('nan')",
        "double('0x1')",
        "double(' 1')",
        "double('1.')",
        "bool('T')",
        "bool('yes')",
        "bool('')",
        "bool('TrUe')",
        "duration('1d')",
        "duration('1')",
        "duration('')",
        "duration('-')",
        "duration('.s')",
        "duration('1h ')",
        "duration('1s-1s')",
        "timestamp('2024-01-01')",
        "timestamp('2024-01-01 00:00:00Z')",
        "timestamp('now')",
        "timestamp('2024-02-30T00:00:00Z')",
        "timestamp('2024-01-01T24:00:00Z')",
        "timestamp('2024-01-01T00:00:60Z')",
        "timestamp('2024-01-01T00:00:00+24:00')",
        "timestamp('2024-01-01t00:00:00z')",
        "timestamp('2024-01-01T00:00:00.1234567890Z')",
        f"duration('{'1h' * 40}')",
    ],
)
def test_texts_are_converted_strictly(text: str) -> None:
    """Whatever implementations of CEL disagree about is an error here."""
    with pytest.raises(CelError) as caught:
        ours(text).evaluate({})

    assert caught.value.code == "bad-argument"


@pytest.mark.parametrize("value", ["true", 1, 1.0, [True], {"a": 1}, "", 0, None, False])
def test_nothing_but_true_holds(value: object) -> None:
    assert ours("claims.value").holds({"claims": {"value": value}}) is False


@pytest.mark.parametrize(
    "text",
    [
        "l.all(a, l.all(b, a == b))",
        "s.replace('', s).replace('', s)",
        "(s + s + s + s) + (s + s + s + s) + s",
        "l.map(x, s).join()",
        "l + l + l",
        "s.split('').map(x, x + s).join('')",
        "l.exists(x, x in m)",
        "l.exists(x, k == m)",
        "l.all(x, k != m)",
        "l.exists(x, o == p)",
        "l.exists(x, [x] in n)",
    ],
)
def test_an_evaluation_is_bounded(text: str) -> None:
    variables: dict[str, Any] = {"s": "x" * 16_000, "l": [1] * 8_000}
    variables |= {"k": [2] * 99 + [3], "m": [2] * 100, "n": [[2] * 50] * 2}
    variables |= {"o": {"a": variables["k"]}, "p": {"a": variables["m"]}}

    with pytest.raises(CelError) as caught:
        ours(text).evaluate(variables)

    assert caught.value.code == "limit-exceeded"


def test_a_macro_over_a_long_list_is_within_the_bounds() -> None:
    assert ours('l.exists(x, x == "b")').holds({"l": ["a"] * 8_000 + ["b"]})
    assert limits.STEPS >= 8_000 * 20


def test_a_long_list_may_be_looked_at_for_each_element_of_another() -> None:
    variables = {"l": [1] * 400, "m": [2] * 400}

    assert ours("l.exists(x, x in m)").holds(variables) is False
    assert ours("[1] in [m] || l == m").holds(variables) is False


def test_values_that_nest_too_deep_are_an_error() -> None:
    deep: list[Any] = []
    for _ in range(sys.getrecursionlimit() + 10):
        deep = [deep]

    with pytest.raises(CelError) as caught:
        ours("a == b").evaluate({"a": deep, "b": [deep[0]]})

    assert caught.value.code == "limit-exceeded"


@pytest.mark.parametrize("value", [(1,), {1}, b"x", object(), float, 1 + 2j])
def test_a_value_that_is_not_json_is_an_error_and_nothing_else(value: object) -> None:
    for text in ("v == v", "v < v", "v + v", "v in [v]", "size(v)", "v.x", "v[0]", "!v", "v && v"):
        with pytest.raises(CelError):
            ours(text).evaluate({"v": value})


def test_an_exception_of_a_host_value_does_not_come_out() -> None:
    class Broken(dict):
        def __getitem__(self, key: object) -> object:
            raise RuntimeError("boom")

    with pytest.raises(CelError) as caught:
        ours("claims.sub == 'x'").holds({"claims": Broken()})

    assert caught.value.code == "internal"
    assert "boom" not in str(caught.value)


def test_the_callers_variables_are_not_changed() -> None:
    variables = {"l": [1, 2]}

    assert ours("l.exists(x, l.all(y, y > x))").holds(variables) is False
    assert variables == {"l": [1, 2]}


def test_a_timestamp_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        timestamp(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_nanoseconds_count() -> None:
    compiled = compile_expression(
        'timestamp("2024-01-01T00:00:00.000000001Z") - timestamp("2024-01-01T00:00:00Z")'
        ' == duration("1ns")',
        Declarations({}),
        DYN,
    )

    assert compiled.program is not None
    assert compiled.program.holds({})
