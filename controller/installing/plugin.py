"""
The kubelets' credential provider: the file on each node, and the permission it needs.

What lives here: the kubelet's configuration and the role of the nodes.  Not here: the program
(`regauth.controller.helpers.kubelet_plugin`).

Source: Kubernetes documentation, "Configure a kubelet image credential provider", and "Service
account token for image pulls" (KEP-4412).
"""

from typing import Final

from regauth.controller.naming import DEFAULT_INSTANCE
from regauth.controller.observing.cluster import Object
from regauth.controller.settings import ControllerSettings

from .objects import RBAC, binding, head

PLUGIN: Final = "regauth-credential-provider"
CACHE_TYPE_SINCE: Final = (1, 34)
"""The kubelet of 1.33 refuses the field `cacheType`, and later ones require it."""


def kubelet_configuration(settings: ControllerSettings, version: tuple[int, int]) -> Object:
    """
    Return the CredentialProviderConfig: a file on each node, and no object of the API.

    Args:
        settings: The registries.
        version: The kubelets' version.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for one in settings.registries:
        groups.setdefault((one.audience, one.username), []).append(one.host)
    providers = [
        _credential_provider(number, audience, username, hosts)
        for number, ((audience, username), hosts) in enumerate(sorted(groups.items()))
    ]
    if version < CACHE_TYPE_SINCE:
        for provider in providers:
            del provider["tokenAttributes"]["cacheType"]
    return {
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": providers,
    }


def plugin_manifests(settings: ControllerSettings) -> list[Object]:
    """
    Return the RBAC with which kubelets may request tokens of the registries' audiences.

    The verb is `request-serviceaccounts-token-audience`; the audience is the resource.
    """
    audiences = sorted({one.audience for one in settings.registries})
    other = settings.instance != DEFAULT_INSTANCE
    name = f"{PLUGIN}-audiences" + (f"-{settings.instance}" if other else "")
    allowed = {
        "apiGroups": [""],
        "resources": audiences,
        "verbs": ["request-serviceaccounts-token-audience"],
    }
    kubelets = [{"apiGroup": RBAC.partition("/")[0], "kind": "Group", "name": "system:nodes"}]
    return [
        {**head(RBAC, "ClusterRole", settings, "", name), "rules": [allowed]},
        binding("ClusterRole", settings, "", kubelets, name),
    ]


def _credential_provider(number: int, audience: str, username: str, hosts: list[str]) -> Object:
    registries = dict.fromkeys(host.partition("/")[0] for host in hosts)
    return {
        # The kubelet finds the program by this name; further ones are links to it.
        "name": f"{PLUGIN}-{number + 1}" if number else PLUGIN,
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "matchImages": hosts,
        "defaultCacheDuration": "0s",
        "args": [
            *(f"--registry={registry}" for registry in registries),
            f"--username={username}",
        ],
        "tokenAttributes": {
            "serviceAccountTokenAudience": audience,
            "cacheType": "Token",
            "requireServiceAccount": True,
        },
    }
