"""
An API server that is away: pulls go on, and afterwards everything is served again.

All is real, and so is the time: a registry token lives for a minute (and a registry adds another),
and the policy takes tokens of the cluster for two and a half minutes.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from tests.controller.conftest import wait_for
from tests.controller.installation import install, manifests, put
from tests.controller.kubelet import kubelet_logins, make_pod
from tests.ports import free_ports

from .cluster import Place, standing_place
from .containerd import Containerd, standing_containerd

pytestmark = pytest.mark.e2e

AGE = 150
"""Seconds for which the policy takes a token of the cluster."""

OUTAGE = 4.0 * AGE
SERVED = 30.0
"""Seconds after the API server's return in which everything is served."""

Login = tuple[str, str]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    provider = f"maxTokenAge: {AGE}s\n    clockSkew: 1s"
    with standing_place(tmp_path, images=6, provider=provider, lifetime="60s") as standing:
        yield standing


@pytest.fixture
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    with standing_containerd(tmp_path_factory.mktemp("c")) as standing:
        yield standing


class Deployment:
    """One controller process, which is started again when it ends, as the kubelet does."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with (self._place.site.folder / "controller.log").open("ab") as log:
            while not self._ending.is_set():
                self.starts += 1
                self._process = subprocess.Popen(self._place.controller(), stderr=log)
                while self._process.poll() is None:
                    if self._ending.wait(0.1):
                        self._process.kill()
                # The kubelet waits ten seconds before the second time, and longer each time.
                if self.starts > 1:
                    self._ending.wait(10.0 * 2 ** (self.starts - 2))

    def close(self) -> None:
        self._ending.set()
        self._thread.join()


@contextmanager
def deployed(place: Place) -> Iterator[Deployment]:
    """Run the controller as the account of its manifests, by their default times."""
    file = place.site.folder / "controller.yaml"
    place.log_in(install(place.api, file))
    [port] = free_ports(1)
    file.write_text(f"{file.read_text()}listen: localhost:{port}\n")
    made = Deployment(place)
    try:
        yield made
    finally:
        made.close()


def registry_token(place: Place, login: Login) -> str:
    """Exchange a login for a registry token, as a client that keeps it."""
    fields = {"service": "registry.example.com", "scope": "repository:team-a/app:pull"}
    headers = urllib3.make_headers(basic_auth=":".join(login))
    answer = urllib3.request("GET", place.site.realm, fields=fields, headers=headers)
    return str(answer.json()["token"]) if answer.status == 200 else ""


def accepted(place: Place, token: str) -> bool:
    """Ask the registry whether it takes a token."""
    url = f"http://{place.site.registry}/v2/team-a/app/tags/list"
    answer = urllib3.request("GET", url, headers={"Authorization": f"Bearer {token}"})
    assert answer.status in (200, 401), answer.data
    return answer.status == 200


def test_pulls_go_on_through_an_outage_and_afterwards_everything_is_served_in_time(
    place: Place,
    containerd: Containerd,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    api = place.api
    for one in manifests(place.site.folder / "controller.yaml", api.version)[-2:]:
        assert put(api, one)[0] in (200, 201)  # what lets nodes request tokens
    with deployed(place) as deployment:
        wait_for(lambda: place.login("builder"), "the pull secret")
        login = place.login("builder")
        assert login is not None
        first = place.image("team-a", 1)
        wait_for(lambda: logins_of_kubelet(place, tmp_path), "the nodes' permission")
        cached = logins_of_kubelet(place, tmp_path)[0]
        assert containerd.fetch(first, *login).returncode == 0, place.site.log
        token = registry_token(place, login)
        assert accepted(place, token)

        api.stop()
        wait_for(lambda: not accepted(place, token), "the registry token's end", OUTAGE, 1.0)
        for tag, pulls_with in ((2, login), (3, cached)):
            done = containerd.fetch(place.image("team-a", tag), *pulls_with)
            assert done.returncode == 0, done.stderr + place.site.log
        wait_for(lambda: not registry_token(place, login), "the pull secret's end", OUTAGE, 1.0)
        assert containerd.fetch(place.image("team-a", 4), *login).returncode != 0
        assert deployment.starts == 2, "it waits for the API server, and does not end again"

        api.start()
        back = time.monotonic()
        api.create("serviceaccounts", "newcomer", "team-a")
        served = served_after(place, login, back)
        assert deployment.starts == 2
    for tag, account in ((5, "builder"), (6, "newcomer")):
        found = place.login(account)
        assert found is not None
        done = containerd.fetch(place.image("team-a", tag), *found)
        assert done.returncode == 0, done.stderr + place.site.log
    record_property("served_after_seconds", round(served, 1))


def served_after(place: Place, old: Login, back: float) -> float:
    """Return how many seconds after the return the old is renewed and the new is there."""
    log = place.site.folder / "controller.log"
    try:
        wait_for(
            lambda: place.login("newcomer") and place.login("builder") not in (None, old),
            "a new account's secret and a renewed one",
            SERVED,
            0.2,
        )
    except AssertionError as error:
        raise AssertionError(log.read_text()[-4000:]) from error
    return time.monotonic() - back


def logins_of_kubelet(place: Place, folder: Path) -> list[Login]:
    file = place.site.folder / "controller.yaml"
    pod = make_pod(place.api)
    [found] = kubelet_logins(place.api, file, pod, folder / "kubelet", place.image("team-a"))
    return found
