"""What granian has read, made a WSGI environment: one reading of each field, or a refusal."""

from dataclasses import dataclass, field
from itertools import product

import pytest

from regauth.servers.http_server.granian_requests import (
    RefusedRequestError,
    address_of,
    closes_after,
    environ_of,
    length_of,
)
from regauth.servers.http_server.server import MAX_BODY_BYTES, MAX_HEADER_BYTES


class Fields:
    """A header as RSGI has it; `hidden` are names whose values are not ASCII."""

    def __init__(self, *items: tuple[str, str], hidden: int = 0) -> None:
        self._items = list(items)
        self._hidden = hidden

    def __len__(self) -> int:
        return len({name for name, _ in self._items}) + self._hidden

    def items(self) -> list[tuple[str, str]]:
        return self._items


@dataclass
class Scope:
    http_version: str = "1.1"
    scheme: str = "http"
    method: str = "GET"
    path: str = "/auth/token"
    query_string: str = "service=x"
    authority: str | None = None
    client: str = "192.0.2.1:4711"
    server: str = "[::1]:5001"
    headers: Fields = field(default_factory=Fields)


def test_a_request_is_what_pep_3333_says() -> None:
    fields = Fields(("host", "x"), ("content-type", "a/b"), ("accept", "a"), ("accept", "b"))
    environ = environ_of(Scope(headers=fields))

    assert environ["REQUEST_METHOD"], environ["PATH_INFO"] == ("GET", "/auth/token")
    assert (environ["QUERY_STRING"], environ["wsgi.url_scheme"]) == ("service=x", "http")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("::1", "5001")
    assert (environ["REMOTE_ADDR"], environ["SERVER_PROTOCOL"]) == ("192.0.2.1", "HTTP/1.1")
    assert (environ["HTTP_HOST"], environ["CONTENT_TYPE"]) == ("x", "a/b")
    assert environ["HTTP_ACCEPT"] == "a, b"
    assert "REQUEST_URI" not in environ
    assert environ_of(Scope(http_version="1"))["SERVER_PROTOCOL"] == "HTTP/1.0"


def test_a_path_and_a_query_are_bytes_as_characters() -> None:
    environ = environ_of(Scope(path="/ü", query_string="q=ü"))

    assert environ["PATH_INFO"].encode("latin-1").decode() == "/ü"
    assert environ["QUERY_STRING"].encode("latin-1").decode() == "q=ü"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.1:1", "192.0.2.1"),
        ("[2001:db8::1]:1", "2001:db8::1"),
        ("[fe80::1%2]:1", "fe80::1%2"),
        ("[::ffff:192.0.2.1]:1", "::ffff:192.0.2.1"),
    ],
)
def test_a_peer_s_address_is_without_its_port(peer: str, address: str) -> None:
    assert address_of(peer) == address


NAMES = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "content-type")


@pytest.mark.parametrize("name", NAMES)
def test_s8_a_field_with_an_underscore_is_no_field_with_a_hyphen(name: str) -> None:
    """Each spelling with at least one underscore, before and after the true one."""
    parts = name.split("-")
    spellings = {"".join(pair) for pair in product(*[[f"{one}-", f"{one}_"] for one in parts[:-1]])}
    variable = name.upper().replace("-", "_")
    for written in spellings - {"-".join(parts[:-1]) + "-"}:
        odd, true = (f"{written}{parts[-1]}", "other"), (name, "true")
        for fields, wanted in (((odd, true), "true"), ((true, odd), "true"), ((odd,), None)):
            environ = environ_of(Scope(headers=Fields(*fields)))
            found = environ.get(variable, environ.get(f"HTTP_{variable}"))
            assert found == wanted


def test_the_target_s_host_wins_over_the_field() -> None:
    environ = environ_of(Scope(authority="auth.example.com:80", headers=Fields(("host", "x"))))

    assert environ["HTTP_HOST"] == "auth.example.com:80"


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (Scope(authority="user@auth.example.com"), 400),
        (Scope(method="CONNECT", authority="auth.example.com:443", path="/"), 400),
        (Scope(path=""), 400),
        (Scope(path="v2/"), 400),
        (Scope(headers=Fields(("accept", "a"), hidden=1)), 400),
        (Scope(headers=Fields(("x", "y" * MAX_HEADER_BYTES))), 431),
        (Scope(headers=Fields(*[("x", "y" * 1000)] * 70)), 431),
    ],
)
def test_what_could_be_read_in_two_ways_or_is_too_long_is_refused(
    scope: Scope, status: int
) -> None:
    with pytest.raises(RefusedRequestError) as refused:
        environ_of(scope)

    assert refused.value.status == status


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ({}, 0),
        ({"CONTENT_LENGTH": "0"}, 0),
        ({"CONTENT_LENGTH": "17"}, 17),
        ({"CONTENT_LENGTH": str(MAX_BODY_BYTES)}, MAX_BODY_BYTES),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, None),
        ({"HTTP_TRANSFER_ENCODING": "Chunked"}, None),
    ],
)
def test_the_length_of_a_body(fields: dict[str, str], length: int | None) -> None:
    assert length_of(fields) == length
    assert closes_after(fields) is (length is None)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"CONTENT_LENGTH": str(MAX_BODY_BYTES + 1)}, 413),
        ({"CONTENT_LENGTH": "9" * 5000}, 413),
        ({"CONTENT_LENGTH": "+1"}, 400),
        ({"CONTENT_LENGTH": "1, 1"}, 400),
        ({"CONTENT_LENGTH": "²"}, 400),
        ({"CONTENT_LENGTH": ""}, 400),
        ({"CONTENT_LENGTH": "1", "HTTP_TRANSFER_ENCODING": "chunked"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "gzip, chunked"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "chunked, chunked"}, 400),
    ],
)
def test_a_length_that_is_too_large_or_none_is_refused(fields: dict[str, str], status: int) -> None:
    with pytest.raises(RefusedRequestError) as refused:
        length_of(fields)

    assert refused.value.status == status
