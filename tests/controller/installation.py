"""The manifests in a real cluster: created as `kubectl apply --server-side` does."""

import threading
import time
from pathlib import Path
from typing import Any

from regauth.controller.configuration import read_configuration
from regauth.controller.installing.manifests import controller_manifests
from regauth.controller.installing.plugin import plugin_manifests

from .kube_apiserver import PATIENCE, KubeApiServer
from .listening import Object

NAMESPACE = "regauth"
ACCOUNT = "regauth-controller"
PLURALS = {
    "ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings", "ConfigMap": "configmaps",
    "Deployment": "deployments", "Namespace": "namespaces", "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets", "Role": "roles", "RoleBinding": "rolebindings",
    "ServiceAccount": "serviceaccounts", "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}  # fmt: skip


def manifests(file: Path) -> list[Object]:
    """Return all that `kube-controller manifests` writes for the API server."""
    settings = read_configuration(file).settings
    rbac = plugin_manifests(settings)
    return [*controller_manifests(settings, file, "regauth:1", NAMESPACE), *rbac]


def put(api: KubeApiServer, manifest: Object, parameters: str = "") -> tuple[int, Any]:
    """Apply a manifest, as an administrator; unknown fields are errors."""
    version, meta = manifest["apiVersion"], manifest["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    home = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
    path = f"{root}{home}/{PLURALS[manifest['kind']]}/{meta['name']}"
    query = f"?fieldManager=kubectl&force=true&fieldValidation=Strict{parameters}"
    return api.ask("PATCH", path + query, manifest, content_type="application/apply-patch+yaml")


def install(api: KubeApiServer, file: Path) -> str:
    """
    Create everything but the Deployment; return a token of the account it would run as.

    RBAC is eventual: the API server sees new roles a moment after it has stored them.
    """
    made = manifests(file)
    for manifest in made:
        if manifest["kind"] != "Deployment":
            status, said = put(api, manifest)
            assert status in (200, 201), said
    token = token_of(api, NAMESPACE, ACCOUNT)
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE
    named = [
        one["metadata"]["namespace"]
        for one in made
        if one["kind"] == "Role" and one["metadata"]["name"] != ACCOUNT
    ]
    secrets = f"/api/v1/namespaces/{named[0]}/secrets" if named else "/api/v1/secrets"
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{ACCOUNT}"
    while 403 in (api.ask("GET", path, token=token)[0] for path in (secrets, lease)):
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
