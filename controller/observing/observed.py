"""
What the controller knows of the cluster: frozen values, without tokens.

What lives here: service accounts, namespaces and pull secrets as a plan sees them.  Not here:
reading them from the API (`regauth.controller.observing.reading`), and deciding anything
(`planning.planning`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class AccountKey(NamedTuple):
    """A service account by its namespace and name: the unit of work."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Account:
    """A service account."""

    key: AccountKey
    uid: str
    resource_version: str
    pull_secrets: tuple[str, ...] = ()
    """The names in `imagePullSecrets`, in their order."""
    secrets: tuple[str, ...] = ()
    """The names in `secrets`, in their order."""
    mark: bool | None = None
    """What its label or annotation says: take it (True), leave it (False), nothing (None)."""
    terminating: bool = False
    overfull: bool = False
    """Whether it lists more secrets than are read; then both lists are empty here."""
    manager: str = ""
    """Who else changed it last, by the name of the field manager."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    mark: bool | None = None
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """One registry's login in a pull secret: everything of its token but the token."""

    registry: str
    username: str
    audiences: tuple[str, ...]
    issued: datetime
    expires: datetime
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class PullSecret:
    """A secret of the type `kubernetes.io/dockerconfigjson`."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    instance: str = ""
    """The controller instance that manages it; empty when none does."""
    owner: AccountKey | None = None
    """The service account that it is for, by its ownerReference."""
    owner_uid: str = ""
    credentials: tuple[Credential, ...] = ()
    """Empty for a secret that somebody else manages, and where they cannot be read."""
    terminating: bool = False
    """Whether it was deleted and a finalizer keeps it."""
    manager: str = ""
    """Who else changed it last, by the name of the field manager."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of one service account and of what belongs to it."""

    key: AccountKey
    account: Account | None
    namespace: Namespace | None
    secrets: tuple[PullSecret, ...] = ()
    """Those with the name of its pull secret, and those that are said to be its."""
    signing_keys: frozenset[str] | None = None
    """The ids of the keys that the cluster's tokens verify with; None when they are not known."""
