"""What clients may meet: registries that verify tokens themselves, and one behind each of our gates."""

import http.client
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_ports

from .conftest import NO_TRACES, Site
from .decisions import Job
from .programs import TOKEN_SERVER, require, run, running
from .standing import SERVICE, bare_registry, nginx_before, proxy_before

_REQUEST = re.compile(r'"([A-Z]+) (\S+) HTTP/1\.[01]" (\d{3})')

OPERATOR = """\
  - name: operate
    when: defs.on_main && claims.repository == "acme/ops"
    repositories: ["acme/**"]
    actions: [pull, push, delete]
  - name: list
    when: defs.on_main && claims.repository == "acme/ops"
    catalog: true
"""
"""Grants for the job that cleans up."""


@dataclass(frozen=True)
class Front:
    """Where a client pushes to, and the registry's log with every request that reached it."""

    site: Site
    port: int
    log: Path

    @property
    def registry(self) -> str:
        return f"localhost:{self.port}"

    def token(self, job: Job, *scopes: str) -> str:
        """Exchange the job's token for the registry's."""
        asked = [part for scope in scopes for part in ("--scope", scope)]
        exchange = (*TOKEN_SERVER, "exchange", self.site.realm, "--username", "sample", "--raw")
        done = run([*exchange, "--service", SERVICE, *asked], text=self.site.jwt(job))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ask(self, method: str, target: str, token: str) -> int:
        """Send a request without a body, and return the status of the answer."""
        with closing(http.client.HTTPConnection("localhost", self.port, timeout=30)) as connection:
            headers = {"Authorization": f"Bearer {token}", "Content-Length": "0"}
            connection.request(method, target, headers=headers)
            return connection.getresponse().status

    def requests(self) -> list[tuple[str, str, int]]:
        """Return method, target and status of all that reached the registry."""
        found = _REQUEST.findall(self.log.read_text(errors="replace"))
        return [(method, target, int(status)) for method, target, status in found]


@contextmanager
def _verifying(program: str, site: Site, folder: Path) -> Iterator[Front]:
    """Run another registry that trusts the site's token server."""
    folder.mkdir()
    [port] = free_ports(1)
    text = (site.folder / "registry.yml").read_text()
    text = text.replace(f":{site.registry_port}", f":{port}")
    (folder / "registry.yml").write_text(text.replace("/registry-data", f"/{folder.name}"))
    command = [program, "serve", folder / "registry.yml"]
    with running(command, port, folder / "registry.log", env=NO_TRACES):
        yield Front(site, port, folder / "registry.log")


@contextmanager
def _distribution_2(site: Site, folder: Path) -> Iterator[Front]:
    del folder
    yield Front(site, site.registry_port, site.folder / "registry.log")


@contextmanager
def _distribution_3(site: Site, folder: Path) -> Iterator[Front]:
    require("registry-3.1", extra=True)
    with _verifying("registry-3.1", site, folder) as front:
        yield front


@contextmanager
def _proxy(site: Site, folder: Path) -> Iterator[Front]:
    folder.mkdir()
    with (
        bare_registry(folder / "registry") as registry,
        proxy_before(registry, site, folder / "proxy") as port,
    ):
        yield Front(site, port, folder / "registry" / "registry.log")


@contextmanager
def _nginx(site: Site, folder: Path) -> Iterator[Front]:
    require("nginx")
    folder.mkdir()
    with (
        bare_registry(folder / "registry") as registry,
        nginx_before(registry, site, folder / "nginx") as port,
    ):
        yield Front(site, port, folder / "registry" / "registry.log")


FRONTS: Mapping[str, Callable[[Site, Path], AbstractContextManager[Front]]] = {
    "Distribution 2.8": _distribution_2,
    "Distribution 3.1": _distribution_3,
    "the proxy": _proxy,
    "nginx": _nginx,
}
