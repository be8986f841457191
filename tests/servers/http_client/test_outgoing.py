"""HTTP out, against a real peer on loopback that behaves badly in every way there is."""

import gzip
import socket
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from regauth.engine.policy.policy import RemoteAccess
from regauth.servers.http_client.fetching import (
    Bounds,
    FetchError,
    ask,
    fetch,
    origin,
)
from regauth.servers.signing.certificates import certificate_pem, make_authority
from tests.servers.local_http import Answer, Provider, serve

QUICK = Bounds(seconds=0.3, size=1000)


def test_a_document_is_fetched_with_its_headers(provider: Provider) -> None:
    provider.answers["/keys"] = Answer(b"{}", headers={"Cache-Control": "max-age=60"})

    document = fetch(f"{provider.url}/keys", RemoteAccess(), Bounds())

    assert (b"{}", "max-age=60") == (document.body, document.headers["cache-control"])


def test_keys_are_accepted_by_their_own_media_type_too(provider: Provider) -> None:
    """Kubernetes answers with its keys nobody who accepts `application/json` alone."""
    provider.answers["/keys"] = Answer(b"{}", headers={"Content-Type": "application/jwk-set+json"})
    fetch(f"{provider.url}/keys", RemoteAccess(), Bounds())

    [(_, headers)] = provider.requests
    assert {one.strip() for one in headers["accept"].split(",")} == {
        "application/json",
        "application/jwk-set+json",
    }


def test_a_redirect_within_the_origin_is_followed(provider: Provider) -> None:
    provider.answers["/old"] = Answer(status=301, headers={"Location": "/new"})
    provider.answers["/new"] = Answer(b"here")

    assert fetch(f"{provider.url}/old", RemoteAccess(), Bounds()).body == b"here"


def test_a_redirect_is_read_from_where_it_was_answered(provider: Provider) -> None:
    provider.answers["/keys"] = Answer(status=302, headers={"Location": "/new/place/keys"})
    provider.answers["/new/place/keys"] = Answer(status=302, headers={"Location": "all"})
    provider.answers["/new/place/all"] = Answer(b"here")

    assert fetch(f"{provider.url}/keys", RemoteAccess(), Bounds()).body == b"here"


def test_a_redirect_to_another_origin_is_not_followed(provider: Provider) -> None:
    with serve() as other:
        other.answers["/keys"] = Answer(b"somebody else's keys")
        provider.answers["/keys"] = Answer(status=302, headers={"Location": f"{other.url}/keys"})

        with pytest.raises(FetchError, match="redirects to another origin"):
            fetch(f"{provider.url}/keys", RemoteAccess(), Bounds())

        assert other.requests == []


@pytest.mark.parametrize(
    "host", ["exa mple.com", "exa\x7fmple.com", "a" * 70 + ".example.com", "a..b"]
)
def test_a_host_that_is_none_is_an_error_like_any_other(provider: Provider, host: str) -> None:
    with pytest.raises(FetchError):
        fetch(f"https://{host}/keys", RemoteAccess(), Bounds())
    provider.answers["/keys"] = Answer(status=302, headers={"Location": f"https://{host}/keys"})
    with pytest.raises(FetchError):
        fetch(f"{provider.url}/keys", RemoteAccess(), Bounds())


def test_a_redirect_to_no_address_is_an_error(provider: Provider) -> None:
    provider.answers["/keys"] = Answer(status=302, headers={"Location": "http://[::1/"})

    with pytest.raises(FetchError, match="redirects to what is no address"):
        fetch(f"{provider.url}/keys", RemoteAccess(), Bounds())


def test_a_redirect_in_a_circle_ends(provider: Provider) -> None:
    provider.answers["/a"] = Answer(status=307, headers={"Location": "/a"})

    with pytest.raises(FetchError, match="redirects more than 3 times"):
        fetch(f"{provider.url}/a", RemoteAccess(), Bounds())

    assert provider.paths() == ["/a"] * 4


@pytest.mark.parametrize("status", [204, 304, 400, 401, 404, 500, 503])
def test_any_status_but_200_is_no_document(provider: Provider, status: int) -> None:
    provider.answers["/keys"] = Answer(status=status)

    with pytest.raises(FetchError, match=f"answered {status}"):
        fetch(f"{provider.url}/keys", RemoteAccess(), Bounds())


def test_a_document_over_the_bound_is_not_read_to_its_end(provider: Provider) -> None:
    provider.answers["/keys"] = Answer(b"x" * 1001)

    with pytest.raises(FetchError, match="larger than 1000 bytes"):
        fetch(f"{provider.url}/keys", RemoteAccess(), QUICK)


def test_compression_that_was_not_asked_for_is_not_undone(provider: Provider) -> None:
    bomb = gzip.compress(b"0" * 500_000)
    provider.answers["/keys"] = Answer(bomb, headers={"Content-Encoding": "gzip"})

    assert fetch(f"{provider.url}/keys", RemoteAccess(), Bounds(size=1000)).body == bomb


def test_a_peer_that_does_not_answer_is_late(provider: Provider) -> None:
    provider.answers["/keys"] = Answer(hold=threading.Event())

    with pytest.raises(FetchError, match=r"did not answer within 0\.3 s"):
        fetch(f"{provider.url}/keys", RemoteAccess(), QUICK)
    held = provider.answers["/keys"].hold
    assert held is not None
    held.set()


def test_silent_addresses_of_a_host_leave_time_for_one_that_answers(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each address of a name had as long as the first, so that many silent ones took minutes."""
    port = int(provider.url.rpartition(":")[2])
    provider.answers["/keys"] = Answer(b"here")
    system = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **named: Any) -> list[Any]:  # noqa: ANN401 - as the system's
        hosts = ["127.0.0.2", "127.0.0.2", "127.0.0.1"] if host == "localhost" else [host]
        return [found for one in hosts for found in system(one, *arguments, **named)]

    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.2", port), backlog=0))
        for _ in range(4):  # more than it takes, so that nobody else gets through
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", resolve)

        document = fetch(
            f"http://localhost:{port}/keys", RemoteAccess(), Bounds(seconds=2, size=1000)
        )

    assert document.body == b"here"


@pytest.mark.parametrize("prefix", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"])
def test_a_peer_that_answers_byte_by_byte_is_cut_at_the_deadline(
    provider: Provider, prefix: bytes
) -> None:
    gone = threading.Event()

    def drip(connection: socket.socket) -> None:
        try:
            connection.sendall(prefix)
            while not gone.wait(0.02):
                connection.sendall(b"x")
        except OSError:
            gone.set()

    provider.answers["/keys"] = Answer(raw=drip)

    with pytest.raises(FetchError, match=r"did not answer within 0\.3 s"):
        fetch(f"{provider.url}/keys", RemoteAccess(), QUICK)

    assert gone.wait(10), "the connection was not closed"


def test_nonsense_instead_of_http_is_an_error_that_names_the_address(provider: Provider) -> None:
    provider.answers["/keys"] = Answer(raw=lambda connection: connection.sendall(b"SSH-2.0-x\r\n"))

    with pytest.raises(FetchError, match=provider.url):
        fetch(f"{provider.url}/keys", RemoteAccess(), QUICK)


def test_a_peer_that_is_not_there_is_said_to_refuse() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        with pytest.raises(FetchError, match="connection refused"):
            fetch(f"http://127.0.0.1:{port}/keys", RemoteAccess(), QUICK)


def test_tls_is_checked_against_the_authority_that_is_configured(
    tls_provider: tuple[Provider, Path],
) -> None:
    provider, ca = tls_provider
    provider.answers["/keys"] = Answer(b"{}")

    with pytest.raises(FetchError, match="its certificate is not trusted"):
        fetch(f"{provider.url}/keys", RemoteAccess(), Bounds())
    document = fetch(f"{provider.url}/keys", RemoteAccess(ca_file=str(ca)), Bounds())

    assert document.body == b"{}"


def test_an_authority_that_was_renewed_is_trusted_without_a_restart(
    tls_provider: tuple[Provider, Path], tmp_path: Path
) -> None:
    provider, ca = tls_provider
    provider.answers["/keys"] = Answer(b"{}")
    file = tmp_path / "authority.crt"
    old = make_authority("old", datetime.now(UTC), timedelta(days=1))
    file.write_bytes(certificate_pem(old.certificate))
    place = RemoteAccess(ca_file=str(file))
    with pytest.raises(FetchError, match="its certificate is not trusted"):
        fetch(f"{provider.url}/keys", place, Bounds())
    file.write_bytes(certificate_pem(old.certificate) + ca.read_bytes())

    assert fetch(f"{provider.url}/keys", place, Bounds()).body == b"{}"


def test_a_host_without_an_address_is_said_to_have_none() -> None:
    with pytest.raises(FetchError, match="its host name cannot be resolved"):
        fetch("https://nobody.invalid/keys", RemoteAccess(), Bounds())


def test_a_ca_file_that_is_not_there_is_an_error(tls_provider: tuple[Provider, Path]) -> None:
    with pytest.raises(FetchError, match="CA file"):
        fetch(f"{tls_provider[0].url}/keys", RemoteAccess(ca_file="/nowhere/ca.crt"), Bounds())


def test_the_bearer_token_is_read_anew_for_each_fetch(provider: Provider, tmp_path: Path) -> None:
    provider.answers["/keys"] = Answer(b"{}")
    token = tmp_path / "token"
    place = RemoteAccess(bearer_token_file=str(token))
    for value in ("first", "second\n"):
        token.write_text(value)
        fetch(f"{provider.url}/keys", place, Bounds())

    sent = [headers["authorization"] for _, headers in provider.requests]
    assert sent == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example.com/keys",
        "file:///etc/passwd",
        "ftp://issuer.example.com/keys",
        "https://user:pass@issuer.example.com/keys",
        "https:///keys",
        "https://issuer.example.com:0/keys",
        "https://issuer.example.com:99999/keys",
        "//issuer.example.com/keys",
    ],
)
def test_only_https_addresses_are_asked(url: str) -> None:
    with pytest.raises(FetchError, match="is not https|is not an https address"):
        fetch(url, RemoteAccess(), QUICK)


def test_asking_returns_any_status_and_follows_nothing(provider: Provider) -> None:
    provider.answers["/old"] = Answer(b"moved", status=302, headers={"Location": "/new"})

    reply = ask(f"{provider.url}/old", RemoteAccess(), Bounds(), {})

    assert (reply.status, reply.body, provider.paths()) == (302, b"moved", ["/old"])


def test_origins_have_their_default_ports() -> None:
    assert origin("https://a.example.com/x") == origin("https://a.example.com:443/y")
    assert origin("http://a.example.com") == ("http", "a.example.com", 80)
