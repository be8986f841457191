"""
Names, labels and annotations that the controller writes and recognises.

What lives here: the words themselves, and how a pull secret is called.  Not here: using them.
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

DEFAULT_INSTANCE: Final = "default"
MAX_NAME: Final = 253
"""Kubernetes documentation, "Object Names and IDs", "DNS Subdomain Names" (RFC 1123)."""

_HASH_DIGITS: Final = 10


def secret_name(account: str, instance: str = DEFAULT_INSTANCE) -> str:
    """
    Return what the pull secret of a service account is called.

    It is `ACCOUNT-pull-secret`; a name that would be too long is cut, and a hash of the whole
    name keeps two long names apart.
    """
    part = "" if instance == DEFAULT_INSTANCE else f"-{instance}"
    suffix = f"{part}-pull-secret"
    if len(account) + len(suffix) <= MAX_NAME:
        return account + suffix
    digest = hashlib.sha256(account.encode()).hexdigest()[:_HASH_DIGITS]
    kept = account[: MAX_NAME - len(suffix) - len(digest) - 1].rstrip(".-")
    return f"{kept}-{digest}{suffix}"
