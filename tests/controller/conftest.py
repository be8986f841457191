"""
What the controller's tests share: API servers, programs run by their real protocol, and tokens.

Tests that ask for `api` run with the tests' own API server, and with a real kube-apiserver too
when `KUBEBUILDER_ASSETS` names a folder with one.  `only_own` marks those that need what only the
tests' own can do: signing keys that change, a clock, a past that is looked into.
"""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kubernetes.client import Configuration

from regauth.controller.kube_controller import main

from .api_server import ApiServer
from .clocks import Clock
from .kube_apiserver import KubeApiServer

PATIENCE = 300.0
"""Seconds after which a test that waits has hung; no behaviour is bounded by it."""
OWN, REAL = "own", "kube-apiserver"
Api = ApiServer | KubeApiServer
only_own = pytest.mark.parametrize("api", [OWN], indirect=True)
only_real = pytest.mark.parametrize("api", [REAL], indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks a real API server: `make test-kube` runs this alone, and `make test` the rest."""
    for item in items:
        if isinstance(item, pytest.Function):
            params = item.callspec.params if hasattr(item, "callspec") else {}
            if params.get("api") == REAL or "kube_apiserver" in item.fixturenames:
                item.add_marker("kube")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def kube_apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApiServer]:
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        pytest.skip(
            "KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd; see make test-kube"
        )
    server = KubeApiServer(tmp_path_factory.mktemp("kube"))
    yield server
    server.close()


@pytest.fixture(params=[OWN, *([REAL] if os.environ.get("KUBEBUILDER_ASSETS") else [])])
def api(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Api]:
    """An API server with nothing in it; the clock is the server's, or begins with it."""
    if request.param == OWN:
        server = ApiServer(clock.timestamp)
        yield server
        server.close()
    else:
        real: KubeApiServer = request.getfixturevalue("kube_apiserver")
        real.reset()
        clock.moment = datetime.now(UTC)
        yield real
        real.disconnect()


def wait_for(
    condition: Callable[[], object], what: str, patience: float = PATIENCE, every: float = 0.02
) -> None:
    """Ask again, every so many seconds, until something holds; fail when it does not in time."""
    pause, deadline = threading.Event(), time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {patience:.0f} s"
        pause.wait(every)


def connection(api: Api, token: str = "") -> Configuration:
    """Return how a client reaches an API server, as an administrator or as whom a token is of."""
    found = Configuration()
    found.host = api.url
    found.api_key["authorization"] = f"Bearer {token or api.bearer}"
    return found


def jwt(**claims: object) -> str:
    """A text in the form of a JWT; nobody in these tests verifies its signature."""
    parts = ({"alg": "RS256", "kid": "k1"}, claims)
    texts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
    ]
    return ".".join((*texts, "c2lnbmF0dXJl"))


def run_module(
    module: str, *arguments: str, stdin: bytes = b"", **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run a program of the controller's to its end, in an environment of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", f"regauth.controller.{module}", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**kept, **environment},
    )


def run_main(*arguments: str) -> Result:
    """Run `kube-controller` within this process, for what ends by itself."""
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def registries(tmp_path: Path) -> Path:
    """Where the docker helper's configuration is written."""
    return tmp_path / "credential-helper.json"
