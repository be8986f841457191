"""Row `location-scheme`: addresses in an upstream's answers, behind a front that speaks TLS."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from regauth.servers.configuration.proxy_settings import UpstreamSettings

from .standing import LOOPBACK, Registry, Standing, plain, standing

PULL, PUSH = "repository:acme/app:pull", "repository:acme/app:pull,push"
UPLOADS, TAGS = "/v2/acme/app/blobs/uploads/", "/v2/acme/app/tags/list"
HOST = "registry.example.com"
HTTPS = {"Host": HOST, "X_Forwarded_Proto": "https"}


@pytest.fixture
def proxy(tmp_path: Path, upstream: Registry) -> Iterator[Standing]:
    settings = UpstreamSettings(upstream.url)
    with standing(tmp_path, settings, trusted_proxies=LOOPBACK) as running:
        yield running


def events(proxy: Standing, name: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in proxy.log.read_text().splitlines())
    return [line for line in lines if line["event"] == name]


OURS = [
    "http://registry.example.com",
    "https://registry.example.com",
    "http://registry.example.com:80",
    "https://registry.example.com:443",
    "http://registry.example.com:443",
    "http://REGISTRY.example.com",
    "http://127.0.0.1:{port}",
    "https://127.0.0.1:{port}",
    "",
]


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("origin", OURS)
def test_a_location_at_this_registry_has_the_public_scheme_whatever_it_had(
    proxy: Standing, upstream: Registry, origin: str, status: int
) -> None:
    at = origin.format(port=urlsplit(upstream.url).port)
    upstream.behaviour = plain(status, Location=f"{at}{UPLOADS}u1?_state=a%3D")
    reply = proxy.ask("POST", UPLOADS, PUSH, **HTTPS)

    assert reply.header("Location") == f"https://{HOST}{UPLOADS}u1?_state=a%3D"
    assert not events(proxy, "leads-elsewhere")


@pytest.mark.parametrize("origin", OURS)
def test_a_link_at_this_registry_is_a_path(
    proxy: Standing, upstream: Registry, origin: str
) -> None:
    at = origin.format(port=urlsplit(upstream.url).port)
    upstream.behaviour = plain(200, b"{}", Link=f'<{at}{TAGS}?last=a&n=1>; rel="next"')
    reply = proxy.ask("GET", f"{TAGS}?n=1", PULL, **HTTPS)

    assert reply.header("Link") == f'<{TAGS}?last=a&n=1>; rel="next"'


def test_an_upload_at_an_address_of_its_own_is_sealed_whatever_its_scheme(
    proxy: Standing, upstream: Registry
) -> None:
    upstream.behaviour = plain(202, Location=f"http://{HOST}/v2/acme/app/blobs/upload/17")
    location = proxy.ask("POST", UPLOADS, PUSH, **HTTPS).header("Location") or ""

    assert location.startswith(f"https://{HOST}{UPLOADS}")
    assert "blobs/upload/17" not in location


@pytest.mark.parametrize(
    "elsewhere",
    ["https://storage.example.com/x?signature=secret", "https://registry.example.com:8443/v2/x"],
)
def test_a_location_elsewhere_is_kept_and_logged_without_its_query(
    proxy: Standing, upstream: Registry, elsewhere: str
) -> None:
    upstream.behaviour = plain(202, Location=elsewhere)
    assert proxy.ask("POST", UPLOADS, PUSH, **HTTPS).header("Location") == elsewhere

    [event] = events(proxy, "leads-elsewhere")
    host = urlsplit(elsewhere)
    assert event["host"] == f"https://{host.hostname}:{host.port or 443}"
    assert "secret" not in proxy.log.read_text()


def test_a_link_elsewhere_is_kept_and_logged(proxy: Standing, upstream: Registry) -> None:
    link = '<https://other.example.com/v2/acme/app/tags/list?n=1>; rel="next"'
    upstream.behaviour = plain(200, b"{}", Link=link)
    assert proxy.ask("GET", TAGS, PULL, **HTTPS).header("Link") == link

    [event] = events(proxy, "leads-elsewhere")
    assert event["field"] == "Link"


@pytest.mark.parametrize(
    "elsewhere", ["http://storage.example.com/x", "http://registry.example.com:8080/v2/x"]
)
def test_a_client_that_came_by_tls_is_not_sent_to_plain_http(
    proxy: Standing, upstream: Registry, elsewhere: str
) -> None:
    upstream.behaviour = plain(202, Location=elsewhere)
    reply = proxy.ask("POST", UPLOADS, PUSH, **HTTPS)

    assert (reply.status, reply.header("Location")) == (502, None)
    assert "plain HTTP" in str(events(proxy, "upstream-failed")[0]["reason"])


REDIRECTS = [
    (f"http://{HOST}{TAGS}", f"https://{HOST}{TAGS}"),
    (f"https://{HOST}{TAGS}", f"https://{HOST}{TAGS}"),
    ("https://127.0.0.1:{port}/v2/acme/app/tags/list", None),
    ("http://storage.example.com/x", None),
    ("https://storage.example.com/x", None),
]


@pytest.mark.parametrize(("sent", "seen"), REDIRECTS)
def test_a_redirect_leads_where_it_says_but_not_to_this_registry_without_tls(
    proxy: Standing, upstream: Registry, sent: str, seen: str | None
) -> None:
    sent = sent.format(port=urlsplit(upstream.url).port)
    upstream.behaviour = plain(307, Location=sent)

    assert proxy.ask("GET", TAGS, PULL, **HTTPS).header("Location") == (seen or sent)


def test_other_fields_with_addresses_stay_here(proxy: Standing, upstream: Registry) -> None:
    upstream.behaviour = plain(
        200, Content_Location=f"http://{HOST}/v2/x", Refresh=f"0; url=http://{HOST}/v2/x"
    )
    names = {name.lower() for name, _ in proxy.ask("GET", TAGS, PULL, **HTTPS).headers}

    assert not names & {"content-location", "refresh"}


def test_s12_an_upload_s_own_parameters_are_sealed_with_its_address(
    proxy: Standing, upstream: Registry
) -> None:
    """A name that the proxy does not know goes back to the registry that wrote it, unread."""
    upstream.behaviour = plain(202, Location=f"{UPLOADS}u1?upload_id=x%2F1&_state=a")
    location = proxy.ask("POST", UPLOADS, PUSH, **HTTPS).header("Location") or ""
    assert "upload_id" not in location

    proxy.ask("PATCH", f"{urlsplit(location).path}?other=1", PUSH, body=b"x")
    assert upstream.received[-1].target == f"{UPLOADS}u1?upload_id=x%2F1&_state=a"


def test_s12_pages_by_an_unknown_parameter_are_an_error_and_no_endless_list(
    proxy: Standing, upstream: Registry
) -> None:
    upstream.behaviour = plain(200, b"{}", Link=f'<{TAGS}?cursor=secret>; rel="next"')
    assert proxy.ask("GET", TAGS, PULL, **HTTPS).status == 502

    assert "cursor" in str(events(proxy, "upstream-failed")[0]["reason"])
