"""Scopes are read as Distribution writes them."""

import pytest

from regauth.engine.access.scope import (
    MAX_ACCESSES,
    MAX_ACTIONS,
    MAX_SCOPES,
    Access,
    Resource,
    Scope,
    ScopeError,
    ScopeSizeError,
    accesses,
    is_repository_name,
    is_repository_path,
    parse_access,
    parse_scope,
    parse_scopes,
    requested_scopes,
    scopes,
)


@pytest.mark.parametrize(
    ("text", "resource", "actions"),
    [
        ("repository:acme/app:pull", Resource("repository", "acme/app"), ("pull",)),
        ("repository:acme/app:pull,push", Resource("repository", "acme/app"), ("pull", "push")),
        ("repository:host:5000/app:pull", Resource("repository", "host:5000/app"), ("pull",)),
        ("repository(plugin):a/b:pull", Resource("repository", "a/b", "plugin"), ("pull",)),
        ("registry:catalog:*", Resource("registry", "catalog"), ("*",)),
        ("repository:app:", Resource("repository", "app"), ()),
        ("repository:app:pull,pull", Resource("repository", "app"), ("pull",)),
        ("repository:UPPER:pull", Resource("repository", "UPPER"), ("pull",)),
    ],
)
def test_a_scope_is_type_name_and_actions(
    text: str, resource: Resource, actions: tuple[str, ...]
) -> None:
    """The name keeps its own colon; what is unknown is left to the decision."""
    assert parse_scope(text) == Scope(resource, actions)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "repository",
        "repository:app",
        ":app:pull",
        "repository::pull",
        "a b:c:pull",
        "repository:app:PULL",
        "repository:app:pu ll",
        "repo(sitory:app:pull",
        "r:" + "x" * 600 + ":pull",
        "repository:app:" + ",".join("a" * n for n in range(1, 22)),
    ],
)
def test_what_is_no_scope_is_the_callers_error(text: str) -> None:
    with pytest.raises(ScopeError):
        parse_scope(text)


MALFORMED = (
    "x",
    "repository",
    "repository:app",
    ":app:pull",
    ":::",
    "repository::pull",
    "repository(:app:pull",
    "Repository:app:pull",
    "repository:app:PULL",
    "repository:app:pull,PUSH",
    "repository:app:pull;push",
    "registry::*",
    "**",
)


@pytest.mark.parametrize("text", MALFORMED)
def test_scope_from_challenge_an_entry_that_names_nothing_is_left_out_whole(text: str) -> None:
    """What is asked beside it is answered as without it, and no part of it is asked for."""
    good = "repository:acme/app:pull"
    asked = requested_scopes([f"{text} {good}"])

    assert asked.scopes == parse_scopes([good])
    assert asked.malformed == (text,)
    assert requested_scopes([text]).scopes == ()


@pytest.mark.parametrize(
    "texts",
    [
        ["x"] * (MAX_SCOPES + 1),
        [f"repository::{'pull,' * 10}"] * (MAX_SCOPES + 1),
        ["x:" + "y" * 600 + ":pull"],
        ["!:" + "y" * 600 + ":pull"],
        [":" + "y" * 600 + ":PULL"],
        ["repository::" + ",".join("a" * n for n in range(1, 22))],
    ],
)
def test_scope_from_challenge_too_much_is_an_error_whatever_it_is(texts: list[str]) -> None:
    with pytest.raises(ScopeSizeError):
        requested_scopes(texts)


def test_scopes_come_repeated_space_joined_or_empty() -> None:
    assert parse_scopes(["a:b:pull  c:d:push", "", "a:b:pull"]) == (
        Scope(Resource("a", "b"), ("pull",)),
        Scope(Resource("c", "d"), ("push",)),
        Scope(Resource("a", "b"), ("pull",)),
    )


def test_too_many_scopes_are_refused() -> None:
    assert len(parse_scopes(["a:b:pull"] * MAX_SCOPES)) == MAX_SCOPES
    with pytest.raises(ScopeError, match="101 scopes"):
        parse_scopes(["a:b:pull"] * (MAX_SCOPES + 1))


def test_too_many_accesses_are_refused() -> None:
    actions = [chr(ord("a") + number) for number in range(MAX_ACTIONS)]
    asked = [f"repository:r{number}:{','.join(actions)}" for number in range(15)]
    assert len(accesses(parse_scopes(asked))) == MAX_ACCESSES

    with pytest.raises(ScopeError, match="301 accesses"):
        parse_scopes([*asked, "repository:r15:pull"])


def test_every_action_on_each_of_the_most_scopes_is_answered() -> None:
    asked = [f"repository:r{number}:*,pull,push,delete" for number in range(MAX_SCOPES)]

    assert len(accesses(parse_scopes(asked))) == MAX_ACCESSES


def test_a_star_on_a_repository_asks_for_each_action_once() -> None:
    asked = parse_scopes(["repository:a:*,pull", "repository:a:push"])

    assert [access.action for access in accesses(asked)] == ["pull", "push", "delete"]


def test_a_star_elsewhere_stays_a_star() -> None:
    assert accesses(parse_scopes(["registry:catalog:*"])) == (
        Access(Resource("registry", "catalog"), "*"),
    )


def test_accesses_become_one_scope_for_each_resource() -> None:
    asked = accesses(parse_scopes(["repository:a:pull", "repository:b:pull", "repository:a:push"]))

    assert [str(scope) for scope in scopes(asked)] == [
        "repository:a:pull,push",
        "repository:b:pull",
    ]


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("acme/app", True),
        ("a", True),
        ("a.b_c__d---e/f0", True),
        ("host.example.com:5000/a", True),
        ("localhost/a", True),
        ("a" * 255, True),
        ("a" * 256, False),
        ("", False),
        ("A", False),
        ("a//b", False),
        ("/a", False),
        ("a/", False),
        ("a___b", False),
        ("a..b", False),
        ("-a", False),
        ("a:b", False),
        ("a/b:5/c", False),
        ("a/../b", False),
        ("a%2fb", False),
        ("a\n", False),
        ("ａ", False),
    ],
)
def test_names_are_those_of_the_distribution_spec(name: str, *, good: bool) -> None:
    assert is_repository_name(name) is good


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("acme", True),
        ("acme/app", True),
        ("host:5000/a", False),
        ("a/", False),
        ("*", False),
        ("a/**", False),
        ("", False),
        ("..", False),
        ("a\n", False),
    ],
)
def test_a_path_is_whole_segments(text: str, *, good: bool) -> None:
    """What a claim may put into a name: never a wildcard, a host or an empty segment."""
    assert is_repository_path(text) is good


def test_what_was_asked_before_is_read_as_the_first_time() -> None:
    for _ in range(3):
        assert parse_scopes(["repository:a:pull"]) == (parse_scope("repository:a:pull"),)
        assert not is_repository_name("A")
        assert is_repository_name("a/b")
        assert not is_repository_path("a//b")
        with pytest.raises(ScopeError):
            parse_scopes(["nonsense"])


@pytest.mark.parametrize("reference", ["", "v1", "*", "@upload", "sha256:" + "0" * 64])
@pytest.mark.parametrize(
    "resource",
    [
        Resource("repository", "acme/app"),
        Resource("repository", "host:5000/app", "plugin"),
        Resource("registry", "catalog"),
    ],
)
@pytest.mark.parametrize("action", ["pull", "*"])
def test_an_access_is_read_as_it_is_written(
    resource: Resource, action: str, reference: str
) -> None:
    access = Access(resource, action, reference)

    assert parse_access(str(access)) == access


@pytest.mark.parametrize(
    "text",
    [
        "",
        "repository",
        "repository:pull",
        "repository::pull",
        "repository:acme/app:",
        "repository:acme/app:Pull",
        "repository:acme/app:v1:pull,push",
        "repository:acme/app@v1:pull",
        "repository:acme/app:-v1:pull",
        "Repository:acme/app:pull",
    ],
)
def test_what_is_no_access_is_refused(text: str) -> None:
    with pytest.raises(ScopeError, match="is not an access"):
        parse_access(text)
