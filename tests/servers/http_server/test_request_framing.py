"""Requests that would keep waitress's parser busy, or fill the memory, before anybody is asked."""

import logging
import socket
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from waitress import wasyncore
from waitress.adjustments import Adjustments

from regauth.servers.http_server.connections import MAX_PIPELINED, Channel, Clients, TimedRequest
from regauth.servers.http_server.framing import MAX_BLANKS, MAX_CHUNK_TEXT, MAX_FIELDS
from regauth.servers.http_server.server import MAX_HEADER_BYTES, streaming
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.turned_away import RejectionLog, Why

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"PATCH / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
ADJUSTMENTS = Adjustments(
    max_request_header_size=MAX_HEADER_BYTES, **streaming(max_body=1 << 30, threads=1)
)


class Sized(TimedRequest):
    """A request that writes down how much it is given at a time."""

    sizes: tuple[int, ...] = ()

    def received(self, data: bytes) -> int:
        self.sizes = (*self.sizes, len(data))
        return super().received(data)


class Nobody:
    """A server that answers no request."""

    def __init__(self) -> None:
        self.active_channels: dict[int, Channel] = {}

    def add_task(self, channel: Channel) -> None:
        """Leave it."""


class Book(RejectionLog):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(EventLog())
        self.told: list[tuple[str, str]] = []

    def turned_away(self, why: Why, client: str, request_id: str = "") -> None:
        self.told.append((why, client))


class Watched(Channel):
    """A connection whose requests can be looked at."""

    def parser_class(self, adjustments: object) -> Sized:
        return Sized(adjustments, self._clients.clock)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def channel(book: Book) -> Iterator[Watched]:
    near, far = socket.socketpair()
    made = Watched(Clients(rejections=book), Nobody(), near, ("192.0.2.1", 1), ADJUSTMENTS, map={})
    yield made
    made.handle_close()
    far.close()


def status(channel: Channel, *parts: bytes) -> int:
    """Return what the first request is answered; 0 when it has not ended, 200 when it is good."""
    for part in parts:
        channel.received(part)
    first = channel.requests[0] if channel.requests else None
    return 0 if first is None else first.error.code if first.error else 200


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"X: a%bb\r\n" % (b" " * MAX_BLANKS), b"X: a%bb\r\n" % (b" " * (MAX_BLANKS + 1))),
        (b"X: a%bb\r\n" % (b" \t" * 32), b"X: a%bb\r\n" % (b" \t" * 33)),
        (b"X:%b\r\n" % (b"\t" * MAX_BLANKS), b"X:%b\r\n" % (b"\t" * (MAX_BLANKS + 1))),
        (b"X: a\r\nY: b\r\n", b"X: a\r\n b\r\n"),
        (b"X: a\r\nY:\r\n", b"X: a\r\n\t\r\n"),
        (b"X: a\r\n" * (MAX_FIELDS - 1), b"X: a\r\n" * MAX_FIELDS),
    ],
    ids=["spaces", "spaces and tabs", "nothing but tabs", "folded", "folded by a tab", "fields"],
)
def test_header_fields_that_cost_more_than_they_say_are_refused(
    channel: Watched, good: bytes, bad: bytes
) -> None:
    assert status(channel, GET + good + b"\r\n") == 200

    channel.requests.clear()
    assert status(channel, GET + bad + b"\r\n") == 400


@pytest.mark.parametrize(
    "start",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\n" % (b"1" * 5000),
        b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n",
        b"GET http://[x]/ HTTP/1.1\r\nHost: x\r\n",
    ],
    ids=["a length of 5000 digits", "half an address", "no address"],
)
def test_what_python_cannot_read_is_a_bad_request_and_no_traceback(
    channel: Watched, start: bytes
) -> None:
    assert status(channel, start + b"\r\n") == 400


@pytest.mark.parametrize(
    ("target", "origin", "path", "host"),
    [
        (b"/v2/?a=b", "/v2/?a=b", "/v2/", "x"),
        (b"http://registry.example.com/v2/?a=b", "/v2/?a=b", "/v2/", "registry.example.com"),
        (b"HTTPS://registry.example.com:5000", "/", "/", "registry.example.com:5000"),
        (b"http://registry.example.com?a=b", "/?a=b", "/", "registry.example.com"),
        (b"http://[2001:db8::1]/v2//x", "/v2//x", "/v2//x", "[2001:db8::1]"),
        (b"//registry.example.com/v2/", "//registry.example.com/v2/", None, "x"),
        (b"*", "*", "*", "x"),
    ],
)
def test_absolute_form_is_read_as_the_origin_form_and_a_host(
    channel: Watched, target: bytes, origin: str, path: str | None, host: str
) -> None:
    assert status(channel, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target) == 200

    request = channel.requests[0]
    assert (request.request_uri, request.headers["HOST"]) == (origin, host)
    assert path is None or request.path == path


@pytest.mark.parametrize(
    "target",
    [
        b"ftp://registry.example.com/v2/",
        b"http:///v2/",
        b"http://user@registry.example.com/v2/",
        b"http://registry.example.com#x",
        b"http:/v2/",
        b"registry.example.com:443",
        b"v2/",
    ],
)
def test_absolute_form_of_anything_else_is_a_bad_request(channel: Watched, target: bytes) -> None:
    assert status(channel, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target) == 400


NAMES = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id", "Content-Type")


@pytest.mark.parametrize("name", NAMES)
def test_s8_a_field_with_an_underscore_is_no_field_with_a_hyphen(
    channel: Watched, name: str
) -> None:
    """Each spelling with at least one underscore, before and after the true one."""
    parts = name.split("-")
    spellings = {"".join(pair) for pair in product(*[[f"{one}-", f"{one}_"] for one in parts[:-1]])}
    for written in spellings - {"-".join(parts[:-1]) + "-"}:
        odd = f"{written}{parts[-1]}: other\r\n".encode()
        true = f"{name}: true\r\n".encode()
        for fields in (odd + true, true + odd, odd):
            channel.requests.clear()
            assert status(channel, GET + fields + b"\r\n") == 200

            found = channel.requests[0].headers.get(name.upper().replace("-", "_"))
            assert found == (None if fields == odd else "true")


@pytest.mark.parametrize(
    "start", [b"1;a=", b"0\r\nX: "], ids=["what is said of a chunk", "the trailer"]
)
def test_what_stands_between_chunks_is_not_collected_without_end(
    channel: Watched, start: bytes
) -> None:
    few, many = b"a" * (MAX_CHUNK_TEXT - len(start)), b"a" * MAX_CHUNK_TEXT

    assert status(channel, CHUNKED, start, few) == 0
    assert status(channel, many) == 400


def test_what_stands_between_chunks_may_be_there(channel: Watched) -> None:
    body = b"1;a=b\r\nx\r\n0\r\nX: " + b"a" * 4000 + b"\r\n\r\n"

    assert status(channel, CHUNKED, body) == 200


def test_much_that_comes_at_once_is_read_in_pieces(channel: Watched) -> None:
    channel.received(CHUNKED)
    channel.received(b"1\r\na\r\n" * 40_000)

    assert channel.request.body_bytes_received == 240_000
    assert max(channel.request.sizes) <= 16 * 1024


def test_a_connection_does_not_fill_the_memory_with_requests(channel: Watched, book: Book) -> None:
    short = GET + b"\r\n"
    channel.received(short * MAX_PIPELINED)
    assert len(channel.requests) == MAX_PIPELINED
    assert channel.connected

    channel.received(short * 10_000)
    assert len(channel.requests) < 1000
    assert not channel.connected
    assert book.told == [("pipelined", "192.0.2.1")]


def test_s2_a_client_that_sends_an_urgent_byte_is_hung_up_on_where_one_is_noticed(
    channel: Watched, book: Book
) -> None:
    channel.handle_expt_event()

    assert not channel.connected
    assert book.told == [("urgent", "192.0.2.1")]


def test_a_failure_of_ours_is_logged_without_what_was_sent(
    channel: Watched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root_logger: logging.Logger
) -> None:
    del root_logger

    def failing(_adjustments: object) -> Sized:
        raise ValueError("Authorization: Basic c2VjcmV0")

    monkeypatch.setattr(channel, "parser_class", failing)
    monkeypatch.setattr(channel, "recv", lambda _size: GET)
    with (tmp_path / "log").open("wb") as log:
        EventLog("text", "info", log.fileno()).take_over_logging()
        wasyncore.read(channel)
    line = (tmp_path / "log").read_text()

    assert not channel.connected
    assert 'message="a connection failed" trace="ValueError at ' in line
    assert "c2VjcmV0" not in line
