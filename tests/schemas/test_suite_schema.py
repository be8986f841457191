"""Suites: a wrong one is refused at its place, for one reason, in words."""

import copy
from collections.abc import Callable, Iterator, Mapping

import pytest

SCHEMA = "suite"
TOKEN = {"profile": "github-actions"}
REQUEST = {"name": "asks", "token": "main", "expect": {"granted": []}}
GRID = {"name": "grid", "grid": "token repository pull\nmain acme/app A\n"}
SNAPSHOT = {"name": "all", "token": "main", "repositories": ["acme/app"], "snapshot": True}

Row = tuple[str, object, str, str]


def with_(base: Mapping[str, object], **changes: object) -> dict[str, object]:
    return {**copy.deepcopy(dict(base)), **changes}


def without(base: Mapping[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in base.items() if name not in names}


def suite(**changes: object) -> dict[str, object]:
    return {"at": "2026-11-01T12:00:00Z", "tokens": {"main": TOKEN}, "tests": [REQUEST], **changes}


def token(**token: object) -> dict[str, object]:
    return suite(tokens={"main": TOKEN, "t": token})


def case(base: Mapping[str, object], **changes: object) -> dict[str, object]:
    return suite(tests=[with_(base, **changes)])


def suite_rows() -> Iterator[Row]:
    yield "no clock", without(suite(), "at"), "$", "required"
    yield "clock without a zone", suite(at="2026-11-01T12:00:00"), "$.at", "time zone"
    yield "clock without a time", suite(at="2026-11-01"), "$.at", "time of day"
    yield "clock that moves", suite(at="+2h"), "$.at", "time of day"
    yield "nothing tested", without(suite(), "tests"), "$", "tests nothing"
    yield "no case", suite(tests=[]), "$.tests", "minItems"
    yield "misspelt key", suite(test=[REQUEST]), "$", "additionalProperties"
    yield "no token", suite(tokens={}), "$.tokens", "minProperties"
    yield "token's name with a space", suite(tokens={"a b": TOKEN}), "$.tokens", "a token's name"
    yield "token of nothing", token(claims={"a": 1}), "$.tokens.t", "made of"
    yield (
        "token of two things",
        token(profile="kubernetes", **{"from": "main"}),
        ("$.tokens.t.from"),
        "beside `profile`",
    )
    yield "real token without keys", token(jwt="a.jwt"), "$.tokens.t", "needs the keys"
    yield (
        "real token with other claims",
        token(jwt="a.jwt", keys="a.json", claims={"a": 1}),
        "$.tokens.t.claims",
        "as it is",
    )
    yield (
        "real token, forged",
        token(jwt="a.jwt", keys="a.json", forge="alg-none"),
        "$.tokens.t.forge",
        "as it is",
    )
    yield "keys of a sample", token(profile="kubernetes", keys="a"), "$.tokens.t.keys", "real token"
    yield (
        "shift without a sign",
        token(profile="kubernetes", at="2h"),
        "$.tokens.t.at",
        "a shift or",
    )
    yield "profile with a colon", token(profile="a:b"), "$.tokens.t.profile", "NAME/VARIANT"
    yield "no claim changed", token(profile="a", claims={}), "$.tokens.t.claims", "minProperties"
    yield "nothing left out", token(profile="a", without=[]), "$.tokens.t.without", "minItems"
    yield "a subject of one's own", token(profile="a", sub="x"), "$.tokens.t.sub", "`immutable`"
    yield "no group", suite(groups={}), "$.groups", "minProperties"
    yield "empty group", suite(groups={"g": []}), "$.groups.g", "minItems"
    yield "group of a group", suite(groups={"g": ["@h"]}), "$.groups.g[0]", "a token's name"
    yield "test without a name", suite(tests=[without(REQUEST, "name")]), "$.tests[0]", "required"
    yield "test of nothing", suite(tests=[{"name": "a", "token": "main"}]), "$.tests[0]", "expects"
    yield "test of nobody", suite(tests=[without(REQUEST, "token")]), "$.tests[0]", "who asks"
    yield "expects nothing", case(REQUEST, expect={}), "$.tests[0].expect", "what to expect"
    yield (
        "grants and refuses",
        case(REQUEST, expect={"granted": [], "refused": "expired"}),
        ("$.tests[0].expect.granted"),
        "no single decision",
    )
    yield (
        "reason in words",
        case(REQUEST, expect={"refused": "It expired"}),
        ("$.tests[0].expect.refused"),
        "reason code",
    )
    yield "no scope", case(REQUEST, scopes=["acme/app"]), "$.tests[0].scopes[0]", "TYPE:NAME"
    yield (
        "scopes in one text",
        case(REQUEST, scopes=["a:b:pull a:c:pull"]),
        ("$.tests[0].scopes[0]"),
        "TYPE:NAME",
    )
    yield (
        "repositories of a request",
        case(REQUEST, repositories=["a"]),
        ("$.tests[0].repositories"),
        "belongs to a snapshot",
    )
    yield "empty grid", case(GRID, grid=""), "$.tests[0].grid", "a grid is text"
    yield "grid with a token", case(GRID, token="main"), "$.tests[0].token", "in its cells"
    yield "grid with a snapshot", case(GRID, snapshot=True), "$.tests[0].snapshot", "in its cells"
    yield "because of nobody", case(GRID, because=["a"]), "$.tests[0].because", "says whose"
    yield "because of none", case(GRID, because={}), "$.tests[0].because", "minProperties"
    yield "snapshot: false", case(SNAPSHOT, snapshot=False), "$.tests[0].snapshot", "left out"
    yield "snapshot of nobody", suite(tests=[without(SNAPSHOT, "token")]), "$.tests[0]", "who?"
    yield (
        "snapshot of nothing",
        suite(tests=[without(SNAPSHOT, "repositories")]),
        ("$.tests[0]"),
        "where?",
    )
    yield (
        "snapshot that expects",
        case(SNAPSHOT, expect={"granted": []}),
        ("$.tests[0].expect"),
        "everything",
    )
    yield "until without xfail", case(REQUEST, until="2026-12-01"), "$.tests[0].until", "belongs to"
    yield "until in words", case(REQUEST, xfail="#1", until="soon"), "$.tests[0].until", "a day is"
    yield "xfail without a reason", case(REQUEST, xfail=True), "$.tests[0].xfail", "a reason is"
    yield (
        "skip and xfail",
        case(REQUEST, xfail="#1", skip="#1"),
        "$.tests[0].skip",
        "beside `xfail`",
    )
    yield (
        "hostile to nobody",
        suite(hostile={"tokens": [], "repositories": ["a"]}),
        ("$.hostile.tokens"),
        "minItems",
    )
    yield "hostile nowhere", suite(hostile={"tokens": ["main"]}), "$.hostile", "required"


GOOD: Mapping[str, object] = {
    "a bare login": suite(),
    "an exempted test": case(REQUEST, xfail="#1", until="2026-12-01"),
    "a skipped test": case(REQUEST, skip="waits", until="2026-12-01"),
    "because of one token": case(REQUEST, because=["pulls"]),
    "a grid": case(GRID, because={"main": ["pulls"], "@outsiders": []}),
    "a snapshot": case(SNAPSHOT),
    "a token used late": token(profile="kubernetes/pod", at="+1d12h"),
    "a user name of a client": token(profile="kubernetes", username="<token>"),
    "hostile tokens alone": {
        "at": "2026-11-01T12:00:00+01:00",
        "tokens": {"main": TOKEN},
        "hostile": {"tokens": ["main"], "repositories": ["acme/app"]},
    },
}


@pytest.mark.parametrize(("title", "document", "path", "words"), list(suite_rows()))
def test_it_is_refused_for_one_reason_at_its_place(
    title: str,
    document: object,
    path: str,
    words: str,
    refused: Callable[[str, object], list[tuple[str, str]]],
) -> None:
    found = refused(SCHEMA, document)
    assert [path] == [where for where, _ in found], (title, found)
    assert words in found[0][1]


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD)
def test_it_is_accepted(
    document: object, refused: Callable[[str, object], list[tuple[str, str]]]
) -> None:
    assert [] == refused(SCHEMA, document)
