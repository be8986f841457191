"""The command for real: a process that starts, serves, says what is wrong, and ends in order."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "regauth.servers.token_server")
PATIENCE = 30.0


def run(*arguments: str | Path, text: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that `token-server init` made, for any free port."""
    made = run("init", tmp_path / "site", "--port", "0")
    assert made.returncode == 0, made.stderr
    configuration = tmp_path / "site" / "server.yaml"
    text = configuration.read_text().replace("logFormat: text", "logFormat: json")
    configuration.write_text(text)
    return tmp_path / "site"


class Running:
    """A server process, whose log is read line by line."""

    def __init__(self, arguments: Sequence[str | Path]) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self.events: list[dict[str, object]] = []
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        listening = self.wait_for(lambda event: event["event"] == "listening")
        addresses = listening["addresses"]
        assert isinstance(addresses, list)
        self.port = int(addresses[0].rpartition(":")[2])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._arrived:
                self.events.append(json.loads(line))
                self._arrived.notify_all()

    def wait_for(self, wanted: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        """Return the first event that fits, waiting for it."""
        found: list[dict[str, object]] = []

        def there() -> bool:
            found[:] = [event for event in self.events if wanted(event)]
            return bool(found)

        with self._arrived:
            assert self._arrived.wait_for(there, PATIENCE), self.events
        return found[0]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Start a server; those that still run at the end are ended."""
    started: list[Running] = []

    def begin(*arguments: str | Path) -> Running:
        started.append(Running(arguments))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(PATIENCE)
        one._reader.join(PATIENCE)
        assert one.process.stderr is not None
        one.process.stderr.close()


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
    assert server.end() == 0
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


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda folder: (folder / "server.yaml").write_text("polcy: x\n"), 2, "server.yaml:1:1"),
        (lambda folder: (folder / "server.yaml").unlink(), 2, "cannot be read"),
        (lambda folder: (folder / "keys" / "current").unlink(), 2, "is not a key folder"),
        (lambda folder: (folder / "policy" / "policy.yaml").unlink(), 10, "no policy in it"),
    ],
)
def test_what_cannot_be_served_is_said_without_a_traceback(
    folder: Path, change: Callable[[Path], object], code: int, message: str
) -> None:
    change(folder)
    done = run("--config", folder / "server.yaml")

    assert done.returncode == code, done.stderr
    assert message in done.stderr
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


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys; from regauth.servers.token_server import main\n"
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
