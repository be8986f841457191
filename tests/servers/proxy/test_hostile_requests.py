"""Hostile requests on the wire: each is refused, or reaches the registry as the one it was read as."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from regauth.servers.proxy_settings import BundleKeys, TokenSettings, UpstreamSettings
from regauth.servers.registry_routes import Route, read_route
from regauth.servers.request_info import Network

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

DIGEST = "sha256:" + "a" * 64
PUSH = "repository:acme/app:pull,push"
UPLOADS = "/v2/acme/app/blobs/uploads/"


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
    route = read_route(line.method, line.target)
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


def raw(*lines: str, body: str = "") -> str:
    return "\r\n".join(lines) + "\r\n\r\n" + body


HOST, AUTH = "Host: registry.example.com", "Authorization: Bearer {token}"
HIDDEN = raw("GET /v2/secret/manifests/latest HTTP/1.1", HOST)
PATCH = f"PATCH {UPLOADS}u1 HTTP/1.1"

SMUGGLED = {
    "length and chunks": raw(PATCH, HOST, AUTH, "Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n" + HIDDEN),
    "chunks and length": raw(PATCH, HOST, AUTH, "Transfer-Encoding: chunked", f"Content-Length: {len(HIDDEN) + 5}", body="0\r\n\r\n" + HIDDEN),
    "two lengths": raw(PATCH, HOST, AUTH, "Content-Length: 0", f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
    "a length with a sign": raw(PATCH, HOST, AUTH, "Content-Length: +5", body=HIDDEN),
    "a length with a space": raw(PATCH, HOST, AUTH, "Content-Length: 1 0", body=HIDDEN),
    "a length in hexadecimal": raw(PATCH, HOST, AUTH, "Content-Length: 0x5", body=HIDDEN),
    "a negative length": raw(PATCH, HOST, AUTH, "Content-Length: -1", body=HIDDEN),
    "a list of lengths": raw(PATCH, HOST, AUTH, "Content-Length: 5, 5", body="hello" + HIDDEN),
    "an unknown coding": raw(PATCH, HOST, AUTH, "Transfer-Encoding: xchunked", body="0\r\n\r\n" + HIDDEN),
    "a coding twice": raw(PATCH, HOST, AUTH, "Transfer-Encoding: chunked", "Transfer-Encoding: identity", body="0\r\n\r\n" + HIDDEN),
    "a coding after a vertical tab": raw(PATCH, HOST, AUTH, "Transfer-Encoding: \x0bchunked", body="0\r\n\r\n" + HIDDEN),
    "a space before the colon": raw(PATCH, HOST, AUTH, "Transfer-Encoding : chunked", body="0\r\n\r\n" + HIDDEN),
    "a folded line": raw(PATCH, HOST, AUTH, "Transfer-Encoding:", " chunked", body="0\r\n\r\n" + HIDDEN),
    "an underscore": raw(PATCH, HOST, AUTH, "Content_Length: 5", "Transfer_Encoding: chunked", body=HIDDEN),
    "a bare line feed": f"{PATCH}\r\n{HOST}\r\n{AUTH}\nContent-Length: 5\r\n\r\nhello{HIDDEN}",
    "a bare carriage return": f"{PATCH}\r\n{HOST}\r\n{AUTH}\rX: y\r\n\r\n{HIDDEN}",
    "a chunk size with a sign": raw(PATCH, HOST, AUTH, "Transfer-Encoding: chunked", body="+5\r\nhello\r\n0\r\n\r\n" + HIDDEN),
    "a chunk extension": raw(PATCH, HOST, AUTH, "Transfer-Encoding: chunked", body='5;x="\r\nhello\r\n0\r\n\r\n' + HIDDEN),
    "chunks in HTTP/1.0": raw(f"PATCH {UPLOADS}u1 HTTP/1.0", HOST, AUTH, "Transfer-Encoding: chunked", body="0\r\n\r\n" + HIDDEN),
    "a body of a GET": raw("GET /v2/acme/app/tags/list HTTP/1.1", HOST, AUTH, f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
    "a body of a HEAD": raw("HEAD /v2/acme/app/tags/list HTTP/1.1", HOST, AUTH, f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
    "a second request": raw("GET /v2/acme/app/tags/list HTTP/1.1", HOST, AUTH, body=HIDDEN),
    "line ends in the target": raw("GET /v2/acme/app/tags/list HTTP/1.1\r\nX: y /v2/secret/tags/list HTTP/1.1", HOST, AUTH),
    "a null in the target": raw("GET /v2/acme/app\x00/../secret/tags/list HTTP/1.1", HOST, AUTH),
    "a tab in the request line": raw("GET\t/v2/secret/tags/list HTTP/1.1", HOST, AUTH),
    "two targets": raw("GET /v2/acme/app/tags/list /v2/secret/tags/list HTTP/1.1", HOST, AUTH),
    "no version": raw("GET /v2/secret/tags/list", HOST, AUTH),
    "another version": raw("GET /v2/secret/tags/list HTTP/2.0", HOST, AUTH),
    "an absolute target": raw("GET http://registry.example.com/v2/acme/app/tags/list HTTP/1.1", HOST, AUTH),
    "an authority": raw("CONNECT secret:443 HTTP/1.1", HOST, AUTH),
    "an upgrade": raw("GET /v2/secret/tags/list HTTP/1.1", HOST, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Connection: Upgrade, HTTP2-Settings", AUTH),
    "a method in lower case": raw("get /v2/secret/tags/list HTTP/1.1", HOST, AUTH),
    "a method with a space": raw("GET  /v2/secret/tags/list HTTP/1.1", HOST, AUTH),
    "a form that mounts": raw(f"POST {UPLOADS} HTTP/1.1", HOST, AUTH, "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len('from=secret&mount=' + DIGEST)}", body=f"from=secret&mount={DIGEST}"),
    "a form in parts that mounts": raw(f"POST {UPLOADS} HTTP/1.1", HOST, AUTH, "Content-Type: multipart/form-data; boundary=x", "Content-Length: 5", body="--x--"),
    "a form behind another type": raw(f"POST {UPLOADS} HTTP/1.1", HOST, AUTH, "Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 11", body="from=secret"),
    "a form with a dotted I, which Go lowers to i": raw(f"POST {UPLOADS} HTTP/1.1", HOST, AUTH, "Content-Type: appl\xc4\xb0cation/x-www-form-urlencoded", "Content-Length: 11", body="from=secret"),
    "another address in a header": raw("GET /v2/acme/app/tags/list HTTP/1.1", HOST, AUTH, "X-Original-URI: /v2/secret/tags/list", "X-Original-URL: /v2/secret/tags/list", "X-Rewrite-URL: /v2/secret/tags/list", "X-Forwarded-Uri: /v2/secret/tags/list"),
    "another method in a header": raw("GET /v2/acme/app/tags/list HTTP/1.1", HOST, AUTH, "X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-Original-Method: DELETE"),
    "a decision of one's own": raw("GET /v2/secret/tags/list HTTP/1.1", HOST, AUTH, "X-Forwarded-Uri: /v2/acme/app/tags/list", "X-Original-URI: /v2/acme/app/tags/list"),
    "a header that asks to drop the token": raw("GET /v2/acme/app/tags/list HTTP/1.1", HOST, AUTH, "Connection: close, Authorization, X-Forwarded-For"),
    "the path of the gateway": raw("GET /authorize/envoy/v2/secret/tags/list HTTP/1.1", HOST, AUTH),
    "the path of the gateway, left": raw("GET /authorize/envoy/../../v2/secret/tags/list HTTP/1.1", HOST, AUTH),
    "the health page, left": raw("GET /healthz/../v2/secret/tags/list HTTP/1.1", HOST, AUTH),
}  # fmt: skip


@pytest.mark.parametrize("request_text", SMUGGLED.values(), ids=SMUGGLED)
def test_nothing_smuggled_arrives(both: tuple[Standing, Registry], request_text: str) -> None:
    proxy, upstream = both
    upstream.received.clear()
    token = proxy.signing.token(PUSH)
    text = request_text.replace("{token}", token) + raw("GET /healthz HTTP/1.0", HOST)
    proxy.say(text.encode("latin-1"))

    for one in upstream.received:
        assert one.target.startswith("/v2/acme/app/")
        assert one.method in {"GET", "HEAD", "PATCH"}
        assert not one.headers.keys() & {"authorization", "transfer-encoding", "x-forwarded-uri"}
        assert not one.headers.keys() & {"x-original-uri", "x-http-method-override"}
        assert b"secret" not in one.body or one.method == "PATCH"


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
