"""
What only a real kube-apiserver can tell: whether it takes the manifests, and what they permit.

It takes part when `KUBEBUILDER_ASSETS` names a folder with it and etcd; `make test-kube` says how
to get them.
"""

import copy
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from regauth.controller.applying.content import empty, encoded
from regauth.controller.applying.host import Host
from regauth.controller.applying.leadership import Elector
from regauth.controller.applying.reconciling import Controller
from regauth.controller.event_log import ControllerLog
from regauth.controller.measures import Measures
from regauth.controller.naming import NOT_MANAGED
from regauth.controller.observing.api_errors import ApiError
from regauth.controller.observing.cluster import Cluster, Object
from regauth.controller.observing.docker_config import TYPE
from regauth.controller.observing.watching import Watcher
from regauth.controller.planning.entitlements import Entitlements
from regauth.controller.settings import Election, Registry, Selection

from .conftest import connection, run_main, wait_for
from .installation import ACCOUNT, NAMESPACE, install, manifests, put, remove
from .kube_apiserver import KubeApiServer
from .kubelet import kubelet_logins, make_pod

AUDIENCE = "https://registry.example.com"
SECRET = "builder-pull-secret"
REGISTRY = Registry("registry.example.com", username="cluster", audience=AUDIENCE, token_duration=timedelta(hours=1))  # fmt: skip
POLICY = """\
version: 1
services: [registry.example.com]
providers:
  cluster: {issuer: https://kubernetes.default.svc, audience: https://registry.example.com, claims: kubernetes}
"""
SETTINGS = "policy: policy\nregistries: [{host: registry.example.com, provider: cluster}]\n"


@pytest.fixture
def api(kube_apiserver: KubeApiServer) -> Iterator[KubeApiServer]:
    kube_apiserver.reset()
    yield kube_apiserver
    kube_apiserver.disconnect()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.yaml").write_text(POLICY)
    (tmp_path / "controller.yaml").write_text(SETTINGS)
    return tmp_path / "controller.yaml"


def test_every_manifest_is_accepted(api: KubeApiServer, file: Path) -> None:
    """With unknown fields refused; the namespace is there before, as it is for `kubectl`."""
    api.create("namespaces", NAMESPACE)
    said = {
        f"{one['kind']} {one['metadata']['name']}": put(api, one, "&dryRun=All")
        for one in manifests(file)
    }

    assert len(said) == 14
    assert {name: answer for name, answer in said.items() if answer[0] not in (200, 201)} == {}


def test_k5_a_second_instance_leaves_the_first_its_rights(api: KubeApiServer, file: Path) -> None:
    """The names of its roles were the first's, so that its account took the first's place."""
    api.create("namespaces", "team-a")
    first = install(api, file)
    (file.parent / "second").mkdir()
    other = file.parent / "second" / "controller.yaml"
    shutil.copytree(file.parent / "policy", other.parent / "policy")
    name = f"{ACCOUNT}-mirror"
    other.write_text(f"{SETTINGS}instance: mirror\nelection: {{name: {name}}}\n")

    def may(token: str, account: str) -> list[int]:
        lease = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{account}"
        return [api.ask("GET", one, token=token)[0] for one in ("/api/v1/serviceaccounts", lease)]

    second = install(api, other, name)
    assert (may(first, ACCOUNT), may(second, name)) == ([200, 404], [200, 404])
    assert may(second, ACCOUNT)[1] == may(first, name)[1] == 403
    for one in manifests(other, api.version):
        if one["kind"] != "Namespace":
            remove(api, one)
    wait_for(lambda: may(second, name) != [200, 404], "the second instance's end")
    assert may(first, ACCOUNT) == [200, 404]


class Scenario:
    """Everything that a controller ever asks of the API server, as the account of the manifests."""

    def __init__(self, api: KubeApiServer, token: str, named: tuple[str, ...] = ()) -> None:
        self.api, self.named = api, named
        self.cluster = Cluster(connection(api, token))

    def refused(self) -> set[str]:
        """Do it all, go on after each refusal, and return what was refused; no other error is."""
        self._begin()
        host = Host(
            self.cluster, lambda: datetime.now(UTC), time.monotonic, lambda: True, ControllerLog(descriptor=-1), Measures()
        )  # fmt: skip
        controller = Controller(host, Entitlements((REGISTRY,), Selection(namespaces=self.named)))
        controller.keys.refresh()
        self._work(controller)
        self.api.delete("serviceaccounts", "team-a", "builder", None)
        self._work(controller)
        self._watch(controller)
        self._lead()
        assert {one.status for one in self.api.seen} <= {200, 201, 403, 404, 409}
        return {one.what for one in self.api.seen if one.status == 403}

    def _begin(self) -> None:
        self.api.open()
        for kind in ("serviceaccounts", "secrets", "leases"):
            for one in self.api.all(kind):
                meta = one["metadata"]
                if meta["name"] != ACCOUNT or kind != "serviceaccounts":
                    self.api.delete(kind, meta["namespace"], meta["name"], None)
        for name in ("builder", "deployer"):
            self.api.create("serviceaccounts", name, "team-a")
        self.api.create("secrets", "deployer-pull-secret", "team-a", type="Opaque", data={})

    @staticmethod
    def _work(controller: Controller) -> None:
        for watcher in controller.watches.watchers.values():
            with suppress(ApiError):
                watcher.list()
        while (key := controller.queue.take()) is not None:
            controller.work(key)

    def _watch(self, controller: Controller) -> None:
        """Begin each watch, and end it when it was answered."""
        watchers = controller.watches.watchers.values()

        def watch(watcher: Watcher[Any]) -> None:
            with suppress(ApiError):
                watcher.watch()

        def answered() -> bool:
            return len(
                [one for one in self.api.seen if "watch" in one.query and one.status]
            ) == len(watchers)

        threads = [threading.Thread(target=watch, args=(one,)) for one in watchers]
        for thread in threads:
            thread.start()
        wait_for(answered, "the answers to the watches")
        for one in watchers:
            one.stop()
        for thread in threads:
            thread.join()

    def _lead(self) -> None:
        elector = Elector(
            self.cluster, Election(NAMESPACE), "test", time.monotonic, lambda: datetime.now(UTC)
        )
        for step in (elector.step, elector.step, elector.release):
            with suppress(ApiError):
                step()


def take_away(api: KubeApiServer, role: Object, number: int, verb: str) -> None:
    """Put a role without one verb of one of its rules, and wait until that is so."""
    less: dict[str, Any] = copy.deepcopy(role)
    rule = less["rules"][number]
    rule["verbs"].remove(verb)
    if not rule["verbs"]:
        less["rules"].remove(rule)
    assert put(api, less)[0] == 200
    wait_for(lambda: not answers(api, role, rule, verb), f"the end of {verb} in rule {number}")


def answers(api: KubeApiServer, manifest: Object, rule: Object, verb: str) -> bool:
    """Ask whether the account may do what a rule permits (SubjectAccessReview)."""
    user = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
    groups = [
        "system:serviceaccounts",
        f"system:serviceaccounts:{NAMESPACE}",
        "system:authenticated",
    ]
    spec: Object = {"user": user, "groups": groups}
    if "nonResourceURLs" in rule:
        spec["nonResourceAttributes"] = {"path": rule["nonResourceURLs"][0], "verb": verb}
    else:
        resource, _, sub = rule["resources"][0].partition("/")
        spec["resourceAttributes"] = {
            "group": rule["apiGroups"][0], "resource": resource, "subresource": sub, "verb": verb,
            "name": (rule.get("resourceNames") or [""])[0],
            "namespace": manifest["metadata"].get("namespace", ""),
        }  # fmt: skip
    body = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec
    }  # fmt: skip
    status, found = api.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    assert status == 201, found
    return bool(found["status"]["allowed"])


DISCOVERY: Object = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "system:service-account-issuer-discovery"},
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "system:service-account-issuer-discovery",
    },
    "subjects": [
        {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Group",
            "name": "system:serviceaccounts",
        }
    ],
}
"""What each API server makes when it starts (k8s.io/kubernetes, bootstrappolicy/policy.go)."""


@pytest.mark.parametrize("named", [(), ("team-a",)], ids=["everywhere", "named"])
def test_what_is_permitted_is_enough_and_none_of_it_is_too_much(
    api: KubeApiServer, file: Path, named: tuple[str, ...]
) -> None:
    """
    With all permissions nothing is refused; without any one of them something is.

    Clusters let all accounts read the keys by a binding of their own; some take it away.  A
    controller of named namespaces goes by this binding.
    """
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    if named:
        for kind in ("clusterroles", "clusterrolebindings"):
            api.ask("DELETE", f"{rbac}/{kind}/{ACCOUNT}")  # of an installation before
        assert put(api, DISCOVERY)[0] in (200, 201)
        file.write_text(f"{SETTINGS}select: {{namespaces: [{', '.join(named)}]}}\n")
    else:
        discovery = "clusterrolebindings/system:service-account-issuer-discovery"
        api.ask("DELETE", f"{rbac}/{discovery}")
    api.create("namespaces", "team-a")
    token = install(api, file)
    for one in manifests(file):
        if one["kind"].startswith("Validating"):
            remove(api, one)  # which refuses more than the permissions do
    probe = {"metadata": {"name": "probe"}}
    path = "/api/v1/namespaces/team-a/secrets?dryRun=All"
    wait_for(lambda: api.ask("POST", path, probe, token=token)[0] == 201, "the policy's end")
    scenario = Scenario(api, token, named)
    assert scenario.refused() == set()

    needless = []
    for role in manifests(file):
        if not role["kind"].endswith("Role") or not role["metadata"]["name"].startswith(ACCOUNT):
            continue
        for index in range(len(role["rules"])):
            for verb in role["rules"][index]["verbs"]:
                take_away(api, role, index, verb)
                if not scenario.refused():
                    needless.append((role["rules"][index], verb))
        assert put(api, role)[0] == 200
    assert needless == []


def test_a_foreign_secret_is_a_conflict_for_its_owner_under_the_admission_policy_too(
    api: KubeApiServer, file: Path
) -> None:
    """The policy refuses it before the API server finds that fields are somebody else's."""
    api.create("namespaces", "team-a")
    api.create("serviceaccounts", "builder", "team-a")
    theirs = api.create("secrets", SECRET, "team-a", type="Opaque", data={})
    cluster = Cluster(connection(api, install(api, file)))
    host = Host(
        cluster, lambda: datetime.now(UTC), time.monotonic, lambda: True, ControllerLog(descriptor=-1), Measures()
    )  # fmt: skip
    controller = Controller(host, Entitlements((REGISTRY,)))
    probe = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "probe"}}

    def refused_by_the_policy() -> bool:
        try:
            cluster.create("/api/v1/namespaces/team-a/secrets?dryRun=All", dict(probe))
        except ApiError as error:
            return NOT_MANAGED in str(error)
        return False

    wait_for(refused_by_the_policy, "the admission policy works")
    controller.sync()
    while (key := controller.queue.take()) is not None:
        controller.work(key)

    assert api.get("secrets", SECRET, "team-a") == theirs
    [event] = [one for one in api.all("events") if one["involvedObject"]["name"] == "builder"]
    assert event["reason"] == "PullSecretConflict"
    assert dict(controller.standing.counts())["conflict"] == 1


def test_what_rbac_cannot_refuse_the_admission_policy_does(api: KubeApiServer, file: Path) -> None:
    api.create("namespaces", "team-a")
    for namespace in ("team-a", "kube-system"):
        api.create("serviceaccounts", "builder", namespace)
    ours = {"app.kubernetes.io/managed-by": "regauth-controller", "regauth/instance": "default"}
    config = {".dockerconfigjson": encoded(empty("uid"))}
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "builder", "uid": "u"}
    managed: Object = {"labels": ours, "ownerReferences": [owner]}
    mine = api.create("secrets", SECRET, "team-a", type=TYPE, data=config, metadata=dict(managed))
    theirs = api.create("secrets", "theirs", "team-a", type=TYPE, data=config)
    token = install(api, file)
    bound = {"kind": "Secret", "apiVersion": "v1", "name": SECRET, "uid": mine["metadata"]["uid"]}
    elsewhere = {**bound, "name": "theirs", "uid": theirs["metadata"]["uid"]}

    def ask(
        method: str, path: str, body: object, kind: str = "application/json"
    ) -> tuple[int, str]:
        path = f"/api/v1/namespaces/{path}?fieldManager=test"
        status, said = api.ask(method, path, body, token=token, content_type=kind)
        return status, said.get("message", "")

    def request(
        audiences: list[str],
        ref: object = bound,
        namespace: str = "team-a",
        seconds: int = 12 * 3600,
    ) -> tuple[int, str]:
        spec = {"audiences": audiences, "boundObjectRef": ref, "expirationSeconds": seconds}
        body = {"spec": spec}
        return ask("POST", f"{namespace}/serviceaccounts/builder/token", body)

    def patch(what: str, **change: object) -> tuple[int, str]:
        return ask("PATCH", f"team-a/{what}", change, "application/merge-patch+json")

    wait_for(lambda: request([])[0] == 403, "the admission policy works")
    server, other = "https://kubernetes.default.svc.cluster.local", "https://other.example.com"
    bare = {"metadata": {"name": "new"}, "type": TYPE, "data": config}
    refused = [
        *(request(audiences) for audiences in ([], [server], [other], [AUDIENCE, server])),
        request([AUDIENCE], None),
        request([AUDIENCE], None, "kube-system"),
        request([AUDIENCE], seconds=2**32),
        request([AUDIENCE], seconds=12 * 3600 + 1),
        request([AUDIENCE], elsewhere),
        request([AUDIENCE], {key: value for key, value in bound.items() if key != "uid"}),
        ask("POST", "team-a/secrets", bare),
        ask("POST", "team-a/secrets", {"metadata": {**managed, "name": SECRET}, "type": "Opaque"}),
        ask("POST", "team-a/secrets", {**bare, "metadata": {**managed, "name": "other"}}),
        ask("POST", "kube-system/secrets", {**bare, "metadata": {**managed, "name": SECRET}}),
        patch("secrets/theirs", metadata=managed),
        patch(f"secrets/{SECRET}", metadata={"labels": None}),
        patch(f"secrets/{SECRET}", metadata={"ownerReferences": None}),
        ask("DELETE", "team-a/secrets/theirs", None),
        patch("serviceaccounts/builder", metadata={"annotations": {"role": "admin"}}),
        patch("serviceaccounts/builder", metadata={"labels": {"role": "admin"}}),
        patch("serviceaccounts/builder", automountServiceAccountToken=True),
    ]

    assert [
        one for one in refused if one[0] != 403 or "ValidatingAdmissionPolicy" not in one[1]
    ] == []
    assert theirs == api.get("secrets", "theirs", "team-a")
    assert request([AUDIENCE])[0] == 201
    assert patch("serviceaccounts/builder", imagePullSecrets=[{"name": SECRET}])[0] == 200
    change: Object = {"data": config, "metadata": {"annotations": {"a": "b"}}}
    assert patch(f"secrets/{SECRET}", **change)[0] == 200
    assert ask("DELETE", f"team-a/secrets/{SECRET}", None)[0] == 200
    api.delete("serviceaccounts", "kube-system", "builder", None)


@pytest.fixture
def pod(api: KubeApiServer, file: Path) -> Object:
    """A pod on the node, in a cluster without the plugin's RBAC."""
    api.create("namespaces", "team-a")
    api.create("serviceaccounts", "builder", "team-a")
    for one in manifests(file)[-2:]:
        path = f"/apis/{one['apiVersion']}/{one['kind'].lower()}s/{one['metadata']['name']}"
        api.ask("DELETE", path)
    return make_pod(api)


def requested(api: KubeApiServer, pod: Object, audience: str) -> tuple[int, str]:
    """Request a token of the pod's account as the node does."""
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "pod", "uid": pod["metadata"]["uid"]}
    body = {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": [audience], "boundObjectRef": bound},
    }  # fmt: skip
    path = "/api/v1/namespaces/team-a/serviceaccounts/builder/token"
    status, said = api.ask("POST", path, body, token=api.node_bearer)
    return status, said.get("message", "")


def allow_nodes(api: KubeApiServer, pod: Object, file: Path) -> None:
    for one in manifests(file)[-2:]:
        assert put(api, one)[0] in (200, 201)
    wait_for(lambda: requested(api, pod, AUDIENCE)[0] == 201, "the node gets a token")


def test_a_kubelet_gets_tokens_of_the_audiences_of_the_manifests_and_no_others(
    api: KubeApiServer, file: Path, pod: Object
) -> None:
    """The admission plugin NodeRestriction looks at `request-serviceaccounts-token-audience`."""
    wait_for(lambda: "audience" in requested(api, pod, AUDIENCE)[1], "the node knows the pod")
    allow_nodes(api, pod, file)

    assert requested(api, pod, "https://other.example.com")[0] == 403


def test_the_kubelet_s_own_code_takes_the_configuration_and_the_plugin_s_answer(
    api: KubeApiServer, file: Path, pod: Object, tmp_path: Path
) -> None:
    allow_nodes(api, pod, file)
    images = ("registry.example.com/team-a/app:1", "other.example.com/team-a/app:1")
    ours, others = kubelet_logins(api, file, pod, tmp_path / "kubelet", *images)
    ((username, password),) = ours

    assert (username, others) == ("cluster", [])
    assert api.review(password, AUDIENCE)


def test_who_is_not_known_is_told_so(api: KubeApiServer, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(
        f"{{clusters: [{{name: c, cluster: {{server: '{api.url}'}}}}], current-context: c,"
        " contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {token: wrong}}]}"
    )
    done = run_main(
        *("--registry-host", "registry.example.com", "--registry-username", "cluster"),
        *("--kubeconfig", str(tmp_path / "kubeconfig"), "--once"),
    )

    assert done.exit_code == 1
    assert "the cluster cannot be asked: Unauthorized" in done.stderr
