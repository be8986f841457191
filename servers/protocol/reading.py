"""
Reading a request's method and target as a route of a registry.

What lives here: the grammar of the OCI Distribution Spec 1.1 ("Endpoints", "Pulling manifests") and
the access that Distribution asks for (`registry/handlers/app.go`).  Pure.  Not here: what a route
is (`routes`), tokens (`proxy.gate`), and moving bytes (`proxy.forwarding`).

A target has one reading, or none.  Names and references are checked before anything is decided, and
a path with percent-encoding is refused.  The target that goes upstream is written anew from what
was read.  So the registry cannot read another resource than the one that was decided.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from regauth.engine.access.references import is_digest, is_tag
from regauth.engine.access.scope import (
    CATALOG,
    MAX_NAME_LENGTH,
    REGISTRY,
    REPOSITORY,
    Resource,
    Scope,
    is_repository_path,
)

from .errors import ErrorCode
from .routes import Route, RouteFault, RouteKind

MAX_TARGET: Final = 8 * 1024
"""Characters in a request's target; upload sessions carry state in theirs."""

MAX_PARAMETERS: Final = 16
"""Parameters in a query."""

_SESSION: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~:=+-]{1,1024}", re.ASCII)
_PATH: Final = re.compile(r"/v2(?:/[A-Za-z0-9._~:=+-]*)*", re.ASCII)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII)
_QUERY: Final = re.compile(r"[!$&-:=?@A-Z_a-z~%]*", re.ASCII)
_PUSHED_BY: Final = ("sha256:", "sha512:")
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")

METHODS: Final[Mapping[RouteKind, tuple[str, ...]]] = {
    RouteKind.BASE: ("GET", "HEAD"),
    RouteKind.CATALOG: ("GET", "HEAD"),
    RouteKind.TAGS: ("GET", "HEAD"),
    RouteKind.MANIFEST: ("GET", "HEAD", "PUT", "DELETE"),
    RouteKind.BLOB: ("GET", "HEAD", "DELETE"),
    RouteKind.UPLOADS: ("POST",),
    RouteKind.UPLOAD: ("GET", "HEAD", "PATCH", "PUT", "DELETE"),
    RouteKind.REFERRERS: ("GET", "HEAD"),
}
"""The methods of each kind of route."""

_PAGED: Final = frozenset(("n", "last", "next_page", "from"))
_UPLOAD: Final = frozenset(("digest", "digest-algorithm", "from"))

PARAMETERS: Final[Mapping[RouteKind, frozenset[str]]] = {
    RouteKind.BASE: frozenset(),
    RouteKind.CATALOG: _PAGED,
    RouteKind.TAGS: _PAGED,
    RouteKind.MANIFEST: frozenset(("from",)),
    RouteKind.BLOB: frozenset(("from",)),
    RouteKind.UPLOADS: _UPLOAD | {"mount"},
    RouteKind.UPLOAD: _UPLOAD | {"_state", "_nouploadcache"},
    RouteKind.REFERRERS: _PAGED | {"artifactType"},
}
"""
The parameters that go upstream, by the kind of route; a PUT of a manifest has `tag` too.

Any other parameter is left out, as an unknown header is, because its meaning to a registry is
unknown.  `next_page` is Quay's, `_nouploadcache` Azure's, `_state` Distribution's.  `from` stands
with all kinds: Distribution asks for access to its repository in every request, so it is decided
here in every request.
"""

_ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "GET": ("pull",),
    "HEAD": ("pull",),
    "POST": ("pull", "push"),
    "PUT": ("pull", "push"),
    "PATCH": ("pull", "push"),
    "DELETE": ("delete",),
}
"""Distribution's `appendAccessRecords`: whoever pushes must be able to pull too."""


def read_route(method: str, target: str, content_type: str = "") -> Route | RouteFault:
    """
    Read a request.

    Args:
        method: The method, as sent.
        target: The target in origin form (RFC 9112, section 3.2.1), as sent, nothing decoded.
        content_type: The request's `Content-Type`.  Distribution reads `from`, `mount` and `digest`
            out of a form too, which is a second reading: uploads of forms are refused.
    """
    # The length comes first: it bounds the time of every pattern below.
    if len(target) > MAX_TARGET:
        return RouteFault(
            414, ErrorCode.SIZE_INVALID, f"the target is longer than {MAX_TARGET} characters"
        )
    path, _, query = target.partition("?")
    # No percent-encoding: `%2f` is a slash to one reader and a part of a segment to another, and
    # the registry could read another repository than the one that is decided.
    if _PATH.fullmatch(path) is None:
        return _UNKNOWN
    found = _read_path(path)
    if isinstance(found, RouteFault):
        return found
    kind, name, reference = found
    if method not in METHODS[kind]:
        allowed = METHODS[kind]
        return RouteFault(
            405, ErrorCode.UNSUPPORTED, f"the methods here are {', '.join(allowed)}", allowed
        )
    repeatable = ("tag",) if kind is RouteKind.MANIFEST and method == "PUT" else ()
    pairs = _read_query(query, repeatable)
    if isinstance(pairs, RouteFault):
        return pairs
    # Distribution reads `from`, `mount` and `digest` by Go's `FormValue`, which also reads a form
    # in the body.
    if kind in (RouteKind.UPLOADS, RouteKind.UPLOAD) and _may_be_form(content_type):
        return RouteFault(
            400, ErrorCode.UNSUPPORTED, "a blob is not sent as a form; leave out Content-Type"
        )
    return _route(kind, method, name, reference, pairs)


def is_address(path: str) -> bool:
    """Tell whether a path is one of the specification's, whatever is done with it."""
    return _PATH.fullmatch(path) is not None and not isinstance(_read_path(path), RouteFault)


def passes(path: str, query: str) -> bool:
    """Tell whether all parameters of an address of the specification go upstream."""
    found = _read_path(path)
    names = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    return not isinstance(found, RouteFault) and names <= PARAMETERS[found[0]]


_UNKNOWN: Final = RouteFault(404, ErrorCode.NOT_FOUND, "the distribution API has no such address")


def _read_path(path: str) -> tuple[RouteKind, str, str] | RouteFault:
    """Read a path by its end: each kind of route ends in another way, so one reading fits."""
    if path in ("/v2", "/v2/"):
        return RouteKind.BASE, "", ""
    if path == "/v2/_catalog":
        return RouteKind.CATALOG, "", ""
    match path.removeprefix("/v2/").split("/"):
        case [*name, "tags", "list"] if name:
            return _named(RouteKind.TAGS, name, "")
        case [*name, "blobs", "uploads", ""] if name:
            return _named(RouteKind.UPLOADS, name, "")
        case [*name, "blobs", "uploads", session] if name:
            known = _SESSION.fullmatch(session)
            return _named(RouteKind.UPLOAD, name, session) if known else _UNKNOWN
        case [*name, "manifests" | "blobs" | "referrers" as kind, reference] if name:
            return _check_reference(kind, reference) or _named(_KINDS[kind], name, reference)
    return _UNKNOWN


_KINDS: Final = {
    "manifests": RouteKind.MANIFEST,
    "blobs": RouteKind.BLOB,
    "referrers": RouteKind.REFERRERS,
}


def _check_reference(kind: str, reference: str) -> RouteFault | None:
    if is_digest(reference) or (kind == "manifests" and is_tag(reference)):
        return None
    if kind == "manifests" and ":" not in reference:
        return RouteFault(
            404, ErrorCode.MANIFEST_UNKNOWN, "the reference is neither a tag nor a digest"
        )
    return RouteFault(400, ErrorCode.DIGEST_INVALID, "this is not a digest")


def _named(
    kind: RouteKind, parts: list[str], reference: str
) -> tuple[RouteKind, str, str] | RouteFault:
    name = "/".join(parts)
    fault = _check_name(name)
    return (kind, name, reference) if fault is None else fault


def _check_name(name: str) -> RouteFault | None:
    if len(name) > MAX_NAME_LENGTH or not is_repository_path(name):
        return RouteFault(400, ErrorCode.NAME_INVALID, "this is not the name of a repository")
    return None


def _read_query(
    query: str, repeatable: tuple[str, ...]
) -> tuple[tuple[str, str], ...] | RouteFault:
    """
    Read a query (WHATWG URL, application/x-www-form-urlencoded parsing).

    A name that is given twice, a `;` or a broken escape is read differently by different readers.
    Only `tag` may be repeated (OCI Distribution Spec 1.1, end-7b), because every reader takes all
    of them.
    """
    bad = RouteFault(400, ErrorCode.UNSUPPORTED, "the query is ambiguous")
    # Go drops a pair with a broken escape or a `;`, while other readers keep it.
    if _QUERY.fullmatch(query) is None or _BAD_ESCAPE.search(query):
        return bad
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict"
        )
    except ValueError:
        return bad
    names = [name for name, _ in pairs if name not in repeatable]
    if len(set(names)) != len(names):
        return bad
    # A control character could end a line of the upstream request or of a log.
    if any(not text.isprintable() for pair in pairs for text in pair):
        return bad
    return tuple(pairs)


def _may_be_form(content_type: str) -> bool:
    """
    Tell whether any reader can take a body for a form.

    "Contains" rather than "is", because how a list of types is read depends on the reader.  No
    media type has other characters than ASCII's (RFC 9110, section 5.6.2), but Go lowers whatever
    there is before it compares: an I with a dot (U+0130) in `application` is an i to Distribution.
    """
    folded = content_type.lower()
    return not content_type.isascii() or any(form in folded for form in _FORMS)


def _check_pushed(reference: str, tags: list[str]) -> RouteFault | None:
    # Distribution 2 takes a digest that it cannot parse for a tag, and creates or moves it.
    if ":" in reference and not reference.startswith(_PUSHED_BY):
        return RouteFault(
            400, ErrorCode.DIGEST_INVALID, "a manifest is pushed by sha256 or sha512, or a tag"
        )
    if not all(map(is_tag, tags)):
        return RouteFault(400, ErrorCode.TAG_INVALID, "`tag` is not a tag")
    return None


def _route(
    kind: RouteKind, method: str, name: str, reference: str, pairs: tuple[tuple[str, str], ...]
) -> Route | RouteFault:
    given = dict(pairs)
    source = given.get("from", "")
    if source and _check_name(source) is not None:
        return RouteFault(400, ErrorCode.NAME_INVALID, "`from` is not the name of a repository")
    for parameter in ("digest", "mount"):
        value = given.get(parameter)
        if value and kind in (RouteKind.UPLOADS, RouteKind.UPLOAD) and not is_digest(value):
            return RouteFault(400, ErrorCode.DIGEST_INVALID, f"`{parameter}` is not a digest")
    passed = PARAMETERS[kind]
    if kind is RouteKind.MANIFEST and method == "PUT":
        fault = _check_pushed(reference, [value for key, value in pairs if key == "tag"])
        if fault is not None:
            return fault
        passed |= {"tag"}
    needs: list[Scope] = []
    if kind is RouteKind.CATALOG:
        needs.append(Scope(Resource(REGISTRY, CATALOG), ("*",)))
    elif name:
        needs.append(Scope(Resource(REPOSITORY, name), _ACTIONS[method]))
        if source:  # in every request, because Distribution asks for it in every request
            needs.append(Scope(Resource(REPOSITORY, source), ("pull",)))
    undecided = ""
    if kind is RouteKind.UPLOADS and not source and "mount" in given:
        # Without `from` a registry may look for the blob in all its repositories, and it is unknown
        # whether the client may pull from the one it finds.  Without `mount` it is an upload.
        passed -= {"mount", "from"}
        undecided = "a mount must say `from` which repository"
    query = tuple((key, value) for key, value in pairs if key in passed)
    return Route(kind, method, name, reference, query, tuple(needs), undecided)
