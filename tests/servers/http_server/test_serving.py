"""The command for real: a process that starts, serves, says what is wrong, and ends in order."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regauth.servers.configuration.server_file import read_settings
from regauth.servers.setup import starter
from regauth.servers.signing import key_folder
from tests.servers.process import OWN_PROCESS, PATIENCE, Running, run

pytestmark = pytest.mark.usefixtures("each_server")


def test_a_new_folder_serves_tokens_at_once(folder: Path, start: Callable[..., Running]) -> None:
    server = start("--config", folder / "server.yaml")
    jwt = run("sample-jwt", folder).stdout
    done = run(
        *("exchange", f"http://127.0.0.1:{server.port}/auth/token", "--username", "sample"),
        *("--service", "registry.example.com", "--scope", "repository:acme/app:pull,push"),
        text=jwt,
    )

    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["claims"]["access"][0]["actions"] == ["pull", "push"]
    assert shown["header"]["alg"] == "ES256"


def test_a_refused_exchange_shows_the_server_s_reason_and_ends_with_1(
    folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", folder / "server.yaml")
    jwt = run("sample-jwt", folder, "--claim", "aud=https://elsewhere.example.com").stdout
    done = run(
        *("exchange", f"http://127.0.0.1:{server.port}/auth/token"),
        *("--service", "registry.example.com"),
        text=jwt,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "the token is meant for another audience (wrong-audience)" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_at_once_when_nothing_is_under_way(
    folder: Path, start: Callable[..., Running], number: int
) -> None:
    server = start("--config", folder / "server.yaml")
    kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    kept.request("GET", "/healthz")
    kept.getresponse().read()

    assert server.end(number) == 0
    assert server.events[-1]["event"] == "ended"
    kept.close()


def test_a_request_under_way_is_answered_before_the_server_ends(
    folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", folder / "server.yaml")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.connect()
    assert connection.sock is not None
    connection.sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    check = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    check.request("GET", "/healthz")  # answered after the first bytes of the other have arrived
    check.getresponse().read()
    check.close()
    server.process.send_signal(signal.SIGTERM)
    server.wait_for(lambda event: event["event"] == "ending")
    connection.sock.sendall(b"\r\n")
    answer = http.client.HTTPResponse(connection.sock)
    answer.begin()

    assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')
    assert server.process.wait(PATIENCE) == 0  # told once: a second signal meets its last moments
    connection.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_ends_takes_nobody_in(
    folder: Path, start: Callable[..., Running], workers: str
) -> None:
    server = start("--config", folder / "server.yaml", "--workers", workers)
    held = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    held.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    check = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    check.request("GET", "/healthz")
    check.getresponse().read()
    check.close()
    server.process.send_signal(signal.SIGTERM)
    pause = threading.Event()
    for _ in range(100):
        with socket.socket() as late:
            refused = late.connect_ex(("127.0.0.1", server.port)) != 0
        if refused:
            break
        pause.wait(0.05)
    held.sendall(b"\r\n")
    with http.client.HTTPResponse(held) as answer:
        answer.begin()
        status = answer.status
    held.close()

    assert (refused, status) == (True, 200)
    assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("trusted", "client"), [("127.0.0.1/32", "192.0.2.7"), ("10.0.0.0/8", "127.0.0.1")]
)
def test_a_trusted_proxy_says_who_asks(
    folder: Path, start: Callable[..., Running], trusted: str, client: str
) -> None:
    configuration = folder / "server.yaml"
    configuration.write_text(f"{configuration.read_text()}trustedProxies: [{trusted}]\n")
    server = start("--config", configuration)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("GET", "/auth/token", headers={"X-Forwarded-For": "192.0.2.7"})
    connection.getresponse().read()
    connection.close()

    assert server.wait_for(lambda event: event["event"] == "token")["client"] == client


def test_o4_a_forwarded_field_of_a_proxy_that_is_not_trusted_is_warned_of_once(
    folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", folder / "server.yaml")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    for _ in range(3):
        connection.request("GET", "/auth/token", headers={"X-Forwarded-For": "192.0.2.7"})
        connection.getresponse().read()
    connection.close()
    assert server.end() == 0

    (warned,) = [one for one in server.events if one["event"] == "forwarded-ignored"]
    assert (warned["header"], warned["peer"]) == ("X-Forwarded-For", "127.0.0.1")
    assert "trustedProxies" in str(warned["advice"])


def test_absolute_form_is_answered_as_the_path_is(
    folder: Path, start: Callable[..., Running]
) -> None:
    server = start("--config", folder / "server.yaml")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("GET", "http://auth.example.com/healthz")

    assert connection.getresponse().status == 200
    connection.close()


def test_a_policy_with_typos_shows_all_of_them_and_ends_with_10(folder: Path) -> None:
    policy = folder / "policy" / "policy.yaml"
    text = policy.read_text().replace("repositories:", "repositry:")
    policy.write_text(text.replace("claims.repository_owner_id ==", "claims.repository_owner_id ="))
    done = run("--config", folder / "server.yaml")

    assert done.returncode == 10
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") >= 3
    assert f"{policy}:" in done.stderr
    assert "did you mean `repositories`?" in done.stderr
    assert "nothing is served" in done.stderr


def decide_into_a_folder(folder: Path) -> None:
    with (folder / "server.yaml").open("a") as configuration:
        configuration.write("decisionLog: {file: sample}\n")


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda folder: (folder / "server.yaml").write_text("polcy: x\n"), 2, "server.yaml:1:1"),
        (lambda folder: (folder / "server.yaml").unlink(), 2, "cannot be read"),
        (lambda folder: (folder / "keys" / "current").unlink(), 2, "is not a key folder"),
        (lambda folder: (folder / "policy" / "policy.yaml").unlink(), 10, "no policy in it"),
        (decide_into_a_folder, 2, "the decision log {folder}/sample cannot be written: Is a dir"),
    ],
)
def test_what_cannot_be_served_is_said_without_a_traceback(
    folder: Path, change: Callable[[Path], object], code: int, message: str
) -> None:
    change(folder)
    done = run("--config", folder / "server.yaml")

    assert done.returncode == code, done.stderr
    assert message.format(folder=folder) in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_is_taken_is_named(folder: Path, start: Callable[..., Running]) -> None:
    server = start("--config", folder / "server.yaml")
    configuration = folder / "server.yaml"
    configuration.write_text(
        configuration.read_text().replace("127.0.0.1:0", f"127.0.0.1:{server.port}")
    )
    done = run("--config", configuration)

    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{server.port}: Address already in use" in done.stderr


def test_init_overwrites_nothing(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = run("init", folder)

    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_init_in_a_folder_with_one_of_the_files_writes_none(tmp_path: Path) -> None:
    (tmp_path / "registry.yml").write_text("mine")

    assert run("init", tmp_path).returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["registry.yml"]


def test_an_init_that_fails_can_be_tried_again(tmp_path: Path) -> None:
    (tmp_path / "sample").write_text("a file")
    done = run("init", tmp_path)

    assert done.returncode == 2
    assert f"{tmp_path}/sample" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["sample"]


def test_of_two_inits_at_a_time_none_takes_away_what_the_other_has_made(tmp_path: Path) -> None:
    begun = threading.Barrier(2)
    ended: list[str] = []

    def begin() -> None:
        begun.wait(PATIENCE)
        try:
            starter.create(tmp_path / "site", starter.Choices(), datetime.now(UTC))
            ended.append("made")
        except starter.StarterError:
            ended.append("refused")

    threads = [threading.Thread(target=begin) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(PATIENCE)

    assert sorted(ended) == ["made", "refused"]
    read_settings(tmp_path / "site" / "server.yaml")
    assert key_folder.read(tmp_path / "site" / "keys").all
    assert (tmp_path / "site" / "policy" / "policy.yaml").exists()


def test_doctor_names_the_option_that_admits_plain_http(folder: Path) -> None:
    done = run("doctor", "http://registry.example.com", "--config", folder / "server.yaml")

    assert done.returncode == 1
    assert "http://registry.example.com is not https" in done.stdout
    assert "--allow-http" in done.stdout


def test_serving_nothing_is_no_success() -> None:
    done = run()

    assert done.returncode == 2
    assert done.stderr.endswith("token-server: say what to serve by: --config FILE\n")


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys; from regauth.servers.commands.token_server import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('falcon', 'waitress', 'urllib3', 'cryptography') "
        "if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )

    assert done.stderr == "[]\n"
    assert "token-server init trial" in done.stdout


def test_options_and_the_environment_override_the_file(
    folder: Path, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = folder / "server.yaml"
    text = configuration.read_text().replace("logFormat: json", "logFormat: text")
    configuration.write_text(text.replace("127.0.0.1:0", "192.0.2.1:1"))
    monkeypatch.setenv("TOKEN_SERVER_LOG_FORMAT", "json")
    server = start("--config", configuration, "--listen", "127.0.0.1:0", "--workers", "2")

    assert server.port > 0
    assert server.events[0]["workers"] == 2
    assert server.end() == 0


def test_the_number_of_threads_can_be_overridden(
    folder: Path, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch, each_server: str
) -> None:
    if each_server == "granian":
        pytest.skip("granian starts its threads when they are needed")

    def threads(*options: str) -> int:
        server = start("--config", folder / "server.yaml", *options, command=OWN_PROCESS)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        connection.request("GET", "/healthz")  # all are there when one answers
        connection.getresponse().read()
        connection.close()
        return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))

    usual = threads()
    monkeypatch.setenv("TOKEN_SERVER_THREADS", "5")

    assert [threads("--threads", "7") - usual, threads() - usual] == [3, 1]


@pytest.mark.parametrize("address", ["5001", "localhost", "localhost:x", "localhost:70000"])
def test_an_address_that_is_none_is_refused(folder: Path, address: str) -> None:
    done = run("--config", folder / "server.yaml", "--listen", address)

    assert done.returncode == 2
    assert "is not a" in done.stderr
    assert "Traceback" not in done.stderr
