"""
What a request of a registry is about and what it needs: a route.

What lives here: a route as a value, how it is written anew, and the accesses that it requires.
Pure.  Not here: reading one from a request (`reading`).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlencode

from regauth.engine.access.references import ALL_TAGS, UNKNOWN, UPLOAD
from regauth.engine.access.scope import Access, Scope

from .errors import ErrorCode


class RouteKind(StrEnum):
    """What a route is about."""

    BASE = "base"
    CATALOG = "catalog"
    TAGS = "tags"
    MANIFEST = "manifest"
    BLOB = "blob"
    UPLOADS = "uploads"
    UPLOAD = "upload"
    REFERRERS = "referrers"


@dataclass(frozen=True, slots=True)
class RouteFault:
    """A request that the specification does not have: an HTTP status, an error code, a message."""

    status: int
    code: ErrorCode
    message: str
    allow: tuple[str, ...] = ()
    """With status 405: the methods that are allowed."""


@dataclass(frozen=True, slots=True)
class Route:
    """A request of the specification, read."""

    kind: RouteKind
    method: str
    name: str = ""
    reference: str = ""
    """A tag or digest; the session of an upload."""
    query: tuple[tuple[str, str], ...] = ()
    """Its known parameters, which go upstream; only `tag` can stand there more than once."""
    needs: tuple[Scope, ...] = field(default=())
    """The access that is required, as a challenge names it."""
    undecided: str = ""
    """Why the request cannot pass as it was sent, although `target` can."""

    @property
    def path(self) -> str:
        """The path, written anew."""
        match self.kind:
            case RouteKind.BASE:
                return "/v2/"
            case RouteKind.CATALOG:
                return "/v2/_catalog"
            case RouteKind.TAGS:
                return f"/v2/{self.name}/tags/list"
            case RouteKind.MANIFEST:
                return f"/v2/{self.name}/manifests/{self.reference}"
            case RouteKind.BLOB:
                return f"/v2/{self.name}/blobs/{self.reference}"
            case RouteKind.UPLOADS:
                return f"/v2/{self.name}/blobs/uploads/"
            case RouteKind.UPLOAD:
                return f"/v2/{self.name}/blobs/uploads/{self.reference}"
            case RouteKind.REFERRERS:
                return f"/v2/{self.name}/referrers/{self.reference}"

    @property
    def target(self) -> str:
        """Path and query, written anew: what goes upstream."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def accesses(self) -> tuple[Access, ...]:
        """Each access that is required, as a token says it."""
        return tuple(access for scope in self.needs for access in scope.accesses)

    @property
    def placed(self) -> tuple[Access, ...]:
        """Each access that is required, with the tag or digest that it is about."""
        return tuple(
            Access(access.resource, access.action, reference)
            for scope, found in zip(self.needs, self._references, strict=True)
            for reference in found
            for access in scope.accesses
        )

    @property
    def _references(self) -> tuple[tuple[str, ...], ...]:
        """What the request refers to in each repository of `needs`."""
        given = dict(self.query)
        match self.kind:
            case RouteKind.MANIFEST:
                tags = [value for name, value in self.query if name == "tag"]
                own: tuple[str, ...] = (self.reference, *tags)
            case RouteKind.BLOB | RouteKind.REFERRERS:
                own = (self.reference,)
            case RouteKind.TAGS:
                own = (ALL_TAGS,)
            case RouteKind.UPLOADS | RouteKind.UPLOAD:
                own = (UPLOAD,)
            case RouteKind.BASE | RouteKind.CATALOG:
                own = (UNKNOWN,)
        source = (given.get("mount") or UPLOAD,)
        return (own, source)[: len(self.needs)]
