"""Uploads to registries whose sessions are not at the specification's addresses."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from regauth.servers.commands.registry_auth_proxy import main
from regauth.servers.configuration.proxy_settings import UpstreamSettings
from regauth.servers.upstream.assembly import make_upstream
from regauth.servers.upstream.upload_locations import SealedLocations, UploadKeyError

from .standing import Registry, Standing, plain, registry, standing

PUSH = "repository:acme/app:pull,push"
UPLOADS = "/v2/acme/app/blobs/uploads/"
DIGEST = "sha256:" + "a" * 64
HERE = "http://registry.example.com"

ELSEWHERE = {
    "GitHub's": "/v2/acme/app/blobs/upload/0f4c",
    "Google's": "/artifacts-uploads/namespaces/project/repositories/repository/uploads/AF2XiV_x-y==",
    "one with a query": "/files/uploads/1?state=a%3D",
}


def begun(proxy: Standing, upstream: Registry, location: str) -> str:
    """Begin an upload that the registry places somewhere, and return where the client goes on."""
    upstream.behaviour = plain(202, Location=location)
    reply = proxy.ask("POST", UPLOADS, PUSH)
    assert reply.status == 202
    where = reply.header("Location") or ""
    assert where.startswith(HERE + UPLOADS)
    return where.removeprefix(HERE)


@pytest.mark.parametrize("location", ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize("origin", ["", "{upstream}"])
def test_an_upload_goes_on_where_the_registry_says(
    proxy: Standing, upstream: Registry, location: str, origin: str
) -> None:
    where = begun(proxy, upstream, origin.format(upstream=upstream.url) + location)
    joint = "&" if "?" in location else "?"

    sent = proxy.ask("PATCH", where, PUSH, body=b"hello")
    assert (upstream.received[-1].method, upstream.received[-1].target) == ("PATCH", location)
    assert upstream.received[-1].body == b"hello"
    assert sent.header("Location") == HERE + where

    proxy.ask("PUT", f"{where}?digest={DIGEST}", PUSH)
    digest = DIGEST.replace(":", "%3A")
    assert upstream.received[-1].target == f"{location}{joint}digest={digest}"


def test_a_relative_location_is_relative_to_where_the_upload_is(
    proxy: Standing, upstream: Registry
) -> None:
    where = begun(proxy, upstream, "/files/uploads/1")
    upstream.behaviour = plain(202, Location="2")
    second = proxy.ask("PATCH", where, PUSH, body=b"x").header("Location") or ""
    proxy.ask("PATCH", second.removeprefix(HERE), PUSH, body=b"x")

    assert upstream.received[-1].target == "/files/uploads/2"


def test_the_access_is_that_of_an_upload_to_the_repository(
    proxy: Standing, upstream: Registry
) -> None:
    where = begun(proxy, upstream, "/files/uploads/1")
    arrived = len(upstream.received)

    for scope in ("repository:acme/app:pull", "repository:acme/other:pull,push"):
        assert proxy.ask("PATCH", where, scope, body=b"x").status == 401
    assert proxy.ask("POST", where, PUSH).status == 405
    assert len(upstream.received) == arrived


def test_a_session_of_another_repository_is_none(proxy: Standing, upstream: Registry) -> None:
    """It reaches the registry as a session that it does not know."""
    where = begun(proxy, upstream, "/v2/acme/app/blobs/upload/1")
    other = where.replace("acme/app", "acme/other")
    proxy.ask("PATCH", other, "repository:acme/other:pull,push", body=b"x")

    assert upstream.received[-1].target == other


@pytest.mark.parametrize(
    "location",
    [
        "/admin",
        "/uploads/1",
        "/a/uploads/",
        "/a/uploads/..",
        "/a/../uploads/1",
        "/a//uploads/1",
        "/a/uploads/%2e%2e",
        "/a/uploads/1;x",
        "/a/uploads/" + "1" * 1000,
    ],
)
def test_what_is_no_upload_s_address_is_an_error_of_the_upstream(
    proxy: Standing, upstream: Registry, location: str
) -> None:
    upstream.behaviour = plain(202, Location=location)
    reply = proxy.ask("POST", UPLOADS, PUSH)

    assert (reply.status, reply.header("Location")) == (502, None)


@pytest.mark.parametrize("place", ["manifests/latest", f"blobs/{DIGEST}"])
def test_only_uploads_are_sealed(proxy: Standing, upstream: Registry, place: str) -> None:
    upstream.behaviour = plain(201, Location="/files/uploads/1")
    method = "PUT" if place.startswith("m") else "DELETE"
    scope = "repository:acme/app:pull,push,delete"

    assert proxy.ask(method, f"/v2/acme/app/{place}", scope, body=b"{}").status == 502


def test_a_seal_cannot_be_made_elsewhere_and_not_be_changed() -> None:
    sessions = SealedLocations("https://r.example.com")
    sealed = sessions.seal("acme/app", "/a/uploads/1", "x=1")

    assert sealed is not None
    assert sessions.open("acme/app", sealed) == "/a/uploads/1?x=1"
    assert sessions.open("acme/ap", sealed) is None
    assert SealedLocations("https://r.example.com").open("acme/app", sealed) is None
    content, _, mac = sealed.partition(".")
    other = SealedLocations("https://r.example.com").seal("acme/app", "/admin/uploads/1", "") or ""
    for forged in (
        *(content, f"{content}.", f".{mac}", f"{content}.{mac[:-1]}", f"{content}.{mac}.{mac}"),
        *(other, f"{other.partition('.')[0]}.{mac}", "~.~", "é.é", "0f4c-1", "a.b", ""),
    ):
        assert sessions.open("acme/app", forged) is None, forged


def test_proxies_that_share_a_key_go_on_with_each_other_s_uploads(tmp_path: Path) -> None:
    key = tmp_path / "upload.key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    with registry() as upstream:
        settings = UpstreamSettings(upstream.url, upload_key_file=key)
        alone = UpstreamSettings(upstream.url)
        folders = [tmp_path / name for name in ("first", "second", "other")]
        for folder in folders:
            folder.mkdir()
        with (
            standing(folders[0], settings) as first,
            standing(folders[1], settings) as second,
            standing(folders[2], alone) as other,
        ):
            where = begun(first, upstream, "/files/uploads/1")
            for proxy, target in ((second, "/files/uploads/1"), (other, where)):
                proxy.ask("PATCH", where, PUSH, body=b"x")
                assert upstream.received[-1].target == target


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"short\n" + b" " * 40, "has not 32 to 4096 bytes; make one with `openssl rand"),
        (b"x" * 4097, "has not 32 to 4096 bytes"),
    ],
)
def test_an_upload_key_that_is_none_is_said(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    key = tmp_path / "upload.key"
    if content is not None:
        key.write_bytes(content)
    with pytest.raises(UploadKeyError, match=re.escape(message)):
        make_upstream(UpstreamSettings("http://127.0.0.1:1", upload_key_file=key))


def test_the_command_says_it_too(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    (tmp_path / "keys.json").write_text('{"keys":[]}')
    file.write_text(
        "upstream: {url: 'http://127.0.0.1:1', uploadKeyFile: upload.key}\n"
        "token: {realm: 'https://a.example.com/t', service: s, issuer: i, jwksFile: keys.json}\n"
    )
    done = CliRunner().invoke(main, ["--config", str(file)])

    assert done.exit_code != 0
    assert f"the upload key {tmp_path / 'upload.key'} cannot be read" in done.output


def test_one_registry_s_sessions_are_not_another_s() -> None:
    first, other = (SealedLocations(url, b"k" * 32) for url in ("https://a.example.com", HERE))
    sealed = first.seal("acme/app", "/a/uploads/1", "")

    assert sealed is not None
    assert (first.open("acme/app", sealed), other.open("acme/app", sealed)) == (
        "/a/uploads/1",
        None,
    )


def test_an_upstream_under_a_path_may_place_uploads_beside_it(tmp_path: Path) -> None:
    with (
        registry() as upstream,
        standing(tmp_path, UpstreamSettings(f"{upstream.url}/registry")) as proxy,
    ):
        where = begun(proxy, upstream, "/files/uploads/1")
        proxy.ask("PATCH", where, PUSH, body=b"x")

        assert upstream.received[-1].target == "/files/uploads/1"
