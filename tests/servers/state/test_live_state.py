"""What a server works by, read again: when, and what becomes of what cannot be used."""

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import falcon.testing
import pytest

from regauth.servers.configuration.settings import KeyFiles, KeyFolder, Settings, SigningSettings
from regauth.servers.signing import key_folder
from regauth.servers.signing.signer import SigningError
from regauth.servers.state.reloading import (
    MAX_REPORTED,
    SETTLE,
    SETTLE_AFTER_LOSS,
    Reloader,
    load_state,
)
from regauth.servers.state.state import State
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.metrics import Metrics
from regauth.servers.token.assembly import assemble
from regauth.servers.token.service import utc_now
from tests.servers.clock import Clock
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
        self.clock = Clock()

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
        state = load_state(settings)
        return Reloader(
            settings, state, self.taken.append, self.log(), self.metrics, load, self.clock
        )

    def look(self, reloader: Reloader, seconds: float = SETTLE) -> bool:
        """Look at the files after some time."""
        self.clock.now += seconds
        return reloader.look()

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
    before = server.look(reloader)
    text = (server.folder / name).read_text()
    looks = []
    for ending in ("\n", "\n\n", "\n\n\n"):
        server.write(name, text + ending)
        looks.append(server.look(reloader))
    looks += [server.look(reloader, SETTLE - 0.1)]
    looks += [server.look(reloader, 0.1), server.look(reloader)]

    assert (before, looks) == (False, [False, False, False, False, True, False])
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
    assembly.reloader._clock = server.clock
    looks = [server.look(assembly.reloader) for _ in range(3)]

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

    assert [server.look(reloader), server.look(reloader)] == [False, True]


def test_what_is_broken_is_reported_once_and_not_taken(server: Server) -> None:
    reloader = server.reloader()
    bad = "".join(f"  - name: g{one}\n    repos: [a]\n" for one in range(MAX_REPORTED))
    server.write("policy/policy.yaml", policy_text(KEYS) + bad)
    looks = [server.look(reloader) for _ in range(3)]
    (event,) = server.events()
    problems = event["problems"]

    assert looks == [False, False, False]
    assert server.taken == []
    assert event["event"] == "reload-refused"
    assert isinstance(problems, list)
    assert len(problems) == MAX_REPORTED
    assert str(event["reason"]).endswith(" problems in the policy")
    assert (server.count("taken"), server.count("refused")) == (0, 1)
    assert reloader.problem == event["reason"]
    assert b"token_server_reload_refused 1.0" in server.metrics.page()
    server.write("policy/policy.yaml", policy_text(KEYS))
    assert [server.look(reloader), server.look(reloader)] == [False, True]
    assert reloader.problem == ""
    assert b"token_server_reload_refused 0.0" in server.metrics.page()


@pytest.mark.parametrize("error", [SigningError("no key"), RuntimeError("a secret")])
def test_whatever_goes_wrong_the_old_state_goes_on(server: Server, error: Exception) -> None:
    def load(_settings: Settings) -> State:
        raise error

    taken = server.reloader(load=load).reload()
    reason = server.events()[-1]["reason"]

    assert (taken, server.taken) == (False, [])
    assert reason == ("no key" if isinstance(error, SigningError) else "unexpected RuntimeError")


DENIALS = """\
version: 1
denials:
  - {name: frozen, repositories: [acme/frozen], actions: [push]}
"""


def test_s10_a_policy_that_is_replaced_file_by_file_is_taken_when_it_is_whole(
    server: Server,
) -> None:
    """Without the denial's file the policy compiles, and means something else."""
    server.write("policy/denials.yaml", DENIALS)
    reloader = server.reloader()
    file = server.folder / "policy" / "denials.yaml"
    file.unlink()
    looks = [server.look(reloader, 1) for _ in range(int(SETTLE_AFTER_LOSS))]
    server.write("policy/denials.yaml", DENIALS + "\n")
    looks += [server.look(reloader, 1) for _ in range(4)]

    assert looks == [False] * (len(looks) - 1) + [True]
    assert [one.name for one in server.taken[0].policy.denials] == ["frozen"]
    assert [one["event"] for one in server.events()] == ["reloaded"]


@pytest.mark.parametrize("how", ["file", "denials"])
def test_s10_a_reload_that_loses_a_file_or_all_denials_warns(server: Server, how: str) -> None:
    server.write("policy/denials.yaml", DENIALS)
    reloader = server.reloader()
    file = server.folder / "policy" / "denials.yaml"
    if how == "file":
        file.unlink()
    else:
        file.write_text("version: 1\n")
    looks = [server.look(reloader), server.look(reloader), server.look(reloader, SETTLE_AFTER_LOSS)]

    assert looks == [False, how == "denials", how == "file"]
    warned, reloaded = server.events()
    assert (warned["event"], warned["level"]) == ("reload-lost", "warning")
    assert warned.get("files", []) == (["denials.yaml"] if how == "file" else [])
    assert warned["denials"] == ["frozen"]
    assert warned["policy"] == reloaded["policy"]


def test_s10_a_new_map_in_kubernetes_loses_no_file(server: Server) -> None:
    """A ConfigMap is links into a hidden folder, which another one replaces by a rename."""
    folder = server.folder / "policy"
    (folder / "policy.yaml").unlink()
    reloaders = []
    for number in (1, 2):
        hidden = folder / f"..{number}"
        hidden.mkdir()
        (hidden / "policy.yaml").write_text(policy_text(KEYS) + "\n" * number)
        (folder / "..new").symlink_to(hidden.name)
        (folder / "..new").rename(folder / "..data")
        if number == 1:
            (folder / "policy.yaml").symlink_to("..data/policy.yaml")
            reloaders.append(server.reloader())
    shutil.rmtree(folder / "..1")
    (reloader,) = reloaders

    assert [server.look(reloader), server.look(reloader)] == [False, True]
    assert [one["event"] for one in server.events()] == ["reloaded"]


def test_s10_state_whose_files_change_while_it_is_read_is_not_taken(server: Server) -> None:
    more = server.folder / "policy" / "denials.yaml"
    more.write_text(DENIALS)

    def load(settings: Settings) -> State:
        state = load_state(settings)
        if not again:
            more.write_text(DENIALS + "\n")
        again.append(state)
        return state

    again: list[State] = []
    reloader = server.reloader(load=load)

    assert not reloader.reload()
    assert server.taken == []
    assert [server.look(reloader), server.look(reloader)] == [False, True]
    assert server.taken == [again[-1]]


def test_s10_a_folder_that_is_switched_by_a_rename_is_read_whole(tmp_path: Path) -> None:
    """As the documentation says it is done: a link that a rename puts in the place of another."""
    server = Server(tmp_path)
    (tmp_path / "policy").rename(tmp_path / "policy-1")
    (tmp_path / "policy").symlink_to("policy-1")
    reloader = server.reloader()
    shutil.copytree(tmp_path / "policy-1", tmp_path / "policy-2")
    (tmp_path / "policy-2" / "denials.yaml").write_text(DENIALS)
    (tmp_path / "next").symlink_to("policy-2")
    (tmp_path / "next").rename(tmp_path / "policy")

    assert [server.look(reloader), server.look(reloader)] == [False, True]
    assert [one.name for one in server.taken[0].policy.denials] == ["frozen"]


def test_a_policy_for_nobody_is_refused_and_readiness_says_so(server: Server) -> None:
    """An author's error, unlike a key set for nobody: a file that is empty is nobody's wish."""
    settings = server.settings()
    assembly = assemble(settings, load_state(settings), server.log())
    client = falcon.testing.TestClient(assembly.application)
    before = client.simulate_get("/readyz")
    server.write("policy/policy.yaml", "version: 1\nservices: [registry.example.com]\n")
    taken = assembly.reloader.reload()
    after = client.simulate_get("/readyz")
    assembly.close()

    assert not taken
    assert "reloadRefused" not in before.json
    assert after.json["status"] != "ready"
    assert "problem" in after.json["reloadRefused"]
    assert after.json["policy"] == before.json["policy"]


def test_a_policy_is_ready_for_requests_before_it_is_served(server: Server) -> None:
    """The first request would pay for all expressions that it evaluates, and each worker again."""
    state = load_state(server.settings())
    assert state.shadow is not None
    for policy in (state.policy, state.shadow):
        programs = list(policy.programs(logins=True))
        assert programs
        assert all({"_start", "size", "variables"} <= vars(program).keys() for program in programs)
