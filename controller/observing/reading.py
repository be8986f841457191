"""
Objects of the Kubernetes API to what the controller keeps of them.

What lives here: reading service accounts, namespaces and pull secrets.  Not here: keeping a token.
Of a secret's content only what its tokens say of themselves is kept (`docker_config`).
"""

from typing import Final

from regauth.controller.naming import INSTANCE, MANAGED_BY, MANAGER, MARK

from . import docker_config
from .cluster import Object
from .observed import Account, AccountKey, Namespace, PullSecret

MAX_LISTED: Final = 64
"""Secrets that an account may list.  Its owner chooses the number, and each costs memory here."""

_MARKS: Final = {"true": True, "false": False}


def account(found: Object) -> Account:
    """Read a ServiceAccount (core/v1)."""
    meta = found["metadata"]
    lists = (found.get("imagePullSecrets"), found.get("secrets"))
    overfull = any(isinstance(one, list) and len(one) > MAX_LISTED for one in lists)
    pull_secrets, secrets = ((), ()) if overfull else map(_names, lists)
    return Account(
        AccountKey(meta["namespace"], meta["name"]),
        meta["uid"],
        meta["resourceVersion"],
        pull_secrets,
        secrets,
        _mark(meta),
        "deletionTimestamp" in meta,
        overfull,
        _manager(meta),
    )


def namespace(found: Object) -> Namespace:
    """Read a Namespace (core/v1)."""
    meta = found["metadata"]
    return Namespace(
        meta["name"], dict(meta.get("labels") or {}), _mark(meta), "deletionTimestamp" in meta
    )


def pull_secret(found: Object) -> PullSecret:
    """Read a Secret (core/v1); of one that somebody else manages, its name alone."""
    meta = found["metadata"]
    labels = meta.get("labels") or {}
    ours = labels.get(MANAGED_BY) == MANAGER
    owner = next(
        (one for one in meta.get("ownerReferences") or [] if one.get("kind") == "ServiceAccount"),
        None,
    )
    content = (found.get("data") or {}).get(docker_config.KEY) if ours else None
    return PullSecret(
        meta["namespace"],
        meta["name"],
        meta["uid"],
        meta["resourceVersion"],
        labels.get(INSTANCE, "") if ours else "",
        AccountKey(meta["namespace"], owner["name"]) if ours and owner else None,
        owner["uid"] if ours and owner else "",
        docker_config.read(content) if content else (),
        "deletionTimestamp" in meta,
        _manager(meta) if ours else "",
    )


def _names(listed: object) -> tuple[str, ...]:
    if not isinstance(listed, list):
        return ()
    return tuple(str(one.get("name") or "") for one in listed)


def _manager(meta: Object) -> str:
    """Return who else changed an object last (meta/v1, ManagedFieldsEntry; whole seconds)."""
    others = [
        (str(one.get("time") or ""), str(one.get("manager") or ""))
        for one in meta.get("managedFields") or []
        if isinstance(one, dict) and one.get("manager") != MANAGER
    ]
    return max(others, default=("", ""))[1]


def _mark(meta: Object) -> bool | None:
    """An annotation and a label that disagree say no."""
    marks = {
        _MARKS.get(str(found.get(MARK)).lower())
        for found in (meta.get("labels") or {}, meta.get("annotations") or {})
        if MARK in found
    }
    if not marks:
        return None
    return marks == {True}
