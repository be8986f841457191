"""What strangers send before any login costs little: CPU time, and bytes of the log."""

import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .process import COMMAND, PATIENCE, Running
from .proxy.test_policy import POLICY, make_folder
from .proxy.test_signals import COMMAND as PROXY

HALF = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Half: "
TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100
ROUNDS = 20
MAX_LINE = 1000

if not Path("/proc/self/schedstat").exists():
    pytest.skip("CPU times are read from Linux's /proc", allow_module_level=True)


@dataclass(frozen=True)
class Beginning:
    """What a stranger sends, and whether the stranger then resets the connection."""

    data: bytes = b""
    urgent: bytes = b""
    rest: bytes = b""
    reset: bool = False

    def send(self, connection: socket.socket) -> int:
        """Send it; return how many bytes it was."""
        connection.sendall(self.data)
        if self.urgent:
            connection.send(self.urgent, socket.MSG_OOB)
        connection.sendall(self.rest)
        if self.reset:
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()
        return len(self.data + self.urgent + self.rest)


BEGINNINGS = (
    Beginning(urgent=b"!"),
    Beginning(urgent=b"!", rest=HALF),
    Beginning(HALF, urgent=b"!"),
    Beginning(HALF, urgent=b"!", rest=b"more"),
    Beginning(urgent=b"!", reset=True),
    Beginning(HALF),
    Beginning(HALF, reset=True),
    Beginning(reset=True),
    Beginning(TLS),
    Beginning(b"\r\n\r\n\x00\xff garbage\r\n\r\n"),
)


@dataclass
class Subject:
    """A server as a process, and the request that it refuses."""

    running: Running
    request: bytes

    def connect(self, client: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.running.port), PATIENCE, (client, 0))

    def refuse(self, times: int, network: int, agent: str) -> None:
        """Have so many requests refused, each of another client; the last one is in the log."""
        for number in range(times):
            name = agent if number == times - 1 else "x"
            with self.connect(f"127.{network}.{number // 250}.{1 + number % 250}") as connection:
                connection.sendall(self.request % name.encode())
                assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
        self.running.wait_for(lambda event: agent in str(event))

    def processor(self) -> int:
        """Return nanoseconds of CPU time of all its threads."""
        tasks = Path(f"/proc/{self.running.process.pid}/task")
        return sum(int((one / "schedstat").read_text().split()[0]) for one in tasks.iterdir())

    def logged(self) -> int:
        return sum(self.running.sizes)


@pytest.fixture(params=["token server", "proxy"])
def subject(
    request: pytest.FixtureRequest, tmp_path: Path, start: Callable[..., Running]
) -> Subject:
    """Each of the servers."""
    if request.param == "token server":
        folder: Path = request.getfixturevalue("folder")
        running = start("--config", folder / "server.yaml", command=COMMAND)
        asked = b"GET /auth/token?service=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\n"
    else:
        make_folder(tmp_path / "proxy", POLICY)
        file = tmp_path / "proxy" / "proxy.yaml"
        file.write_text(file.read_text() + "listen: 127.0.0.1:0\n")
        running = start("--config", file, command=PROXY)
        asked = b"GET /v2/?x=%s HTTP/1.1\r\nHost: x\r\n"
    return Subject(running, asked + b"Connection: close\r\n\r\n")


def test_s2_odd_beginnings_cost_little_processor_time_and_log(subject: Subject) -> None:
    """They stay open while others' requests are refused, and are compared with such requests."""
    count = ROUNDS * len(BEGINNINGS)
    subject.refuse(count, 1, "warm")
    began, logged = subject.processor(), subject.logged()
    subject.refuse(count, 2, "usual")
    usual, usual_log = subject.processor() - began, subject.logged() - logged

    began, logged, sent = subject.processor(), subject.logged(), 0
    with ExitStack() as stack:
        for number in range(ROUNDS):
            client = f"127.3.0.{1 + number}"
            for beginning in BEGINNINGS:
                sent += beginning.send(stack.enter_context(subject.connect(client)))
        subject.refuse(count, 4, "beside")
        beside, beside_log = subject.processor() - began, subject.logged() - logged

    assert beside_log - usual_log <= 2 * sent + MAX_LINE * len(BEGINNINGS)
    assert beside - usual <= 3 * usual
