"""`kube-controller status` and `uninstall`, against an API server."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import Result

from regauth.controller.naming import MANAGER, state_name
from regauth.controller.settings import Memory
from tests.controller.api_server import ApiServer
from tests.controller.clocks import Clock
from tests.controller.conftest import Api, only_own, run_main
from tests.controller.listening import Object, Request, StatusError
from tests.controller.sites import SECRET, Site

LEASE = {"leaseDurationSeconds": 15, "holderIdentity": "pod-1"}
LONG_AGO = "2020-01-01T00:00:00.000000Z"
IN_A_LONG_TIME = "2999-01-01T00:00:00.000000Z"


class Now(Clock):
    """The real time: the commands go by it."""

    def __init__(self) -> None:
        super().__init__()
        self.forward(seconds=int(time.time()) - self.moment.timestamp())


@pytest.fixture
def clock() -> Clock:
    return Now()


@pytest.fixture(autouse=True)
def namespaces(api: Api) -> None:
    for name in ("team-a", "team-b", "regauth"):
        api.create("namespaces", name)


@pytest.fixture
def kubeconfig(api: Api, tmp_path: Path) -> Path:
    file = tmp_path / "kubeconfig"
    context = {"cluster": "c", "user": "u"}
    said = {
        "clusters": [{"name": "c", "cluster": {"server": api.url}}],
        "users": [{"name": "u", "user": {"token": api.bearer}}],
        "contexts": [{"name": "x", "context": context}], "current-context": "x",
    }  # fmt: skip
    file.write_text(json.dumps(said))
    return file


def lease(api: Api, renewed: str) -> None:
    api.create("leases", MANAGER, "regauth", spec={**LEASE, "renewTime": renewed})


def call(kubeconfig: Path, command: str, *options: str) -> Result:
    return run_main(command, "--kubeconfig", str(kubeconfig), *options)


def everything(api: Api) -> list[tuple[str, str, str]]:
    kinds = ("namespaces", "serviceaccounts", "secrets", "configmaps", "leases")
    return [
        (kind, one["metadata"].get("namespace", ""), one["metadata"]["name"])
        for kind in kinds
        for one in api.all(kind)
    ]


def test_status_says_who_has_a_secret_and_until_when(
    api: Api, clock: Clock, kubeconfig: Path
) -> None:
    lease(api, IN_A_LONG_TIME)
    for name in ("builder", "deployer"):
        api.create("serviceaccounts", name, "team-a")
    Site(api, clock).settle()
    done = call(kubeconfig, "status", "--all")

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == "leader        pod-1"
    assert "pull secrets  2, the first until 2" in done.stdout
    assert [line.split()[:3] for line in done.stdout.splitlines()[4:]] == [
        ["NAMESPACE", "ACCOUNT", "STANDING"],
        ["team-a", "builder", "good"],
        ["team-a", "deployer", "good"],
    ]
    assert "eyJ" not in done.stdout


def test_status_finds_what_somebody_has_to_look_at(
    api: Api, clock: Clock, kubeconfig: Path
) -> None:
    for name in ("builder", "deployer", "fresh", "tester"):
        api.create("serviceaccounts", name, "team-a")
    api.create("secrets", "deployer-pull-secret", "team-a", type="Opaque", data={})
    site = Site(api, clock)
    site.settle()
    nothing = base64.b64encode(b'{"auths": {}}').decode()
    api.edit("secrets", "tester-pull-secret", "team-a", lambda one: one["data"].update({".dockerconfigjson": nothing}))  # fmt: skip
    api.edit("serviceaccounts", "fresh", "team-a", lambda one: one.pop("imagePullSecrets"))
    found = json.loads(call(kubeconfig, "status", "-o", "json", "--all").stdout)
    standing = {one["name"]: one["standing"] for one in found["accounts"]}

    assert standing == {
        "builder": "good", "deployer": "reported", "fresh": "detached", "tester": "empty",
    }  # fmt: skip
    assert (found["leader"], found["wrong"]) == (None, 2)
    why = {one["name"]: one["why"] for one in found["accounts"]}
    assert why["deployer"].startswith("PullSecretConflict: the secret deployer-pull-secret")
    done = call(kubeconfig, "status", "-n", "team-a")
    assert done.exit_code == 1
    assert "no controller holds the Lease" in done.stdout


@only_own
def test_status_does_not_say_what_was_in_the_way_before_the_tokens_were_issued(
    api: ApiServer, clock: Clock, kubeconfig: Path
) -> None:
    """The Event is there for an hour, and nobody has to look at it any more."""
    lease(api, IN_A_LONG_TIME)
    for name in ("builder", "deployer"):
        api.create("serviceaccounts", name, "team-a")
        api.create("secrets", f"{name}-pull-secret", "team-a", type="Opaque", data={})
    clock.forward(minutes=-20)
    site = Site(api, clock)
    site.settle()
    api.delete("secrets", "team-a", SECRET, None)
    clock.forward(minutes=15)
    site.settle()
    done = call(kubeconfig, "status", "-o", "json", "--all")
    found = {one["name"]: one["standing"] for one in json.loads(done.stdout)["accounts"]}

    assert found == {"builder": "good", "deployer": "reported"}
    assert json.loads(done.stdout)["wrong"] == 1


@only_own
def test_status_says_what_has_expired(api: ApiServer, clock: Clock, kubeconfig: Path) -> None:
    lease(api, IN_A_LONG_TIME)
    api.create("serviceaccounts", "builder", "team-a")
    clock.forward(hours=-2)
    Site(api, clock).settle()
    done = call(kubeconfig, "status")

    assert done.exit_code == 1
    assert "team-a     builder  expired" in done.stdout


@only_own
def test_kubectl_finds_status_as_its_plugin(
    api: ApiServer, clock: Clock, kubeconfig: Path, tmp_path: Path
) -> None:
    """kubectl takes `kubectl-regauth` from the PATH for `kubectl regauth`."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed; on Debian: apt-get install -y kubernetes-client")
    lease(api, IN_A_LONG_TIME)
    api.create("serviceaccounts", "builder", "team-a")
    Site(api, clock).settle()
    plugin = Path(sys.executable).with_name("kubectl-regauth")
    assert plugin.exists()
    command = ["kubectl", "regauth", "status", "--kubeconfig", str(kubeconfig), "--all"]
    paths = f"{plugin.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": paths, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == call(kubeconfig, "status", "--all").stdout
    assert "team-a     builder  good" in done.stdout


def test_status_of_an_unreachable_cluster_is_one_line(api: Api, kubeconfig: Path) -> None:
    def refuse(_: object) -> None:
        raise StatusError(403, "Forbidden", "secrets is forbidden")

    api.before = refuse
    done = call(kubeconfig, "status")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == ("kube-controller: the cluster cannot be asked: secrets is forbidden\n")


@pytest.mark.parametrize("memory", [Memory.SECRETS, Memory.CONFIG_MAPS])
def test_uninstall_takes_away_what_was_made_and_nothing_else(
    api: Api, clock: Clock, kubeconfig: Path, memory: Memory
) -> None:
    theirs: list[Object] = [{"name": "theirs"}]
    api.create("serviceaccounts", "builder", "team-a", imagePullSecrets=theirs)
    api.create("serviceaccounts", "other", "team-b")
    api.create("serviceaccounts", "conflict", "team-b", imagePullSecrets=[{"name": "conflict-pull-secret"}])  # fmt: skip
    api.create("secrets", "conflict-pull-secret", "team-b", type="Opaque", data={})
    before = everything(api)
    accounts = [one.get("imagePullSecrets") for one in api.all("serviceaccounts")]
    Site(api, clock, memory=memory).settle()
    Site(api, clock, instance="mirror").settle()
    mirrored = [one for one in everything(api) if ".mirror." in one[2]]
    lease(api, LONG_AGO)
    options = ["--config-maps"] if memory == Memory.CONFIG_MAPS else []
    planned = call(kubeconfig, "uninstall", "--dry-run", *options)
    done = call(kubeconfig, "uninstall", *options)

    assert done.exit_code == 0, done.output
    assert everything(api) == sorted([*before, *mirrored], key=before_kind)
    assert "team-a/builder: delete builder-pull-secret" in planned.stdout
    assert "regauth: delete the Lease regauth-controller" in planned.stdout
    call(kubeconfig, "uninstall", "--instance", "mirror")
    assert everything(api) == before
    assert [one.get("imagePullSecrets") for one in api.all("serviceaccounts")] == accounts
    assert call(kubeconfig, "uninstall", "--dry-run", *options).stdout == "nothing\n"


def before_kind(one: tuple[str, str, str]) -> tuple[int, str, str]:
    kinds = ("namespaces", "serviceaccounts", "secrets", "configmaps", "leases")
    return kinds.index(one[0]), one[1], one[2]


def test_uninstall_waits_until_no_controller_runs(api: Api, clock: Clock, kubeconfig: Path) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    Site(api, clock).settle()
    lease(api, IN_A_LONG_TIME)
    done = call(kubeconfig, "uninstall")

    assert done.exit_code == 1
    assert (
        "pod-1 holds the Lease regauth/regauth-controller: scale the controller to 0" in done.stderr
    )
    assert api.get("secrets", SECRET, "team-a") is not None


def test_uninstall_takes_names_of_secrets_that_are_gone_off_the_accounts(
    api: Api, kubeconfig: Path
) -> None:
    """Somebody deleted the Secrets by hand, and the names stayed."""
    listed = [{"name": "theirs"}, {"name": SECRET}]
    api.create("serviceaccounts", "builder", "team-a", imagePullSecrets=listed)
    done = call(kubeconfig, "uninstall")
    held = api.get("serviceaccounts", "builder", "team-a")

    assert done.exit_code == 0, done.output
    assert held is not None
    assert held["imagePullSecrets"] == [{"name": "theirs"}]


def test_uninstall_that_fails_says_so_and_keeps_the_state(
    api: Api, clock: Clock, kubeconfig: Path
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    Site(api, clock, memory=Memory.CONFIG_MAPS).settle()

    def refuse(request: object) -> None:
        if getattr(request, "what", "") == "DELETE secrets":
            raise StatusError(403, "Forbidden")

    api.before = refuse
    done = call(kubeconfig, "uninstall", "--config-maps")

    assert done.exit_code == 1
    assert "1 accounts could not be dealt with" in done.stderr
    assert api.get("configmaps", state_name("default"), "team-a") is not None


@pytest.mark.parametrize("memory", [Memory.SECRETS, Memory.CONFIG_MAPS])
def test_uninstall_leaves_nothing_in_a_namespace_that_is_ending(
    api: Api, clock: Clock, kubeconfig: Path, memory: Memory
) -> None:
    """It may hang there for long, and what the state knew of its Secrets would be gone."""
    api.create("serviceaccounts", "builder", "team-a")
    api.create("serviceaccounts", "leaver", "team-b")
    Site(api, clock, memory=memory).settle()
    api.delete("namespaces", "", "team-a", None)
    options = ["--config-maps"] if memory == Memory.CONFIG_MAPS else []
    planned = call(kubeconfig, "uninstall", "--dry-run", *options)
    done = call(kubeconfig, "uninstall", *options)

    assert done.exit_code == 0, done.output
    assert "team-a/builder: delete builder-pull-secret" in planned.stdout
    assert (api.all("secrets"), api.all("configmaps")) == ([], [])
    assert {str(one.get("imagePullSecrets")) for one in api.all("serviceaccounts")} == {"None"}


def test_uninstall_leaves_nothing_of_an_account_that_a_finalizer_keeps(
    api: Api, clock: Clock, kubeconfig: Path
) -> None:
    api.create("serviceaccounts", "builder", "team-a", metadata={"finalizers": ["acme.com/wait"]})
    Site(api, clock).settle()
    api.delete("serviceaccounts", "team-a", "builder", None)
    done = call(kubeconfig, "uninstall")

    assert done.exit_code == 0, done.output
    assert api.all("secrets") == []


@pytest.mark.parametrize("going", [True, False], ids=["deleted", "changed"])
def test_uninstall_looks_again_after_an_account_was_changed_between_list_and_request(
    api: Api, clock: Clock, kubeconfig: Path, going: bool
) -> None:
    """Without a watch, nothing else would tell; as where a namespace ends at the same time."""
    api.create("serviceaccounts", "builder", "team-a")
    Site(api, clock).settle()

    def change(request: Request) -> None:
        if request.what != "PATCH serviceaccounts":
            return
        api.before = lambda _: None
        if going:
            api.delete("serviceaccounts", "team-a", "builder", None)
        else:
            api.edit("serviceaccounts", "builder", "team-a", lambda one: one["metadata"].update(labels={"a": "b"}))  # fmt: skip

    api.before = change
    done = call(kubeconfig, "uninstall")

    assert done.exit_code == 0, done.output
    assert api.all("secrets") == []
    assert [one.get("imagePullSecrets") for one in api.all("serviceaccounts")] == [None] * (
        not going
    )


def test_uninstall_takes_a_secret_along_whose_owner_somebody_took_away(
    api: Api, clock: Clock, kubeconfig: Path
) -> None:
    """Nothing would collect it as garbage, and no account tells of it."""
    api.create("serviceaccounts", "builder", "team-a")
    Site(api, clock).settle()
    api.edit("secrets", SECRET, "team-a", lambda one: one["metadata"].pop("ownerReferences"))
    api.delete("serviceaccounts", "team-a", "builder", None)
    planned = call(kubeconfig, "uninstall", "--dry-run")
    done = call(kubeconfig, "uninstall")

    assert done.exit_code == 0, done.output
    assert planned.stdout == f"team-a: delete {SECRET}, of no account\n"
    assert api.all("secrets") == []


def test_uninstall_leaves_a_copy_that_somebody_made_of_a_secret_of_ours(
    api: Api, clock: Clock, kubeconfig: Path
) -> None:
    """It has our labels, as copies have."""
    api.create("serviceaccounts", "builder", "team-a")
    Site(api, clock).settle()
    [ours] = api.all("secrets")
    labels = ours["metadata"]["labels"]
    copied = {"type": ours["type"], "data": ours["data"]}
    api.create("secrets", "kept", "team-a", metadata={"labels": labels}, **copied)
    done = call(kubeconfig, "uninstall")

    assert done.exit_code == 0, done.output
    assert ["kept"] == [one["metadata"]["name"] for one in api.all("secrets")]


def test_uninstall_finds_a_secret_whose_state_is_lost_by_the_name_that_its_account_lists(
    api: Api, clock: Clock, kubeconfig: Path
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    Site(api, clock, memory=Memory.CONFIG_MAPS).settle()
    api.delete("configmaps", "team-a", state_name("default"), None)
    done = call(kubeconfig, "uninstall", "--config-maps")

    assert done.exit_code == 0, done.output
    assert (api.all("secrets"), api.all("configmaps")) == ([], [])
    assert [one.get("imagePullSecrets") for one in api.all("serviceaccounts")] == [None]
