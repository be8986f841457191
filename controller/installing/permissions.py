"""
The roles that the controller needs: every permission here has a request that fails without it.

What lives here: the service account, its roles and their bindings.  Not here: what permissions
cannot say (`regauth.controller.installing.admission`).
"""

from regauth.controller.naming import installed_name, state_name
from regauth.controller.observing.cluster import Object
from regauth.controller.settings import Attachment, ControllerSettings, Memory

from .objects import RBAC, binding, head, rule


def service_account(settings: ControllerSettings, namespace: str) -> Object:
    """Return the account that the controller runs as; its own pods alone mount its token."""
    found = head("v1", "ServiceAccount", settings, namespace)
    return {**found, "automountServiceAccountToken": False}


def permissions(settings: ControllerSettings, namespace: str) -> list[Object]:
    """
    Return the roles: what accounts need, and in its own namespace what the Lease needs.

    What accounts need is a ClusterRole, or a Role in each namespace that the settings name.  A Role
    permits neither to list namespaces nor to read the cluster's keys; a binding that each cluster
    begins with permits every account to read them (Kubernetes documentation, "Service account
    issuer discovery").  Secrets can be listed by type, but no permission can be restricted to a
    type or a label.
    """
    account = [_subject(settings, namespace)]
    made = namespaced_permissions(settings, namespace)
    if not settings.selection.namespaces:
        rules = [
            rule(["namespaces"], ["list", "watch"]),
            *_of_accounts(settings),
            {"nonResourceURLs": ["/openid/v1/jwks"], "verbs": ["get"]},
        ]
        made = [
            {**head(RBAC, "ClusterRole", settings), "rules": rules},
            binding("ClusterRole", settings, "", account),
        ]
    if settings.election is not None:
        leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
        own = [
            {**leases, "verbs": ["create"]},
            {**leases, "resourceNames": [settings.election.name], "verbs": ["get", "update"]},
        ]
        made += [
            {**head(RBAC, "Role", settings, namespace), "rules": own},
            binding("Role", settings, namespace, account),
        ]
    return made


def namespaced_permissions(settings: ControllerSettings, namespace: str) -> list[Object]:
    """Return the Role and its binding in each namespace that the settings name."""
    account, name = [_subject(settings, namespace)], f"{installed_name(settings.instance)}-accounts"
    made = []
    for one in settings.selection.namespaces:
        role = head(RBAC, "Role", settings, one, name)
        made += [
            {**role, "rules": _of_accounts(settings)},
            binding("Role", settings, one, account, name),
        ]
    return made


def _subject(settings: ControllerSettings, namespace: str) -> Object:
    name = installed_name(settings.instance)
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _of_accounts(settings: ControllerSettings) -> list[Object]:
    return [
        rule(["serviceaccounts"], ["list", "watch", *_patch(settings)]),
        rule(["serviceaccounts/token"], ["create"]),
        *_memory(settings),
        rule(["events"], ["create"]),
    ]


def _patch(settings: ControllerSettings) -> list[str]:
    return ["patch"] if settings.attach_to == Attachment.ACCOUNTS else []


def _memory(settings: ControllerSettings) -> list[Object]:
    """
    Return the permissions on Secrets, and on the ConfigMaps where Secrets are not read.

    A list by name is a request for this name (Kubernetes documentation, "Using RBAC
    Authorization", "Referring to resources"); the creation of a ConfigMap knows no name.
    """
    if settings.memory == Memory.SECRETS:
        return [rule(["secrets"], ["list", "watch", "create", "patch", "delete"])]
    named = {"resourceNames": [state_name(settings.instance)]}
    return [
        rule(["secrets"], ["create", "patch", "delete"]),
        rule(["configmaps"], ["create"]),
        {**rule(["configmaps"], ["list", "patch"]), **named},
    ]
