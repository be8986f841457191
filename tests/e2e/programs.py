"""Real programs in tests: finding them, running them, waiting until they serve, ending them."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.forkserver.programs import forked

from .needed_programs import PROGRAMS

TOKEN_SERVER = forked("token-server")
PATIENCE = 120.0
"""Seconds that nothing takes, on a machine that does much else."""


def require(*programs: str, extra: bool = False) -> None:
    """
    Skip when a program is missing and say how to get it; with CI=true that is a failure.

    An `extra` program is one that `make test` does not install: without it the test is skipped.
    """
    missing = [name for name in programs if shutil.which(name) is None]
    if not missing:
        return
    sources = "; ".join(f"{name}: {PROGRAMS[name]}" for name in missing)
    reason = f"{sources} (`make programs` gets what it can)"
    if os.environ.get("CI") == "true" and not extra:
        pytest.fail(f"{reason} (CI=true: a missing program is a failure)")
    pytest.skip(reason)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Ask again and again until something holds; fail when it does not in time."""
    pause = threading.Event()
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen within {PATIENCE:.0f} s")
        pause.wait(0.02)


def accepts(port: int) -> bool:
    """Tell whether somebody accepts connections on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(
    command: Sequence[str | Path],
    port: int,
    output: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; the block begins when it accepts connections."""
    with output.open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=cwd, env=env
        )
    try:
        wait_until(
            lambda: accepts(port) or process.poll() is not None, f"{command[0]} on port {port}"
        )
        assert process.poll() is None, output.read_text(errors="replace")[-2000:]
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> int:
    """End a process by its id, at first politely; return its exit code."""
    process.terminate()
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(PATIENCE)


def run(
    command: Sequence[str | Path],
    text: str = "",
    patience: float = 2 * PATIENCE,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, within so many seconds."""
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
        env={**os.environ, **environment},
    )
