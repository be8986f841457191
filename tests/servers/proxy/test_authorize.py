"""The decision endpoint: 204 or 200, 401 with the challenge, 403, and never anything else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from regauth.engine.tokens.jwks import jwks
from regauth.engine.tokens.key_ids import key_id
from regauth.servers.configuration.proxy_settings import FileKeys, TokenSettings, UriKeys
from regauth.servers.protocol.reading import read_route
from regauth.servers.protocol.routes import Route

from .corpus import Line, targets
from .standing import ISSUER, LOOPBACK, REALM, SERVICE, Reply, Standing, plain, registry, standing

DIGEST = "sha256:" + "a" * 64
PULL = "repository:acme/app:pull"
TAGS = "/v2/acme/app/tags/list"


def ask(
    gate: Standing, gateway: str, method: str, target: str, *scopes: str, **headers: str
) -> Reply:
    """Ask as a gateway does."""
    if gateway == "envoy":
        return gate.ask(method, f"/authorize/envoy{target}", *scopes, **headers)
    if gateway == "nginx":
        said = {"X_Original_Method": method, "X_Original_URI": target}
    else:
        said = {"X_Forwarded_Method": method, "X_Forwarded_Uri": target}
    return gate.ask("GET", f"/authorize/{gateway}", *scopes, **said, **headers)


GATEWAYS = ("nginx", "traefik", "envoy")


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_access_is_allowed_refused_with_a_challenge_or_forbidden(
    gate: Standing, gateway: str
) -> None:
    allowed = ask(gate, gateway, "GET", TAGS, PULL)
    assert (allowed.status, allowed.body) == (200 if gateway == "envoy" else 204, b"")
    none = ask(gate, gateway, "GET", TAGS)
    challenge = f'Bearer realm="{REALM}",service="{SERVICE}",scope="{PULL}"'
    assert (none.status, none.header("WWW-Authenticate")) == (401, challenge)
    less = ask(gate, gateway, "PUT", "/v2/acme/app/manifests/latest", PULL)
    assert (less.status, less.header("X-Reason")) == (401, "insufficient-scope")
    assert 'error="insufficient_scope"' in (less.header("WWW-Authenticate") or "")
    odd = ask(gate, gateway, "GET", "/v2/acme/app/../other/tags/list", PULL)
    assert (odd.status, odd.header("WWW-Authenticate")) == (403, None)
    assert json.loads(odd.body)["errors"][0]["code"] == "NAME_INVALID"


@pytest.mark.parametrize("line", targets(), ids=lambda one: f"{one.method} {one.target}"[:60])
@pytest.mark.parametrize("gateway", ["nginx", "envoy"])
def test_every_request_of_the_corpus_has_one_of_the_three_answers(
    gate: Standing, gateway: str, line: Line
) -> None:
    route = read_route(line.method, line.target)
    scopes = [str(scope) for scope in route.needs] if isinstance(route, Route) else [PULL]
    reply = ask(gate, gateway, line.method, line.target, *(scopes or [""]))
    good = isinstance(route, Route) and not route.undecided
    if gateway == "envoy":
        refused = {400, 403, 404, 405}  # what waitress itself refuses never comes here
    else:
        refused = {400, 403} if "\x00" in line.target else {403}

    assert reply.status in ({200, 204} if good else refused)


def test_a_mount_from_nowhere_cannot_be_decided(gate: Standing) -> None:
    target = f"/v2/acme/app/blobs/uploads/?mount={DIGEST}"
    reply = ask(gate, "nginx", "POST", target, "repository:acme/app:pull,push")

    assert (reply.status, reply.header("X-Reason")) == (403, "undecided")


def test_an_upload_of_a_form_is_forbidden(gate: Standing) -> None:
    reply = ask(
        gate, "nginx", "POST", "/v2/acme/app/blobs/uploads/", "repository:acme/app:pull,push",
        Content_Type="application/x-www-form-urlencoded",
    )  # fmt: skip

    assert reply.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_Original_URI": TAGS},
        {"X_Original_Method": "GET"},
        {"X_Original_Method": "GET, DELETE", "X_Original_URI": TAGS},
        {"X_Original_Method": "GET", "X_Original_URI": f"{TAGS}, /v2/"},
        {"X_Forwarded_Method": "GET", "X_Forwarded_Uri": TAGS},
    ],
)
def test_a_gateway_that_does_not_say_one_request_is_refused(
    gate: Standing, headers: dict[str, str]
) -> None:
    for path in ("/authorize", "/authorize/nginx"):
        assert gate.ask("GET", path, PULL, **headers).status == 403


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
QUESTIONS = {
    "/authorize": ("X-Original-Method", "X-Original-URI"),
    "/authorize/nginx": ("X-Original-Method", "X-Original-URI"),
    "/authorize/traefik": ("X-Forwarded-Method", "X-Forwarded-Uri"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", QUESTIONS)
def test_traefik_method_the_method_of_the_question_itself_counts_for_nothing(
    gate: Standing, path: str, method: str
) -> None:
    """Row `traefik-method`: a gateway that keeps the client's method gets the same answers."""
    say_method, say_target = QUESTIONS[path]

    def asked(described: str, *scopes: str) -> int:
        return gate.ask(method, path, *scopes, **{say_method: described, say_target: TAGS}).status

    assert asked("GET", PULL) == 204
    assert asked("GET") == 401
    assert asked("DELETE", PULL) == 403
    assert gate.ask(method, path, PULL).status == 403


@pytest.mark.parametrize("path", ["/authorize/", "/authorize/nginx/x", "/authorized", "/authorize/other"])  # fmt: skip
def test_no_other_address_decides(gate: Standing, path: str) -> None:
    headers = {"X_Original_Method": "GET", "X_Original_URI": TAGS}
    assert gate.ask("GET", path, PULL, **headers).status == 404


def test_decisions_are_served_beside_a_registry_too(proxy: Standing) -> None:
    assert [ask(proxy, gateway, "GET", TAGS, PULL).status for gateway in GATEWAYS] == [
        204,
        204,
        200,
    ]


def test_a_client_s_header_does_not_take_the_place_of_the_gateway_s(gate: Standing) -> None:
    lies = {"X_Original_URI": TAGS, "X_Original_Method": "GET"}
    assert ask(gate, "traefik", "GET", "/v2/secret/tags/list", PULL, **lies).status == 401
    lies |= {"X_Forwarded_Uri": TAGS, "X_Forwarded_Method": "GET"}
    assert ask(gate, "envoy", "GET", "/v2/secret/tags/list", PULL, **lies).status == 401


def test_without_an_upstream_nothing_is_served_but_decisions(gate: Standing) -> None:
    assert gate.ask("GET", "/healthz").status == 200
    assert gate.ask("GET", "/v2/", "").status == 404
    assert gate.ask("GET", TAGS, PULL).status == 404


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "another"}, "wrong-issuer"),
        ({"aud": "another"}, "wrong-audience"),
        ({"exp": 1}, "expired"),
        ({"nbf": 9_999_999_999}, "not-yet-valid"),
    ],
)
def test_a_token_that_is_not_good_says_why_in_the_log(
    gate: Standing, changes: dict[str, object], reason: str
) -> None:
    token = gate.signing.token(PULL, **changes)
    reply = ask(gate, "nginx", "GET", TAGS, Authorization=f"Bearer {token}")

    assert (reply.status, reply.header("X-Reason")) == (401, reason)
    assert 'error="invalid_token"' in (reply.header("WWW-Authenticate") or "")


def key_set(gate: Standing, kid: str) -> bytes:
    return json.dumps(jwks([(gate.signing.key.public_key, kid, "ES256")])).encode()


def sign_as(gate: Standing, kid: str) -> None:
    """Have the next tokens name their key so."""
    object.__setattr__(gate.signing, "key", replace(gate.signing.key, key_id=kid))


def test_a_key_set_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text('{"keys":[]}')
    token = TokenSettings(SERVICE, ISSUER, FileKeys(file), REALM)
    with standing(tmp_path, None, token=token, trusted_proxies=LOOPBACK) as gate:
        kid = key_id(gate.signing.key.public_key, "rfc7638")
        sign_as(gate, kid)
        assert ask(gate, "nginx", "GET", TAGS, PULL).status == 401
        file.write_bytes(key_set(gate, kid))
        assert ask(gate, "nginx", "GET", TAGS, PULL).status == 204


def test_a_key_set_is_fetched_again_for_a_key_that_is_not_known(tmp_path: Path) -> None:
    with registry() as server:
        token = TokenSettings(SERVICE, ISSUER, UriKeys(f"{server.url}/jwks"), REALM)
        with standing(tmp_path, None, token=token, trusted_proxies=LOOPBACK) as gate:
            for kid in ("old", "new"):
                sign_as(gate, kid)
                server.behaviour = plain(200, key_set(gate, kid))
                assert ask(gate, "nginx", "GET", TAGS, PULL).status == 204
        assert len(server.received) == 2


def test_a_key_set_that_cannot_be_had_forbids(tmp_path: Path) -> None:
    with registry(plain(500)) as server:
        token = TokenSettings(SERVICE, ISSUER, UriKeys(f"{server.url}/jwks"), REALM)
        with standing(tmp_path, None, token=token, trusted_proxies=LOOPBACK) as gate:
            reply = ask(gate, "nginx", "GET", TAGS, PULL)

            assert (reply.status, reply.header("X-Reason")) == (403, "keys-unavailable")
