"""A token server and a registry, made by `token-server init` and run for real."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .decisions import Job
from .programs import TOKEN_SERVER, free_ports, require, run, running


@dataclass(frozen=True)
class Site:
    """A running token server with a running registry that trusts it."""

    folder: Path
    port: int
    registry_port: int

    @property
    def realm(self) -> str:
        return f"http://localhost:{self.port}/auth/token"

    @property
    def registry(self) -> str:
        return f"localhost:{self.registry_port}"

    @property
    def log(self) -> str:
        """Everything that the token server has written."""
        return (self.folder / "token-server.log").read_text(errors="replace")

    def jwt(self, job: Job, *options: str) -> str:
        """Return a token as the job has it."""
        chosen = ("--repository", job.repository, "--ref", job.ref, "--event", job.event)
        made = run([*TOKEN_SERVER, "sample-jwt", self.folder, *chosen, *options])
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Both servers, from one `token-server init`."""
    require("docker-registry", "skopeo")
    folder = tmp_path_factory.mktemp("e2e") / "site"
    port, registry_port = free_ports(2)
    ports = ("--port", str(port), "--registry-port", str(registry_port))
    made = run([*TOKEN_SERVER, "init", folder, *ports])
    assert made.returncode == 0, made.stderr
    serve = [*TOKEN_SERVER, "--config", folder / "server.yaml"]
    registry = ["docker-registry", "serve", folder / "registry.yml"]
    with (
        running(serve, port, folder / "token-server.log"),
        running(registry, registry_port, folder / "registry.log"),
    ):
        yield Site(folder, port, registry_port)
