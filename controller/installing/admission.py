"""
What the controller's account is held to beyond its permissions: a ValidatingAdmissionPolicy.

What lives here: the rules that RBAC cannot state.  Not here: permissions, which are
`regauth.controller.installing.manifests`'.

RBAC restricts the permission to request tokens to no audience and the one on secrets to no type
and no label: whoever took over the controller could request a token of any account for the API
server itself.  With this policy it is a token for a registry, bound to a secret, or none.

Source: Kubernetes documentation, "Validating Admission Policy" (GA since 1.30).
"""

import json
from typing import Final

from regauth.controller.naming import MANAGED_BY, MANAGER
from regauth.controller.observing import docker_config
from regauth.controller.observing.cluster import Object
from regauth.controller.settings import Settings

ADMISSION: Final = "admissionregistration.k8s.io/v1"
_SUBRESOURCE: Final = 'request.?subResource.orValue("")'
_KEPT: Final = ("labels", "annotations", "ownerReferences", "finalizers")
"""What the controller leaves alone of an account's metadata."""


def admission_policy(settings: Settings, account: str) -> Object:
    """
    Return the `spec` of the policy.

    Args:
        settings: The registries' audiences, and whether `kube-` namespaces are taken.
        account: The user name of the controller's account.
    """
    rules = [
        _rule("serviceaccounts/token", "CREATE"),
        _rule("serviceaccounts", "UPDATE"),
        _rule("secrets", "CREATE", "UPDATE", "DELETE"),
    ]
    user = f"request.userInfo.username == {json.dumps(account)}"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules},
        "matchConditions": [{"name": "is-the-controller", "expression": user}],
        "validations": _validations(settings),
    }


def _validations(settings: Settings) -> list[Object]:
    """Return what must hold of each request of the controller's account."""
    audiences = sorted({one.audience for one in settings.registries})
    on_tokens = f'{_SUBRESOURCE} == "token"'
    on_secrets = 'request.resource.resource == "secrets"'
    on_accounts = f'request.resource.resource == "serviceaccounts" && {_SUBRESOURCE} == ""'
    validations = [
        _validation(
            on_tokens,
            f"object.spec.audiences.all(one, one in {json.dumps(audiences)})",
            "tokens are requested for the audiences of the registries alone",
        ),
        _validation(
            on_tokens,
            'object.spec.?boundObjectRef.kind.orValue("") == "Secret"',
            "tokens are bound to a secret",
        ),
        _validation(
            on_secrets,
            f'(request.operation == "DELETE" || {_ours("object")})'
            f' && (request.operation == "CREATE" || {_ours("oldObject")})',
            "only pull secrets that the controller manages are written and deleted",
        ),
        _validation(
            on_accounts,
            " && ".join(f"object.metadata.?{one} == oldObject.metadata.?{one}" for one in _KEPT)
            + " && object.?automountServiceAccountToken == oldObject.?automountServiceAccountToken",
            "only the lists of secrets of an account are changed",
        ),
    ]
    if not settings.selection.kube_namespaces:
        outside = '!request.namespace.startsWith("kube-")'
        validations.append(_validation("true", outside, "kube- namespaces are left alone"))
    return validations


def _rule(resource: str, *operations: str) -> Object:
    return {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": list(operations),
        "resources": [resource],
    }


def _validation(concerned: str, holds: str, message: str) -> Object:
    expression = f"!({concerned}) || ({holds})"
    return {"expression": expression, "message": message, "reason": "Forbidden"}


def _ours(name: str) -> str:
    label = f'{name}.metadata.?labels[?{json.dumps(MANAGED_BY)}].orValue("")'
    return f"({name}.type == {json.dumps(docker_config.TYPE)} && {label} == {json.dumps(MANAGER)})"
