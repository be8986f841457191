"""
Names, labels and annotations that the controller writes and recognises.

What lives here: the words themselves, and how a pull secret is called.  Not here: using them
(`planning.planning`, `applying.applying`).
"""

import hashlib
from typing import Final

MANAGER: Final = "regauth-controller"
"""The field manager of what is applied, and the value of `MANAGED_BY`."""

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
"""Kubernetes documentation, "Recommended Labels"."""

INSTANCE: Final = "regauth/instance"
"""The label that says which of several controllers a secret belongs to."""

MARK: Final = "regauth/pull-secret"
"""The label or annotation, "true" or "false", by which accounts and namespaces opt in or out."""

EXPIRES: Final = "regauth/expires-at"
"""The annotation of a pull secret that says when the first of its tokens expires (RFC 3339)."""

NOT_MANAGED: Final = "only pull secrets that the controller manages are written and deleted"
"""
What the controller's ValidatingAdmissionPolicy answers when a Secret of somebody else's has the
name of ours, or ours has lost its labels.
"""

SYSTEM_NAMESPACES: Final = ("kube-", "openshift-")
"""The beginnings of the names of namespaces that belong to the cluster itself."""

DEFAULT_INSTANCE: Final = "default"
MAX_NAME: Final = 253
"""Kubernetes documentation, "Object Names and IDs", "DNS Subdomain Names" (RFC 1123)."""

SUFFIX: Final = "pull-secret"
LONG_SUFFIX: Final = "pull-secret-long"
_HASH_DIGITS: Final = 32
"""128 bits: nobody finds two account names that share them."""


def secret_name(account: str, instance: str = DEFAULT_INSTANCE) -> str:
    """
    Return what the pull secret of a service account is called.

    | | |
    | --- | --- |
    | the instance `default` | `ACCOUNT-pull-secret` |
    | another instance | `ACCOUNT.INSTANCE.pull-secret` |
    | where that is too long | the beginning of `ACCOUNT`, `.INSTANCE.HASH.pull-secret-long` |

    Two accounts or two instances never share a name, because the three endings differ and an
    instance has no dot in it.
    """
    name = account + name_ending(instance)
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(account.encode()).hexdigest()[:_HASH_DIGITS]
    ending = f".{instance}.{digest}.{LONG_SUFFIX}"
    return account[: MAX_NAME - len(ending)].rstrip(".-") + ending


def is_secret_name(name: str, instance: str) -> bool:
    """Tell whether the pull secret of some service account could be called so."""
    if name.endswith(name_ending(instance)):
        return True
    start, _, last = name.rpartition(".")
    rest, _, digest = start.rpartition(".")
    return last == LONG_SUFFIX and len(digest) == _HASH_DIGITS and rest.endswith(f".{instance}")


def name_ending(instance: str) -> str:
    """Return what follows the account in the name of its pull secret, where it is not too long."""
    return f"-{SUFFIX}" if instance == DEFAULT_INSTANCE else f".{instance}.{SUFFIX}"


def installed_name(instance: str) -> str:
    """
    Return what an instance's Deployment, account, roles, policies and Lease are called.

    Instances share no name, so that installing one takes nothing from another.
    """
    return MANAGER if instance == DEFAULT_INSTANCE else f"{MANAGER}-{instance}"


def state_name(instance: str) -> str:
    """Return what the ConfigMap is called in which an instance remembers a namespace's secrets."""
    return f"{installed_name(instance)}.pull-secrets"
