"""Policies: a wrong one is refused at its place, for one reason, in words."""

import copy
from collections.abc import Callable, Iterator, Mapping

import pytest

SCHEMA = "policy"
GRANT = {"name": "pulls", "repositories": ["acme/**"], "actions": ["pull"]}

Row = tuple[str, object, str, str]


def with_(base: Mapping[str, object], **changes: object) -> dict[str, object]:
    return {**copy.deepcopy(dict(base)), **changes}


def without(base: Mapping[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in base.items() if name not in names}


def policy(**changes: object) -> dict[str, object]:
    return {"version": 1, **changes}


def grant(**changes: object) -> dict[str, object]:
    return policy(grants=[with_(GRANT, **changes)])


def policy_rows() -> Iterator[Row]:
    yield "no version", {"grants": [GRANT]}, "$", "required"
    yield "another version", {"version": 2}, "$.version", "`version` must be 1"
    yield "version as text", {"version": "1"}, "$.version", "`version` must be 1"
    yield "not a mapping", ["version"], "$", "type"
    yield "misspelt key", policy(grant=[GRANT]), "$", "additionalProperties"
    yield "a grant's misspelt key", grant(tag=["v*"]), "$.grants[0]", "additionalProperties"
    yield "no tag", grant(tags=[]), "$.grants[0].tags", "minItems"
    yield "a tag twice", grant(tags=["v1", "v1"]), "$.grants[0].tags", "uniqueItems"
    yield "no service", policy(services=[]), "$.services", "minItems"
    yield "a service twice", policy(services=["a", "a"]), "$.services", "uniqueItems"
    yield "services as text", policy(services="a"), "$.services", "type"
    yield "service with spaces around", policy(services=[" a"]), "$.services[0]", "printable"
    yield "no definition", policy(definitions={}), "$.definitions", "minProperties"
    yield (
        "definition with a dash",
        policy(definitions={"on-main": "true"}),
        "$.definitions",
        "letters",
    )
    yield (
        "definition with a CEL word",
        policy(definitions={"in": "true"}),
        "$.definitions",
        "reserved word of CEL",
    )
    yield (
        "definition of a bool",
        policy(definitions={"a": True}),
        "$.definitions.a",
        "CEL expression",
    )
    yield "no grant", policy(grants=[]), "$.grants", "minItems"
    yield "grant without a name", policy(grants=[without(GRANT, "name")]), "$.grants[0]", "required"
    yield "name in capitals", grant(name="Pulls"), "$.grants[0].name", "a name is made of"
    yield "name as a number", grant(name=1), "$.grants[0].name", "a name is made of"
    yield "name with a line end", grant(name="pulls\n"), "$.grants[0].name", "single line"
    yield "no provider named", grant(providers=[]), "$.grants[0].providers", "minItems"
    yield "providers as text", grant(providers="p"), "$.grants[0].providers", "type"
    yield "condition as a bool", grant(when=True), "$.grants[0].when", "CEL expression"
    yield "empty condition", grant(when=""), "$.grants[0].when", "CEL expression"
    yield "no repository", grant(repositories=[]), "$.grants[0].repositories", "minItems"
    yield (
        "empty repository",
        grant(repositories=[""]),
        "$.grants[0].repositories[0]",
        "pattern is text",
    )
    yield "no action", grant(actions=[]), "$.grants[0].actions", "minItems"
    yield "every action by a star", grant(actions=["*"]), "$.grants[0].actions[0]", "an action is"
    yield "misspelt action", grant(actions=["pul"]), "$.grants[0].actions[0]", "an action is"
    yield "an action twice", grant(actions=["pull"] * 2), "$.grants[0].actions", "uniqueItems"
    yield (
        "repositories without actions",
        policy(grants=[without(GRANT, "actions")]),
        "$.grants[0]",
        "`actions` is missing",
    )
    yield (
        "actions without repositories",
        policy(grants=[without(GRANT, "repositories")]),
        "$.grants[0]",
        "`repositories` is missing",
    )
    yield "for nothing", policy(grants=[{"name": "a"}]), "$.grants[0]", "what it is for"
    yield "denial for nothing", policy(denials=[{"name": "a"}]), "$.denials[0]", "what it is for"
    yield (
        "catalog and repositories",
        policy(grants=[with_(without(GRANT, "actions"), catalog=True)]),
        "$.grants[0].repositories",
        "beside `catalog`",
    )
    yield (
        "catalog and actions",
        policy(grants=[with_(without(GRANT, "repositories"), catalog=True)]),
        "$.grants[0].actions",
        "beside `catalog`",
    )
    yield (
        "catalog and class",
        policy(grants=[{"name": "a", "catalog": True, "class": "plugin"}]),
        "$.grants[0].class",
        "beside `catalog`",
    )
    yield (
        "catalog: false",
        policy(grants=[{"name": "a", "catalog": False}]),
        "$.grants[0].catalog",
        "`catalog` is `true`",
    )
    yield "class in capitals", with_class("Plugin"), "$.grants[0].class", "one word"
    yield "expires in words", grant(expires="tomorrow"), "$.grants[0].expires", "a moment is"
    yield "expires in month 13", grant(expires="2027-13-01"), "$.grants[0].expires", "a moment is"
    yield (
        "expires without a zone",
        grant(expires="2027-01-01T00:00:00"),
        "$.grants[0].expires",
        "zone",
    )
    yield "anonymous push", anonymous(actions=["push"]), "$.anonymous.actions[0]", "only be given"
    yield "anonymous nowhere", anonymous(repositories=[]), "$.anonymous.repositories", "minItems"
    yield "anonymous everywhere", policy(anonymous={}), "$.anonymous", "required"
    yield (
        "anonymous with a condition",
        anonymous(when="true"),
        "$.anonymous",
        "additionalProperties",
    )


def with_class(name: str) -> dict[str, object]:
    return grant(**{"class": name})


def anonymous(**changes: object) -> dict[str, object]:
    return policy(anonymous={"repositories": ["public/**"], **changes})


GOOD: Mapping[str, object] = {
    "a file with a version alone": policy(),
    "a grant": grant(),
    "a grant of plugins": with_class("plugin"),
    "a catalog": policy(grants=[{"name": "a", "catalog": True, "when": "true"}]),
    "an end to the second": grant(expires="2027-01-31T18:00:00.5+01:00"),
    "anonymous pull, said": anonymous(actions=["pull"]),
}


@pytest.mark.parametrize(("title", "document", "path", "words"), list(policy_rows()))
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
