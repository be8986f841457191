"""Hostile requests on the wire: each is refused, or reaches the registry as the one it was read as."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from regauth.engine.source.addresses import Network
from regauth.servers.configuration.proxy_settings import BundleKeys, TokenSettings, UpstreamSettings
from regauth.servers.protocol.reading import read_route
from regauth.servers.protocol.routes import Route

from .corpus import Line, targets
from .standing import (
    ISSUER,
    LOOPBACK,
    SERVICE,
    Registry,
    Standing,
    make_signing,
    read_reply,
    registry,
    standing,
)
from .wire import AUTH, HIDDEN, HOST, PATCH, REQUESTS, UPLOADS, raw

DIGEST = "sha256:" + "a" * 64
PUSH = "repository:acme/app:pull,push"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Standing, Registry]]:
    """One proxy and one registry for the whole corpus."""
    with (
        registry() as upstream,
        standing(tmp_path_factory.mktemp("proxy"), UpstreamSettings(upstream.url)) as proxy,
    ):
        proxy.ask("GET", "/v2/", "")  # what the registry asks for is known from now on
        yield proxy, upstream


@pytest.mark.parametrize("line", targets(), ids=lambda one: f"{one.method} {one.target}"[:60])
def test_a_target_is_refused_or_arrives_as_it_was_read(
    both: tuple[Standing, Registry], line: Line
) -> None:
    proxy, upstream = both
    upstream.received.clear()
    # The server turns the absolute form into the origin form (RFC 9112, section 3.2.2).
    route = read_route(line.method, re.sub(r"\Ahttp://[a-z.]+(?=/)", "", line.target))
    scopes = [str(scope) for scope in route.needs] if isinstance(route, Route) else [PUSH]
    reply = proxy.ask(line.method, line.target, *(scopes or [""]))
    got = [(one.method, one.target) for one in upstream.received]

    if isinstance(route, Route):
        assert (200, [(line.method, route.target)]) == (reply.status, got)
    else:
        assert reply.status in {route.status, 400, 405}
        assert got == []


@pytest.mark.parametrize(
    "line", [one for one in targets() if not one.refused], ids=lambda one: one.target[:60]
)
def test_without_the_access_nothing_arrives(both: tuple[Standing, Registry], line: Line) -> None:
    proxy, upstream = both
    upstream.received.clear()
    route = read_route(line.method, line.target)
    assert isinstance(route, Route)
    for scopes in ([], [str(scope) for scope in route.needs][:-1] or None):
        if scopes is None:
            continue
        reply = proxy.ask(line.method, line.target, *(scopes or ["repository:other:pull,push"]))
        expected = 401 if route.needs else 200
        assert reply.status == expected
        if route.needs:
            assert f'scope="{" ".join(map(str, route.needs))}"' in (
                reply.header("WWW-Authenticate") or ""
            )
    assert route.needs == () or upstream.received == []


@pytest.mark.parametrize("request_text", REQUESTS.values(), ids=REQUESTS)
def test_nothing_smuggled_arrives(both: tuple[Standing, Registry], request_text: str) -> None:
    proxy, upstream = both
    upstream.received.clear()
    token = proxy.signing.token(PUSH)
    text = request_text.replace("{token}", token) + raw("GET /healthz HTTP/1.0", HOST)
    proxy.say(text.encode("latin-1"))

    for one in upstream.received:
        assert one.target.startswith("/v2/acme/app/")
        assert one.method in {"GET", "HEAD", "PATCH", "POST"}
        assert "secret" not in str(one.headers)
        assert not one.headers.keys() - PASSED_ON
        if one.method == "POST":  # with a form's body, and nothing that says so
            assert "content-type" not in one.headers


PASSED_ON = {
    *("accept-encoding", "content-length", "host", "user-agent", "x-request-id"),
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
}


def test_the_requests_are_many() -> None:
    assert len(REQUESTS) >= 150


def test_a_request_without_a_body_is_not_asked_to_go_on(both: tuple[Standing, Registry]) -> None:
    """waitress would wait for more, and take the headers of the next request for this one's."""
    proxy, upstream = both
    upstream.received.clear()
    said = proxy.say(
        raw(
            "GET /v2/acme/app/tags/list HTTP/1.1", HOST, "Expect: 100-continue",
            f"Authorization: Bearer {proxy.signing.token(PUSH)}", "Connection: close",
        ).encode()
    )  # fmt: skip

    assert said.startswith(b"HTTP/1.1 200 ")
    assert [one.target for one in upstream.received] == ["/v2/acme/app/tags/list"]


@pytest.mark.parametrize("size", ["ffffffffffffffff1", "7fffffffffffffff", "100000000000"])
def test_a_chunk_that_never_ends_goes_nowhere(both: tuple[Standing, Registry], size: str) -> None:
    proxy, upstream = both
    upstream.received.clear()
    start = raw(PATCH, HOST, AUTH, "Transfer-Encoding: chunked", body=f"{size}\r\n{HIDDEN}")
    proxy.say(start.replace("{token}", proxy.signing.token(PUSH)).encode(), hang_up=True)

    assert upstream.received == []


TOKENS = {
    "none": "",
    "empty": "Authorization:",
    "a scheme alone": "Authorization: Bearer",
    "two spaces": "Authorization: Bearer  {token}",
    "a tab": "Authorization: Bearer\t{token}",
    "a colon": "Authorization: Bearer: {token}",
    "Basic": "Authorization: Basic {token}",
    "no scheme": "Authorization: {token}",
    "twice": "Authorization: Bearer {token}\r\nAuthorization: Bearer {token}",
    "another first": "Authorization: Basic eDp5\r\nAuthorization: Bearer {token}",
    "a list": "Authorization: Bearer {token}, Bearer {token}",
    "quoted": 'Authorization: Bearer "{token}"',
    "cut off": "Authorization: Bearer {token}.",
    "one more part": "Authorization: Bearer {token}.e30",
    "in another header": "X-Authorization: Bearer {token}",
    "in a proxy's header": "Proxy-Authorization: Bearer {token}",
    "in a cookie": "Cookie: Authorization=Bearer {token}",
    "with an underscore": "HTTP_AUTHORIZATION: Bearer {token}",
    "odd bytes": "Authorization: Bearer {token}\x80",
    "very long": "Authorization: Bearer " + "a" * 20_000,
}


@pytest.mark.parametrize("header", TOKENS.values(), ids=TOKENS)
def test_a_token_in_another_form_is_none(both: tuple[Standing, Registry], header: str) -> None:
    proxy, upstream = both
    upstream.received.clear()
    given = header.replace("{token}", proxy.signing.token(PUSH))
    text = raw(
        "GET /v2/acme/app/tags/list HTTP/1.1", HOST, "Connection: close", *([given] * bool(given))
    )
    reply = read_reply(proxy.say(text.encode("latin-1")))

    assert (401, []) == (reply.status, upstream.received)
    assert 'scope="repository:acme/app:pull"' in (reply.header("WWW-Authenticate") or "")


def test_the_scheme_may_be_in_any_case(both: tuple[Standing, Registry]) -> None:
    proxy, _ = both
    reply = proxy.ask("GET", "/v2/", Authorization=f"bEARER {proxy.signing.token()}")

    assert reply.status == 200


HOSTS = ["", "a b", "a/b", "evil.example.com\\", "x@y", "a,b", "[::1", 'a"b', "a<b", "-a", "a:b", "a:123456"]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_none_is_not_repeated(both: tuple[Standing, Registry], host: str) -> None:
    proxy, upstream = both
    upstream.received.clear()
    reply = proxy.ask("POST", UPLOADS, PUSH, Host=host)

    assert (400, []) == (reply.status, upstream.received)


@pytest.mark.parametrize(
    ("trusted", "realm"),
    [((), "http://registry.example.com"), (LOOPBACK, "https://other.example.com")],
)
def test_an_automatic_realm_is_at_the_host_that_was_asked(
    tmp_path: Path, trusted: tuple[Network, ...], realm: str
) -> None:
    bundle = BundleKeys(make_signing(tmp_path).bundle)
    token = TokenSettings(SERVICE, ISSUER, bundle, "", "/auth/token")
    odd = 'x"y'
    with (
        registry() as upstream,
        standing(
            tmp_path, UpstreamSettings(upstream.url), token=token, trusted_proxies=trusted
        ) as proxy,
    ):
        reply = proxy.ask(
            "GET", "/v2/", X_Forwarded_Proto="https", X_Forwarded_Host="other.example.com"
        )

        assert f'Bearer realm="{realm}/auth/token",service="{SERVICE}"' == reply.header(
            "WWW-Authenticate"
        )
        assert proxy.ask("GET", "/v2/", Host=odd, X_Forwarded_Host=odd).status == 400
