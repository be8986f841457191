"""
From one way to give pods their secret to another: no pull fails at any step in between.

The steps are those of docs/howto/kubernetes-controller.md.  After each, new pods of an account that
was there before and of one that came with the step pull with what the API server has given them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controller.conftest import wait_for
from tests.controller.installation import install, manifests, put, remove
from tests.controller.kubelet import kubelet_logins, make_pod
from tests.controller.listening import Object

from .cluster import CONTROLLER, COPY, Place, login_of, standing_place
from .programs import run

pytestmark = pytest.mark.e2e

PODS = "attachTo: pods\nmemory: configMaps\n"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with standing_place(tmp_path) as standing:
        yield standing


class Mover:
    """Who moves the cluster, step by step."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place, self.api, self.folder = place, place.api, folder
        self.file = place.site.folder / "controller.yaml"
        self.settings = self.file.read_text()
        self.accounts = ["builder"]
        self.pulls = 0

    def move(self, settings: str = "") -> None:
        """Print the manifests of other settings and apply them."""
        self.file.write_text(self.settings + settings)
        self.place.log_in(install(self.api, self.file))

    def work(self) -> None:
        """Have a new account come, and the controller do what is to be done."""
        name = f"a{len(self.accounts)}"
        self.api.create("serviceaccounts", name, "team-a")
        self.accounts.append(name)
        done = run(self.place.controller("--once"))
        assert done.returncode == 0, done.stderr

    def of_pods(self) -> list[Object]:
        """Return the manifests of the policy for pods."""
        made = manifests(self.file, self.api.version)
        return [one for one in made if one["kind"].startswith("Mutating")]

    def names(self, account: str) -> list[str]:
        """Return the pull secrets that a new pod of an account gets; the pod is not kept."""
        body = {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new"},
            "spec": {"serviceAccountName": account, "containers": [{"name": "a", "image": "a"}]},
        }  # fmt: skip
        path = "/api/v1/namespaces/team-a/pods?dryRun=All"
        status, made = self.api.ask("POST", path, body)
        assert status == 201, made
        return [one["name"] for one in made["spec"].get("imagePullSecrets", [])]

    def pull(self, login: tuple[str, str]) -> None:
        self.pulls += 1
        image, into = f"docker://{self.place.image('team-a')}", self.folder / f"out-{self.pulls}"
        done = run([*COPY, f"--src-creds={':'.join(login)}", image, f"oci:{into}:1"])
        assert done.returncode == 0, done.stderr + self.place.site.log

    def pods_pull(self) -> None:
        """Pull as a pod of each account would, with each secret that it was given."""
        for account in self.accounts:
            name = f"{account}-pull-secret"
            wait_for(lambda account=account: self.names(account), f"a pod of {account} gets {name}")
            assert self.names(account) == [name]
            secret = self.api.get("secrets", name, "team-a")
            assert secret is not None
            login = login_of(secret, self.place.site.registry)
            assert login is not None
            self.pull(login)

    def kubelets_pull(self) -> None:
        """Pull as the kubelet does with the plugin."""
        for account in self.accounts:
            pod = make_pod(self.api, account)
            image = self.place.image("team-a")
            [[login]] = kubelet_logins(self.api, self.file, pod, self.folder / "kubelet", image)
            self.pull(login)


def test_k3_moving_between_the_three_ways_loses_no_pull(place: Place, tmp_path: Path) -> None:
    mover = Mover(place, tmp_path)
    api = place.api
    mover.move()
    mover.work()
    mover.pods_pull()
    before = {one: api.get("secrets", f"{one}-pull-secret", "team-a") for one in mover.accounts}

    mover.move(PODS)
    mover.pods_pull()
    mover.work()
    mover.pods_pull()
    assert "imagePullSecrets" not in (api.get("serviceaccounts", "a2", "team-a") or {})

    policies = mover.of_pods()
    mover.move()
    mover.pods_pull()
    mover.work()
    mover.pods_pull()
    for one in policies:
        remove(api, one)
    mover.pods_pull()
    for account, secret in before.items():
        now = api.get("secrets", f"{account}-pull-secret", "team-a")
        assert (now or {})["metadata"]["uid"] == (secret or {})["metadata"]["uid"]

    for one in manifests(mover.file, api.version)[-2:]:
        assert put(api, one)[0] in (200, 201)
    wait_for(lambda: nodes_may(mover), "the nodes' permission")
    mover.kubelets_pull()
    mover.pods_pull()
    place.log_in(api.bearer)
    done = run([*CONTROLLER, "uninstall", "--kubeconfig", place.site.folder / "kubeconfig"])
    assert done.returncode == 0, done.stderr
    assert [mover.names(one) for one in mover.accounts] == [[] for _ in mover.accounts]
    mover.kubelets_pull()
    assert mover.pulls == 2 + 2 + 3 + 3 + 4 + 4 + 4 + 4 + 4


def nodes_may(mover: Mover) -> bool:
    pod = make_pod(mover.api)
    image = mover.place.image("team-a")
    return kubelet_logins(mover.api, mover.file, pod, mover.folder / "kubelet", image) != [[]]
