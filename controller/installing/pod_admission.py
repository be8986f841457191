"""
A MutatingAdmissionPolicy that gives each new pod the pull secret of its service account.

What lives here: the policy and its binding.  Not here: which accounts have a pull secret, which the
controller writes into the ConfigMap that is the policy's parameter (`applying.state_book`).

A service account stays as its owner wrote it, so that GitOps finds nothing to undo.  A pod that
names pull secrets of its own gets this one too, which an account's list would not give it.

Source: Kubernetes documentation, "Mutating Admission Policy" (v1 since 1.36, v1beta1 since 1.34).
"""

import json
from typing import Final

from regauth.controller.naming import (
    DEFAULT_INSTANCE,
    MANAGER,
    MAX_NAME,
    SYSTEM_NAMESPACES,
    name_ending,
    state_name,
)
from regauth.controller.observing.cluster import Object
from regauth.controller.settings import ControllerSettings

from .objects import head

STABLE_SINCE: Final = (1, 36)
_GROUP: Final = "admissionregistration.k8s.io"
_ACCOUNT: Final = 'object.spec.?serviceAccountName.orValue("default")'


def pod_admission(settings: ControllerSettings, version: tuple[int, int]) -> list[Object]:
    """
    Return the policy and its binding.

    Args:
        settings: The instance, and whether the cluster's own namespaces are taken.
        version: The API server's version.
    """
    api = f"{_GROUP}/{'v1' if version >= STABLE_SINCE else 'v1beta1'}"
    name = f"{MANAGER}-pods"
    if settings.instance != DEFAULT_INSTANCE:
        name = f"{MANAGER}-pods.{settings.instance}"
    parameter = {"name": state_name(settings.instance), "parameterNotFoundAction": "Allow"}
    return [
        {
            **head(api, "MutatingAdmissionPolicy", settings, "", name),
            "spec": pod_policy(settings),
        },
        {
            **head(api, "MutatingAdmissionPolicyBinding", settings, "", name),
            "spec": {"policyName": name, "paramRef": parameter},
        },
    ]


def pod_policy(settings: ControllerSettings) -> Object:
    """
    Return the `spec` of the policy.

    Its failure policy is Ignore: a pod without the secret pulls what needs none, and a pod that is
    not created pulls nothing.
    """
    pods = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    return {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {"resourceRules": [pods]},
        "matchConditions": _conditions(settings),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _patch(settings)}}],
    }


def _secret(settings: ControllerSettings) -> str:
    return f"{_ACCOUNT} + {json.dumps(name_ending(settings.instance))}"


def _conditions(settings: ControllerSettings) -> list[Object]:
    """CEL has no hash: pods of accounts whose secret's name is cut are left as they are."""
    longest = MAX_NAME - len(name_ending(settings.instance))
    there = f'one.?name.orValue("") == {_secret(settings)}'
    found = {
        "has-a-pull-secret": f"{_ACCOUNT} in params.?data.orValue({{}})",
        "is-not-long": f"{_ACCOUNT}.size() <= {longest}",
        "is-not-there": f"!object.spec.?imagePullSecrets.orValue([]).exists(one, {there})",
    }
    if not settings.selection.kube_namespaces:
        found["is-no-system-namespace"] = " && ".join(
            f"!request.namespace.startsWith({json.dumps(one)})" for one in SYSTEM_NAMESPACES
        )
    return [{"name": name, "expression": text} for name, text in found.items()]


def _patch(settings: ControllerSettings) -> str:
    value = f'{{"name": {_secret(settings)}}}'
    first = f'[JSONPatch{{op: "add", path: "/spec/imagePullSecrets", value: [{value}]}}]'
    more = f'[JSONPatch{{op: "add", path: "/spec/imagePullSecrets/-", value: {value}}}]'
    return f"object.spec.?imagePullSecrets.orValue([]).size() > 0 ? {more} : {first}"
