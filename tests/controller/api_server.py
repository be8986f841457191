"""
A Kubernetes API server for tests: the part of the API that the controller speaks, over HTTP.

It behaves as the documentation says, not as the controller likes it; each behaviour names its
source.  "Concepts" is https://kubernetes.io/docs/reference/using-api/api-concepts/, "SSA" is
https://kubernetes.io/docs/reference/using-api/server-side-apply/, "Conventions" is the API
conventions (sig-architecture), "TokenRequest" is
https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/.
"""

import base64
import copy
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from .listening import Handler, Listening, Object, Request, StatusError, Watch

COLLECTIONS = {
    "namespaces": ("v1", "Namespace"),
    "serviceaccounts": ("v1", "ServiceAccount"),
    "secrets": ("v1", "Secret"),
    "configmaps": ("v1", "ConfigMap"),
    "events": ("v1", "Event"),
    "leases": ("coordination.k8s.io/v1", "Lease"),
}


@dataclass
class Store:
    """What etcd holds: objects, and the changes that led to them."""

    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    owners: dict[tuple[str, str, str], dict[str, set[str]]] = field(default_factory=dict)
    history: list[tuple[int, str, str, Object, Object | None]] = field(default_factory=list)
    """Version, kind, event, the object then, and as it was before."""
    moments: dict[tuple[str, str, str], dict[str, float]] = field(default_factory=dict)
    """When each manager changed an object last."""
    version: int = 100
    compacted: int = 0
    kept: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    """The objects as they were at `compacted`; what was before is forgotten."""

    def at(self, version: int) -> dict[tuple[str, str, str], Object]:
        """Return the objects as they were at a version that is not forgotten."""
        if version == self.version:
            return self.objects
        found = dict(self.kept)
        for changed, kind, event, body, _before in self.history:
            meta = body["metadata"]
            if changed <= version and event == "DELETED":
                del found[kind, meta.get("namespace", ""), meta["name"]]
            elif changed <= version:
                found[kind, meta.get("namespace", ""), meta["name"]] = body
        return found


class ApiServer(Listening):
    """
    The server.

    Attributes:
        now: The server's clock, seconds since 1970.
        key_id: The key that tokens are signed with; `published` are those in the key set.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.bearer = "secret-bearer"
        self.key_id = "k1"
        self.published = ["k1"]
        self.store = Store()
        self.page: int | None = None
        super().__init__(_Handler)

    # What a test does to the cluster.

    def bookmark(self) -> None:
        """Send every watch a bookmark (Concepts, "Watch bookmarks")."""
        with self.changed:
            for watch in self.watches:
                watch.bookmarks += 1
            self.changed.notify_all()

    def compact(self) -> None:
        """Forget the past: older resourceVersions are gone (Concepts, "410 Gone responses")."""
        with self.changed:
            self.store.compacted = self.store.version
            self.store.kept = dict(self.store.objects)
            self.store.history.clear()

    def bump(self) -> None:
        """Something else in the cluster changes, so that versions go on."""
        with self.changed:
            self.store.version += 1

    def create(self, kind: str, name: str, namespace: str = "", **parts: object) -> Object:
        """Create an object as `kubectl` does."""
        meta = {
            "name": name,
            **({"namespace": namespace} if namespace else {}),
            **parts.pop("metadata", {}),
        }
        return self.post(kind, namespace, {"metadata": meta, **parts}, "kubectl")

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        with self.changed:
            return copy.deepcopy(self.store.objects.get((kind, namespace, name)))

    def all(self, kind: str) -> list[Object]:
        with self.changed:
            return [
                copy.deepcopy(one)
                for key, one in sorted(self.store.objects.items())
                if key[0] == kind
            ]

    def edit(
        self, kind: str, name: str, namespace: str, change: Callable[[Object], object]
    ) -> Object:
        """Change an object as somebody else does."""
        with self.changed:
            body = copy.deepcopy(self.store.objects[kind, namespace, name])
            change(body)
            return self.put(kind, namespace, name, body, "somebody")

    # The API's verbs.

    def post(self, kind: str, namespace: str, body: Object, manager: str) -> Object:
        with self.changed:
            meta = body["metadata"]
            if "generateName" in meta and "name" not in meta:
                # k8s.io/apiserver, pkg/storage/names/generate.go: 58 characters and five at random
                meta["name"] = f"{meta['generateName'][:58]}{uuid.uuid4().hex[:5]}"
            key = (kind, namespace, meta["name"])
            if key in self.store.objects:
                raise StatusError(409, "AlreadyExists", f'{kind} "{meta["name"]}" already exists')
            self._check(kind, namespace, body)
            meta["uid"] = str(uuid.uuid4())
            self.store.owners[key] = {f"{manager}/Update": _fields(body)}
            self.store.moments[key] = {f"{manager}/Update": self.now()}
            return self._write(key, "ADDED", body)

    def put(self, kind: str, namespace: str, name: str, body: Object, manager: str) -> Object:
        with self.changed:
            key = (kind, namespace, name)
            held = self._held(key)
            version = body["metadata"].get("resourceVersion")
            if version and version != held["metadata"]["resourceVersion"]:
                # Concepts, "Resource versions"; Conventions, "Concurrency Control and Consistency"
                raise StatusError(409, "Conflict", "the object has been modified")
            body["metadata"]["uid"] = held["metadata"]["uid"]
            self._check(kind, namespace, body, held)
            self._take(
                key,
                f"{manager}/Update",
                _fields(body) ^ _fields(held),
                {_name(one) for one in _fields(body)},
            )
            meta = body["metadata"]
            ended = "deletionTimestamp" in meta and not meta.get("finalizers")
            return self._write(
                key, "DELETED" if ended and kind != "namespaces" else "MODIFIED", body
            )

    def delete(self, kind: str, namespace: str, name: str, body: Object | None) -> Object:
        with self.changed:
            key = (kind, namespace, name)
            held = self._held(key)
            uid = ((body or {}).get("preconditions") or {}).get("uid")
            if uid and uid != held["metadata"]["uid"]:
                # DeleteOptions, `preconditions`: "must be fulfilled before a deletion"
                raise StatusError(409, "Conflict", "the UID in the precondition does not match")
            if kind == "namespaces":
                # "Namespaces", "Finalizers": it ends when its controller has emptied it; here never
                return self._terminate(key, held)
            if held["metadata"].get("finalizers"):
                # "Finalizers": it is marked, and ends when the last finalizer is removed
                return self._terminate(key, held)
            return self._write(key, "DELETED", held)

    def _terminate(self, key: tuple[str, str, str], held: Object) -> Object:
        meta = {**held["metadata"], "deletionTimestamp": "2026-11-01T12:00:00Z"}
        return self._write(key, "MODIFIED", {**held, "metadata": meta})

    def apply(
        self, kind: str, namespace: str, name: str, body: Object, manager: str, force: bool
    ) -> Object:
        """SSA, "Conflicts" and "Field management": who applies owns; another's value conflicts."""
        with self.changed:
            key = (kind, namespace, name)
            held = self.store.objects.get(key)
            uid = body["metadata"].get("uid")
            if held is None:
                if uid:
                    raise StatusError(
                        409, "Conflict", "uid mismatch: the provided object specified uid"
                    )
                body = copy.deepcopy(body)
                self._check(kind, namespace, body)
                body["metadata"]["uid"] = str(uuid.uuid4())
                self.store.owners[key] = {f"{manager}/Apply": _fields(body)}
                self.store.moments[key] = {f"{manager}/Apply": self.now()}
                return self._write(key, "ADDED", body)
            if uid and uid != held["metadata"]["uid"]:
                # k8s.io/apimachinery, pkg/api/validation/objectmeta.go, `ValidateObjectMetaUpdate`
                raise StatusError(422, "Invalid", "metadata.uid: field is immutable")
            wanted, there = _fields(body), _fields(held)
            mine = f"{manager}/Apply"
            others = set().union(
                *(fields for who, fields in self.store.owners[key].items() if who != mine)
            )
            clash = {_name(one) for one in wanted - there} & {_name(one) for one in others}
            if clash and not force:
                raise StatusError(
                    409,
                    "Conflict",
                    f"Apply failed with {len(clash)} conflicts: {sorted(clash)}",
                    "FieldManagerConflict",
                )
            merged = _merged(held, body)
            for one in self.store.owners[key].get(mine, set()) - others:
                place, _, name_ = _name(one).partition(":")
                if place == "data" and name_ not in (body.get("data") or {}):
                    # SSA, "Field management": what its only manager no longer applies is removed
                    merged["data"].pop(name_, None)
            self._check(kind, namespace, merged, held)
            self.store.owners[key][mine] = wanted
            self.store.moments.setdefault(key, {})[mine] = self.now()
            if merged == held:
                return held  # Conventions: a write that changes nothing is no write
            return self._write(key, "MODIFIED", merged)

    def patch(
        self, kind: str, namespace: str, name: str, operations: list[Object], manager: str
    ) -> Object:
        """RFC 6902; the server answers 422 when a test does not hold."""
        with self.changed:
            body = copy.deepcopy(self._held((kind, namespace, name)))
            for operation in operations:
                *steps, last = operation["path"].strip("/").split("/")
                place: Any = body
                try:
                    for step in steps:
                        place = place[int(step)] if isinstance(place, list) else place[step]
                    _operate(place, last, operation)
                except (KeyError, IndexError, ValueError) as error:
                    raise StatusError(
                        422, "Invalid", f"the server rejected our request: {error}"
                    ) from error
            body["metadata"]["resourceVersion"] = ""
            return self.put(kind, namespace, name, body, manager)

    def token(self, namespace: str, name: str, body: Object) -> Object:
        """TokenRequest: at least ten minutes; bound to an object that must exist with that UID."""
        with self.changed:
            account = self._held(("serviceaccounts", namespace, name))
            if body.get("metadata", {}).get("uid") not in (None, account["metadata"]["uid"]):
                # Feature gate TokenRequestServiceAccountUIDValidation, on since 1.34
                raise StatusError(409, "Conflict", "the UID of the service account does not match")
            spec = body["spec"]
            seconds = spec.get("expirationSeconds", 3600)
            if seconds < 600:
                raise StatusError(422, "Invalid", "may not specify a duration less than 10 minutes")
            ref = spec.get("boundObjectRef")
            bound = {}
            if ref:
                secret = self._held(("secrets", namespace, ref["name"]))
                if ref.get("uid") and ref["uid"] != secret["metadata"]["uid"]:
                    raise StatusError(
                        409, "Conflict", "the UID in the bound object reference does not match"
                    )
                bound = {"secret": {"name": ref["name"], "uid": secret["metadata"]["uid"]}}
            now = int(self.now())
            claims = {
                "aud": spec["audiences"], "exp": now + seconds, "iat": now, "nbf": now,
                "iss": "https://kubernetes.default.svc.cluster.local", "jti": str(uuid.uuid4()),
                "kubernetes.io": {
                    "namespace": namespace, **bound,
                    "serviceaccount": {"name": name, "uid": account["metadata"]["uid"]},
                },
                "sub": f"system:serviceaccount:{namespace}:{name}",
            }  # fmt: skip
            parts = ({"alg": "RS256", "kid": self.key_id}, claims)
            texts = [
                base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
                for part in parts
            ]
            return {**body, "status": {"token": ".".join((*texts, "c2lnbmF0dXJl"))}}

    def review(self, token: str, audience: str) -> bool:
        """
        TokenReview: a bound token ends with its account and with the object it is bound to.

        Source: "Managing Service Accounts", "Bound service account tokens".
        """
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        private = claims["kubernetes.io"]
        with self.changed:
            there = [
                self.store.objects[f"{kind}s", private["namespace"], said["name"]]["metadata"][
                    "uid"
                ]
                == said["uid"]
                for kind, said in private.items()
                if kind != "namespace"
                and (f"{kind}s", private["namespace"], said["name"]) in self.store.objects
            ]
            return (
                audience in claims["aud"]
                and self.now() < claims["exp"]
                and there == [True] * (len(private) - 1)
            )

    def collection(self, kind: str, query: dict[str, str]) -> Object:
        """Concepts, "Retrieving large results sets in chunks": limit and continue, one version."""
        with self.changed:
            start, version = 0, self.store.version
            if "continue" in query:
                start, version = json.loads(base64.b64decode(query["continue"]))
                if version < self.store.compacted:
                    raise StatusError(410, "Expired", "The provided continue parameter is too old")
            found = [
                one
                for key, one in sorted(self.store.at(version).items())
                if key[0] == kind and _selected(one, _selectors(query))
            ]
            limit = min(int(query.get("limit", len(found) or 1)), self.page or len(found) or 1)
            meta: Object = {"resourceVersion": str(version)}
            if start + limit < len(found):
                meta["continue"] = base64.b64encode(
                    json.dumps([start + limit, version]).encode()
                ).decode()
            items = copy.deepcopy(found[start : start + limit])
            return {"kind": "List", "metadata": meta, "items": items}

    @contextmanager
    def watching(self, kind: str, query: dict[str, str]) -> Iterator[Watch]:
        with self.changed:
            watch = Watch(
                kind,
                int(query.get("resourceVersion", 0)),
                _selectors(query),
                ends=time.monotonic() + float(query.get("timeoutSeconds", "3600")),
            )
            self.watches.append(watch)
            self.changed.notify_all()
        try:
            yield watch
        finally:
            with self.changed:
                self.watches.remove(watch)
                self.changed.notify_all()

    def events(self, watch: Watch, bookmarks: bool) -> Iterator[Object]:
        """
        Concepts, "Efficient detection of changes".

        `timeoutSeconds` ends the watch; the last bookmark comes two seconds before, if it tells of
        anything since the watch began (k8s.io/apiserver, pkg/storage/cacher/cache_watcher.go,
        `nextBookmarkTime` and `process`).
        """
        last, begun = watch.ends - 2, self.store.version
        while True:
            with self.changed:
                now = time.monotonic()
                if now >= last:
                    last = watch.ends
                    watch.bookmarks += now < watch.ends and self.store.version > begun
                found = self._news(watch, bookmarks)
                if not found and (watch.ended or now >= watch.ends):
                    return
                if not found:
                    self.changed.wait(max(last - now, 0.0))
            for event in found:
                yield event
                if event["type"] == "ERROR":
                    return

    def _news(self, watch: Watch, bookmarks: bool) -> list[Object]:
        if watch.version < self.store.compacted:
            error = StatusError(410, "Expired", "too old resource version")
            return [{"type": "ERROR", "object": error.body}]
        found = [
            {"type": told, "object": copy.deepcopy(one)}
            for version, kind, event, one, before in self.store.history
            if version > watch.version and kind == watch.kind
            for told in _told(event, one, before, watch.selector)
        ]
        watch.version = self.store.version
        while watch.bookmarks:
            watch.bookmarks -= 1
            if bookmarks:
                version, kind = COLLECTIONS[watch.kind]
                bare = {
                    "kind": kind,
                    "apiVersion": version,
                    "metadata": {"resourceVersion": str(self.store.version)},
                }
                found.append({"type": "BOOKMARK", "object": bare})
        return found

    def _held(self, key: tuple[str, str, str]) -> Object:
        if key not in self.store.objects:
            raise StatusError(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        return self.store.objects[key]

    def _check(self, kind: str, namespace: str, body: Object, held: Object | None = None) -> None:
        if held is None and namespace:
            home = self.store.objects.get(("namespaces", "", namespace))
            if home is None:
                raise StatusError(404, "NotFound", f'namespaces "{namespace}" not found')
            if "deletionTimestamp" in home["metadata"]:
                # Admission plugin NamespaceLifecycle
                raise StatusError(
                    403, "Forbidden", "namespace is being terminated", "NamespaceTerminating"
                )
        if kind != "secrets":
            return
        if held is not None and held.get("immutable") and not _kept(body, held):
            # Secrets, "Immutable Secrets"; k8s.io/kubernetes, `ValidateSecretUpdate`
            raise StatusError(422, "Invalid", "data: field is immutable when `immutable` is set")
        if held is not None and body.get("type") != held.get("type"):
            raise StatusError(422, "Invalid", "type: field is immutable")
        if body.get("type") == "kubernetes.io/dockerconfigjson":
            # Secrets, "Docker config Secrets": the key must be there and its value be JSON
            try:
                json.loads(base64.b64decode(body["data"][".dockerconfigjson"]))
            except (KeyError, ValueError, TypeError) as error:
                raise StatusError(
                    422, "Invalid", "data[.dockerconfigjson]: Required value"
                ) from error

    def _take(self, key: tuple[str, str, str], who: str, changed: set[str], left: set[str]) -> None:
        """
        SSA, "Field management": an update makes its manager the owner of what it changed.

        What it removed is nobody's.
        """
        names = {_name(one) for one in changed}
        owners = self.store.owners[key]
        for fields in owners.values():
            fields -= {one for one in fields if _name(one) in names}
        owners[who] = owners.get(who, set()) | {f"{name}=" for name in names & left}
        self.store.moments.setdefault(key, {})[who] = self.now()

    def _managers(self, key: tuple[str, str, str]) -> list[Object]:
        """ManagedFieldsEntry (meta/v1), without the fields: who changed it, and when last."""
        moments = self.store.moments.setdefault(key, {})
        said = []
        for who in self.store.owners.get(key, {}):
            manager, _, operation = who.partition("/")
            when = datetime.fromtimestamp(moments.get(who, self.now()), UTC)
            said.append(
                {
                    "manager": manager,
                    "operation": operation,
                    "time": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
                }
            )
        return said

    def _write(self, key: tuple[str, str, str], event: str, body: Object) -> Object:
        self.store.version += 1
        before = self.store.objects.get(key)
        body = copy.deepcopy(body)
        version, kind = COLLECTIONS[key[0]]
        body |= {"kind": kind, "apiVersion": version}
        if key[1]:
            body["metadata"]["namespace"] = key[1]
        if key[0] == "serviceaccounts" and "secrets" in body:
            # k8s.io/kubernetes, pkg/registry/core/serviceaccount, `cleanSecretReferences`
            body["secrets"] = [{"name": one["name"]} for one in body["secrets"]]
        for name in ("imagePullSecrets", "secrets"):
            if body.get(name) == []:
                del body[name]  # core/v1, ServiceAccount: both are `omitempty`
        body["metadata"]["resourceVersion"] = str(self.store.version)
        body["metadata"]["managedFields"] = self._managers(key)
        if event == "DELETED":
            del self.store.objects[key]
            self.store.owners.pop(key, None)
        else:
            self.store.objects[key] = body
        self.store.history.append((self.store.version, key[0], event, body, before))
        self.changed.notify_all()
        return copy.deepcopy(body)


def _kept(body: Object, held: Object) -> bool:
    return all(body.get(name) == held.get(name) for name in ("data", "immutable"))


def _fields(body: Object) -> set[str]:
    """The fields of an object with their values, as far as tests write them."""
    meta = body["metadata"]
    found = {f"type={body['type']}"} if "type" in body else set()
    for place, values in (
        ("data", body.get("data")),
        ("labels", meta.get("labels")),
        ("annotations", meta.get("annotations")),
    ):
        found |= {f"{place}:{name}={value}" for name, value in (values or {}).items()}
    found |= {
        f"owner:{one['uid']}={json.dumps(one, sort_keys=True)}"
        for one in meta.get("ownerReferences") or []
    }
    return found


def _name(one: str) -> str:
    return one.partition("=")[0]


def _merged(held: Object, body: Object) -> Object:
    """SSA, "Merge strategy": maps by key, ownerReferences by uid."""
    merged = copy.deepcopy(held)
    if "type" in body:
        merged["type"] = body["type"]
    merged["data"] = {**(held.get("data") or {}), **(body.get("data") or {})}
    for name in ("labels", "annotations"):
        both = {**(held["metadata"].get(name) or {}), **(body["metadata"].get(name) or {})}
        if both:
            merged["metadata"][name] = both
    owners = {
        one["uid"]: one
        for one in (held["metadata"].get("ownerReferences") or [])
        + (body["metadata"].get("ownerReferences") or [])
    }
    if owners:
        merged["metadata"]["ownerReferences"] = list(owners.values())
    return merged


def _operate(
    place: Any,  # noqa: ANN401 - a mapping or a list
    last: str,
    operation: Object,
) -> None:
    match operation["op"]:
        case "test":
            if (place[int(last)] if isinstance(place, list) else place[last]) != operation["value"]:
                raise ValueError(f"testing value {operation['path']} failed")
        case "add" if isinstance(place, list):
            place.insert(len(place) if last == "-" else int(last), operation["value"])
        case "add":
            place[last] = operation["value"]
        case "remove":
            del place[int(last) if isinstance(place, list) else last]
        case unknown:
            raise ValueError(unknown)


def _told(event: str, one: Object, before: Object | None, selectors: str) -> list[str]:
    """
    Return what a watch with selectors is told: an object that no longer matches is gone for it.

    Source: k8s.io/apiserver, pkg/storage/cacher/cache_watcher.go, `convertToWatchEvent`.
    """
    is_in = event != "DELETED" and _selected(one, selectors)
    was_in = before is not None and _selected(before, selectors)
    if is_in:
        return ["MODIFIED" if was_in else "ADDED"]
    return ["DELETED"] if was_in else []


def _selectors(query: dict[str, str]) -> str:
    """Write both selectors of a request as one: no label of the tests is called as a field is."""
    return ",".join(query[name] for name in ("fieldSelector", "labelSelector") if name in query)


def _within(namespace: str, query: dict[str, str]) -> dict[str, str]:
    """Restrict a request to the namespace of its path, by a field that every object has."""
    if not namespace:
        return query
    both = [f"metadata.namespace={namespace}", query.get("fieldSelector", "")]
    return {**query, "fieldSelector": ",".join(filter(None, both))}


def _selected(one: Object, selectors: str) -> bool:
    """
    Concepts, "Field selectors": all by `metadata.name`, Secrets by `type`, Events by `source`;
    "Labels and Selectors", equality-based.
    """
    values = {
        **(one["metadata"].get("labels") or {}),
        "type": one.get("type"),
        "metadata.name": one["metadata"]["name"],
        "metadata.namespace": one["metadata"].get("namespace"),
        "source": (one.get("source") or {}).get("component"),
    }
    wanted = (each.partition("=") for each in selectors.split(",") if each)
    return all(values.get(name) == value for name, _, value in wanted)


class _Handler(Handler):
    host: ApiServer

    def carry_out(self, request: Request) -> None:
        if "watch" in request.query:
            self.stream(self._lines(request))
            return
        request.status, body = self._answer(request)
        self.host.after(request)
        self.send(request.status, json.dumps(body).encode())

    def _answer(self, request: Request) -> tuple[int, Object]:
        if request.path == "/openid/v1/jwks":
            return 200, self._keys()
        kind, namespace, name, sub = _route(request.path)
        manager = request.query.get("fieldManager", "client")
        body = request.body
        match request.method:
            case "GET" if not name:
                return 200, self.host.collection(kind, _within(namespace, request.query))
            case "GET":
                with self.host.changed:
                    return 200, copy.deepcopy(self.host._held((kind, namespace, name)))
            case "POST" if sub == "token":
                return 201, self.host.token(namespace, name, body)
            case "POST":
                return 201, self.host.post(kind, namespace, body, manager)
            case "PUT":
                return 200, self.host.put(kind, namespace, name, body, manager)
            case "DELETE":
                return 200, self.host.delete(kind, namespace, name, body)
            case "PATCH" if request.content_type == "application/apply-patch+yaml":
                force = request.query.get("force") == "true"
                return 200, self.host.apply(kind, namespace, name, body, manager, force)
            case "PATCH" if request.content_type == "application/json-patch+json":
                return 200, self.host.patch(kind, namespace, name, body, manager)
        raise StatusError(415, "UnsupportedMediaType")

    def _keys(self) -> Object:
        if "application/jwk-set+json" not in self.headers.get("Accept", ""):
            # k8s.io/kubernetes, pkg/routes/openidmetadata.go: the route produces nothing else
            raise StatusError(406, "NotAcceptable")
        return {"keys": [{"kty": "RSA", "kid": kid} for kid in self.host.published]}

    def _lines(self, request: Request) -> Iterator[bytes]:
        kind, namespace, *_ = _route(request.path)
        bookmarks = request.query.get("allowWatchBookmarks") == "true"
        with self.host.watching(kind, _within(namespace, request.query)) as watch:
            for event in self.host.events(watch, bookmarks):
                yield json.dumps(event).encode() + b"\n"


def _route(path: str) -> tuple[str, str, str, str]:
    steps = [unquote(one) for one in path.split("/") if one]
    rest = steps[2:] if steps[0] == "api" else steps[3:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    rest += [""] * (3 - len(rest))
    if rest[0] not in COLLECTIONS:
        raise StatusError(404, "NotFound", "the server could not find the requested resource")
    return rest[0], namespace, rest[1], rest[2]
