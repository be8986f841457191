"""A PostgreSQL cluster of the tests' own, on a free port of loopback."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_ports

from .process import PATIENCE

PASSWORD = "correct horse battery staple"  # one that cannot be overlooked in a log
BINARIES = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs, can be stopped, and can be frozen in the middle of what it does."""

    binaries: Path
    data: Path
    port: int
    user: str | None

    def conninfo(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=regauth dbname={database}"

    def start(self) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        )
        self._do("pg_ctl", "-D", self.data, "-w", "-l", self.data / "log", "-o", options, "start")

    def stop(self) -> None:
        self._do("pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop")

    def new_database(self, name: str) -> str:
        """Make an empty database and return how to reach it."""
        self.sql(f"CREATE DATABASE {name}", "postgres")
        return self.conninfo(name)

    def sql(self, statement: str, database: str) -> str:
        done = self._do(
            "psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", statement,
            f"{self.conninfo(database)} password='{PASSWORD}'",
        )  # fmt: skip
        return done.stdout

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have every process of the cluster stand still while the block runs."""
        pids = self._pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        first = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def _do(self, program: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [self.binaries / program, *arguments],
            stdout=_output(program), stderr=_output(program), text=True, timeout=PATIENCE,
            check=False, cwd="/", user=self.user, group=self.user,
            extra_groups=[] if self.user else None,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} {arguments}: {done.stderr}"
        return done


def _output(program: str) -> int:
    """A server that pg_ctl starts keeps its pipes, and whoever reads them would wait for ever."""
    return subprocess.PIPE if program == "psql" else subprocess.DEVNULL


def binaries() -> Path:
    """Return where initdb and pg_ctl are; skip when they are nowhere."""
    found = sorted(BINARIES.glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    if not found and (there := shutil.which("initdb")) is not None:
        found = [Path(there)]
    if not found:
        pytest.skip("postgresql is not installed; on Debian: apt-get install -y postgresql")
    return found[-1].parent


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Run a cluster until the block ends."""
    programs = binaries()
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="regauth-postgresql-") as folder:
        place = Path(folder)
        password = place / "password"
        password.write_text(PASSWORD)
        if user is not None:
            entry = pwd.getpwnam(user)
            for one in (place, password):
                os.chown(one, entry.pw_uid, entry.pw_gid)
        [port] = free_ports(1)
        cluster = Cluster(programs, place / "data", port, user)
        cluster._do(
            "initdb", "-D", cluster.data, "-U", "regauth", "--no-sync", "-A", "scram-sha-256",
            f"--pwfile={password}", "-E", "UTF8", "--locale=C",
        )  # fmt: skip
        cluster.start()
        try:
            yield cluster
        finally:
            if (cluster.data / "postmaster.pid").exists():
                cluster.stop()
