"""
Parts of Kubernetes objects that many manifests have.

What lives here: labels, metadata, and the rules and bindings of roles.  Not here: which objects
there are (`manifests`).
"""

from typing import Any, Final

from regauth.controller.naming import installed_name
from regauth.controller.observing.cluster import Object
from regauth.controller.settings import ControllerSettings

RBAC: Final = "rbac.authorization.k8s.io/v1"
NAME_LABEL: Final = "app.kubernetes.io/name"


def labels_of(settings: ControllerSettings) -> dict[str, str]:
    """Return the labels of what is installed, by which its pods are selected too."""
    return {NAME_LABEL: installed_name(settings.instance)}


def head(
    version: str, kind: str, settings: ControllerSettings, namespace: str = "", name: str = ""
) -> Object:
    """Return the beginning of an object; by default it is called as the instance is."""
    meta: Object = {
        "name": name or installed_name(settings.instance),
        "labels": labels_of(settings),
    }
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": meta}


def rule(resources: list[str], verbs: list[str]) -> Object:
    """Return a permission on resources of the core group."""
    return {"apiGroups": [""], "resources": resources, "verbs": verbs}


def binding(
    kind: str, settings: ControllerSettings, namespace: str, subjects: list[Any], name: str = ""
) -> Object:
    """Return what gives a role of the same name to subjects."""
    found = head(RBAC, f"{kind}Binding", settings, namespace, name)
    reference = {
        "apiGroup": RBAC.partition("/")[0],
        "kind": kind,
        "name": found["metadata"]["name"],
    }
    return {**found, "roleRef": reference, "subjects": subjects}
