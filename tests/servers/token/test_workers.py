"""Several processes, and what changes while they serve."""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from regauth.engine.tokens import jwt
from tests.ports import free_ports
from tests.servers.desk import basic
from tests.servers.process import COMMAND, PATIENCE, Running, run, sample_jwt

pytestmark = pytest.mark.usefixtures("each_server")

SERVICE = "registry.example.com"


@pytest.fixture
def two(folder: Path) -> Path:
    """The configuration of a server with two workers and no limit of rate."""
    configuration = folder / "server.yaml"
    limits = "rateLimits: {client: false, identity: false}\n"
    configuration.write_text(configuration.read_text() + "workers: 2\n" + limits)
    return configuration


class Client:
    """Asks a server for tokens, on a new connection each time unless it keeps one."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.jwt = sample_jwt(folder)

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def scope(self, scope: str = "repository:acme/app:pull,push") -> str:
        status, body = self.get(
            f"/auth/token?service={SERVICE}&scope={scope}", **basic("sample", self.jwt)
        )
        assert status == 200, body
        return str(json.loads(body)["scope"])

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def until(self, condition: Callable[[], bool]) -> None:
        """Ask again and again until something holds."""
        pause = threading.Event()
        for _ in range(int(PATIENCE / 0.05)):
            if condition():
                return
            pause.wait(0.05)
        pytest.fail("it did not come to be")

    def key_id(self) -> str | None:
        status, body = self.get(f"/auth/token?service={SERVICE}", **basic("sample", self.jwt))
        assert status == 200, body
        return jwt.parse(json.loads(body)["token"]).key_id


def pids(server: Running) -> list[int]:
    return [int(str(event["pid"])) for event in server.events if event["event"] == "worker-started"]


def reloads(server: Running, wanted: int, name: str) -> None:
    """Wait until an event was logged by so many processes."""
    server.wait_for(lambda _: sum(one["event"] == name for one in server.events) >= wanted)


def test_workers_share_the_socket_and_the_metrics(
    two: Path, folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", two)
    client = Client(server.port, folder)
    for _ in range(20):
        assert client.scope() == "repository:acme/app:pull,push"
    line = 'token_server_requests_total{outcome="issued",provider="sample"} 20.0'

    client.until(lambda: line in client.get("/metrics")[1])  # each worker adds up once a second
    assert len(set(pids(server))) == 2
    assert server.end() == 0
    assert server.events[-1]["event"] == "ended"


def test_a_worker_that_is_killed_is_started_again_and_service_goes_on(
    two: Path, folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", two)
    client = Client(server.port, folder)
    server.wait_for(lambda _: len(pids(server)) == 2)
    client.scope()
    os.kill(pids(server)[0], signal.SIGKILL)
    server.wait_for(lambda event: event["event"] == "worker-died")
    server.wait_for(lambda _: len(pids(server)) == 3)

    assert [client.scope() for _ in range(10)] == ["repository:acme/app:pull,push"] * 10
    assert server.end() == 0


@pytest.mark.parametrize("pinned", [True, False])
def test_each_worker_has_a_core_of_its_own_unless_that_is_switched_off(
    two: Path, folder: Path, start: Callable[..., Running], pinned: bool
) -> None:
    two.write_text(two.read_text() + ("" if pinned else "pinWorkers: false\n"))
    server = start("--config", two)
    client = Client(server.port, folder)
    server.wait_for(lambda _: len(pids(server)) == 2)
    cores = sorted(os.sched_getaffinity(0))
    wanted = sorted([one] for one in (cores * 2)[:2]) if pinned else [cores, cores]

    client.until(
        lambda: sorted(sorted(os.sched_getaffinity(one)) for one in pids(server)) == wanted
    )
    assert client.scope() == "repository:acme/app:pull,push"


def test_workers_end_with_a_parent_that_is_killed(
    two: Path, folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", two)
    client = Client(server.port, folder)
    client.scope()
    server.process.kill()

    client.until(lambda: not client.answers())


def test_metrics_forget_a_worker_that_died(
    two: Path, folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", two)
    client = Client(server.port, folder)
    server.wait_for(lambda _: len(pids(server)) == 2)
    first = server.events[0]["policy"]
    client.scope()
    os.kill(pids(server)[0], signal.SIGKILL)
    server.wait_for(lambda _: len(pids(server)) == 3)
    policy = folder / "policy" / "policy.yaml"
    policy.write_text(policy.read_text().replace("actions: [pull, push]", "actions: [pull]"))
    client.until(lambda: client.scope() == "repository:acme/app:pull")
    reloads(server, 2, "reloaded")
    page = client.get("/metrics")[1].splitlines()

    assert f'token_server_policy_info{{hash="{first}"}} 0.0' in page


def test_a_worker_that_is_started_again_has_the_policy_that_the_others_have(
    two: Path, folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", two)
    client = Client(server.port, folder)
    policy = folder / "policy" / "policy.yaml"
    policy.write_text(policy.read_text().replace("actions: [pull, push]", "actions: [pull]"))
    server.process.send_signal(signal.SIGHUP)
    reloads(server, 2, "reloaded")
    for pid in pids(server):
        os.kill(pid, signal.SIGKILL)
    server.wait_for(lambda _: len(pids(server)) == 4)

    assert [client.scope() for _ in range(6)] == ["repository:acme/app:pull"] * 6
    assert sum(one["event"] == "reloaded" for one in server.events) == 2, "they were born with it"


def test_a_broken_policy_is_reported_and_the_old_one_stays(
    two: Path, folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", two)
    client = Client(server.port, folder)
    policy = folder / "policy" / "policy.yaml"
    good = policy.read_text()
    policy.write_text(good.replace("actions: [pull, push]", "actions: [pul]"))
    server.process.send_signal(signal.SIGHUP)
    reloads(server, 2, "reload-refused")
    before = [client.scope() for _ in range(6)]
    refused = next(one for one in server.events if one["event"] == "reload-refused")
    assert "1 problem in the policy" == refused["reason"]
    os.kill(pids(server)[0], signal.SIGKILL)
    server.wait_for(lambda _: len(pids(server)) == 3)
    later = [client.scope() for _ in range(6)]
    policy.write_text(good.replace("actions: [pull, push]", "actions: [pull]"))
    server.process.send_signal(signal.SIGHUP)
    reloads(server, 2, "reloaded")

    assert before == later == ["repository:acme/app:pull,push"] * 6
    assert "policy.yaml" in str(refused["problems"])
    assert [client.scope() for _ in range(6)] == ["repository:acme/app:pull"] * 6


def test_signals_that_come_upon_each_other_stop_nothing(
    folder: Path, start: Callable[..., Running]
) -> None:
    """One may come within the handler of the one before."""
    server = start("--config", folder / "server.yaml")
    client = Client(server.port, folder)
    for _ in range(5000):
        server.process.send_signal(signal.SIGHUP)
    server.wait_for(lambda event: event["event"] == "reloaded")

    assert client.scope() == "repository:acme/app:pull,push"
    assert server.end() == 0


def test_a_changed_policy_is_noticed_without_a_signal(
    folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", folder / "server.yaml")
    client = Client(server.port, folder)
    policy = folder / "policy" / "policy.yaml"
    before = client.scope()
    policy.write_text(policy.read_text().replace("actions: [pull, push]", "actions: [pull]"))
    reloads(server, 1, "reloaded")

    assert (before, client.scope()) == (
        "repository:acme/app:pull,push",
        "repository:acme/app:pull",
    )


def test_keys_rotate_under_load_without_a_request_that_fails(
    two: Path, folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", two)
    client = Client(server.port, folder)
    first = client.key_id()
    done = threading.Event()
    answered: list[str] = []
    failures: list[BaseException] = []

    def load() -> None:
        while not done.wait(0.01):  # without a pause, most of the work is the test's own
            try:
                answered.append(client.scope())
            except BaseException as error:  # noqa: BLE001 - reported by the test
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        rotated = run("keys", "rotate", folder / "keys")
        reloads(server, 2, "reloaded")
    finally:
        done.set()
        for thread in threads:
            thread.join(PATIENCE)
    keys = json.loads(client.get("/.well-known/jwks.json")[1])["keys"]

    assert rotated.returncode == 0, rotated.stderr
    assert failures == []
    assert set(answered) == {"repository:acme/app:pull,push"}
    assert client.key_id() != first
    assert {client.key_id(), first} == {key["kid"] for key in keys}


def test_only_owner_and_group_read_the_decision_log(
    folder: Path, start: Callable[..., Running]
) -> None:
    configuration = folder / "server.yaml"
    text = configuration.read_text()
    configuration.write_text(text + "decisionLog: {file: decisions.jsonl}\n")
    start("--config", configuration)

    assert (folder / "decisions.jsonl").stat().st_mode & 0o137 == 0


def test_an_event_log_on_a_full_disk_stops_nothing(folder: Path) -> None:
    [port] = free_ports(1)
    command = [*COMMAND, "--config", folder / "server.yaml", "--listen", f"127.0.0.1:{port}"]
    with Path("/dev/full").open("wb") as full, subprocess.Popen(command, stderr=full) as server:
        try:
            client = Client(port, folder)
            client.until(client.answers)  # it cannot say that it listens
            scope = client.scope()
            page = client.get("/metrics")[1]
        finally:
            server.terminate()
        code = server.wait(PATIENCE)

    assert scope == "repository:acme/app:pull,push"
    (dropped,) = [line for line in page.splitlines() if line.startswith("token_server_log_lines_d")]
    assert float(dropped.rpartition(" ")[2]) >= 2
    assert code == 0


def test_a_log_on_a_full_disk_stops_nothing(folder: Path, start: Callable[..., Running]) -> None:
    configuration = folder / "server.yaml"
    text = configuration.read_text()
    configuration.write_text(text + "decisionLog: {file: /dev/full}\n")
    server = start("--config", configuration)
    client = Client(server.port, folder)

    assert client.scope() == "repository:acme/app:pull,push"
    assert "token_server_log_lines_dropped 1.0" in client.get("/metrics")[1]
