"""Answers of an upstream that lies, on the wire: each is passed on in one reading, or is a 502."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from regauth.servers.configuration.proxy_settings import UpstreamSettings

from .standing import PATIENCE, Reply, Standing, read_reply, standing

PULL, PUSH = "repository:acme/app:pull", "repository:acme/app:pull,push"
TAGS = "/v2/acme/app/tags/list"
GOOD = b"HTTP/1.1 200 OK\r\n"
OPEN = GOOD + b"Content-Length: 0\r\n\r\n"


@dataclass
class Liar:
    """A registry that sends bytes as they are, whatever it was asked, and hangs up."""

    url: str
    answer: bytes = OPEN
    keep: bool = False
    connections: int = 0


def _serve(liar: Liar, connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as asked, contextlib.suppress(OSError):
        while line := asked.readline():
            while asked.readline().strip():
                pass
            connection.sendall(OPEN if line.startswith(b"GET /v2/ ") else liar.answer)
            if not liar.keep:
                return


@pytest.fixture(scope="module")
def liar() -> Iterator[Liar]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Liar(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.settimeout(PATIENCE)
                    found.connections += 1
                    threading.Thread(target=_serve, args=(found, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield found


@pytest.fixture(scope="module")
def before(liar: Liar, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A proxy before it, which knows what it asks for."""
    with standing(tmp_path_factory.mktemp("proxy"), UpstreamSettings(liar.url)) as proxy:
        proxy.ask("GET", "/v2/", "")
        yield proxy


def code(reply: Reply) -> str:
    return str(json.loads(reply.body)["errors"][0]["code"])


BAD = {
    "a length twice": GOOD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    "two lengths": GOOD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
    "a list of lengths": GOOD + b"Content-Length: 2, 2\r\n\r\nhi",
    "a length that is none": GOOD + b"Content-Length: two\r\n\r\nhi",
    "a negative length": GOOD + b"Content-Length: -2\r\n\r\nhi",
    "a length with a sign": GOOD + b"Content-Length: +2\r\n\r\nhi",
    "a length with an underscore": GOOD + b"Content-Length: 1_0\r\n\r\n0123456789",
    "a length and chunks": GOOD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "another coding": GOOD + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "no coding of this world": GOOD + b"Transfer-Encoding: \x0bchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunks without a size": GOOD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "early hints": b"HTTP/1.1 103 Early Hints\r\n\r\n" + GOOD + b"Content-Length: 2\r\n\r\nhi",
    "a change of protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nhi",
    "a status beyond all": b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nhi",
    "a status before all": b"HTTP/1.1 000 Odd\r\nContent-Length: 2\r\n\r\nhi",
    "no status": b"hello\r\n\r\n",
    "nothing": b"",
    "a null in a header": GOOD + b"X-A: b\x00c\r\nContent-Length: 2\r\n\r\nhi",
    "hundreds of headers": GOOD + b"X-A: 1\r\n" * 500 + b"Content-Length: 2\r\n\r\nhi",
    "a header without end": GOOD + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n",
    "two addresses": b"HTTP/1.1 202 Accepted\r\nLocation: /v2/acme/app/blobs/uploads/u\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_an_answer_that_can_be_read_in_two_ways_is_none(
    liar: Liar, before: Standing, method: str, answer: bytes
) -> None:
    liar.answer = answer
    target = TAGS if method == "GET" else "/v2/acme/app/blobs/uploads/u1"
    reply = before.ask(method, target, PULL if method == "GET" else PUSH)

    assert (reply.status, code(reply)) == (502, "UNAVAILABLE")
    assert not {name.lower() for name, _ in reply.headers} & {"location", "x-a", "upgrade"}


PASSED = {
    "more than was announced": (GOOD + b"Content-Length: 2\r\n\r\nhi" + OPEN, b"hi"),
    "a folded header": (GOOD + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "a carriage return in a header": (GOOD + b"X-A: b\rSet-Cookie: c=d\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "a header that is named by Connection": (GOOD + b"connection: x-a, set-cookie\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD + b"Content-Length: 2\r\n\r\nhi", b"hi"),
    "headers after the body": (GOOD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nSet-Cookie: c=d\r\n\r\n", b"2\r\nhi\r\n0\r\n\r\n"),
    "a body where there is none": (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", b""),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "body"), PASSED.values(), ids=PASSED)
def test_what_is_odd_and_has_one_reading_is_written_anew(
    liar: Liar, before: Standing, answer: bytes, body: bytes
) -> None:
    liar.answer = answer
    reply = before.ask("GET", TAGS, PULL)

    assert (reply.status, reply.body) == (204 if b" 204 " in answer else 200, body)
    assert not {name.lower() for name, _ in reply.headers} & {"set-cookie"}
    assert all("\r" not in value for _, value in reply.headers)


def test_an_interim_answer_is_not_the_next_client_s(liar: Liar, tmp_path: Path) -> None:
    """The connection on which the final answer is still to come is used for nobody else."""
    liar.answer, liar.keep = b"HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n", True
    with standing(tmp_path, UpstreamSettings(liar.url)) as proxy:
        proxy.ask("GET", "/v2/", "")
        begun = liar.connections
        assert proxy.ask("GET", TAGS, PULL).status == 502
        liar.answer = GOOD + b"Content-Length: 2\r\n\r\nhi"
        assert proxy.ask("GET", TAGS, PULL).body == b"hi"
    liar.keep = False

    assert liar.connections == begun + 1


@pytest.mark.parametrize(
    "end", [b"Content-Length: 9\r\n\r\nhi", b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"]
)
def test_an_answer_that_breaks_off_does_not_look_whole(
    liar: Liar, before: Standing, end: bytes
) -> None:
    liar.answer = GOOD + end
    said = before.say(
        f"GET {TAGS} HTTP/1.1\r\nHost: registry.example.com\r\n"
        f"Authorization: Bearer {before.signing.token(PULL)}\r\n\r\n".encode()
    )

    reply = read_reply(said)
    whole = reply.body.endswith(b"0\r\n\r\n") or len(reply.body) >= 9
    assert reply.status == 502 or (reply.status == 200 and not whole)
