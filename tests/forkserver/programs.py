"""
The project's programs as tests run them: real processes, started by the fork server.

Each is a command for `subprocess`.  A test that asks how a program starts, or which process it is,
runs it itself.
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .client import VARIABLE

_HERE: Final = Path(__file__).parent
FUNCTIONS: Final = {
    "policytest": "regauth.policytests.cli:main",
    "pytest": "pytest:main",
    "token-server": "regauth.servers.commands.token_server:main",
    "registry-auth-proxy": "regauth.servers.commands.registry_auth_proxy:main",
    "kube-controller": "regauth.controller.kube_controller:main",
}


def forked(name: str) -> tuple[str, ...]:
    """Return the command that runs a program, such as `token-server`."""
    return (sys.executable, "-IS", str(_HERE / "client.py"), name, FUNCTIONS[name])


@contextmanager
def forkserver() -> Iterator[None]:
    """Have programs started by a fork server until the block ends; it imports on its first use."""
    with tempfile.TemporaryDirectory(prefix="forkserver-") as folder:
        path = Path(folder) / "socket"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen(64)
            process = subprocess.Popen(
                [sys.executable, _HERE / "server.py", str(listening.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[listening.fileno()],
                start_new_session=True,
            )
        os.environ[VARIABLE] = str(path)
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            process.terminate()
            process.wait()


def commands(folder: Path) -> Path:
    """Fill a folder for PATH with the programs, for shells that call them by name."""
    folder.mkdir(exist_ok=True)
    for name in FUNCTIONS:
        words = " ".join(f'"{one}"' for one in forked(name))
        (folder / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (folder / name).chmod(0o755)
    return folder
