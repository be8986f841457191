"""
Pods that are given the secret of their account by a MutatingAdmissionPolicy, on a real API server.

The policy is v1 on servers of 1.36 and later, and v1beta1 behind its feature gate on 1.34.
"""

import copy
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regauth.controller.applying.host import Host
from regauth.controller.applying.reconciling import Controller
from regauth.controller.configuration import read_configuration
from regauth.controller.event_log import ControllerLog
from regauth.controller.measures import Measures
from regauth.controller.naming import state_name
from regauth.controller.observing.cluster import Cluster
from regauth.controller.settings import ControllerSettings
from tests.controller.conftest import connection, wait_for
from tests.controller.installation import install, manifests, put, remove
from tests.controller.kube_apiserver import KubeApiServer
from tests.controller.listening import Object

POLICY = """\
version: 1
services: [registry.example.com]
providers:
  cluster: {issuer: https://kubernetes.default.svc.cluster.local, audience: https://registry.example.com, claims: kubernetes}
grants:
  - {name: all, repositories: ["${claims[\\"kubernetes.io\\"].namespace}/**"], actions: [pull]}
"""
SETTINGS = """\
policy: policy
registries: [{host: registry.example.com, provider: cluster}]
attachTo: pods
memory: configMaps
"""
SECRET = "builder-pull-secret"
OURS = {"name": SECRET}


class Installed:
    """A controller for pods, as the account of its manifests, in a cluster with their policies."""

    def __init__(self, api: KubeApiServer, folder: Path) -> None:
        self.api, self.file = api, folder / "controller.yaml"
        (folder / "policy").mkdir()
        (folder / "policy" / "policy.yaml").write_text(POLICY)
        self.file.write_text(SETTINGS)
        self.bearer = install(api, self.file)

    @property
    def settings(self) -> ControllerSettings:
        return read_configuration(self.file).settings

    def work(self) -> None:
        """List everything and do what is to be done, as a process does."""
        cluster = Cluster(connection(self.api, self.bearer))
        host = Host(
            cluster,
            lambda: datetime.now(UTC),
            time.monotonic,
            lambda: True,
            ControllerLog(-1),
            Measures(),
        )
        configuration = read_configuration(self.file)
        controller = Controller(host, configuration.entitlements, self.settings.memory)
        controller.sync()
        while (key := controller.queue.take()) is not None:
            controller.work(key)
        assert controller.queue.failing == 0

    def pod(self, namespace: str = "team-a", **spec: object) -> list[Object] | None:
        """Return the pull secrets that a new pod gets, or None when it is refused; none is kept."""
        body = {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"},
            "spec": {"containers": [{"name": "main", "image": "registry.example.com/app"}], **spec},
        }  # fmt: skip
        path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
        status, made = self.api.ask("POST", path, body)
        return made["spec"].get("imagePullSecrets", []) if status == 201 else None

    def gives(self, account: str = "builder", namespace: str = "team-a") -> bool:
        found = self.pod(namespace, serviceAccountName=account)
        return {"name": f"{account}-pull-secret"} in (found or [])


@pytest.fixture
def installed(kube_apiserver: KubeApiServer, tmp_path: Path) -> Iterator[Installed]:
    api = kube_apiserver
    api.reset()
    for namespace in ("team-a", "team-b", "kube-builders"):
        api.create("namespaces", namespace)
        for account in ("default", "builder", "plain"):
            api.create("serviceaccounts", account, namespace)
    mark = {"annotations": {"regauth/pull-secret": "false"}}
    api.create("serviceaccounts", "stranger", "team-a", metadata=mark)
    found = Installed(api, tmp_path)
    found.work()
    wait_for(found.gives, "the policy for pods works")
    yield found
    # They stay: with the last policy that has ConfigMaps as parameters, an API server ends its watch
    # of ConfigMaps and never begins it again (k8s.io/apiserver, `policySource.calculatePolicyData`).
    for one in of_pods(found):
        assert put(api, one)[0] == 200
    api.disconnect()


def of_pods(installed: Installed) -> list[Object]:
    """Return the manifests of the policy for pods."""
    made = manifests(installed.file, installed.api.version)
    return [one for one in made if one["kind"].startswith("Mutating")]


def test_k3_each_pod_gets_the_secret_of_its_own_account(installed: Installed) -> None:
    theirs = {"name": "theirs"}
    plain = {"name": "plain-pull-secret"}

    assert installed.pod(serviceAccountName="builder") == [OURS]
    assert installed.pod(serviceAccountName="plain") == [plain]
    assert installed.pod() == [{"name": "default-pull-secret"}]
    assert installed.pod(serviceAccount="builder") == [OURS], "the field's old name"
    assert installed.pod(serviceAccountName="builder", imagePullSecrets=[theirs]) == [theirs, OURS]
    assert installed.pod(serviceAccountName="builder", imagePullSecrets=[OURS, theirs]) == [
        OURS,
        theirs,
    ]


def test_k3_what_an_account_lists_is_kept_and_the_secret_added(installed: Installed) -> None:
    """The admission plugin ServiceAccount copies the list first, into pods that have none."""
    theirs = {"name": "theirs"}
    installed.api.edit(
        "serviceaccounts", "builder", "team-a", lambda one: one.update(imagePullSecrets=[theirs])
    )
    wait_for(
        lambda: theirs in (installed.pod(serviceAccountName="builder") or []), "the list is known"
    )

    assert installed.pod(serviceAccountName="builder") == [theirs, OURS]


def test_k3_a_pod_whose_account_has_no_pull_secret_is_created_as_it_is(
    installed: Installed,
) -> None:
    """Nobody waits for a name of a secret that is not there: the kubelet would warn each time."""
    long = "n" * 245
    installed.api.create("serviceaccounts", long, "team-a")
    installed.api.create("namespaces", "quiet")
    installed.api.create("serviceaccounts", "builder", "quiet")

    assert installed.pod(serviceAccountName="stranger") == []
    assert installed.pod(serviceAccountName=long) == []
    assert installed.pod("quiet", serviceAccountName="builder") == [], "no ConfigMap there"
    assert installed.pod(serviceAccountName="nobody") is None, "the server's own refusal"


def test_k3_namespaces_of_the_cluster_are_left_alone_whatever_is_written_there(
    installed: Installed,
) -> None:
    name = state_name("default")
    data = {"builder": "[]"}
    for namespace in ("kube-builders", "team-b"):
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}?fieldManager=t&force=true"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        kind = "application/apply-patch+yaml"
        assert installed.api.ask("PATCH", path, body, content_type=kind)[0] in (200, 201)
    wait_for(lambda: installed.gives("builder", "team-b"), "what is written there is known")

    assert installed.pod("kube-builders", serviceAccountName="builder") == []


def test_k11_no_account_is_written_to(installed: Installed) -> None:
    """Neither by the controller nor by the policy: GitOps finds what it has applied."""
    accounts = [one for one in installed.api.all("serviceaccounts") if one["metadata"]["namespace"].startswith("team-")]  # fmt: skip

    assert [one for one in accounts if "imagePullSecrets" in one or "secrets" in one] == []
    assert {
        manager["manager"]
        for one in accounts
        for manager in one["metadata"].get("managedFields", [])
    } == {"python-urllib3"}
    assert installed.api.count()["PATCH serviceaccounts"] == 0


def test_k3_an_account_that_is_opted_out_gives_its_pods_nothing_more(installed: Installed) -> None:
    mark = {"regauth/pull-secret": "false"}
    installed.api.edit(
        "serviceaccounts", "builder", "team-a", lambda one: one["metadata"].update(annotations=mark)
    )
    installed.work()

    wait_for(lambda: not installed.gives(), "the policy knows")
    assert installed.api.get("secrets", SECRET, "team-a") is None


@pytest.mark.parametrize(("failure_policy", "created"), [("", True), ("Fail", False)])
def test_k3_a_policy_that_fails_keeps_no_pod_from_being_created(
    installed: Installed, failure_policy: str, created: bool
) -> None:
    """Its own failure policy is Ignore; with Fail an error would stop the pods of the cluster."""
    policy = copy.deepcopy(of_pods(installed)[0])
    policy["spec"]["failurePolicy"] = failure_policy or policy["spec"]["failurePolicy"]
    patch = policy["spec"]["mutations"][0]["jsonPatch"]
    patch["expression"] = f'params.data["not there"] == "" ? [] : {patch["expression"]}'
    assert put(installed.api, policy)[0] == 200

    def now() -> bool:
        found = installed.pod(serviceAccountName="builder")
        return found == [] if created else found is None

    wait_for(now, "the policy that fails is known")
    assert installed.pod(serviceAccountName="stranger") == [], "which it is not asked about"


def test_k5_a_second_instance_gives_its_own_secret_too(
    installed: Installed, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    first = installed.file.read_text()
    second = Installed(installed.api, tmp_path / "second")
    second.file.write_text(
        f"{first}instance: mirror\nelection: {{name: regauth-controller-mirror}}\n"
    )
    second.bearer = install(installed.api, second.file, "regauth-controller-mirror")
    second.work()
    both = [OURS, {"name": "builder.mirror.pull-secret"}]

    def given() -> bool:
        found = installed.pod(serviceAccountName="builder") or []
        return sorted(map(str, found)) == sorted(map(str, both))

    wait_for(given, "both secrets")
    for one in manifests(second.file, installed.api.version):
        if "namespace" not in one["metadata"] and one["kind"] != "Namespace":
            remove(installed.api, one)  # its permissions and policies would be in the way of others
