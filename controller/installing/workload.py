"""
What runs the controller: the Deployment, and what keeps it running and apart from others.

Not here: its configuration, and what it may do.
"""

from collections.abc import Mapping
from typing import Final

from regauth.controller.naming import installed_name
from regauth.controller.observing.cluster import Object
from regauth.controller.settings import Settings

from .objects import head, labels_of

FOLDER: Final = "/etc/regauth"
_PORT: Final = 8080


def deployment(settings: Settings, image: str, namespace: str, paths: Mapping[str, str]) -> Object:
    """
    Return the Deployment.

    Args:
        settings: Where it listens, and whether leaders are elected.
        image: The image that has kube-controller.
        namespace: Where it runs.
        paths: Where each key of its ConfigMap is mounted.
    """
    name = installed_name(settings.instance)
    labels = labels_of(settings)
    items = [{"key": key, "path": path} for key, path in paths.items()]
    volume = {"name": name, "items": items}
    pod = {
        "serviceAccountName": name,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(settings, image)],
        "volumes": [{"name": "configuration", "configMap": volume}],
    }
    return {
        **head("apps/v1", "Deployment", settings, namespace),
        "spec": {
            "replicas": 2 if settings.election else 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _container(settings: Settings, image: str) -> Object:
    port = settings.listen[1] if settings.listen else _PORT
    return {
        "name": installed_name(settings.instance),
        "image": image,
        "command": ["kube-controller", f"--config={FOLDER}/controller.yaml"],
        "ports": [{"name": "http", "containerPort": port}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"memory": "512Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "configuration", "mountPath": FOLDER, "readOnly": True}],
    }


def disruption_budget(settings: Settings, namespace: str) -> Object:
    """Return what keeps one of the replicas while nodes are drained, ready or not."""
    return {
        **head("policy/v1", "PodDisruptionBudget", settings, namespace),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": labels_of(settings)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def network_policy(settings: Settings, namespace: str) -> Object:
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
