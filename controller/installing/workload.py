"""
What runs the controller: the Deployment, and what keeps it running and apart from others.

What lives here: the Deployment, the PodDisruptionBudget and the NetworkPolicy.  Not here: its
configuration (`manifests`), and what it may do (`permissions`).
"""

from collections.abc import Mapping
from typing import Final

from regauth.controller.naming import installed_name
from regauth.controller.observing.cluster import Object
from regauth.controller.settings import ControllerSettings

from .objects import head, labels_of

FOLDER: Final = "/etc/regauth"
SETTINGS: Final = "controller.yaml"
_PORT: Final = 8080
_SPREAD: Final = {
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "ScheduleAnyway",
}


def deployment(
    settings: ControllerSettings,
    image: str,
    namespace: str,
    paths: Mapping[str, str],
    policy: str = "",
) -> Object:
    """
    Return the Deployment.

    Args:
        settings: Where it listens, and whether leaders are elected.
        image: The image that has kube-controller.
        namespace: Where it runs.
        paths: Where each key of its ConfigMap is mounted.
        policy: The ConfigMap that has the policy, where its own has the settings alone.
    """
    name = installed_name(settings.instance)
    labels = labels_of(settings)
    volumes, mounts = _volumes(name, paths, policy)
    pod = {
        "serviceAccountName": name,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [{**_SPREAD, "labelSelector": {"matchLabels": labels}}],
        "containers": [{**_container(settings, image), "volumeMounts": mounts}],
        "volumes": volumes,
    }
    return {
        **head("apps/v1", "Deployment", settings, namespace),
        "spec": {
            "replicas": 2 if settings.election else 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _volumes(name: str, paths: Mapping[str, str], policy: str) -> tuple[list[Object], list[Object]]:
    """Return the pod's volumes and where they are mounted."""
    items = [{"key": key, "path": path} for key, path in paths.items()]
    volumes: list[Object] = [{"name": "configuration", "configMap": {"name": name, "items": items}}]
    mount: Object = {"name": "configuration", "mountPath": FOLDER, "readOnly": True}
    mounts = [mount]
    if policy:
        # A folder in a mounted ConfigMap cannot be made: the settings are mounted as a file.
        mount |= {"mountPath": f"{FOLDER}/{SETTINGS}", "subPath": SETTINGS}
        volumes.append({"name": "policy", "configMap": {"name": policy}})
        mounts.append({"name": "policy", "mountPath": f"{FOLDER}/policy", "readOnly": True})
    volumes.append({"name": "temporary", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}})
    mounts.append({"name": "temporary", "mountPath": "/tmp"})  # noqa: S108 - a volume of the pod
    return volumes, mounts


def _container(settings: ControllerSettings, image: str) -> Object:
    port = settings.listen[1] if settings.listen else _PORT
    return {
        "name": installed_name(settings.instance),
        "image": image,
        "command": ["kube-controller", f"--config={FOLDER}/{SETTINGS}"],
        "ports": [{"name": "http", "containerPort": port}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5},
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"memory": "512Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def disruption_budget(settings: ControllerSettings, namespace: str) -> Object:
    """Return what keeps one of the replicas while nodes are drained, ready or not."""
    return {
        **head("policy/v1", "PodDisruptionBudget", settings, namespace),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": labels_of(settings)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def network_policy(settings: ControllerSettings, namespace: str) -> Object:
    """Admit probes and Prometheus; let out what the API server and DNS need."""
    return {
        **head("networking.k8s.io/v1", "NetworkPolicy", settings, namespace),
        "spec": {
            "podSelector": {"matchLabels": labels_of(settings)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"port": "http"}]}],
            "egress": [
                {"ports": [{"port": 443}, {"port": 6443}]},
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
            ],
        },
    }
