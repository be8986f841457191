"""What strangers send before any login costs little: CPU time, and bytes of the log."""

import http.client
import resource
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.process import OWN_PROCESS, PATIENCE, Running
from tests.servers.proxy.test_policy import POLICY, make_folder
from tests.servers.proxy.test_signals import OWN_PROCESS as PROXY

HALF = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Half: "
TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100
ROUNDS = 20
MEASURED = 4
"""How often processor time is measured at most: beside other programs one measurement may be high."""
MAX_LINE = 1000

if sys.platform != "linux":
    pytest.skip("another process's clock is read in the way of Linux", allow_module_level=True)


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
    refusal: bytes = b"HTTP/1.1 401 "
    logs: bool = True
    """Whether a refused request is in its log."""

    def connect(self, client: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.running.port), PATIENCE, (client, 0))

    def refuse(self, times: int, network: int, agent: str) -> None:
        """Have so many requests refused, each of another client; the last one is in the log."""
        for number in range(times):
            name = agent if number == times - 1 else "x"
            with self.connect(f"127.{network}.{number // 250}.{1 + number % 250}") as connection:
                connection.sendall(self.request % name.encode())
                assert connection.recv(65536).startswith(self.refusal)
        if self.logs:
            self.running.wait_for(lambda event: agent in str(event))

    def keep(self, client: str) -> http.client.HTTPConnection:
        """Return a connection for many requests."""
        source = (client, 0)
        return http.client.HTTPConnection("127.0.0.1", self.running.port, PATIENCE, source)

    def refused(self, kept: http.client.HTTPConnection) -> int:
        """Have 500 requests refused on one connection, and return the CPU time of that."""
        began = self.processor()
        for _ in range(500):
            kept.request("GET", "/nowhere")
            answer = kept.getresponse()
            answer.read()
            assert answer.status in (401, 404)
        return self.processor() - began

    def processor(self) -> int:
        """Return nanoseconds of CPU time of all its threads, those that have ended included."""
        # A process's clock as clock_getcpuclockid(3) makes it.  The threads in /proc would not do:
        # a server with a thread for each connection has done its work in threads that are gone.
        return time.clock_gettime_ns(~self.running.process.pid << 3 | 2)

    def logged(self) -> int:
        return sum(self.running.sizes)


@pytest.fixture(params=["token server", "token server on granian", "proxy"])
def begin(
    request: pytest.FixtureRequest, tmp_path: Path, start: Callable[..., Running]
) -> Callable[..., Subject]:
    """Start each of the servers, behind the words of another command."""

    def begin(*before: str) -> Subject:
        running = start("--config", file, command=(*before, *command))
        return Subject(running, asked + b"Connection: close\r\n\r\n")

    if request.param != "proxy":
        folder: Path = request.getfixturevalue("folder")
        if "granian" in request.param:
            with (folder / "server.yaml").open("a") as configuration:
                configuration.write("server: granian\n")
        file, command = folder / "server.yaml", OWN_PROCESS
        asked = b"GET /auth/token?service=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\n"
    else:
        make_folder(tmp_path / "proxy", POLICY)
        file = tmp_path / "proxy" / "proxy.yaml"
        file.write_text(file.read_text() + "listen: 127.0.0.1:0\n")
        command = PROXY
        asked = b"GET /v2/?x=%s HTTP/1.1\r\nHost: x\r\n"
    return begin


ENDPOINTS = """
import json, signal, sys, threading
from regauth.controller.endpoints import Endpoints, yes_or_no
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
endpoints = Endpoints(("127.0.0.1", 0), {"/healthz": yes_or_no(lambda: True, "healthy")})
address = f"127.0.0.1:{endpoints.port}"
print(json.dumps({"event": "listening", "addresses": [address]}), file=sys.stderr, flush=True)
ended.wait()
endpoints.close()
"""


@pytest.fixture
def begin_endpoints(start: Callable[..., Running]) -> Callable[[], Subject]:
    """Start the controller's endpoints, without a cluster."""

    def begin() -> Subject:
        running = start(command=(sys.executable, "-c", ENDPOINTS))
        asked = b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        return Subject(running, asked, b"HTTP/1.0 404 ", logs=False)

    return begin


def test_s2_odd_beginnings_cost_little_processor_time_and_log(
    begin: Callable[..., Subject],
) -> None:
    _bear_odd_beginnings(begin())


def test_s9_odd_beginnings_cost_the_controller_little_processor_time_and_log(
    begin_endpoints: Callable[[], Subject],
) -> None:
    subject = begin_endpoints()
    _bear_odd_beginnings(subject)

    assert subject.running.end() == 0
    assert [one["event"] for one in subject.running.events] == ["listening"]


def _bear_odd_beginnings(subject: Subject) -> None:
    """They cost no more than three such requests that are refused, in the best of some measurements."""
    subject.refuse(ROUNDS * len(BEGINNINGS), 1, "warm")
    measured: list[tuple[int, int]] = []
    while len(measured) < MEASURED:
        measured.append(_beside_and_usual(subject, len(measured)))
        if any(beside - usual <= 3 * usual for beside, usual in measured):
            return
    pytest.fail(f"nanoseconds with odd beginnings and without: {measured}")


def _beside_and_usual(subject: Subject, number: int) -> tuple[int, int]:
    """Measure refused requests beside odd beginnings that stay open, and without them."""
    count, network = ROUNDS * len(BEGINNINGS), 10 * number
    began, logged = subject.processor(), subject.logged()
    subject.refuse(count, network + 2, f"usual-{number}")
    usual, usual_log = subject.processor() - began, subject.logged() - logged

    began, logged, sent = subject.processor(), subject.logged(), 0
    with ExitStack() as stack:
        for one in range(ROUNDS):
            client = f"127.{network + 3}.0.{1 + one}"
            for beginning in BEGINNINGS:
                sent += beginning.send(stack.enter_context(subject.connect(client)))
        subject.refuse(count, network + 4, f"beside-{number}")
        beside, beside_log = subject.processor() - began, subject.logged() - logged

    assert beside_log - usual_log <= 2 * sent + MAX_LINE * len(BEGINNINGS)
    return beside, usual


def test_s7_no_descriptor_left_costs_little_and_ends_by_itself(
    begin: Callable[..., Subject],
) -> None:
    """Clients wait to be accepted while others' requests are refused."""
    subject = begin()
    if subject.running.events[0].get("server") == "granian":
        pytest.skip("granian tries again at once; its bound keeps it from the limit")
    server = subject.running.process.pid
    soft, hard = resource.prlimit(server, resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        kept = stack.enter_context(closing(subject.keep("127.4.0.1")))
        subject.refused(kept)
        usual = subject.refused(kept)

        used = {int(one.name) for one in Path(f"/proc/{server}/fd").iterdir()}
        least = min(set(range(len(used) + 1)) - used)
        resource.prlimit(server, resource.RLIMIT_NOFILE, (least, hard))
        waiting = [stack.enter_context(subject.connect(f"127.4.1.{one}")) for one in range(1, 6)]
        beside = subject.refused(kept)
        subject.running.wait_for(lambda event: "accept" in str(event.get("message")))
        resource.prlimit(server, resource.RLIMIT_NOFILE, (soft, hard))
        for connection in waiting:
            connection.sendall(subject.request % b"x")
            assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
    assert subject.running.end() == 0

    assert beside <= 3 * usual
    assert len([one for one in subject.running.events if one["event"] == "log"]) <= 2


def test_s9_no_descriptor_left_costs_the_controller_little_and_ends_by_itself(
    begin_endpoints: Callable[[], Subject],
) -> None:
    """Clients wait to be accepted, for as long as another such server refuses 500 requests."""
    subject, other = begin_endpoints(), begin_endpoints()
    other.refuse(500, 7, "warm")
    server = subject.running.process.pid
    soft, hard = resource.prlimit(server, resource.RLIMIT_NOFILE)
    used = {int(one.name) for one in Path(f"/proc/{server}/fd").iterdir()}
    least = min(set(range(len(used) + 1)) - used)
    with ExitStack() as stack:
        resource.prlimit(server, resource.RLIMIT_NOFILE, (least, hard))
        began, usual = subject.processor(), other.processor()
        waiting = [stack.enter_context(subject.connect(f"127.8.0.{one}")) for one in range(1, 6)]
        other.refuse(500, 9, "usual")
        beside, usual = subject.processor() - began, other.processor() - usual
        resource.prlimit(server, resource.RLIMIT_NOFILE, (soft, hard))
        for connection in waiting:
            connection.sendall(subject.request % b"x")
            assert connection.recv(65536).startswith(subject.refusal)

    assert beside <= usual


def test_s7_a_low_limit_leaves_room_for_files_beside_connections(
    begin: Callable[..., Subject],
) -> None:
    """More clients come than there is room for: they wait, and the limit is not met."""
    subject = begin("/bin/sh", "-c", 'ulimit -n 256; exec "$@"', "sh")
    with ExitStack() as stack:
        for number in range(400):
            stack.enter_context(subject.connect(f"127.5.{number // 200}.{1 + number % 200}"))
    subject.refuse(1, 6, "after")
    said = [one["message"] for one in subject.running.events if one["event"] == "log"]

    assert str(said[0]).startswith("the limit of open files is 256")
    assert not [one for one in said if "accept" in str(one) and "limit" not in str(one)]
