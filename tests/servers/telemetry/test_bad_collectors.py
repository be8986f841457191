"""Collectors that do not do their part: no request waits for one, no decision is lost, and the end comes."""

import contextlib
import http.client
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers.desk import basic
from tests.servers.process import PATIENCE, Running, sample_jwt

REQUESTS = 40
ASKED = "/auth/token?service=registry.example.com&scope=repository:acme/app:pull"
RESET = struct.pack("ii", 1, 0)
"""Ends a connection by a reset (socket(7), SO_LINGER)."""


@dataclass
class Receiver:
    """A collector as a test sees it."""

    port: int
    asked: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


def never_answers(connection: socket.socket, receiver: Receiver) -> None:
    while connection.recv(65536):
        receiver.asked.set()


def never_reads(_: socket.socket, receiver: Receiver) -> None:
    receiver.asked.set()
    receiver.over.wait()


def answers_a_byte_at_a_time(connection: socket.socket, receiver: Receiver) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    receiver.asked.set()
    while not receiver.over.wait(0.2):
        connection.sendall(b"x")


def fails(connection: socket.socket, receiver: Receiver) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 500 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    receiver.asked.set()


def says_wait(connection: socket.socket, receiver: Receiver) -> None:
    connection.recv(65536)
    said = b"HTTP/1.1 503 no\r\nRetry-After: 600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    connection.sendall(said)
    receiver.asked.set()


def resets(connection: socket.socket, receiver: Receiver) -> None:
    connection.recv(10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    receiver.asked.set()


def speaks_nonsense(connection: socket.socket, receiver: Receiver) -> None:
    connection.recv(65536)
    connection.sendall(b"\0" * 100)
    receiver.asked.set()


Behaviour = Callable[[socket.socket, Receiver], None]
BEHAVIOURS: tuple[Behaviour, ...] = (
    never_answers,
    never_reads,
    answers_a_byte_at_a_time,
    fails,
    says_wait,
    resets,
    speaks_nonsense,
)


@contextmanager
def receiving(behaviour: Behaviour) -> Iterator[Receiver]:
    """Listen until the block ends, and treat each connection in one way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = Receiver(listener.getsockname()[1])
        threads = []

        def treat(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):  # the server may have gone
                behaviour(connection, receiver)

        def accept() -> None:
            while True:
                connection, _ = listener.accept()
                if receiver.over.is_set():
                    connection.close()
                    return
                threads.append(threading.Thread(target=treat, args=(connection,)))
                threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield receiver
        finally:
            receiver.over.set()
            socket.create_connection(("127.0.0.1", receiver.port)).close()
            for one in (accepting, *threads):
                one.join(PATIENCE)


@pytest.mark.usefixtures("each_server")
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda one: one.__name__)
def test_no_request_and_no_line_is_lost_and_the_server_ends(
    folder: Path, start: Callable[..., Running], behaviour: Behaviour
) -> None:
    with receiving(behaviour) as receiver:
        with (folder / "server.yaml").open("a") as settings:
            settings.write(
                "decisionLog: {file: decisions.jsonl}\ncaches: {answers: 0s}\n"
                f"openTelemetry: {{endpoint: 'http://127.0.0.1:{receiver.port}', decisions: true}}\n"
            )
        jwt = sample_jwt(folder)
        server = start("--config", folder / "server.yaml")
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        statuses = []
        for number in range(REQUESTS):
            connection.request("GET", ASKED, headers=basic("sample", jwt))
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
            if number == REQUESTS // 2:  # the other half is asked while the collector fails
                assert receiver.asked.wait(PATIENCE)
        connection.close()
        code = server.end()

    lines = (folder / "decisions.jsonl").read_text().splitlines()
    assert statuses == [200] * REQUESTS
    assert [json.loads(line)["outcome"] for line in lines] == ["issued"] * REQUESTS
    assert code == 0
    assert "ended" in {one["event"] for one in server.events}
    told = [one for one in server.events if "opentelemetry" in str(one.get("source"))]
    assert len(told) < REQUESTS / 2
    assert "Traceback" not in str(server.events)
