"""The manifests in a real cluster: created as `kubectl apply --server-side` does."""

import threading
import time
from pathlib import Path
from typing import Any

from regauth.controller.configuration import read_configuration
from regauth.controller.installing.manifests import controller_manifests
from regauth.controller.installing.plugin import plugin_manifests
from regauth.controller.installing.pod_admission import STABLE_SINCE

from .kube_apiserver import PATIENCE, KubeApiServer
from .listening import Object

NAMESPACE = "regauth"
ACCOUNT = "regauth-controller"
PLURALS = {
    "ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings", "ConfigMap": "configmaps",
    "Deployment": "deployments", "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings", "Namespace": "namespaces", "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets", "Role": "roles", "RoleBinding": "rolebindings",
    "ServiceAccount": "serviceaccounts", "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}  # fmt: skip


def manifests(file: Path, version: tuple[int, int] = STABLE_SINCE) -> list[Object]:
    """Return all that `kube-controller manifests` writes for the API server."""
    settings = read_configuration(file).settings
    rbac = plugin_manifests(settings)
    return [*controller_manifests(settings, file, "regauth:1", NAMESPACE, version), *rbac]


def place(manifest: Object) -> str:
    """Return the path of an object."""
    version, meta = manifest["apiVersion"], manifest["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    home = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
    return f"{root}{home}/{PLURALS[manifest['kind']]}/{meta['name']}"


def put(api: KubeApiServer, manifest: Object, parameters: str = "") -> tuple[int, Any]:
    """Apply a manifest, as an administrator; unknown fields are errors."""
    query = f"?fieldManager=kubectl&force=true&fieldValidation=Strict{parameters}"
    kind = "application/apply-patch+yaml"
    return api.ask("PATCH", place(manifest) + query, manifest, content_type=kind)


def remove(api: KubeApiServer, manifest: Object) -> None:
    """Delete what a manifest made, if it is there."""
    assert api.ask("DELETE", place(manifest))[0] in (200, 404)


def install(api: KubeApiServer, file: Path, account: str = ACCOUNT) -> str:
    """
    Create everything but the Deployment; return a token of the account it would run as.

    RBAC is eventual: the API server sees new roles a moment after it has stored them.
    """
    made = manifests(file, api.version)
    for manifest in made:
        if manifest["kind"] != "Deployment":
            status, said = put(api, manifest)
            assert status in (200, 201), said
    token = token_of(api, NAMESPACE, account)
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE
    named = [
        one["metadata"]["namespace"]
        for one in made
        if one["kind"] == "Role" and one["metadata"]["name"] != account
    ]
    accounts = f"/api/v1{f'/namespaces/{named[0]}' if named else ''}/serviceaccounts"
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{account}"
    while 403 in (api.ask("GET", one, token=token)[0] for one in (accounts, lease)):
        assert time.monotonic() < deadline, "the permissions are not granted"
        pause.wait(0.05)
    return token


def token_of(
    api: KubeApiServer, namespace: str, name: str, audience: str | None = None, **spec: object
) -> str:
    """Request a token as an administrator; by default one for the API server."""
    body = {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": [audience] if audience else [], **spec},
    }  # fmt: skip
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    status, made = api.ask("POST", path, body)
    assert status == 201, made
    return str(made["status"]["token"])
