"""The token endpoint: what clients get for what they send."""

import base64
import json
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import falcon.testing
import pytest
from cryptography import x509

from regauth.engine.tokens.jwt import parse, verify
from regauth.engine.tokens.key_ids import key_id
from regauth.engine.tokens.keys import Key, KeySet, PrivateKey
from regauth.servers.configuration.settings import TOKEN_PATHS
from regauth.servers.http_server.forwarded import ForwardedFields, WithRequestInfo
from regauth.servers.token.certificate_watch import CertificateWatch
from tests.servers.desk import (
    ANONYMOUS,
    NOW,
    SERVICE,
    Desk,
    basic,
    make_desk,
    pem_keys,
    policy_text,
    reason_of,
)

pytestmark = pytest.mark.usefixtures("each_host")


@pytest.fixture
def desk(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Desk:
    text = policy_text(pem_keys(private_keys["rsa"]))
    return make_desk(tmp_path, text, private_keys["rsa"])


@pytest.fixture
def open_desk(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Desk:
    """The same with an anonymous policy."""
    text = policy_text(pem_keys(private_keys["rsa"]), ANONYMOUS)
    return make_desk(tmp_path, text, private_keys["rsa"])


def test_the_reply_has_every_field_that_some_client_reads(desk: Desk) -> None:
    result = desk.ask(desk.token(), "repository:acme/app:pull,push")

    assert result.status_code == 200
    assert result.headers["content-type"] == "application/json"
    assert result.headers["cache-control"] == "no-store"
    assert {"token", "access_token", "expires_in", "issued_at", "scope"} == set(result.json)
    assert result.json["token"] == result.json["access_token"]
    assert result.json["expires_in"] == 300
    assert result.json["issued_at"] == "2026-11-01T12:00:00Z"
    assert result.json["scope"] == "repository:acme/app:pull,push"


def test_the_token_is_what_distribution_2_accepts(desk: Desk) -> None:
    result = desk.ask(desk.token(), "repository:acme/app:pull,push")
    claims = desk.claims(result)
    header = json.loads(base64.urlsafe_b64decode(result.json["token"].split(".")[0] + "=="))

    issued = int(NOW.timestamp())
    assert {name: claims[name] for name in ("iss", "aud", "iat", "exp")} == {
        "iss": "registry-token-issuer",
        "aud": SERVICE,
        "iat": issued - 10,  # zot has no leeway for it (O2)
        "exp": issued + 300,
    }
    assert claims["sub"] == "repo:acme/app:ref:refs/heads/main"
    assert claims["access"] == [
        {"type": "repository", "name": "acme/app", "actions": ["pull", "push"]}
    ]
    assert all(type(claims[name]) is int for name in ("iat", "nbf", "exp"))
    assert header["kid"] == key_id(desk.signing.public_key, "libtrust")
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    assert leaf.public_key() == desk.signing.public_key


def test_the_token_is_signed_with_the_server_s_key(desk: Desk) -> None:
    token = parse(desk.ask(desk.token()).json["token"])
    keys = KeySet((Key(desk.signing.public_key, ("ES256",)),))

    assert verify(token, keys, ("ES256",)) == token.claims


def test_every_token_has_an_id_of_its_own(desk: Desk) -> None:
    ids = {desk.claims(desk.ask(desk.token(run_id=str(one))))["jti"] for one in range(5)}

    assert len(ids) == 5


def test_what_is_not_granted_is_left_out_and_no_error(desk: Desk) -> None:
    result = desk.ask(
        desk.token(),
        "repository:acme/app:pull,push",
        "repository:acme/other:pull,push",
        "repository:globex/app:pull",
        "registry:catalog:*",
        "unheard:of:thing",
    )

    assert result.status_code == 200
    assert result.json["scope"] == "repository:acme/app:pull,push repository:acme/other:pull"


@pytest.mark.parametrize("scopes", [(), ("",)])
def test_a_login_asks_for_nothing_and_gets_a_token_for_nothing(
    desk: Desk, scopes: tuple[str, ...]
) -> None:
    result = desk.ask(desk.token(), *scopes)

    assert (result.status_code, result.json["scope"]) == (200, "")
    assert desk.claims(result)["access"] == []


def test_scopes_may_be_repeated_joined_or_both(desk: Desk) -> None:
    repeated = desk.ask(desk.token(), "repository:acme/app:pull", "repository:acme/b:pull")
    joined = desk.ask(desk.token(), "repository:acme/app:pull repository:acme/b:pull")

    assert repeated.json["scope"] == joined.json["scope"] != ""


def test_everything_on_a_repository_is_answered_with_what_is_allowed_of_it(desk: Desk) -> None:
    assert desk.ask(desk.token(), "repository:acme/app:*").json["scope"] == (
        "repository:acme/app:pull,push"
    )


@pytest.mark.parametrize("path", ["/auth/token", "/auth", "/token", "/v2/token"])
def test_the_endpoint_is_at_every_path_that_registries_send_clients_to(
    desk: Desk, path: str
) -> None:
    assert desk.ask(desk.token(), path=path).status_code == 200


def test_the_endpoint_is_at_a_path_of_the_operator_s_choice_too(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    text = policy_text(pem_keys(private_keys["rsa"]))
    paths = (*TOKEN_PATHS, "/service/token")
    desk = make_desk(tmp_path, text, private_keys["rsa"], paths=paths)

    assert desk.ask(desk.token(), path="/service/token").status_code == 200
    assert desk.ask(desk.token(run_id="2"), path="/auth/token").status_code == 200


def test_what_clients_send_along_is_ignored(desk: Desk) -> None:
    result = desk.ask(
        desk.token(), account="github", client_id="docker", offline_token="true", whatever="x"
    )

    assert result.status_code == 200
    assert "refresh_token" not in result.json


@pytest.mark.parametrize("username", ["github", "<token>", "oauth2", "_token", ""])
def test_any_other_user_name_routes_by_the_token_s_issuer(desk: Desk, username: str) -> None:
    assert desk.ask(desk.token(), username=username).status_code == 200


def refusals() -> list[tuple[str, dict[str, Any]]]:
    hour = int((NOW + timedelta(hours=1)).timestamp())
    day = int((NOW - timedelta(days=1)).timestamp())
    return [
        ("wrong-issuer", {"iss": "https://else.example.com"}),
        ("wrong-audience", {"aud": "https://github.com/acme"}),
        ("wrong-audience", {"aud": None}),
        ("expired", {"exp": day}),
        ("expired", {"exp": None}),
        ("not-yet-valid", {"nbf": hour}),
        ("rule:our-organisation", {"repository_owner_id": "7"}),
        ("rule:our-organisation", {"repository_owner_id": None}),
    ]


@pytest.mark.parametrize(("reason", "changes"), refusals())
def test_a_token_that_fails_a_check_is_refused_and_the_check_is_named(
    desk: Desk, reason: str, changes: dict[str, Any]
) -> None:
    result = desk.ask(desk.token(**changes), "repository:acme/app:pull")

    assert result.status_code == 401
    assert result.headers["www-authenticate"] == 'Basic realm="token-server", charset="UTF-8"'
    assert result.headers["cache-control"] == "no-store"
    error = result.json["errors"][0]
    assert (error["code"], reason_of(result)) == ("UNAUTHORIZED", reason)
    assert error["message"]


@pytest.mark.parametrize("password", ["", "secret", "a.b.c", "x" * 20000])
def test_a_password_that_is_no_token_is_refused(desk: Desk, password: str) -> None:
    result = desk.ask(password)

    assert result.status_code == 401
    assert result.json["errors"][0]["detail"]["reason"] in ("malformed-token", "token-too-large")


def test_a_forged_signature_is_refused(desk: Desk) -> None:
    head, payload, _ = desk.token().split(".")
    other = desk.token(ref="refs/heads/else").split(".")[2]

    result = desk.ask(f"{head}.{payload}.{other}")

    assert reason_of(result) == "bad-signature"


def test_a_service_that_the_policy_does_not_name_is_refused(desk: Desk) -> None:
    result = desk.client.simulate_get(
        "/auth/token", params={"service": "other"}, headers=basic("github", desk.token())
    )

    assert result.status_code == 401
    assert reason_of(result) == "unknown-service"


def test_without_an_anonymous_policy_credentials_are_required(desk: Desk) -> None:
    result = desk.ask(None, "repository:public/app:pull")

    assert result.status_code == 401
    assert reason_of(result) == "no-credentials"


def test_an_anonymous_request_gets_what_the_policy_gives_it(open_desk: Desk) -> None:
    result = open_desk.ask(None, "repository:public/app:pull,push", "repository:acme/app:pull")

    assert (result.status_code, result.json["scope"]) == (200, "repository:public/app:pull")
    assert open_desk.claims(result)["sub"] == ""


def test_an_anonymous_request_that_gets_nothing_is_no_error(open_desk: Desk) -> None:
    result = open_desk.ask(None, "repository:acme/app:pull")

    assert (result.status_code, result.json["scope"]) == (200, "")


def test_a_bad_login_is_not_taken_for_an_anonymous_one(open_desk: Desk) -> None:
    assert open_desk.ask("nonsense", "repository:public/app:pull").status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        "",
        "service=",
        "service=a&service=b",
        f"service={SERVICE}&scope=repository:{'a' * 600}:pull",
        f"service={SERVICE}" + "&scope=nonsense" * 101,
    ],
)
def test_nonsense_is_a_bad_request(desk: Desk, query: str) -> None:
    result = desk.client.simulate_get("/auth/token", query_string=query)

    assert result.status_code == 400
    assert result.json["errors"][0]["code"] == "BAD_REQUEST"
    assert "www-authenticate" not in result.headers


@pytest.mark.parametrize("header", ["Bearer abc", "Basic !!!", "Digest x"])
def test_credentials_that_cannot_be_read_are_refused_with_a_challenge(
    open_desk: Desk, header: str
) -> None:
    result = open_desk.client.simulate_get(
        "/auth/token", params={"service": SERVICE}, headers={"Authorization": header}
    )

    assert result.status_code == 401
    assert reason_of(result) == "malformed-credentials"
    assert "www-authenticate" in result.headers


def test_an_address_where_nothing_is_answers_in_json(desk: Desk) -> None:
    result = desk.client.simulate_get("/nothing/here")

    assert result.status_code == 404
    assert result.json["errors"][0]["code"] == "NOT_FOUND"
    assert "the token endpoint is /auth/token" in result.json["errors"][0]["message"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_method_that_is_not_of_the_protocol_answers_in_json(desk: Desk, method: str) -> None:
    result = desk.client.simulate_request(method, "/auth/token")

    assert result.status_code == 405
    assert result.json["errors"][0]["code"] == "UNSUPPORTED"


def test_health_is_told_without_credentials(desk: Desk) -> None:
    assert desk.client.simulate_get("/healthz").json == {"status": "ok"}
    assert [desk.client.simulate_head(path).status_code for path in ("/healthz", "/readyz")] == [
        200
    ] * 2


def test_the_client_is_told_the_check_and_no_value(desk: Desk) -> None:
    result = desk.ask(desk.token(aud="https://secret-audience.example.com"))

    assert "secret-audience" not in result.text
    assert "registry.example.com" not in result.text
    assert "secret-audience" in desk.events()[-1]["detail"]


def test_verbose_errors_tell_the_client_everything(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    text = policy_text(pem_keys(private_keys["rsa"]))
    desk = make_desk(tmp_path, text, private_keys["rsa"], verbose_errors=True)

    assert "https://elsewhere" in desk.ask(desk.token(aud="https://elsewhere")).text


def test_a_failure_of_our_own_grants_nothing_and_tells_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.service, "state", None)

    result = desk.ask(desk.token(), "repository:acme/app:pull")

    assert result.status_code == 500
    assert result.headers["cache-control"] == "no-store"
    assert "token" not in result.json
    assert "NoneType" not in result.text


def test_a_request_leaves_one_line_that_says_who_got_what(desk: Desk) -> None:
    scopes = ["repository:acme/app:push", "repository:globex/app:pull"]
    result = desk.client.simulate_get(
        "/auth/token",
        params={"service": SERVICE, "scope": scopes, "account": "someone"},
        params_csv=False,
        headers={**basic("github", desk.token()), "User-Agent": "docker/28"},
        remote_addr="127.0.0.7",
    )
    events = desk.events()

    assert len(events) == 1
    wanted = {
        "event": "token",
        "level": "info",
        "outcome": "issued",
        "status": 200,
        "client": "127.0.0.7",
        "agent": "docker/28",
        "account": "someone",
        "provider": "github",
        "subject": "repo:acme/app:ref:refs/heads/main",
        "service": SERVICE,
        "granted": ["repository:acme/app:push"],
        "refused": ["repository:globex/app:pull no-grant"],
    }
    assert wanted == {name: events[0][name] for name in wanted}
    assert events[0]["jti"] == desk.claims(result)["jti"]
    assert events[0]["request_id"] == result.headers["x-request-id"]
    assert events[0]["milliseconds"] > 0


def test_a_refusal_leaves_one_line_that_says_why(desk: Desk) -> None:
    desk.ask(desk.token(repository_owner_id="7"), "repository:acme/app:pull", account="someone")
    wanted = {
        "outcome": "refused",
        "level": "warning",
        "service": SERVICE,
        "asked": ["repository:acme/app:pull"],
        "account": "someone",
        "status": 401,
        "reason": "rule:our-organisation",
        "provider": "github",
        "subject": "repo:acme/app:ref:refs/heads/main",
    }

    assert wanted == {name: desk.events()[-1][name] for name in wanted}


@pytest.mark.parametrize("given", ["abc-123", "x" * 65, "a b", "", "a\nb"])
def test_a_request_id_of_a_trusted_proxy_is_taken_over_when_it_is_one_word(
    desk: Desk, given: str
) -> None:
    app = desk.app
    proxied = ForwardedFields((ip_network("127.0.0.1/32"),))
    results = [
        falcon.testing.TestClient(one).simulate_get(
            "/auth/token", headers={"X-Request-Id": given}, remote_addr="127.0.0.1"
        )
        for one in (WithRequestInfo(app, proxied), WithRequestInfo(app, ForwardedFields()))
    ]
    logged = [one["request_id"] for one in desk.events()[-2:]]

    assert [one.headers["x-request-id"] for one in results] == logged
    assert (logged[0] == given) is (given == "abc-123")
    assert logged[1] != given


def test_no_token_and_no_password_is_ever_logged(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    good = desk.token()
    issued = desk.ask(good, "repository:acme/app:pull").json["token"]
    broken = f"{good[:-6]}AAAAAA"
    for password in (broken, "hunter2", f"{good} ", good + good):
        desk.ask(password, username="hunter3")
        desk.ask(password, username=password)
    desk.client.simulate_get("/auth/token", params={"service": good}, headers=basic("u", good))
    desk.client.simulate_get("/auth/token", params={"service": SERVICE, "account": good})
    desk.client.simulate_get("/auth/token", headers={"Authorization": f"Bearer {good}"})
    desk.client.simulate_get(
        "/auth/token", headers={"User-Agent": f"curl {good}", "X-Request-Id": good}
    )
    written = desk.log.read_text() + "".join(capfd.readouterr())

    for secret in (good, issued, broken):
        for part in secret.split(".")[1:]:
            assert part[:40] not in written
    assert "hunter2" not in written


def test_head_is_answered_as_get_is_and_begins_no_session(desk: Desk) -> None:
    got = desk.ask(desk.token(), "repository:acme/app:pull")
    head = desk.client.simulate_head(
        "/auth/token",
        params={"service": SERVICE, "offline_token": "true"},
        headers=basic("github", desk.token()),
    )
    refused = desk.client.simulate_head("/auth/token", params={"service": SERVICE})

    assert (got.status_code, head.status_code, refused.status_code) == (200, 200, 401)
    assert (head.content, refused.content) == (b"", b"")
    assert head.headers["x-request-id"]
    assert refused.headers["www-authenticate"].startswith("Basic")


UI = "https://ui.example.com"


@pytest.fixture
def browsed(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Desk:
    text = policy_text(pem_keys(private_keys["rsa"]))
    return make_desk(tmp_path, text, private_keys["rsa"], browser_origins=frozenset({UI}))


def test_a_page_of_a_known_origin_may_ask_from_a_browser(browsed: Desk) -> None:
    asked = {"Origin": UI, "Access-Control-Request-Method": "GET"}
    preflight = browsed.client.simulate_options("/auth/token", headers=asked)
    answers = [
        browsed.client.simulate_get(
            "/auth/token",
            params={"service": SERVICE},
            headers={"Origin": UI, **basic("github", password)},
        )
        for password in (browsed.token(), "nonsense")
    ]

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-headers"] == "Authorization, Content-Type"
    assert [one.status_code for one in answers] == [200, 401]
    for answer in (preflight, *answers):
        assert answer.headers["access-control-allow-origin"] == UI
        assert answer.headers["vary"] == "Origin"
    assert len(browsed.events()) == 2, "a preflight is no request for a token"


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", f"{UI}.evil.example", "null", UI.upper()]
)
def test_no_other_page_may(browsed: Desk, origin: str) -> None:
    preflight = browsed.client.simulate_options("/auth/token", headers={"Origin": origin})
    answer = browsed.client.simulate_get(
        "/auth/token",
        params={"service": SERVICE},
        headers={"Origin": origin, **basic("github", browsed.token())},
    )

    for one in (preflight, answer):
        assert not [name for name in one.headers if name.startswith("access-control")]
        assert one.headers["vary"] == "Origin"


def test_without_known_origins_nothing_is_said_to_browsers(desk: Desk) -> None:
    answer = desk.client.simulate_options("/auth/token", headers={"Origin": UI})

    assert answer.status_code == 204
    assert not {"vary", "access-control-allow-origin"} & answer.headers.keys()


@pytest.mark.parametrize("more", [(), ("repository:acme/app:pull",)])
def test_o2_the_scope_without_a_name_of_zot_s_challenge_is_no_error(
    desk: Desk, more: tuple[str, ...]
) -> None:
    result = desk.ask(desk.token(), "repository::pull", *more)

    assert result.status_code == 200
    assert result.json["scope"] == " ".join(more)


def test_o2_a_token_is_good_for_a_registry_whose_clock_is_behind(desk: Desk) -> None:
    claims = desk.claims(desk.ask(desk.token()))

    assert claims["iat"] == claims["nbf"] == int(NOW.timestamp()) - 10
    assert claims["exp"] == int(NOW.timestamp()) + 300


def test_o5_a_certificate_s_end_is_told_before_it_comes_and_ends_readiness(desk: Desk) -> None:
    expires = desk.service.state.signer.expires
    assert expires is not None
    watch = CertificateWatch(desk.observer.log, lambda: desk.times[-1])
    told = []
    for before in (timedelta(31), timedelta(30), timedelta(29.5), timedelta(29), timedelta(0)):
        desk.times.append(expires - before)
        watch.look(expires)
        ready = desk.client.simulate_get("/readyz")
        told.append((len(desk.events()), ready.status_code))
        assert ready.json["certificateExpires"] == expires.isoformat()
    watch.look(None)

    assert told == [(0, 200), (1, 200), (1, 200), (2, 200), (3, 503)]
    assert [one["event"] for one in desk.events()] == [
        *("certificate-expires", "certificate-expires", "certificate-expired")
    ]
    assert desk.events()[0]["days"] == 30
    assert "keys rotate" in desk.events()[-1]["remedy"]
