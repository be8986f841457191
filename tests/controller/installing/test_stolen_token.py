"""
What somebody can do who has stolen a token of the controller's account, on a real API server.

Each row of the threat model's table is a test here, with the roles and the admission policy of
`kube-controller manifests`.  What a row says is stopped is refused by what it names; what it says
nothing stops is done.
"""

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regauth.controller.applying.content import empty, encoded
from regauth.controller.naming import INSTANCE, MANAGED_BY, MANAGER, state_name
from regauth.controller.observing.docker_config import TYPE
from tests.controller.conftest import wait_for
from tests.controller.installation import ACCOUNT, NAMESPACE, install, manifests, put, remove
from tests.controller.kube_apiserver import ISSUER, KubeApiServer
from tests.controller.listening import Object

AUDIENCE = "https://registry.example.com"
LIFE = 2 * 3600
SECRET = "builder-pull-secret"
POLICY = """\
version: 1
services: [registry.example.com]
providers:
  cluster: {issuer: https://kubernetes.default.svc, audience: https://registry.example.com, claims: kubernetes}
"""
SETTINGS = "policy: policy\nregistries: [{host: registry.example.com, provider: cluster, tokenDuration: 2h}]\n"
MODES = {
    "accounts": "",
    "pods": "attachTo: pods\nmemory: configMaps\n",
    "namespaces": "select: {namespaces: [team-a]}\n",
}
"""What is added to the settings."""

EXPECTED = {"accounts": (201, 200), "pods": (201, 403), "namespaces": (403, 403)}
"""What a token in another namespace and a list of all Secrets is answered."""

EVERY = 0.2
"""Seconds between two looks, each of which is many requests."""

LABELS = {MANAGED_BY: MANAGER, INSTANCE: "default"}
CONFIG = {".dockerconfigjson": encoded(empty("uid"))}
MERGE, APPLY, JSON_PATCH = (
    f"application/{one}" for one in ("merge-patch+json", "apply-patch+yaml", "json-patch+json")
)
POLICY_SAYS, RBAC_SAYS = "ValidatingAdmissionPolicy", "cannot "
"""What a refusal says of who refused."""


def owner(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "name": name, "uid": "u"}


def managed(name: str) -> Object:
    """Return the metadata of a pull secret of ours for an account."""
    meta: Object = {"labels": LABELS, "ownerReferences": [owner(name)]}
    return {**meta, "name": f"{name}-pull-secret"}


class Thief:
    """Whoever has the token, in a cluster where the controller has worked."""

    def __init__(self, api: KubeApiServer, mode: str, folder: Path) -> None:
        self.api, self.mode, self.file = api, mode, folder / "controller.yaml"
        (folder / "policy").mkdir()
        (folder / "policy" / "policy.yaml").write_text(POLICY)
        self.file.write_text(SETTINGS + MODES[mode])
        self.token = install(api, self.file)
        self.dry = False
        """Whether nothing that is asked is carried out."""

    def ask(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        """Send a request below `/api/v1`, or of another group, with the stolen token."""
        root = path if path.startswith("/") else f"/api/v1/{path}"
        if self.dry:
            root += f"{'&' if '?' in root else '?'}dryRun=All"
        return self.api.ask(method, root, body, token=self.token, content_type=kind)

    def stopped(self, by: str, *request: object) -> None:
        """Assert that a request is refused, and by whom."""
        status, said = self.ask(*request)
        assert status == 403, (request, status, said)
        assert by in said["message"], said["message"]

    def done(self, *request: object) -> Any:  # noqa: ANN401 - JSON
        """Assert that nothing stops a request; return what it brings."""
        status, said = self.ask(*request)
        assert status in (200, 201), (request, status, said)
        return said

    def token_request(
        self, account: str = "builder", namespace: str = "team-a", **changes: object
    ) -> tuple[object, ...]:
        """Return the request for a token that is as the controller makes it, but for changes."""
        secret = self.api.get("secrets", f"{account}-pull-secret", namespace)
        uid = secret["metadata"]["uid"] if secret else "none"
        bound = {"kind": "Secret", "apiVersion": "v1", "name": f"{account}-pull-secret", "uid": uid}
        spec = {"audiences": [AUDIENCE], "expirationSeconds": LIFE, "boundObjectRef": bound}
        path = f"namespaces/{namespace}/serviceaccounts/{account}/token"
        return "POST", path, {"spec": {**spec, **changes}}

    def bound_to(self, kind: str, name: str, namespace: str = "team-a") -> Object:
        """Return what binds a token to something that is there."""
        plural = {"Secret": "secrets", "Pod": "pods"}[kind]
        status, found = self.api.ask("GET", f"/api/v1/namespaces/{namespace}/{plural}/{name}")
        assert status == 200, found
        return {"kind": kind, "apiVersion": "v1", "name": name, "uid": found["metadata"]["uid"]}


def works(thief: Thief) -> bool:
    """Tell whether the server goes by the roles and the policy of this mode, and of no other."""
    nobody: list[str] = []
    answers = (
        thief.ask(*thief.token_request(audiences=nobody)),
        thief.ask(*thief.token_request(expirationSeconds=LIFE + 1)),
        thief.ask(*thief.token_request()),
        thief.ask(*thief.token_request("builder", "team-b")),
        thief.ask("GET", "secrets"),
        thief.ask("POST", "namespaces/team-a/configmaps?dryRun=All", {"metadata": {"name": "new"}}),
    )
    told = (answers[0][1].get("message", ""), answers[5][1].get("message", ""))
    by = POLICY_SAYS if thief.mode == "pods" else RBAC_SAYS
    return (
        POLICY_SAYS in told[0]
        and by in told[1]
        and [status for status, _ in answers[:5]] == [403, 403, 201, *EXPECTED[thief.mode]]
    )


@pytest.fixture(scope="module")
def installed(
    kube_apiserver: KubeApiServer,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Thief]:
    api = kube_apiserver
    api.reset()
    forget_roles(api)
    for namespace in ("team-a", "team-b", "kube-builders", "openshift-builders"):
        api.create("namespaces", namespace)
        for account in ("builder", "deployer"):
            api.create("serviceaccounts", account, namespace)
            make_secret(api, account, namespace)
        api.create("secrets", "theirs", namespace, type=TYPE, data=CONFIG)
        api.create("secrets", "opaque", namespace, type="Opaque", data={"key": encoded("hush")})
        api.create("configmaps", "theirs", namespace, data={"key": "value"})
    found = Thief(api, request.param, tmp_path_factory.mktemp("thief"))
    wait_for(lambda: works(found), "the roles and the admission policy work", every=EVERY)
    yield found
    forget_roles(api)
    for one in manifests(found.file):
        if one["kind"].startswith("Validating"):
            remove(api, one)  # other tests have other settings
    api.disconnect()


@pytest.fixture
def thief(installed: Thief) -> Iterator[Thief]:
    """Whoever has the token; what is done with it is undone."""
    yield installed
    api = installed.api
    installed.dry = False
    if api.get("secrets", SECRET, "team-a") is None:
        make_secret(api, "builder", "team-a")
    for kind, name, namespace in (
        ("configmaps", state_name("default"), "team-a"),
        ("leases", ACCOUNT, NAMESPACE),
    ):
        if api.get(kind, name, namespace) is not None:
            api.delete(kind, namespace, name, None)


def make_secret(api: KubeApiServer, account: str, namespace: str) -> None:
    meta = managed(account)
    name = meta.pop("name")
    api.create("secrets", name, namespace, type=TYPE, data=CONFIG, metadata=meta)


def forget_roles(api: KubeApiServer) -> None:
    """Take the roles of other modes away, which would add to these."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    for kind in ("clusterrolebindings", "clusterroles"):
        api.ask("DELETE", f"{rbac}/{kind}/{ACCOUNT}")
    for namespace in ("team-a", NAMESPACE):
        for kind in ("rolebindings", "roles"):
            api.ask("DELETE", f"{rbac}/namespaces/{namespace}/{kind}/{ACCOUNT}-accounts")


def other_audiences(thief: Thief) -> None:
    for audiences in ([], [ISSUER], [f"{AUDIENCE}/"], [AUDIENCE, ISSUER]):
        thief.stopped(POLICY_SAYS, *thief.token_request(audiences=audiences))


def long_life(thief: Thief) -> None:
    for seconds in (LIFE + 1, 365 * 86400, 2**32):
        thief.stopped(POLICY_SAYS, *thief.token_request(expirationSeconds=seconds))
    thief.done(*thief.token_request(expirationSeconds=LIFE))


def token_of_any_account(thief: Thief) -> None:
    for account in ("builder", "deployer"):
        said = thief.done(*thief.token_request(account))
        assert thief.api.review(said["status"]["token"], AUDIENCE)


def other_bindings(thief: Thief) -> None:
    named = thief.bound_to("Secret", SECRET)
    nothing = thief.token_request()
    del nothing[2]["spec"]["boundObjectRef"]
    thief.stopped(POLICY_SAYS, *nothing)
    body = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"},
        "spec": {"serviceAccountName": "builder", "containers": [{"name": "a", "image": "a"}]},
    }  # fmt: skip
    assert thief.api.ask("POST", "/api/v1/namespaces/team-a/pods", body)[0] in (201, 409)
    for reference in (
        None,
        thief.bound_to("Secret", "theirs"),
        thief.bound_to("Secret", "opaque"),
        thief.bound_to("Secret", "deployer-pull-secret"),
        thief.bound_to("Pod", "pod"),
        {key: value for key, value in named.items() if key != "uid"},
    ):
        thief.stopped(POLICY_SAYS, *thief.token_request(boundObjectRef=reference))
    thief.api.ask("DELETE", "/api/v1/namespaces/team-a/pods/pod?gracePeriodSeconds=0")


def read_secrets(thief: Thief) -> None:
    """A patch that changes nothing, and a deletion, would answer with the object."""
    if thief.mode == "accounts":
        names = {one["metadata"]["name"] for one in thief.done("GET", "secrets")["items"]}
        assert {"theirs", "opaque"} <= names
    elif thief.mode == "namespaces":
        thief.stopped(RBAC_SAYS, "GET", "secrets")
        thief.stopped(RBAC_SAYS, "GET", "namespaces/team-b/secrets")
        thief.done("GET", "namespaces/team-a/secrets")
    else:
        for path in ("secrets", "namespaces/team-a/secrets", "secrets?watch=true"):
            thief.stopped(RBAC_SAYS, "GET", path)
    for name in ("theirs", "opaque", SECRET):
        thief.stopped(RBAC_SAYS, "GET", f"namespaces/team-a/secrets/{name}")
    for name in ("theirs", "opaque"):
        path = f"namespaces/team-a/secrets/{name}"
        for query in ("?fieldManager=t", "?dryRun=All"):
            thief.stopped(POLICY_SAYS, "PATCH", path + query, {}, MERGE)
        thief.stopped(POLICY_SAYS, "DELETE", f"{path}?dryRun=All")


def change_secrets(thief: Thief) -> None:
    for name in ("theirs", "opaque"):
        path = f"namespaces/team-a/secrets/{name}"
        thief.stopped(POLICY_SAYS, "PATCH", path, {"data": CONFIG}, MERGE)
        thief.stopped(POLICY_SAYS, "DELETE", path)
    bare = {"metadata": {"name": "new"}, "type": TYPE, "data": CONFIG}
    meta = managed("builder")
    # Into one of this type the cluster would write a token of the account for the API server.
    of_account_kind = "kubernetes.io/service-account"
    of_account = {f"{of_account_kind}.name": "builder"}
    for body in (
        bare,
        {**bare, "metadata": {**meta, "name": "new"}},
        {**bare, "metadata": {**managed("new"), "ownerReferences": []}},
        {**bare, "metadata": {**managed("new"), "ownerReferences": [owner("other")]}},
        {**bare, "metadata": {**managed("new"), "labels": {**LABELS, INSTANCE: "mirror"}}},
        {"metadata": managed("new"), "type": "Opaque", "data": CONFIG},
        {
            "metadata": {**managed("new"), "annotations": of_account},
            "type": f"{of_account_kind}-token",
        },
    ):
        thief.stopped(POLICY_SAYS, "POST", "namespaces/team-a/secrets", body)
    thief.stopped(RBAC_SAYS, "DELETE", "namespaces/team-a/secrets")
    thief.stopped(
        RBAC_SAYS, "PUT", f"namespaces/team-a/secrets/{SECRET}", {**bare, "metadata": meta}
    )


def label_secrets_first(thief: Thief) -> None:
    for name in ("theirs", "opaque"):
        path = f"namespaces/team-a/secrets/{name}?fieldManager={MANAGER}&force=true"
        meta = {**managed("builder"), "name": name}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta}
        thief.stopped(POLICY_SAYS, "PATCH", path, body, APPLY)
        thief.stopped(POLICY_SAYS, "PATCH", path.partition("?")[0], {"metadata": meta}, MERGE)


def other_content(thief: Thief) -> None:
    """Such as the token of another account, for a tenant who reads the Secrets of this one."""
    data = {".dockerconfigjson": encoded('{"auths":{"registry.example.com":{"auth":"YTpi"}}}')}
    thief.done("PATCH", f"namespaces/team-a/secrets/{SECRET}", {"data": data}, MERGE)
    thief.done("DELETE", f"namespaces/team-a/secrets/{SECRET}")


def change_accounts(thief: Thief) -> None:
    path = "namespaces/team-a/serviceaccounts/builder"
    by = RBAC_SAYS if thief.mode == "pods" else POLICY_SAYS
    for change in (
        {"metadata": {"annotations": {"role": "admin"}}},
        {"metadata": {"labels": {"role": "admin"}}},
        {"metadata": {"ownerReferences": [owner("other")]}},
        {"metadata": {"finalizers": ["example.com/kept"]}},
        {"automountServiceAccountToken": True},
    ):
        thief.stopped(by, "PATCH", path, change, MERGE)
    thief.stopped(RBAC_SAYS, "DELETE", path)
    thief.stopped(
        RBAC_SAYS, "POST", "namespaces/team-a/serviceaccounts", {"metadata": {"name": "n"}}
    )


def take_lists_away(thief: Thief) -> None:
    request = (
        "PATCH",
        "namespaces/team-a/serviceaccounts/builder",
        {"imagePullSecrets": []},
        MERGE,
    )
    if thief.mode == "pods":
        thief.stopped(RBAC_SAYS, *request)
    else:
        thief.done(*request)


def namespaces_of_the_cluster(thief: Thief) -> None:
    by = RBAC_SAYS if thief.mode == "namespaces" else POLICY_SAYS
    body = {"metadata": managed("new"), "type": TYPE, "data": CONFIG}
    for namespace in ("kube-builders", "openshift-builders"):
        thief.stopped(by, *thief.token_request("builder", namespace))
        thief.stopped(by, "POST", f"namespaces/{namespace}/secrets", body)
        thief.stopped(by, "DELETE", f"namespaces/{namespace}/secrets/{SECRET}")
        if thief.mode != "pods":
            path = f"namespaces/{namespace}/serviceaccounts/builder"
            thief.stopped(by, "PATCH", path, {"imagePullSecrets": [{"name": "a"}]}, MERGE)


def other_namespaces(thief: Thief) -> None:
    """Those that are not named in `select.namespaces`."""
    if thief.mode != "namespaces":
        thief.done(*thief.token_request("builder", "team-b"))
        return
    thief.stopped(RBAC_SAYS, *thief.token_request("builder", "team-b"))
    body = {"metadata": managed("new"), "type": TYPE, "data": CONFIG}
    thief.stopped(RBAC_SAYS, "POST", "namespaces/team-b/secrets", body)
    thief.stopped(RBAC_SAYS, "DELETE", f"namespaces/team-b/secrets/{SECRET}")
    for path in ("secrets", "serviceaccounts"):
        thief.stopped(RBAC_SAYS, "GET", path)


def config_maps(thief: Thief) -> None:
    collection = "namespaces/team-a/configmaps"
    body = {"metadata": {"name": "new"}, "data": {"a": "b"}}
    ours = {"metadata": {"name": state_name("default")}, "data": {"a": "b"}}
    thief.stopped(RBAC_SAYS, "PATCH", f"{collection}/theirs", {"data": {}}, MERGE)
    thief.stopped(RBAC_SAYS, "DELETE", f"{collection}/theirs")
    thief.stopped(RBAC_SAYS, "GET", f"{collection}/theirs")
    if thief.mode == "pods":
        thief.stopped(POLICY_SAYS, "POST", collection, body)
        thief.stopped(
            POLICY_SAYS, "POST", collection, {**body, "metadata": {"generateName": "new-"}}
        )
        thief.done("POST", collection, ours)
    else:
        thief.stopped(RBAC_SAYS, "POST", collection, body)
        thief.stopped(RBAC_SAYS, "POST", collection, ours)


def false_events(thief: Thief) -> None:
    reference = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "namespace": "team-a",
        "name": "builder",
    }
    event = {
        "metadata": {"generateName": "false."}, "involvedObject": reference, "reason": "False",
        "message": "not so", "type": "Warning", "source": {"component": "kubelet"},
    }  # fmt: skip
    thief.done("POST", "namespaces/team-a/events", event)


def hold_the_lease(thief: Thief) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
    spec = {"holderIdentity": "thief", "leaseDurationSeconds": 3600}
    thief.done("POST", path, {"metadata": {"name": ACCOUNT}, "spec": spec})
    elsewhere = path.replace(NAMESPACE, "team-a")
    thief.stopped(RBAC_SAYS, "POST", elsewhere, {"metadata": {"name": ACCOUNT}, "spec": spec})


def more_rights(thief: Thief) -> None:
    """The policy and the roles themselves, and what else would make more of the token."""
    admission = "/apis/admissionregistration.k8s.io/v1"
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    for path in (
        f"{admission}/validatingadmissionpolicies/{ACCOUNT}",
        f"{admission}/validatingadmissionpolicybindings/{ACCOUNT}",
        f"{rbac}/clusterroles/{ACCOUNT}",
        f"{rbac}/clusterrolebindings/{ACCOUNT}",
        f"{rbac}/namespaces/{NAMESPACE}/roles/{ACCOUNT}",
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{ACCOUNT}",
    ):
        for method in ("GET", "DELETE"):
            thief.stopped(RBAC_SAYS, method, path)
        thief.stopped(RBAC_SAYS, "PATCH", path, {}, MERGE)
    pod = {
        "metadata": {"name": "pod"},
        "spec": {"containers": [{"name": "a", "image": "a"}], "serviceAccountName": "builder"},
    }
    thief.stopped(RBAC_SAYS, "POST", "namespaces/team-a/pods", pod)
    headers = {"Authorization": f"Bearer {thief.token}", "Impersonate-User": "admin"}
    answer = thief.api.http.request("GET", f"{thief.api.upstream}/api/v1/nodes", headers=headers)
    assert answer.status == 403, answer.data


ROWS: dict[str, Callable[[Thief], None]] = {
    "request a token for the API server itself, and so act as any account": other_audiences,
    "request a registry token that lives for years": long_life,
    "request a registry token for any account, within `tokenDuration`": token_of_any_account,
    "bind a token to nothing, to a pod, or to a Secret of another name, so that it outlives the pull secret": other_bindings,
    "read Secrets": read_secrets,
    "change or delete a Secret that the controller does not manage": change_secrets,
    "give a Secret the controller's labels first": label_secrets_first,
    "write something else into a pull secret, such as the token of another account, or delete it": other_content,
    "change labels, annotations, owners, finalizers or `automountServiceAccountToken` of an account": change_accounts,
    "take image pull secrets away from accounts, so that pulls fail": take_lists_away,
    "anything in `kube-` and `openshift-` namespaces": namespaces_of_the_cluster,
    "anything in other namespaces": other_namespaces,
    "write ConfigMaps of others": config_maps,
    "write Events that are not true": false_events,
    "hold the Lease, so that no controller works": hold_the_lease,
    "change roles or the admission policy, run pods, act as somebody else": more_rights,
}  # fmt: skip


def test_the_table_of_the_threat_model_has_these_rows_and_no_other(repository: Path) -> None:
    text = (repository / "docs" / "threat-model.md").read_text()
    part = text.partition("\n## The Kubernetes controller\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (.+?) \| (.+?) \|$", part, re.MULTILINE)

    assert [attempt for attempt, _ in found if not attempt.startswith(("---", "attempt"))] == list(
        ROWS
    )


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda one: one.__name__)
@pytest.mark.parametrize("installed", MODES, indirect=True)
def test_k15_a_stolen_token_can_do_what_the_threat_model_says(
    thief: Thief, row: Callable[[Thief], None]
) -> None:
    row(thief)


@pytest.mark.parametrize("installed", ["accounts", "pods"], indirect=True)
def test_k4_each_part_of_the_admission_policy_stops_something(thief: Thief) -> None:
    """Without any one of its validations, a row is not what the threat model says."""
    (policy,) = [one for one in manifests(thief.file) if one["kind"] == "ValidatingAdmissionPolicy"]
    thief.dry = True
    for number, validation in enumerate(policy["spec"]["validations"]):
        if thief.mode == "pods" and "of an account are changed" in validation["message"]:
            continue  # RBAC refuses it there
        less = copy.deepcopy(policy)
        less["spec"]["validations"][number] = {"expression": "true"}
        assert put(thief.api, policy)[0] == 200
        wait_for(lambda: stops(thief), "the whole policy works", every=EVERY)
        assert put(thief.api, less)[0] == 200
        wait_for(
            lambda: not stops(thief), f"an attack without `{validation['message']}`", every=EVERY
        )
    assert put(thief.api, policy)[0] == 200


def stops(thief: Thief) -> bool:
    """Tell whether what the admission policy has to stop is stopped."""
    rows = [
        *(other_audiences, long_life, other_bindings, change_secrets, label_secrets_first),
        *(change_accounts, namespaces_of_the_cluster, config_maps),
    ]
    try:
        for row in rows:
            row(thief)
    except AssertionError:
        return False
    return True
