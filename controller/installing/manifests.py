"""
The manifests that install the controller and the kubelets' credential provider.

What lives here: Kubernetes objects made from the settings and the policy they name.
Not here: anything that is not needed: every permission here has a request that fails without it.
"""

from pathlib import Path
from typing import Any, Final

from regauth.controller.observing.cluster import Object
from regauth.controller.settings import Settings
from regauth.engine.files import read_policy_folder
from regauth.engine.source.addresses import is_loopback

from .admission import ADMISSION, admission_policy

_NAME: Final = "regauth-controller"
_LABELS: Final = {"app.kubernetes.io/name": _NAME}
_FOLDER: Final = "/etc/regauth"
_RBAC: Final = "rbac.authorization.k8s.io/v1"
_PLUGIN: Final = "regauth-credential-provider"
_MAX_CONFIG_MAP: Final = 1024 * 1024
_PORT: Final = 8080


class ManifestError(ValueError):
    """The settings cannot be put into manifests; the message says why."""


def controller_manifests(
    settings: Settings, file: Path, image: str, namespace: str
) -> list[Object]:
    """
    Return what runs the controller, in the order to create it.

    The settings and the policy become one ConfigMap.

    Raises:
        ManifestError: They do not fit into one, the Lease is in another namespace, or nobody but
            the pod itself could reach the endpoints.
    """
    if settings.listen is not None and is_loopback(settings.listen[0]):
        raise ManifestError(
            f"`listen` names {settings.listen[0]}, where the kubelet cannot reach the probes:"
            f' write `listen: "*:{settings.listen[1]}"`'
        )
    election = settings.election
    if election is not None and election.namespace != namespace:
        raise ManifestError(
            f"the Lease is in {election.namespace!r} and the controller in {namespace!r}:"
            f" write `election: {{namespace: {namespace}}}` or --namespace {election.namespace}"
        )
    files = _files(settings, file)
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {**_head("v1", "ServiceAccount", namespace), "automountServiceAccountToken": True},
        {
            **_head("v1", "ConfigMap", namespace),
            "data": {_key(path): text for path, text in files.items()},
        },
        *_permissions(namespace, election.name if election else ""),
        *_admission(settings, namespace),
        _deployment(settings, image, namespace, sorted(files)),
        {
            **_head("policy/v1", "PodDisruptionBudget", namespace),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _LABELS}},
        },
        _network_policy(namespace),
    ]


def plugin_manifests(settings: Settings) -> list[Object]:
    """
    Return the kubelets' CredentialProviderConfig, a file on each node, and its RBAC.

    Source: Kubernetes documentation, "Configure a kubelet image credential provider", and
    "Service account token for image pulls" (KEP-4412): the verb
    `request-serviceaccounts-token-audience` lets kubelets request tokens of an audience.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for one in settings.registries:
        groups.setdefault((one.audience, one.username), []).append(one.host)
    providers = [
        _credential_provider(number, audience, username, hosts)
        for number, ((audience, username), hosts) in enumerate(sorted(groups.items()))
    ]
    audiences = sorted({audience for audience, _ in groups})
    name = f"{_PLUGIN}-audiences"
    rule = {
        "apiGroups": [""],
        "resources": audiences,
        "verbs": ["request-serviceaccounts-token-audience"],
    }
    kubelets = [{"apiGroup": _RBAC.partition("/")[0], "kind": "Group", "name": "system:nodes"}]
    return [
        {
            "apiVersion": "kubelet.config.k8s.io/v1",
            "kind": "CredentialProviderConfig",
            "providers": providers,
        },
        {**_head(_RBAC, "ClusterRole", "", name), "rules": [rule]},
        _binding("ClusterRole", "", name, kubelets),
    ]


def _credential_provider(number: int, audience: str, username: str, hosts: list[str]) -> Object:
    registries = dict.fromkeys(host.partition("/")[0] for host in hosts)
    return {
        # The kubelet finds the program by this name; further ones are links to it.
        "name": f"{_PLUGIN}-{number + 1}" if number else _PLUGIN,
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


def _head(version: str, kind: str, namespace: str, name: str = _NAME) -> Object:
    meta: Object = {"name": name, "labels": dict(_LABELS)}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": meta}


def _files(settings: Settings, file: Path) -> dict[str, str]:
    """
    Return settings and policy by their paths below the configuration file's folder.

    Raises:
        ManifestError: The policy is elsewhere, or all together is too large.
    """
    assert settings.policy is not None  # noqa: S101 - a configuration file names one
    try:
        folder = settings.policy.relative_to(file.parent)
    except ValueError:
        folder = Path("..")
    if ".." in folder.parts:
        raise ManifestError(f"{settings.policy} is not below {file.parent}: move the policy there")
    files = {"controller.yaml": file.read_text(encoding="utf-8")}
    for name, content in read_policy_folder(settings.policy).items():
        files[(folder / name).as_posix()] = content.decode()
    if sum(map(len, files.values())) > _MAX_CONFIG_MAP:
        raise ManifestError("the policy is too large for a ConfigMap; put it into an image")
    return files


def _key(path: str) -> str:
    return path.replace("/", "..")


def _permissions(namespace: str, lease: str) -> list[Object]:
    """
    Return the roles: cluster-wide what accounts need, in its own namespace what the Lease needs.

    Secrets can be listed by type, but no permission can be restricted to a type or a label.
    """
    rules = [
        _rule(["namespaces"], ["list", "watch"]),
        _rule(["serviceaccounts"], ["list", "watch", "patch"]),
        _rule(["serviceaccounts/token"], ["create"]),
        _rule(["secrets"], ["list", "watch", "create", "patch", "delete"]),
        _rule(["events"], ["create"]),
        {"nonResourceURLs": ["/openid/v1/jwks"], "verbs": ["get"]},
    ]
    account = [{"kind": "ServiceAccount", "name": _NAME, "namespace": namespace}]
    made = [
        {**_head(_RBAC, "ClusterRole", ""), "rules": rules},
        _binding("ClusterRole", "", _NAME, account),
    ]
    if lease:
        leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
        own = [
            {**leases, "verbs": ["create"]},
            {**leases, "resourceNames": [lease], "verbs": ["get", "update"]},
        ]
        made += [
            {**_head(_RBAC, "Role", namespace), "rules": own},
            _binding("Role", namespace, _NAME, account),
        ]
    return made


def _rule(resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [""], "resources": resources, "verbs": verbs}


def _binding(kind: str, namespace: str, name: str, subjects: list[Any]) -> Object:
    reference = {"apiGroup": _RBAC.partition("/")[0], "kind": kind, "name": name}
    head = _head(_RBAC, f"{kind}Binding", namespace, name)
    return {**head, "roleRef": reference, "subjects": subjects}


def _admission(settings: Settings, namespace: str) -> list[Object]:
    account = f"system:serviceaccount:{namespace}:{_NAME}"
    spec = {"policyName": _NAME, "validationActions": ["Deny"]}
    return [
        {
            **_head(ADMISSION, "ValidatingAdmissionPolicy", ""),
            "spec": admission_policy(settings, account),
        },
        {**_head(ADMISSION, "ValidatingAdmissionPolicyBinding", ""), "spec": spec},
    ]


def _deployment(settings: Settings, image: str, namespace: str, paths: list[str]) -> Object:
    items = [{"key": _key(path), "path": path} for path in paths]
    volume = {"name": _NAME, "items": items}
    port = settings.listen[1] if settings.listen else _PORT
    container = {
        "name": _NAME,
        "image": image,
        "command": ["kube-controller", f"--config={_FOLDER}/controller.yaml"],
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
        "volumeMounts": [{"name": "configuration", "mountPath": _FOLDER, "readOnly": True}],
    }
    pod = {
        "serviceAccountName": _NAME,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": volume}],
    }
    return {
        **_head("apps/v1", "Deployment", namespace),
        "spec": {
            "replicas": 2 if settings.election else 1,
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }


def _network_policy(namespace: str) -> Object:
    """Admit probes and Prometheus; let out what the API server and DNS need."""
    return {
        **_head("networking.k8s.io/v1", "NetworkPolicy", namespace),
        "spec": {
            "podSelector": {"matchLabels": _LABELS},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"port": "http"}]}],
            "egress": [
                {"ports": [{"port": 443}, {"port": 6443}]},
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
            ],
        },
    }
