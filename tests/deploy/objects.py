"""
Kubernetes objects, checked strictly against the OpenAPI models of the `kubernetes` package.

A field that the model has not, a value of another type, and a required field that is missing are
complaints; the API server would drop the first silently.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from tests.e2e.programs import run

_KINDS = {
    "admissionregistration.k8s.io/v1": "V1",
    "v1": "V1",
    "apps/v1": "V1",
    "autoscaling/v2": "V2",
    "networking.k8s.io/v1": "V1",
    "policy/v1": "V1",
    "rbac.authorization.k8s.io/v1": "V1",
}
_PLAIN: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "bool": bool,
    "float": (int, float),
    "object": object,
}
_GENERIC = re.compile(
    r"(?:List\[(?P<item>.+)\]|Dict\[str, (?P<value>.+)\]|Optional\[(?P<one>.+)\])"
)

QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|[kMGTPE]i?)?")
"""Of the API's documentation, "Quantity"."""

SAFE_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def read(text: str) -> list[dict[str, Any]]:
    """Return the objects of a stream of YAML documents; empty ones are left out."""
    return [one for one in yaml.safe_load_all(text) if one]


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """Return what kustomize, or kubectl, which has it in it, makes of a folder."""
    commands = [["kustomize", "build"], ["kubectl", "kustomize"]]
    found = [command for command in commands if shutil.which(command[0])]
    if not found:
        pytest.skip("kustomize is not installed, nor kubectl; Debian has kubernetes-client")
    done = run([*found[0], folder])
    assert done.returncode == 0, done.stderr
    return read(done.stdout)


def name(thing: Mapping[str, Any]) -> str:
    return f"{thing['kind']}/{thing['metadata']['name']}"


def misshapen(thing: Mapping[str, Any]) -> list[str]:
    """Return where an object is not as the API defines its kind."""
    prefix = _KINDS.get(thing.get("apiVersion", ""))
    model = f"{prefix}{thing.get('kind')}"
    if prefix is None or not hasattr(client, model):
        return [f"{thing.get('apiVersion')} {thing.get('kind')}: there is no such kind here"]
    return list(_check(thing, model, str(thing["kind"])))


def _check(value: object, kind: str, path: str) -> Iterator[str]:
    generic = _GENERIC.fullmatch(kind)
    if generic is not None:
        yield from _check_generic(value, generic, path)
    elif kind == "int":
        if isinstance(value, bool) or not isinstance(value, int):
            yield f"{path}: {value!r} is not a whole number"
    elif kind in _PLAIN:
        if not isinstance(value, _PLAIN[kind]):
            yield f"{path}: {value!r} is not of the type {kind}"
    elif not hasattr(client, kind):
        yield f"{path}: the type {kind} is not understood"
    else:
        yield from _check_model(value, getattr(client, kind), path)


def _check_generic(value: object, generic: "re.Match[str]", path: str) -> Iterator[str]:
    if generic["one"]:
        yield from _check(value, generic["one"], path)
    elif generic["item"]:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is not a list"
            return
        for number, item in enumerate(value):
            yield from _check(item, generic["item"], f"{path}[{number}]")
    elif not isinstance(value, dict):
        yield f"{path}: {value!r} is not a mapping"
    else:
        for key, item in value.items():
            yield from _check(key, "str", path)
            yield from _check(item, generic["value"], f"{path}.{key}")


def _check_model(value: object, model: type[Any], path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not a mapping"
        return
    fields = {wire: python for python, wire in model.attribute_map.items()}
    for key, item in value.items():
        if key not in fields:
            yield f"{path}: there is no field {key!r}"
        else:
            yield from _check(item, model.openapi_types[fields[key]], f"{path}.{key}")
    known = {fields[key]: item for key, item in value.items() if key in fields}
    try:
        model(**known)
    except ValueError as error:
        yield f"{path}: {error}"


def unsafe(thing: Mapping[str, Any]) -> list[str]:
    """Return what an object of ours must not be: root, writable, unpinned, boundless, a secret."""
    if thing["kind"] == "Secret":
        return ["a Secret in a file is no secret"]
    if any("*" in value for rule in thing.get("rules") or [] for value in rule.values()):
        return ["a right to everything"]
    pod = thing.get("spec", {}).get("template", {}).get("spec")
    if thing["kind"] != "Deployment" or pod is None:
        return []
    result = []
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
        result.append("the pod may run as root")
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        result.append("the pod has no seccomp profile")
    if {"hostNetwork", "hostPID", "hostIPC"} & set(pod):
        result.append("the pod is not apart from its node")
    if any("hostPath" in volume for volume in pod.get("volumes", [])):
        result.append("the pod has a folder of its node")
    for container in (*pod.get("initContainers", []), *pod["containers"]):
        result += [f"{container['name']}: {one}" for one in _container(container)]
    return result


def _container(container: Mapping[str, Any]) -> Iterator[str]:
    if not re.search(r"(:[0-9]+\.[0-9]+\.[0-9]+|@sha256:[0-9a-f]{64})$", container["image"]):
        yield f"the image {container['image']} is not pinned"
    if container.get("securityContext") != SAFE_CONTAINER:
        yield "the container is not confined"
    yield from _resources(container.get("resources", {}))
    for probe in ("livenessProbe", "readinessProbe"):
        if probe not in container:
            yield f"there is no {probe}"
    for variable in container.get("env", []):
        if "value" in variable and re.search("TOKEN|SECRET|PASSW", variable["name"]):
            yield f"the variable {variable['name']} holds a secret"


def _resources(resources: Mapping[str, Any]) -> Iterator[str]:
    given = [*resources.get("requests", {}).items(), *resources.get("limits", {}).items()]
    if not {"cpu", "memory"} <= set(resources.get("requests", {})):
        yield "nothing is requested"
    if "memory" not in resources.get("limits", {}):
        yield "its memory has no limit"
    for what, amount in given:
        if not QUANTITY.fullmatch(str(amount)):
            yield f"{what}: {amount!r} is not a quantity"


def loose_ends(things: list[dict[str, Any]]) -> list[str]:
    """Return what refers to something that is not there: labels, ports, volumes, accounts."""
    pods = [one for one in things if one["kind"] == "Deployment"]
    accounts = {one["metadata"]["name"] for one in things if one["kind"] == "ServiceAccount"}
    result = []
    for one in things:
        for labels in _selected(one):
            there = [_matches(labels, pod["spec"]["template"]["metadata"]) for pod in pods]
            result += [] if any(there) else [f"{name(one)} selects no pod of ours"]
        target = one.get("spec", {}).get("scaleTargetRef", {}).get("name")
        if target and target not in {pod["metadata"]["name"] for pod in pods}:
            result.append(f"{name(one)} scales {target}, which there is not")
    for pod in pods:
        spec = pod["spec"]["template"]["spec"]
        if spec["serviceAccountName"] not in accounts:
            result.append(f"{name(pod)} runs as {spec['serviceAccountName']}, which there is not")
        mounted = {mount["name"] for box in spec["containers"] for mount in box["volumeMounts"]}
        if mounted != {volume["name"] for volume in spec["volumes"]}:
            result.append(f"{name(pod)} mounts other volumes than it has")
        result += _ports(pod)
    return result


def _selected(thing: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    spec = thing.get("spec", {})
    match thing["kind"]:
        case "Service":
            yield spec["selector"]
        case "Deployment" | "PodDisruptionBudget":
            yield spec["selector"].get("matchLabels", {})
        case "NetworkPolicy":
            yield spec["podSelector"].get("matchLabels", {})


def _matches(labels: Mapping[str, str], metadata: Mapping[str, Any]) -> bool:
    # An empty selector means every pod, which nothing of ours means.
    return bool(labels) and labels.items() <= metadata.get("labels", {}).items()


def _ports(pod: Mapping[str, Any]) -> Iterator[str]:
    for box in pod["spec"]["template"]["spec"]["containers"]:
        ports = {port["name"] for port in box.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            port = box.get(probe, {}).get("httpGet", {}).get("port", None)
            if port is not None and port not in ports:
                yield f"{name(pod)}: the {probe} of {box['name']} asks the port {port!r}"
