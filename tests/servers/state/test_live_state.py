"""What a server works by, read again: when, and what becomes of what cannot be used."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from regauth.servers.configuration.settings import KeyFiles, KeyFolder, Settings, SigningSettings
from regauth.servers.signing import key_folder
from regauth.servers.signing.signer import SigningError
from regauth.servers.state.reloading import MAX_REPORTED, Reloader, load_state
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.metrics import Metrics
from regauth.servers.token.assembly import assemble
from regauth.servers.token.service import State, utc_now
from tests.servers.desk import policy_text
from tests.servers.process import PATIENCE

KEYS = "\n      jwksUri: https://keys.example.com/keys"


class Server:
    """A server's files, what it was given of them, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("policy", "shadow"):
            (folder / name).mkdir()
            self.write(f"{name}/policy.yaml", policy_text(KEYS))
        key_folder.create(folder / "keys", "ES256", utc_now())
        self.taken: list[State] = []
        self.metrics = Metrics()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def settings(self, source: KeyFolder | KeyFiles | None = None) -> Settings:
        return Settings(
            self.folder / "server.yaml",
            self.folder / "policy",
            "issuer",
            SigningSettings(source or KeyFolder(self.folder / "keys")),
            shadow_policy=self.folder / "shadow",
        )

    def log(self) -> EventLog:
        return EventLog(
            descriptor=os.open(self.folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        )

    def reloader(
        self,
        source: KeyFolder | KeyFiles | None = None,
        load: Callable[[Settings], State] = load_state,
    ) -> Reloader:
        settings = self.settings(source)
        files = load_state(settings).files
        return Reloader(settings, files, self.taken.append, self.log(), self.metrics, load)

    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]

    def count(self, outcome: str) -> int:
        wanted = f'token_server_reloads_total{{outcome="{outcome}"}} '.encode()
        found = [line for line in self.metrics.page().splitlines() if line.startswith(wanted)]
        return int(float(found[0].rpartition(b" ")[2])) if found else 0


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.mark.parametrize("name", ["policy/policy.yaml", "shadow/policy.yaml", "keys/current"])
def test_a_file_that_changes_is_taken_once_it_keeps_still(server: Server, name: str) -> None:
    reloader = server.reloader()
    before = reloader.look()
    text = (server.folder / name).read_text()
    looks = []
    for ending in ("\n", "\n\n"):
        server.write(name, text + ending)
        looks.append(reloader.look())
    looks += [reloader.look(), reloader.look()]

    assert (before, looks) == (False, [False, False, True, False])
    assert len(server.taken) == 1
    assert server.events()[0]["kid"] == server.taken[0].signer.key.key_id
    assert (server.count("taken"), server.count("refused")) == (1, 0)


def test_what_changed_between_loading_and_watching_is_taken_too(server: Server) -> None:
    """A worker that is started again has the state that its parent loaded some time ago."""
    settings = server.settings()
    state = load_state(settings)
    text = (server.folder / "policy" / "policy.yaml").read_text()
    server.write("policy/policy.yaml", text.replace("actions: [pull, push]", "actions: [pull]"))
    assembly = assemble(settings, state, server.log())
    looks = [assembly.reloader.look() for _ in range(3)]

    assert looks == [False, True, False]
    assert assembly.service.state.policy.hash != state.policy.hash
    assembly.close()


def test_each_process_tells_of_its_keys_whether_it_is_asked_or_not(server: Server) -> None:
    """With several, another may be the one that answers Prometheus."""
    settings = server.settings()
    assembly = assemble(settings, load_state(settings), server.log())
    metrics, pause = assembly.observer.metrics, threading.Event()
    assert metrics is not None
    told = b'token_server_provider_keys_usable{provider="github"} 0.0'
    before = metrics.page()
    assembly.start()
    for _ in range(int(PATIENCE / 0.05)):
        if told in metrics.page():
            break
        pause.wait(0.05)
    assembly.close()

    assert told not in before
    assert told in metrics.page()


@pytest.mark.parametrize("which", ["key", "chain"])
def test_keys_that_are_files_are_looked_at_too(server: Server, which: str) -> None:
    keys = server.folder / "keys"
    name = (keys / "current").read_text().strip()
    files = {"key": keys / f"{name}.key", "chain": keys / f"{name}.crt"}
    reloader = server.reloader(KeyFiles(files["key"], files["chain"]))
    files[which].write_text(files[which].read_text() + "\n")

    assert [reloader.look(), reloader.look()] == [False, True]


def test_what_is_broken_is_reported_once_and_not_taken(server: Server) -> None:
    reloader = server.reloader()
    bad = "".join(f"  - name: g{one}\n    repos: [a]\n" for one in range(MAX_REPORTED))
    server.write("policy/policy.yaml", policy_text(KEYS) + bad)
    looks = [reloader.look() for _ in range(3)]
    (event,) = server.events()
    problems = event["problems"]

    assert looks == [False, False, False]
    assert server.taken == []
    assert event["event"] == "reload-refused"
    assert isinstance(problems, list)
    assert len(problems) == MAX_REPORTED
    assert str(event["reason"]).endswith(" problems in the policy")
    assert (server.count("taken"), server.count("refused")) == (0, 1)


@pytest.mark.parametrize("error", [SigningError("no key"), RuntimeError("a secret")])
def test_whatever_goes_wrong_the_old_state_goes_on(server: Server, error: Exception) -> None:
    def load(_settings: Settings) -> State:
        raise error

    taken = server.reloader(load=load).reload()
    reason = server.events()[-1]["reason"]

    assert (taken, server.taken) == (False, [])
    assert reason == ("no key" if isinstance(error, SigningError) else "unexpected RuntimeError")
