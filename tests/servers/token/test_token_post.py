"""POST: the OAuth2 form of the protocol, as containerd, buildkit, oras and others send it."""

from pathlib import Path
from urllib.parse import urlencode

import falcon.testing
import pytest

from regauth.engine.tokens.keys import PrivateKey
from regauth.servers.token.refusals import MAX_FORM
from regauth.servers.token.resource import MAX_QUERY
from tests.servers.desk import (
    ANONYMOUS,
    SERVICE,
    Desk,
    basic,
    make_desk,
    pem_keys,
    policy_text,
    reason_of,
)

pytestmark = pytest.mark.usefixtures("each_host")

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def desk(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Desk:
    text = policy_text(pem_keys(private_keys["rsa"]), ANONYMOUS)
    return make_desk(tmp_path, text, private_keys["rsa"])


def post(desk: Desk, fields: dict[str, str | list[str]], **headers: str) -> falcon.testing.Result:
    return desk.client.simulate_post(
        "/auth/token",
        body=urlencode(fields, doseq=True),
        headers={"Content-Type": FORM, **headers},
    )


def test_a_password_grant_gets_what_the_basic_credentials_would(desk: Desk) -> None:
    result = post(
        desk,
        {
            "grant_type": "password",
            "username": "github",
            "password": desk.token(),
            "service": SERVICE,
            "client_id": "containerd-client",
            "scope": "repository:acme/app:pull repository:acme/app:pull,push",
        },
    )

    assert result.status_code == 200
    assert result.json["access_token"] == result.json["token"]
    assert result.json["scope"] == "repository:acme/app:pull,push"
    assert result.headers["cache-control"] == "no-store"
    assert "refresh_token" not in result.json


@pytest.mark.parametrize("kind", [FORM, f"{FORM}; charset=utf-8", FORM.upper()])
def test_the_form_s_type_may_name_its_character_set(desk: Desk, kind: str) -> None:
    fields = {"grant_type": "password", "password": desk.token(), "service": SERVICE}

    assert post(desk, {**fields}, **{"Content-Type": kind}).status_code == 200


def test_a_password_grant_may_have_its_credentials_in_the_header(desk: Desk) -> None:
    result = post(
        desk, {"grant_type": "password", "service": SERVICE}, **basic("github", desk.token())
    )

    assert result.status_code == 200
    assert desk.claims(result)["sub"] == "repo:acme/app:ref:refs/heads/main"


def test_a_jwt_as_refresh_token_is_a_login_routed_by_its_issuer(desk: Desk) -> None:
    """Credential helpers that answer with the user name `<token>` make clients send this."""
    result = post(
        desk,
        {
            "grant_type": "refresh_token",
            "refresh_token": desk.token(),
            "service": SERVICE,
            "client_id": "containers/image",
            "scope": ["repository:acme/app:pull", "repository:acme/b:pull"],
        },
    )

    assert result.status_code == 200
    assert result.json["scope"] == "repository:acme/app:pull repository:acme/b:pull"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"grant_type": "password", "username": "github", "password": "x"}, "malformed-token"),
        ({"grant_type": "refresh_token", "refresh_token": "opaque"}, "malformed-token"),
    ],
)
def test_a_refused_form_is_401_so_that_clients_fall_back_to_get(
    desk: Desk, fields: dict[str, str | list[str]], reason: str
) -> None:
    result = post(desk, {**fields, "service": SERVICE})

    assert result.status_code == 401
    assert reason_of(result) == reason
    assert "www-authenticate" in result.headers


def test_an_anonymous_form_gets_what_the_policy_gives(desk: Desk) -> None:
    result = post(
        desk,
        {"grant_type": "password", "service": SERVICE, "scope": "repository:public/a:pull"},
    )

    assert (result.status_code, result.json["scope"]) == (200, "repository:public/a:pull")


def test_a_grant_type_that_is_not_served_is_404_so_that_clients_fall_back_to_get(
    desk: Desk,
) -> None:
    result = post(desk, {"grant_type": "authorization_code", "code": "x", "service": SERVICE})

    assert result.status_code == 404
    assert reason_of(result) == "unsupported-grant"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"grant_type=",
        b"grant_type=password",
        b"grant_type=refresh_token&service=registry.example.com",
        b"grant_type=password&grant_type=refresh_token&service=registry.example.com",
        b"grant_type=password&password=a&password=b&service=registry.example.com",
        b"grant_type=password&service=registry.example.com" + b"&scope=nonsense" * 101,
        b"grant_type=password&service=%ff",
        b"\xff\xfe",
        b"&".join(b"a%d=1" % number for number in range(301)),
    ],
)
def test_a_form_that_is_nonsense_is_a_bad_request(desk: Desk, body: bytes) -> None:
    result = desk.client.simulate_post("/auth/token", body=body, headers={"Content-Type": FORM})

    assert result.status_code == 400
    assert result.json["errors"][0]["message"]


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data", ""])
def test_a_body_of_another_type_is_a_bad_request(desk: Desk, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    result = desk.client.simulate_post("/auth/token", body="{}", headers=headers)

    assert result.status_code == 400


def test_a_form_over_the_bound_is_413(desk: Desk) -> None:
    body = b"grant_type=password&password=" + b"x" * MAX_FORM
    result = desk.client.simulate_post("/auth/token", body=body, headers={"Content-Type": FORM})

    assert result.status_code == 413
    assert result.json["errors"][0]["code"] == "SIZE_INVALID"


def test_a_form_of_exactly_the_bound_is_read(desk: Desk) -> None:
    """Waitress refuses a body of exactly the size that it is told."""
    begin = b"grant_type=password&password="
    body = begin + b"x" * (MAX_FORM - len(begin))
    result = desk.client.simulate_post("/auth/token", body=body, headers={"Content-Type": FORM})

    assert result.status_code == 400  # read, and found to lack a service


def test_a_query_over_the_bound_is_414(desk: Desk) -> None:
    result = desk.client.simulate_get("/auth/token", query_string="x=" + "y" * MAX_QUERY)

    assert result.status_code == 414
    assert "by POST" in result.json["errors"][0]["message"]


def test_a_form_without_a_user_name_is_routed_by_the_token_s_issuer(desk: Desk) -> None:
    form = {"grant_type": "password", "username": "", "password": desk.token(), "service": SERVICE}
    result = post(desk, {**form, "scope": "repository:acme/app:push"})

    assert result.json["scope"] == "repository:acme/app:push"


def test_a_form_with_too_many_fields_is_a_bad_request(desk: Desk) -> None:
    scopes = [f"repository:acme/a{number}:pull" for number in range(300)]
    form = {"grant_type": "password", "service": SERVICE}
    result = post(desk, {**form, "scope": scopes})

    assert result.status_code == 400
    assert "not a form" in result.json["errors"][0]["message"]
