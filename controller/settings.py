"""
The controller's settings, as values.

What lives here: what `controller.yaml` or the command's options come to, with every default.
Not here: reading them (`regauth.controller.configuration`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from regauth.controller.naming import DEFAULT_INSTANCE

MIN_TOKEN: Final = timedelta(minutes=10)
"""The shortest life that a TokenRequest may ask for (TokenRequestSpec, `expirationSeconds`)."""

DEFAULT_TOKEN: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that service accounts may get a login for."""

    host: str
    service: str = ""
    """What the policy calls it."""
    provider: str = ""
    """The policy's provider for this cluster's tokens; empty without a policy."""
    username: str = ""
    audience: str = ""
    token_duration: timedelta = DEFAULT_TOKEN


@dataclass(frozen=True, slots=True)
class Selection:
    """Which service accounts the controller has to do with."""

    opt_in: bool = False
    """Whether only accounts and namespaces that are marked are taken."""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that an unmarked account's namespace must have."""
    kube_namespaces: bool = False
    """Whether namespaces whose name begins with `kube-` are looked at, at all."""
    namespaces: tuple[str, ...] = ()
    """
    The only namespaces that are looked at, each with a Role of its own; empty for all, by a
    ClusterRole.
    """


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How much the controller asks of the API server."""

    per_second: float = 50.0
    burst: float = 100.0
    workers: int = 4


@dataclass(frozen=True, slots=True)
class Election:
    """How leaders are elected: the Lease and its times (coordination.k8s.io/v1)."""

    namespace: str = "regauth"
    name: str = "regauth-controller"
    duration: timedelta = timedelta(seconds=15)
    renew: timedelta = timedelta(seconds=5)


class Attachment(StrEnum):
    """What gets the name of a pull secret."""

    ACCOUNTS = "accounts"
    """The controller writes it into the account's lists."""
    PODS = "pods"
    """A MutatingAdmissionPolicy writes it into each new pod; accounts stay as they are."""


class Memory(StrEnum):
    """Where the controller remembers what it has made."""

    SECRETS = "secrets"
    """It reads its Secrets, which takes the right to list all of the cluster."""
    CONFIG_MAPS = "configMaps"
    """It keeps a ConfigMap in each namespace, and reads no Secret."""


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """Everything that `controller.yaml` can say."""

    registries: tuple[Registry, ...]
    policy: Path | None = None
    instance: str = DEFAULT_INSTANCE
    selection: Selection = field(default_factory=Selection)
    limits: RequestLimits = field(default_factory=RequestLimits)
    election: Election | None = field(default_factory=Election)
    listen: tuple[str, int] | None = ("0.0.0.0", 8080)  # noqa: S104 - probes come from the node
    log_format: str = "json"
    attach_to: Attachment = Attachment.ACCOUNTS
    memory: Memory = Memory.SECRETS
