"""
Applying: from a planned change to requests.

What lives here: the order of the requests that make a change.  After an interruption the next plan
can go on, and every token is bound to its own secret.  Not here: which changes to make
(`regauth.controller.planning.planning`).
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

from regauth.controller.naming import EXPIRES, INSTANCE, MANAGED_BY, MANAGER, NOT_MANAGED
from regauth.controller.observing import docker_config
from regauth.controller.observing.api_errors import (
    CONFLICT,
    FORBIDDEN,
    INVALID,
    NOT_FOUND,
    ApiError,
)
from regauth.controller.observing.cluster import Cluster, Object, path_of
from regauth.controller.observing.docker_config import ContentError
from regauth.controller.observing.inventory import ACCOUNTS, SECRETS, Inventory
from regauth.controller.observing.observed import Credential
from regauth.controller.planning.entitlements import Wanted
from regauth.controller.planning.planning import Attach, Change, Delete, Issue, ReportEvent, is_due

from .content import empty, encoded, write
from .owner_events import OwnerEvents

_TERMINATING: Final = "NamespaceTerminating"
"""The cause of a 403 for objects in a namespace that is being deleted."""


class ChangeError(Exception):
    """A change could not be made; the message holds no token."""


class TakenError(ChangeError):
    """Somebody else has what the change would have taken."""


class NotLeadingError(Exception):
    """This process lost the Lease; it must write nothing more."""


class SigningKeyIds(Protocol):
    """Knows the keys that verify the cluster's tokens."""

    def seen(self, key_id: str | None) -> None:
        """Record the key of a token that the API server has just issued."""


class Applier:
    """
    Makes changes.

    Args:
        cluster: The API.
        inventory: Told of every object that was written.
        instance: The controller's instance.
        may_write: Asked before each request that writes.
        now: The time.
        keys: Told of the key of each new token.
        issued: Told the cause of each change that requests tokens.
    """

    def __init__(
        self,
        cluster: Cluster,
        inventory: Inventory,
        instance: str,
        may_write: Callable[[], bool],
        now: Callable[[], datetime],
        keys: SigningKeyIds,
        issued: Callable[[str], None] = lambda _cause: None,
    ) -> None:
        self._cluster = cluster
        self._inventory = inventory
        self._instance = instance
        self._may_write = may_write
        self._now = now
        self._keys = keys
        self._issued = issued
        self._events = OwnerEvents(cluster, now)

    def make(self, change: Change) -> None:
        """
        Make one change.

        Raises:
            ApiError: A request failed.
            ChangeError: The API's answer is not what it should be.
            TakenError: A field or an object of somebody else's is in the way.
            NotLeadingError: This process may not write any more.
        """
        match change:
            case Issue():
                self._issue(change)
            case Attach():
                self._attach(change)
            case Delete():
                self._delete(change)
            case ReportEvent():
                if self._events.is_news(change):
                    self._guard()
                    self._events.tell(change)

    def _issue(self, change: Issue) -> None:
        """
        Write the tokens that a secret should hold.

        The secret comes first, because tokens are bound to it, by the UID that the API server gives
        it: hence it is written twice.  A token that was requested and never written is nobody's.
        """
        uid = change.uid
        if not uid:
            uid = self._apply(change, empty(change.account.uid), "")
        tokens: dict[str, str] = {}
        expires: list[datetime] = []
        for audience in sorted({one.audience for one in change.wanted}):
            tokens[audience] = self._request(change, uid, audience)
        for one in change.wanted:
            found = self._checked(one, tokens[one.audience])
            if is_due(found, change.wanted, change.account.uid, self._now()):
                raise ChangeError("new tokens are due at once: this clock and the cluster's differ")
            expires.append(found.expires)
        self._apply(change, write(change.wanted, tokens), uid, expires)
        self._issued(str(change.cause))

    def _checked(self, wanted: Wanted, token: str) -> Credential:
        try:
            found = docker_config.credential(wanted.registry, wanted.username, token)
        except ContentError as error:
            raise ChangeError(str(error)) from None
        if wanted.audience not in found.audiences:
            raise ChangeError(f"the API server issued no token for {wanted.audience}")
        self._keys.seen(found.key_id)
        return found

    def _apply(
        self, change: Issue, content: str, uid: str, expires: Sequence[datetime] = ()
    ) -> str:
        self._guard()
        account = change.account
        meta: Object = {
            "name": change.secret,
            "namespace": account.key.namespace,
            "labels": {MANAGED_BY: MANAGER, INSTANCE: self._instance},
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "ServiceAccount",
                    "name": account.key.name,
                    "uid": account.uid,
                }
            ],
        }
        if uid:
            meta["uid"] = uid  # another secret of that name is not ours: 409
        if expires:
            meta["annotations"] = {EXPIRES: min(expires).strftime("%Y-%m-%dT%H:%M:%SZ")}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": meta,
            "type": docker_config.TYPE,
            "data": {docker_config.KEY: encoded(content)},
        }
        try:
            path = path_of("v1", SECRETS, account.key.namespace, change.secret)
            written = self._cluster.apply(path, body, MANAGER)
        except ApiError as error:
            foreign = error.status == FORBIDDEN and NOT_MANAGED in str(error)
            if error.status not in (CONFLICT, INVALID) and not foreign:
                raise
            message = f"the secret {change.secret} has fields of somebody else's"
            raise TakenError(f"{message}: {error}") from error
        self._inventory.put(SECRETS, written)
        return str(written["metadata"]["uid"])

    def _request(self, change: Issue, uid: str, audience: str) -> str:
        """Request a token bound to the secret (authentication.k8s.io/v1, TokenRequest)."""
        self._guard()
        account = change.account
        asked = min(one.duration for one in change.wanted if one.audience == audience)
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            # Since 1.34 an account of another UID, made anew under the name, is a conflict.
            "metadata": {
                "name": account.key.name,
                "namespace": account.key.namespace,
                "uid": account.uid,
            },
            "spec": {
                "audiences": [audience],
                "expirationSeconds": int(asked.total_seconds()),
                "boundObjectRef": {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "name": change.secret,
                    "uid": uid,
                },
            },
        }
        path = path_of("v1", ACCOUNTS, account.key.namespace, account.key.name, "token")
        token = (self._cluster.create(path, body).get("status") or {}).get("token")
        if not isinstance(token, str):
            raise ChangeError("the API server issued no token")
        return token

    def _attach(self, change: Attach) -> None:
        """
        Set the account's lists if nobody has changed the account since.

        `imagePullSecrets` is one field to server-side apply, which would take the whole list from
        whoever put the other names there; the resourceVersion makes this patch safe instead.
        """
        self._guard()
        account = change.account
        operations: list[Object] = [
            {"op": "test", "path": "/metadata/uid", "value": account.uid},
            {
                "op": "test",
                "path": "/metadata/resourceVersion",
                "value": account.resource_version,
            },
            *_edits("/imagePullSecrets", account.pull_secrets, change.pull_secrets),
            *_edits("/secrets", account.secrets, change.secrets),
        ]
        path = path_of("v1", ACCOUNTS, account.key.namespace, account.key.name)
        self._inventory.put(ACCOUNTS, self._cluster.patch(path, operations, MANAGER))

    def _delete(self, change: Delete) -> None:
        self._guard()
        namespace = change.key.namespace
        try:
            path = path_of("v1", SECRETS, namespace, change.secret)
            # By its UID, so that another Secret that has come under the name stays.
            left = self._cluster.delete(path, change.uid)
        except ApiError as error:
            if error.status not in (NOT_FOUND, CONFLICT):
                raise
            left = {}
        if "deletionTimestamp" in (left.get("metadata") or {}):
            self._inventory.put(SECRETS, left)  # a finalizer keeps it
        else:
            self._inventory.forget_secret(namespace, change.secret, change.uid)

    def _guard(self) -> None:
        if not self._may_write():
            raise NotLeadingError


def _edits(path: str, before: tuple[str, ...], after: tuple[str, ...]) -> list[Object]:
    """Return what turns one list of names into another, leaving the other entries as they are."""
    edits: list[Object] = [
        {"op": "remove", "path": f"{path}/{index}"}
        for index in reversed(range(len(before)))
        if before[index] not in after
    ]
    added = [{"name": name} for name in after if name not in before]
    if added and not before:
        return [{"op": "add", "path": path, "value": added}]
    return edits + [{"op": "add", "path": f"{path}/-", "value": one} for one in added]


def is_over(error: ApiError) -> bool:
    """Tell whether an error means that there is nothing left to do: what it was about is going."""
    return error.status == NOT_FOUND or (
        error.status == FORBIDDEN and _TERMINATING in error.causes.split()
    )
