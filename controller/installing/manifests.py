"""
The manifests that install the controller, in the order to create them.

What lives here: which objects there are, and the ConfigMap with settings and policy.  Not here:
what each object says (`permissions`, `workload`, `admission`, `pod_admission`, `monitoring`,
`plugin`).
"""

from pathlib import Path
from typing import Final

from regauth.controller.observing.cluster import Object
from regauth.controller.settings import Attachment, ControllerSettings
from regauth.engine.files import read_policy_folder
from regauth.engine.source.addresses import is_loopback

from .admission import admission
from .objects import head
from .permissions import permissions, service_account
from .pod_admission import STABLE_SINCE, pod_admission
from .workload import deployment, disruption_budget, network_policy

_MAX_CONFIG_MAP: Final = 1024 * 1024


class ManifestError(ValueError):
    """The settings cannot be put into manifests; the message says why."""


def controller_manifests(
    settings: ControllerSettings,
    file: Path,
    image: str,
    namespace: str,
    version: tuple[int, int] = STABLE_SINCE,
) -> list[Object]:
    """
    Return what runs the controller, in the order to create it.

    The settings and the policy become one ConfigMap.

    Raises:
        ManifestError: They do not fit into one, the Lease is in another namespace, or nobody but
            the pod itself could reach the endpoints.
    """
    _check(settings, namespace)
    files = _files(settings, file)
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        service_account(settings, namespace),
        {
            **head("v1", "ConfigMap", settings, namespace),
            "data": {_key(path): text for path, text in files.items()},
        },
        *permissions(settings, namespace),
        *admission(settings, namespace),
        *(pod_admission(settings, version) if settings.attach_to == Attachment.PODS else ()),
        deployment(settings, image, namespace, {_key(path): path for path in sorted(files)}),
        disruption_budget(settings, namespace),
        network_policy(settings, namespace),
    ]


def _check(settings: ControllerSettings, namespace: str) -> None:
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


def _files(settings: ControllerSettings, file: Path) -> dict[str, str]:
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
