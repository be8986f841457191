"""
The upstream registry: requests to it with the proxy's own login, and its addresses in answers.

What lives here: sending what was read of a request, and rewriting `Location` and `Link` that point
at the upstream.  Not here: the client's headers (`regauth.servers.proxy.headers`), logins
(`credentials`), and connections (`http_client.pool`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import IO, Final
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from regauth.engine.access.scope import REPOSITORY, Resource, Scope
from regauth.engine.source.foreign_text import quoted
from regauth.servers.http_client.origins import Origin, origin_of
from regauth.servers.http_client.pool import Connecting, Pool, UpstreamAnswer, UpstreamError
from regauth.servers.protocol.reading import is_address, passes
from regauth.servers.protocol.routes import Route, RouteKind

from .credentials import UpstreamCredentials
from .upload_locations import SealedLocations

LOOK_SECONDS: Final = 2.0
"""
Seconds that the registry may take to connect, and to answer, when only its state is asked for.
"""

TAG_SECONDS: Final = 10.0
"""Seconds that it may take to connect, and to answer, when it is asked whether a tag exists."""

_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.artifact.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
    "*/*",
)
"""
Every kind of manifest.

Distribution answers 404 for a tag whose manifest has a kind that is not accepted
(registry/handlers/manifests.go), which would be taken for a tag that does not exist.
"""


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body, which is sent as it is read."""

    stream: IO[bytes] = field(repr=False)
    length: int

    def rewind(self) -> bool:
        """Go back to the beginning, to send it once more; tell whether that was possible."""
        try:
            self.stream.seek(0)
        except (OSError, ValueError, AttributeError):
            return False
        return True


class Upstream:
    """
    One registry.  Safe to use from many threads.

    Args:
        url: Its address, perhaps with a path under which it is served.
        connecting: How it is reached.
        credentials: What it asks for.
        sealed: Seals the addresses of its uploads.

    Raises:
        UpstreamError: The CA file cannot be used.
    """

    def __init__(
        self,
        url: str,
        connecting: Connecting,
        credentials: UpstreamCredentials,
        sealed: SealedLocations,
    ) -> None:
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._prefix = parts.path.rstrip("/")
        self._host = parts.netloc
        self._pool = Pool(self._origin, connecting)
        quick = replace(connecting, connect_seconds=LOOK_SECONDS, read_seconds=LOOK_SECONDS)
        self._looking = Pool(self._origin, quick)
        prompt = replace(connecting, connect_seconds=TAG_SECONDS, read_seconds=TAG_SECONDS)
        self._asking = Pool(self._origin, prompt)
        self._credentials = credentials
        self._sealed = sealed

    def send(self, route: Route, headers: Mapping[str, str], body: Body | None) -> UpstreamAnswer:
        """
        Send a request and return the answer.

        When the upstream no longer accepts what it was sent, it is asked once more.

        Raises:
            CredentialsError, UpstreamError, UpstreamRefusedError: There is none.
        """
        return self._answer(self._pool, route, headers, body)

    def look_for(self, name: str, tag: str) -> int:
        """
        Ask whether a manifest has a tag, and return the status of the answer.

        Raises:
            CredentialsError, UpstreamError, UpstreamRefusedError: There is no answer.
        """
        needs = (Scope(Resource(REPOSITORY, name), ("pull",)),)
        route = Route(RouteKind.MANIFEST, "HEAD", name, tag, needs=needs)
        # A cache on the way could answer by what was there before.
        headers = {"Accept": ", ".join(_MANIFESTS), "Cache-Control": "no-cache"}
        answer = self._answer(self._asking, route, headers, None)
        answer.close()
        # `http.client` takes a status line that breaks off for an answer without headers.
        if not answer.headers:
            raise UpstreamError("the upstream registry broke off within its answer")
        return answer.status

    def _answer(
        self, pool: Pool, route: Route, headers: Mapping[str, str], body: Body | None
    ) -> UpstreamAnswer:
        scopes = tuple(str(scope) for scope in route.needs)
        answer = self._send(pool, route, headers, body, scopes)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        answer.close()
        self._credentials.learn(scopes, answer.header("WWW-Authenticate"))
        # A body that cannot be read again was spent on the first attempt.
        if body is None or body.rewind():
            answer = self._send(pool, route, headers, body, scopes)
            if answer.status != HTTPStatus.UNAUTHORIZED:
                return answer
            answer.close()
        raise self._credentials.refusal(answer.header("WWW-Authenticate"))

    def _send(
        self,
        pool: Pool,
        route: Route,
        headers: Mapping[str, str],
        body: Body | None,
        scopes: Sequence[str],
    ) -> UpstreamAnswer:
        authorization = self._credentials.authorization(scopes, partial(self._ping, pool))
        sent = {**headers, "Host": self._host}
        if authorization:
            sent["Authorization"] = authorization
        if body is not None:
            sent["Content-Length"] = str(body.length)
        stream = body.stream if body is not None and body.length else None
        return pool.send(route.method, self._target(route), sent, stream)

    def _target(self, route: Route) -> str:
        """Return the target to send: the one that was read, or its upload session's."""
        if route.kind is RouteKind.UPLOAD:
            opened = self._sealed.open(route.name, route.reference)
            if opened is not None:
                joint = "&" if "?" in opened else "?"
                return joint.join(filter(None, (opened, urlencode(route.query))))
        return self._prefix + route.target

    def _ping(self, pool: Pool) -> UpstreamAnswer:
        return pool.send("GET", f"{self._prefix}/v2/", {"Host": self._host})

    def look(self) -> None:
        """
        Ask `GET /v2/` without a login, to see whether the registry answers at all.

        Raises:
            UpstreamError: It does not, or only with a failure of its own.
        """
        answer = self._looking.send("GET", f"{self._prefix}/v2/", {"Host": self._host})
        answer.close()
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise UpstreamError(f"the upstream registry answers {answer.status}")

    def location(self, value: str, route: Route, public: str, *, redirect: bool) -> str:
        """
        Return a `Location` as the client can use it.

        A `Location` at this registry, relative or not, then points at `public`.  An upload's that
        is not of the specification's form is sealed into one that is.  Any other, such as one at
        blob storage, is kept.

        Args:
            value: What the upstream said.
            route: What it was asked.
            public: The origin that the client knows.
            redirect: Whether this is a redirect, which may lead out of the API.

        Raises:
            UpstreamError: It is no address, the proxy does not serve it, or it leads the client
                from `https` to plain HTTP.
        """
        try:
            parts = urlsplit(urljoin(self._origin + self._target(route), value))
        except ValueError:
            parts = urlsplit("")
        named, asked = origin_of(parts), origin_of(public)
        if named is None:
            raise UpstreamError("the upstream registry sends a Location that is no address")
        # An address elsewhere is blob storage, where the client goes by itself.
        if not self._is_here(named, asked, redirect=redirect):
            if not redirect:
                _check_tls(named, asked)
            return value
        path = parts.path.removeprefix(self._prefix)
        known = is_address(path)
        # A registry may redirect to a path of its own host that is not the API, such as its
        # storage.
        if redirect and not known:
            return value
        if known and (redirect or passes(path, parts.query)):
            return f"{public}{path}?{parts.query}" if parts.query else f"{public}{path}"
        return f"{public}{self._seal(parts, route)}"

    def _seal(self, parts: SplitResult, route: Route) -> str:
        """
        Return a path of the specification's form that stands for an upload's address.

        Raises:
            UpstreamError: The address is no upload's, or cannot be sealed.
        """
        if route.kind in (RouteKind.UPLOADS, RouteKind.UPLOAD):
            sealed = self._sealed.seal(route.name, parts.path, parts.query)
            if sealed is not None:
                return f"/v2/{route.name}/blobs/uploads/{sealed}"
        if not is_address(parts.path.removeprefix(self._prefix)):
            raise UpstreamError(
                "the upstream registry sends an address outside the distribution API"
            )
        raise UpstreamError(
            "the upstream registry sends an address with parameters that the proxy does "
            f"not pass on: {quoted(parts.query)}"
        )

    def _is_here(self, named: Origin, asked: Origin | None, *, redirect: bool) -> bool:
        """
        Tell whether an origin in an answer is this registry's: the upstream's, or the public one.

        A registry that serves plain HTTP behind TLS takes its own scheme for `http`.  So the scheme
        does not count (RFC 9110, section 10.2.2 lets the answer be relative).  A redirect leads to
        another address on purpose: an upstream that moves clients to its `https` address must not
        be rewritten into a loop.  It stays here only from plain HTTP at the public address, where
        the client's token would go without TLS.
        """
        if named in (origin_of(self._origin), asked):
            return True
        homes = [] if redirect else [origin_of(self._origin)]
        if asked is not None and (not redirect or asked.scheme == "https"):
            homes.append(asked)
        return any(home is not None and named.names_same_host(home) for home in homes)

    def link(self, value: str, route: Route, public: str) -> str:
        """
        Return a `Link` (RFC 8288) whose target is a path that the proxy serves.

        Raises:
            UpstreamError: It is not.
        """
        target, end, rest = value.partition(">")
        if not end or not target.strip().startswith("<"):
            raise UpstreamError("the upstream registry sends a Link that cannot be read")
        rewritten = self.location(target.strip()[1:], route, public, redirect=False)
        return f"<{rewritten.removeprefix(public)}>{rest}"

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()
        self._looking.close()
        self._asking.close()


def _check_tls(named: Origin, asked: Origin | None) -> None:
    """
    Refuse an address without TLS for a client that came by TLS: its token would follow.

    Raises:
        UpstreamError: It would be sent there.
    """
    if named.scheme == "http" and asked is not None and asked.scheme == "https":
        raise UpstreamError(
            f"the upstream registry sends clients to plain HTTP at {quoted(named.host)}"
        )
