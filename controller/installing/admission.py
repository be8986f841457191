"""
What the controller's account is held to beyond its permissions: a ValidatingAdmissionPolicy.

What lives here: the rules that RBAC cannot state.  Not here: permissions
(`regauth.controller.installing.permissions`).

RBAC restricts the permission to request tokens to no audience and the one on secrets to no type
and no label: whoever took over the controller could request a token of any account for the API
server itself.  With this policy it is a token for a registry, bound to a secret, or none.

Source: Kubernetes documentation, "Validating Admission Policy" (GA since 1.30).
"""

import json
from typing import Final

from regauth.controller.naming import (
    INSTANCE,
    LONG_SUFFIX,
    MANAGED_BY,
    MANAGER,
    MAX_NAME,
    NOT_MANAGED,
    SYSTEM_NAMESPACES,
    installed_name,
    name_ending,
    state_name,
)
from regauth.controller.observing import docker_config
from regauth.controller.observing.cluster import Object
from regauth.controller.settings import ControllerSettings, Memory

from .objects import head

ADMISSION: Final = "admissionregistration.k8s.io/v1"
_SUBRESOURCE: Final = 'request.?subResource.orValue("")'
_KEPT: Final = ("labels", "annotations", "ownerReferences", "finalizers")
"""What the controller leaves alone of an account's metadata."""
_COMPARED: Final = 100
"""Characters of a long account name that its secret's name begins with, whatever the instance."""


def admission(settings: ControllerSettings, namespace: str) -> list[Object]:
    """Return the policy for the account of a controller in a namespace, and its binding."""
    name = installed_name(settings.instance)
    account = f"system:serviceaccount:{namespace}:{name}"
    return [
        {
            **head(ADMISSION, "ValidatingAdmissionPolicy", settings),
            "spec": admission_policy(settings, account),
        },
        {
            **head(ADMISSION, "ValidatingAdmissionPolicyBinding", settings),
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    ]


def admission_policy(settings: ControllerSettings, account: str) -> Object:
    """
    Return the `spec` of the policy.

    Args:
        settings: The registries' audiences, the life of their tokens, and whether the cluster's
            own namespaces are taken.
        account: The user name of the controller's account.
    """
    rules = [
        _rule("serviceaccounts/token", "CREATE"),
        _rule("serviceaccounts", "UPDATE"),
        _rule("secrets", "CREATE", "UPDATE", "DELETE"),
    ]
    if settings.memory == Memory.CONFIG_MAPS:
        rules.append(_rule("configmaps", "CREATE", "UPDATE", "DELETE"))
    user = f"request.userInfo.username == {json.dumps(account)}"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules},
        "matchConditions": [{"name": "is-the-controller", "expression": user}],
        "validations": [
            *_of_tokens(settings),
            *_of_secrets(settings),
            *_of_config_maps(settings),
            _of_accounts(),
            *_of_namespaces(settings),
        ],
    }


def _of_tokens(settings: ControllerSettings) -> list[Object]:
    """
    Return what holds for TokenRequests.

    The API server takes an `expirationSeconds` of 136 years, and a token server that verifies the
    signature alone would take the token for as long.
    """
    audiences = sorted({one.audience for one in settings.registries})
    longest = max(one.token_duration for one in settings.registries)
    seconds = int(longest.total_seconds())
    bound = "object.spec.?boundObjectRef"
    named = _named(f'{bound}.name.orValue("")', "request.name", settings)
    on_tokens = f'{_SUBRESOURCE} == "token"'
    return [
        _validation(
            on_tokens,
            "object.spec.audiences.size() > 0"
            f" && object.spec.audiences.all(one, one in {json.dumps(audiences)})",
            "tokens are requested for the audiences of the registries alone",
        ),
        _validation(
            on_tokens,
            f'{bound}.kind.orValue("") == "Secret" && {bound}.uid.orValue("") != "" && {named}',
            "tokens are bound to the pull secret of their account",
        ),
        _validation(
            on_tokens,
            f"object.spec.?expirationSeconds.orValue(3600) <= {seconds}",
            f"tokens live for {seconds} seconds at most",
        ),
    ]


def _of_secrets(settings: ControllerSettings) -> list[Object]:
    on_secrets = 'request.resource.resource == "secrets"'
    owner = 'one.kind == "ServiceAccount" && one.apiVersion == "v1"'
    named = _named("object.metadata.name", "one.name", settings)
    return [
        _validation(
            on_secrets,
            f'(request.operation == "DELETE" || {_ours("object", settings)})'
            f' && (request.operation == "CREATE" || {_ours("oldObject", settings)})',
            NOT_MANAGED,
        ),
        _validation(
            f'{on_secrets} && request.operation != "DELETE"',
            f"object.metadata.?ownerReferences.orValue([]).exists(one, {owner} && {named})",
            "a pull secret is named after the account that owns it",
        ),
    ]


def _of_config_maps(settings: ControllerSettings) -> list[Object]:
    if settings.memory == Memory.SECRETS:
        return []
    name = json.dumps(state_name(settings.instance))
    return [
        _validation(
            'request.resource.resource == "configmaps"',
            f'request.name == {name} || (request.operation == "CREATE" &&'
            f" object.metadata.name == {name})",
            "only the ConfigMap of the controller is written",
        )
    ]


def _of_accounts() -> Object:
    on_accounts = f'request.resource.resource == "serviceaccounts" && {_SUBRESOURCE} == ""'
    return _validation(
        on_accounts,
        " && ".join(f"object.metadata.?{one} == oldObject.metadata.?{one}" for one in _KEPT)
        + " && object.?automountServiceAccountToken == oldObject.?automountServiceAccountToken",
        "only the lists of secrets of an account are changed",
    )


def _of_namespaces(settings: ControllerSettings) -> list[Object]:
    if settings.selection.namespaces:
        named = json.dumps(list(settings.selection.namespaces))
        message = "only the namespaces that are named are dealt with"
        return [_validation("true", f"request.namespace in {named}", message)]
    if settings.selection.kube_namespaces:
        return []
    outside = " && ".join(
        f"!request.namespace.startsWith({json.dumps(one)})" for one in SYSTEM_NAMESPACES
    )
    return [_validation("true", outside, "the cluster's own namespaces are left alone")]


def _named(name: str, account: str, settings: ControllerSettings) -> str:
    """
    Return that a secret has the name of an account's: `naming.secret_name` in CEL.

    CEL has no hash: of a name that was cut, only its beginning and its end are compared.
    """
    ending = json.dumps(name_ending(settings.instance))
    longest = MAX_NAME - len(name_ending(settings.instance))
    cut = json.dumps(f".{LONG_SUFFIX}")
    part = f"{account}.substring(0, {_COMPARED})"
    return (
        f"({account}.size() <= {longest} ? {name} == {account} + {ending}"
        f" : {name}.startsWith({part}) && {name}.endsWith({cut}))"
    )


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


def _ours(name: str, settings: ControllerSettings) -> str:
    labels = " && ".join(
        f'{name}.metadata.?labels[?{json.dumps(label)}].orValue("") == {json.dumps(value)}'
        for label, value in ((MANAGED_BY, MANAGER), (INSTANCE, settings.instance))
    )
    return f"({name}.type == {json.dumps(docker_config.TYPE)} && {labels})"
