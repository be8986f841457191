"""A containerd of one's own, on a socket in a folder, and what is asked of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_ports

from .clients import Done
from .programs import require, run, running

CONFIGURATION = """\
version = 2
root = "FOLDER/root"
state = "FOLDER/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart"]
[grpc]
  address = "FOLDER/sock"
[ttrpc]
  address = "FOLDER/ttrpc"
[metrics]
  address = "127.0.0.1:PORT"
"""


@dataclass(frozen=True)
class Containerd:
    """A running containerd."""

    folder: Path

    def ctr(self, *words: str) -> Done:
        return run(["ctr", "--address", self.folder / "sock", *words])

    def fetch(self, reference: str, username: str, password: str) -> Done:
        """Pull an image with a login; nothing is unpacked, so it needs no snapshotter."""
        login = f"{username}:{password}"
        return self.ctr("content", "fetch", "--plain-http", "--user", login, reference)


@contextmanager
def standing_containerd(folder: Path) -> Iterator[Containerd]:
    """Run containerd until the block ends; the path of a socket has 107 bytes at most."""
    require("containerd", "ctr", extra=True)
    if os.geteuid() != 0:
        pytest.skip("containerd runs as root alone")
    [port] = free_ports(1)
    text = CONFIGURATION.replace("FOLDER", str(folder)).replace("PORT", str(port))
    (folder / "config.toml").write_text(text)
    command = ["containerd", "--config", folder / "config.toml"]
    with running(command, port, folder / "log"):
        yield Containerd(folder)
