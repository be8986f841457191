"""
The fork server: starts the project's programs from a process that has imported what they need.

`python server.py FD` accepts on a Unix socket that it inherits.  Each connection asks for one program: its
function, arguments, environment and folder, with its three standard streams.  The server forks; the
child takes the streams, the environment and the folder, and calls the function as a console script
does.  So a test runs a real process, with its own memory, signals and exit code, and does not pay
again for a second of imports.

The server has one thread, because a thread does not survive a fork.  It imports nothing of
prometheus_client, which chooses at its import whether it counts for several processes.

Not here: which tests use it (`programs`), and the process that stands in for the child (`client`).
"""

import atexit
import contextlib
import gc
import importlib
import marshal
import os
import select
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PRELOADED = (
    "click",
    "falcon",
    "kubernetes.client.rest",
    "kubernetes.config",
    "pytest",
    "regauth.controller.configuration",
    "regauth.engine",
    "regauth.engine.files",
    "regauth.policytests.cli",
    "regauth.policytests.collection.options",
    "regauth.policytests.commands.group",
    "regauth.policytests.reports.report",
    "regauth.policytests.reports.terminal",
    "regauth.policytests.suites.linking",
    "regauth.servers.commands.registry_auth_proxy",
    "regauth.servers.commands.token_server",
    "regauth.servers.configuration.proxy_file",
    "regauth.servers.configuration.server_file",
    "regauth.servers.setup.doctor",
    "regauth.servers.setup.sample",
    "regauth.servers.setup.starter",
    "regauth.servers.setup.token_client",
    "regauth.servers.signing.key_folder",
    "regauth.servers.upstream.registry",
    "sysconfig",
    "unittest",
    "urllib3",
    "waitress",
    "xml.etree.ElementTree",
    "zoneinfo",
)
"""
What programs import, but no plugin that pytest finds by an entry point: it would warn that it came
too late to rewrite the plugin's assertions.
"""
NO_HYPOTHESIS = "-p no:hypothesispytest"
"""pytest's options for a program: who installs policytest has no Hypothesis, and its import is slow."""
MAX_REQUEST = 1 << 20
POLICY = """
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    claims: github-actions
grants:
  - {name: push, when: claims.ref == "refs/heads/main", repositories: [acme/**], actions: [push]}
"""
SUITE = """
at: 2026-11-01T12:00:00Z
tokens:
  main: {profile: github-actions, claims: {repository: acme/app}}
tests:
  - {name: push, grid: "token repository push\\nmain acme/app A"}
"""


def main(listener: int) -> None:
    """Serve until the process is told to end; in a child, run its program."""
    listening = socket.socket(fileno=listener)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    waking, waken = os.pipe()
    os.set_blocking(waking, False)
    os.set_blocking(waken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waken, warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    loaded = False
    while True:
        ready, _, _ = select.select([listening, waking, *running.values()], [], [])
        if waking in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(waking, 4096)
        for pid, code in ended():
            connection = running.pop(pid)
            with contextlib.suppress(OSError), connection:
                connection.sendall(b"%d\n" % code)
        for pid, connection in list(running.items()):
            # A client says nothing more: it was killed, and its program goes with it.
            if connection in ready:
                os.kill(pid, signal.SIGKILL)
        if listening in ready:
            connection, _ = listening.accept()
            asked, streams = received(connection)
            if not loaded:
                loaded = True
                preload()
            pid = os.fork()
            if pid == 0:
                close(listening, waking, waken, connection, *running.values())
                become(asked, streams)
                return
            close(*streams)
            running[pid] = connection
            with contextlib.suppress(OSError):
                connection.sendall(b"%d\n" % pid)


def preload() -> None:
    """Import what programs need; what cannot be imported is missing for the program that needs it."""
    for name in PRELOADED:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    for name in importlib.import_module("_pytest.config").default_plugins:
        importlib.import_module(f"_pytest.{name}")
    rehearse()
    assert "prometheus_client" not in sys.modules
    gc.collect()
    gc.freeze()


def rehearse() -> None:
    """
    Run one suite, so that no program begins with what is the same in each.

    This is the rewriting of pytest's plugins, which an import before a run would prevent, and what is
    worked out once: the lexer of CEL, the claim schema.  It is half of a program that runs a small
    suite.  What comes of the suite is not looked at here.
    """
    with contextlib.suppress(ModuleNotFoundError), tempfile.TemporaryDirectory() as folder:
        policytest = importlib.import_module("regauth.policytests.cli").main
        shown = [os.dup(1), os.dup(2)]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        here, environment = Path.cwd(), dict(os.environ)
        try:
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            os.chdir(folder)
            os.environ["PYTEST_ADDOPTS"] = NO_HYPOTHESIS
            Path("policy").mkdir()
            Path("policy/policy.yaml").write_text(POLICY)
            Path("rehearsal.policytest.yaml").write_text(SUITE)
            policytest([])
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(environment)
            for number, stream in enumerate(shown, start=1):
                os.dup2(stream, number)
            close(*shown, nowhere)


def ended() -> Iterator[tuple[int, int]]:
    """Return the programs that have ended, each with its exit code; of a signal, its negative."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            yield pid, os.waitstatus_to_exitcode(status)


def received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read what a client asks for, and take its standard streams."""
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    text = b""
    while len(text) < int.from_bytes(size, "big"):
        text += connection.recv(MAX_REQUEST)
    return marshal.loads(text), streams


def become(asked: dict[str, Any], streams: list[int]) -> None:
    """Turn this child into the program that was asked for, and run it to its end."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Whoever runs the tests in the background has them ignore what a terminal sends.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(one, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    close(*streams)
    os.chdir(asked["folder"])
    os.umask(asked["umask"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    given = os.environ.get("PYTEST_ADDOPTS", "")
    os.environ["PYTEST_ADDOPTS"] = f"{NO_HYPOTHESIS} {given}"
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, "utf-8", "backslashreplace", closefd=False)
    module, _, function = asked["program"].partition(":")
    sys.argv = [asked["name"], *asked["arguments"]]
    sys.path[0] = asked["folder"]
    try:
        code = getattr(importlib.import_module(module), function)()
    except SystemExit as error:
        code = error.code
    end(code)


def end(code: object) -> None:
    """
    End as Python does, but free no memory.

    To free object by object what the fork server has imported would copy each page of it, and take
    eight times as long as all else that a short program does.
    """
    with contextlib.suppress(KeyboardInterrupt):  # Python ignores it here as well
        threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)  # Python says itself what it could not write
    if isinstance(code, int | None):
        os._exit((code or 0) & 0xFF)
    sys.exit(code)


def close(*opened: "socket.socket | int") -> None:
    for one in opened:
        if isinstance(one, int):
            os.close(one)
        else:
            one.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
