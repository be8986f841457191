"""What passes the proxy, in both directions, byte by byte."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from regauth.servers.configuration.proxy_settings import BodyLimits, UpstreamSettings

from .standing import PATIENCE, Received, Registry, Standing, plain, registry, standing

DIGEST = "sha256:" + "a" * 64
PULL, PUSH = "repository:acme/app:pull", "repository:acme/app:pull,push"
UPLOADS = "/v2/acme/app/blobs/uploads/"


def errors(body: bytes) -> list[str]:
    return [one["code"] for one in json.loads(body)["errors"]]


def test_a_blob_comes_through_as_it_is(proxy: Standing, upstream: Registry) -> None:
    blob = bytes(range(256)) * 4096
    upstream.behaviour = plain(200, blob, ETag='"x"', Docker_Content_Digest=DIGEST)
    reply = proxy.ask("GET", f"/v2/acme/app/blobs/{DIGEST}", PULL)

    assert (reply.status, reply.body) == (200, blob)
    assert (reply.header("ETag"), reply.header("Docker-Content-Digest")) == ('"x"', DIGEST)
    assert reply.header("Content-Length") == str(len(blob))
    assert reply.header("Content-Type") is None


def test_the_client_s_authorization_and_odd_headers_stay_here(
    proxy: Standing, upstream: Registry
) -> None:
    proxy.ask(
        "GET",
        "/v2/acme/app/manifests/latest",
        PULL,
        Accept="application/vnd.oci.image.index.v1+json",
        Range="bytes=0-9",
        If_None_Match='"x"',
        User_Agent="client/1",
        Cookie="session=1",
        X_Forwarded_For="6.6.6.6",
        X_Forwarded_Host="evil.example.com",
        X_Forwarded_Proto="https",
        X_HTTP_Method_Override="DELETE",
        X_Original_URL="/v2/secret/manifests/latest",
        X_Rewrite_URL="/v2/secret/manifests/latest",
        Forwarded="host=evil.example.com",
        Proxy_Authorization="Basic eA==",
        TE="trailers",
        Upgrade="h2c",
    )
    got = upstream.received[-1]

    assert got.target == "/v2/acme/app/manifests/latest"
    assert got.headers.pop("x-request-id")
    assert got.headers == {
        "host": upstream.url.removeprefix("http://"),
        "accept-encoding": "identity",
        "accept": "application/vnd.oci.image.index.v1+json",
        "range": "bytes=0-9",
        "if-none-match": '"x"',
        "user-agent": "client/1",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-host": "registry.example.com",
        "x-forwarded-proto": "http",
    }


def test_headers_of_the_connection_and_of_the_upstream_s_own_login_stay_there(
    proxy: Standing, upstream: Registry
) -> None:
    upstream.behaviour = plain(
        200, b"{}", Connection="close, X-Private", X_Private="1", Set_Cookie="a=b", Keep_Alive="9",
        Upgrade="h2c", Docker_Upload_UUID="u",
    )  # fmt: skip
    reply = proxy.ask("GET", "/v2/acme/app/tags/list", PULL)
    names = {name.lower() for name, _ in reply.headers}

    assert names == {"content-length", "docker-upload-uuid", "x-request-id", "date", "connection"}


def test_head_has_headers_and_no_body(proxy: Standing, upstream: Registry) -> None:
    def answer(handler: BaseHTTPRequestHandler, _: Received) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "12345")
        handler.send_header("Content-Type", "application/octet-stream")
        handler.end_headers()

    upstream.behaviour = answer
    reply = proxy.ask("HEAD", f"/v2/acme/app/blobs/{DIGEST}", PULL)

    assert (reply.status, reply.header("Content-Length"), reply.body) == (200, "12345", b"")
    assert reply.header("Content-Type") == "application/octet-stream"


def test_a_chunk_of_an_upload_passes_with_its_range(proxy: Standing, upstream: Registry) -> None:
    upstream.behaviour = plain(
        202, Location=f"{upstream.url}{UPLOADS}u1?_state=a%3D", Range="0-9", Docker_Upload_UUID="u1"
    )
    reply = proxy.ask(
        "PATCH", f"{UPLOADS}u1?_state=b%3D%3D", PUSH, body=b"0123456789",
        Content_Range="0-9", Content_Type="application/octet-stream",
    )  # fmt: skip
    got = upstream.received[-1]

    assert (got.method, got.target) == ("PATCH", f"{UPLOADS}u1?_state=b%3D%3D")
    assert (got.body, got.headers["content-range"]) == (b"0123456789", "0-9")
    assert reply.header("Location") == f"http://registry.example.com{UPLOADS}u1?_state=a%3D"
    assert (reply.status, reply.header("Range")) == (202, "0-9")


def test_a_chunked_body_passes_with_its_length(proxy: Standing, upstream: Registry) -> None:
    token = proxy.signing.token(PUSH)
    proxy.say(
        f"PATCH {UPLOADS}u1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
        f"{token}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n".encode()
    )
    got = upstream.received[-1]

    assert (got.body, got.headers["content-length"]) == (b"hello world", "11")
    assert "transfer-encoding" not in got.headers


def test_expect_continue_is_answered_before_the_body_is_sent(
    proxy: Standing, upstream: Registry
) -> None:
    token = proxy.signing.token(PUSH)
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as connection:
        connection.sendall(
            f"PATCH {UPLOADS}u1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n"
            f"Authorization: Bearer {token}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        first = connection.recv(1024)
        connection.sendall(b"hello")
        with connection.makefile("rb") as answer:
            last = answer.read()

    assert first.startswith(b"HTTP/1.1 100")
    assert last.startswith(b"HTTP/1.1 200")
    assert upstream.received[-1].body == b"hello"


def test_a_body_over_the_limit_is_answered_413_and_goes_nowhere(
    tmp_path: Path, upstream: Registry
) -> None:
    limits = BodyLimits(max_body=1000)
    with standing(tmp_path, UpstreamSettings(upstream.url), limits=limits) as proxy:
        assert proxy.ask("PATCH", f"{UPLOADS}u1", PUSH, body=b"x" * 1001).status == 413
        assert proxy.ask("PATCH", f"{UPLOADS}u1", PUSH, body=b"x" * 1000).status == 200

    assert [len(one.body) for one in upstream.received if one.method == "PATCH"] == [1000]


LOCATIONS = [
    ("{upstream}/v2/acme/app/blobs/uploads/u1", "http://registry.example.com/v2/acme/app/blobs/uploads/u1"),
    ("/v2/acme/app/blobs/uploads/u1?_state=x", "http://registry.example.com/v2/acme/app/blobs/uploads/u1?_state=x"),
    ("u2", "http://registry.example.com/v2/acme/app/blobs/uploads/u2"),
    ("http://registry.example.com/v2/acme/app/blobs/uploads/u1", "http://registry.example.com/v2/acme/app/blobs/uploads/u1"),
    ("https://storage.example.com/bucket/x?signature=y", "https://storage.example.com/bucket/x?signature=y"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "seen"), LOCATIONS)
def test_a_location_at_the_upstream_points_here_and_any_other_is_kept(
    proxy: Standing, upstream: Registry, sent: str, seen: str
) -> None:
    upstream.behaviour = plain(202, Location=sent.format(upstream=upstream.url))

    assert seen == proxy.ask("POST", UPLOADS, PUSH).header("Location")


@pytest.mark.parametrize(
    "sent", ["/admin", "{upstream}/v2/../admin", "//:0/", "javascript:x", "ftp://x/"]
)
def test_a_location_that_is_no_address_of_the_api_is_an_error_of_the_upstream(
    proxy: Standing, upstream: Registry, sent: str
) -> None:
    upstream.behaviour = plain(202, Location=sent.format(upstream=upstream.url))
    reply = proxy.ask("POST", UPLOADS, PUSH)

    assert (reply.status, errors(reply.body)) == (502, ["UNAVAILABLE"])
    assert reply.header("Location") is None


def test_a_redirect_to_storage_is_for_the_client_and_the_proxy_does_not_follow_it(
    proxy: Standing, upstream: Registry
) -> None:
    with registry(plain(200, b"secret")) as storage:
        upstream.behaviour = plain(307, Location=f"{storage.url}/blob")
        reply = proxy.ask("GET", f"/v2/acme/app/blobs/{DIGEST}", PULL)

        assert (reply.status, reply.header("Location")) == (307, f"{storage.url}/blob")
        assert storage.received == []


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ('</v2/acme/app/tags/list?last=a&n=1>; rel="next"', '</v2/acme/app/tags/list?last=a&n=1>; rel="next"'),
        ('<{upstream}/v2/acme/app/tags/list?n=1>; rel="next"', '</v2/acme/app/tags/list?n=1>; rel="next"'),
    ],
)  # fmt: skip
def test_a_link_to_the_next_page_leads_here(
    proxy: Standing, upstream: Registry, sent: str, seen: str
) -> None:
    upstream.behaviour = plain(200, b"{}", Link=sent.format(upstream=upstream.url))

    assert seen == proxy.ask("GET", "/v2/acme/app/tags/list?n=1", PULL).header("Link")


def test_an_upstream_under_a_path_is_served_at_the_root(tmp_path: Path) -> None:
    with (
        registry() as upstream,
        standing(tmp_path, UpstreamSettings(f"{upstream.url}/registry")) as proxy,
    ):
        upstream.behaviour = plain(202, Location=f"/registry{UPLOADS}u1")
        reply = proxy.ask("POST", UPLOADS, PUSH)

        assert upstream.received[-1].target == f"/registry{UPLOADS}"
        assert reply.header("Location") == f"http://registry.example.com{UPLOADS}u1"


def test_an_upstream_that_is_away_is_502_and_one_that_is_late_504(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with standing(tmp_path, UpstreamSettings(away)) as proxy:
            reply = proxy.ask("GET", "/v2/", "")
            assert (reply.status, errors(reply.body)) == (502, ["UNAVAILABLE"])
    done = threading.Event()
    with registry(lambda *_: done.wait(PATIENCE) and None) as slow:
        late = UpstreamSettings(slow.url, read_seconds=0.2)
        with standing(tmp_path, late) as proxy:
            reply = proxy.ask("PUT", "/v2/acme/app/manifests/latest", PUSH, body=b"{}")
            done.set()
            assert (reply.status, errors(reply.body)) == (504, ["UNAVAILABLE"])


def test_a_client_that_goes_away_ends_the_upstream_s_sending(
    proxy: Standing, upstream: Registry
) -> None:
    ended = threading.Event()

    def endless(handler: BaseHTTPRequestHandler, _: Received) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 40))
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            handler.close_connection = True
            ended.set()

    upstream.behaviour = lambda handler, got: (
        plain()(handler, got) if got.target == "/v2/" else endless(handler, got)
    )
    token = proxy.signing.token(PULL)
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as connection:
        connection.sendall(
            f"GET /v2/acme/app/blobs/{DIGEST} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        assert connection.recv(100)

    assert ended.wait(PATIENCE)


def test_an_upstream_that_breaks_off_ends_the_client_s_answer_early(
    proxy: Standing, upstream: Registry
) -> None:
    def cut(handler: BaseHTTPRequestHandler, got: Received) -> None:
        if got.target == "/v2/":
            plain()(handler, got)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 10)
        handler.close_connection = True

    upstream.behaviour = cut
    reply = proxy.ask("GET", f"/v2/acme/app/blobs/{DIGEST}", PULL)

    assert reply.header("Content-Length") == "1000"
    assert len(reply.body) < 1000


def test_a_safe_request_is_sent_again_when_a_kept_connection_is_gone(
    proxy: Standing, upstream: Registry
) -> None:
    seen: list[str] = []

    def flaky(handler: BaseHTTPRequestHandler, got: Received) -> None:
        seen.append(f"{got.method} {got.target}")
        if len(seen) == 2:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        plain()(handler, got)

    upstream.behaviour = flaky

    assert proxy.ask("GET", "/v2/acme/app/tags/list", PULL).status == 200
    assert seen == ["GET /v2/", *["GET /v2/acme/app/tags/list"] * 2]


def test_an_upload_is_never_sent_twice(proxy: Standing, upstream: Registry) -> None:
    def hang_up(handler: BaseHTTPRequestHandler, got: Received) -> None:
        if got.target == "/v2/":
            plain()(handler, got)
            return
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)

    upstream.behaviour = hang_up

    assert proxy.ask("PATCH", f"{UPLOADS}u1", PUSH, body=b"x").status == 502
    assert [one.method for one in upstream.received] == ["GET", "PATCH"]


def test_no_token_is_in_the_log(proxy: Standing) -> None:
    token = proxy.signing.token(PULL)
    proxy.ask("GET", f"/v2/acme/app/tags/list?last={token[:200]}", PULL)
    log = proxy.log.read_text()

    assert '"event":"passed"' in log
    assert not any(part in log for part in token.split("."))
