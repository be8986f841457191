"""A token server and a registry, made by `token-server init` and run for real."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regauth.servers.setup.sample import sample_claims, sample_token
from tests.ports import free_ports

from .clients import Able, Client, Done, Home, Podman
from .decisions import Job
from .programs import TOKEN_SERVER, require, run, running

NO_TRACES = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
"""The environment of a registry: Distribution 3 looks for a collector of traces otherwise."""


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

    def jwt(self, job: Job, life: timedelta = timedelta(minutes=10), **claims: object) -> str:
        """Return a token as the job has it, as `token-server sample-jwt` does; with other claims."""
        everything = {**sample_claims(job.repository, job.ref, job.event), **claims}
        return sample_token(self.folder, everything, datetime.now(UTC), life)


@contextmanager
def standing_site(
    folder: Path,
    *,
    registry: str = "docker-registry",
    grants: str = "",
    changes: Sequence[tuple[str, str, str]] = (),
) -> Iterator[Site]:
    """
    Run both servers, from one `token-server init`, until the block ends.

    Args:
        folder: Where they live; it is made.
        registry: The registry's program, any release of Distribution.
        grants: YAML that is added to the policy's grants.
        changes: File, text and what takes its place, in what `init` has written.
    """
    port, registry_port = free_ports(2)
    ports = ("--port", str(port), "--registry-port", str(registry_port))
    made = run([*TOKEN_SERVER, "init", folder, *ports])
    assert made.returncode == 0, made.stderr
    policy = folder / "policy" / "policy.yaml"
    policy.write_text(policy.read_text() + grants)
    for name, old, new in changes:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
    serve = [*TOKEN_SERVER, "--config", folder / "server.yaml"]
    command = [registry, "serve", folder / "registry.yml"]
    with (
        running(serve, port, folder / "token-server.log"),
        running(command, registry_port, folder / "registry.log", env=NO_TRACES),
    ):
        yield Site(folder, port, registry_port)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Both servers, from one `token-server init`."""
    require("docker-registry", "skopeo")
    with standing_site(tmp_path_factory.mktemp("e2e") / "site") as standing:
        yield standing


@pytest.fixture(scope="session")
def able(tmp_path_factory: pytest.TempPathFactory) -> Able:
    """What skips a test whose client is not there, or cannot store images as this user here."""
    found: dict[str, Done] = {}

    def check(client: Client) -> None:
        program = client.program
        require(program, extra=program != "skopeo")
        if isinstance(client, Podman) and program not in found:
            where = Home(tmp_path_factory.mktemp(program) / "home").make()
            found[program] = where.run(program, "info")
        if program in found and found[program].returncode:
            pytest.skip(f"{program} does not work here: {found[program].stderr[-200:]}")

    return check
