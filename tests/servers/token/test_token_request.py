"""Token requests: every way in which clients write the same question, and every wrong one."""

import base64

import pytest

from regauth.engine.decisions.exchange import Credentials
from regauth.servers.token.request import BadCredentialsError, BadRequestError, read_basic, read_get


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("scope", "read"),
    [
        ([], []),
        ("", []),
        ("repository:a:pull", ["repository:a:pull"]),
        (["repository:a:pull", "repository:b:push"], ["repository:a:pull", "repository:b:push"]),
        (
            "repository:a:pull repository:b:pull,push",
            ["repository:a:pull", "repository:b:pull,push"],
        ),
        (
            ["repository:a:pull repository:b:pull", "repository:c:pull"],
            ["repository:a:pull", "repository:b:pull", "repository:c:pull"],
        ),
        (
            "repository:host.example.com:5000/a/b:pull",
            ["repository:host.example.com:5000/a/b:pull"],
        ),
        ("repository(plugin):a:pull", ["repository(plugin):a:pull"]),
        ("repository:a:", ["repository:a:"]),
        ("repository:a:*", ["repository:a:*"]),
        ("registry:catalog:*", ["registry:catalog:*"]),
        ("unheard:of:thing", ["unheard:of:thing"]),
    ],
)
def test_scopes_are_read_repeated_or_joined(scope: str | list[str], read: list[str]) -> None:
    asked = read_get({"service": "registry", "scope": scope}, None)

    assert read == [str(one) for one in asked.scopes]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "`service` is missing"),
        ({"service": ""}, "`service` is missing"),
        ({"service": ["a", "b"]}, "`service` is given twice"),
        ({"service": "a" * 1001}, "`service` is longer"),
        ({"service": "a", "scope": ["repository:a:pull"] * 101}, "at most 100"),
        ({"service": "a", "scope": ["nonsense"] * 101}, "at most 100"),
        ({"service": "a", "scope": f"repository:{'a' * 600}:pull"}, "too long"),
        ({"service": "a", "account": ["x", "y"]}, "`account` is given twice"),
    ],
)
def test_nonsense_is_the_client_s_fault_and_says_what_is_wrong(
    parameters: dict[str, str | list[str]], message: str
) -> None:
    with pytest.raises(BadRequestError, match=message):
        read_get(parameters, None)


@pytest.mark.parametrize(
    "scope", ["repository", "repository:a", ":::", "repository:a:PULL", "repository::pull"]
)
def test_scope_from_challenge_an_entry_that_is_no_scope_is_left_out(scope: str) -> None:
    asked = read_get({"service": "a", "scope": [scope, "repository:a:pull"]}, None)

    assert [str(one) for one in asked.scopes] == ["repository:a:pull"]
    assert asked.malformed == (scope,)


def test_a_parameter_said_twice_with_one_value_is_that_value() -> None:
    assert read_get({"service": ["a", "a"]}, None).service == "a"


@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        (None, None),
        ("", None),
        (basic(":"), None),
        (basic("github:abc"), Credentials("github", "abc")),
        (basic(":abc"), Credentials("", "abc")),
        (basic("<token>:abc"), Credentials("<token>", "abc")),
        (basic("a:b:c"), Credentials("a", "b:c")),
        (basic("gr\u00fcn:abc"), Credentials("gr\u00fcn", "abc")),
        (basic("github:abc").replace("Basic", "basic"), Credentials("github", "abc")),
        (basic("github:"), Credentials("github", "")),
    ],
)
def test_basic_credentials_are_read(header: str | None, credentials: Credentials | None) -> None:
    assert read_basic(header) == credentials


@pytest.mark.parametrize(
    "header",
    [
        "Bearer abc",
        "Basic",
        "Basic !!!",
        "Basic YQ",
        basic("no-colon"),
        "Basic /w==",
        "Negotiate x",
    ],
)
def test_credentials_that_cannot_be_read_are_no_anonymous_request(header: str) -> None:
    with pytest.raises(BadCredentialsError):
        read_basic(header)
