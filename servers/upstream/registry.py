"""
The upstream registry: requests to it with the proxy's own login, and its addresses in answers.

What lives here: sending what was read of a request, and rewriting `Location` and `Link` that point
at the upstream.  What must not: the client's headers (`regauth.servers.proxy.headers`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import IO, Final
from urllib.parse import urlencode, urljoin, urlsplit

from regauth.servers.http_client.pool import Answer, Connecting, Pool, UpstreamError
from regauth.servers.protocol.routes import Kind, Route, is_address

from .credentials import UpstreamCredentials, UpstreamRefusedError
from .upload_locations import SealedSessions

_PORTS: Final = {"http": 80, "https": 443}


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
        sessions: Seals the addresses of its uploads.

    Raises:
        UpstreamError: The CA file cannot be used.
    """

    def __init__(
        self,
        url: str,
        connecting: Connecting,
        credentials: UpstreamCredentials,
        sessions: SealedSessions,
    ) -> None:
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._prefix = parts.path.rstrip("/")
        self._host = parts.netloc
        self._pool = Pool(self._origin, connecting)
        self._credentials = credentials
        self._sessions = sessions

    def send(self, route: Route, headers: Mapping[str, str], body: Body | None) -> Answer:
        """
        Send a request and return the answer.

        When the upstream no longer accepts what it was sent, it is asked once more.

        Raises:
            CredentialsError, UpstreamError, UpstreamRefusedError: There is none.
        """
        scopes = tuple(str(scope) for scope in route.needs)
        answer = self._send(route, headers, body, scopes)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        answer.close()
        self._credentials.forget(scopes)
        if body is None or body.rewind():
            answer = self._send(route, headers, body, scopes)
            if answer.status != HTTPStatus.UNAUTHORIZED:
                return answer
            answer.close()
        message = "the upstream registry does not accept the proxy's login"
        raise UpstreamRefusedError(message)

    def _send(
        self, route: Route, headers: Mapping[str, str], body: Body | None, scopes: Sequence[str]
    ) -> Answer:
        authorization = self._credentials.authorization(scopes, self._ping)
        sent = {**headers, "Host": self._host}
        if authorization:
            sent["Authorization"] = authorization
        if body is not None:
            sent["Content-Length"] = str(body.length)
        stream = body.stream if body is not None and body.length else None
        return self._pool.send(route.method, self._target(route), sent, stream)

    def _target(self, route: Route) -> str:
        """Return what is asked of the upstream: what was read, or what its session stands for."""
        if route.kind is Kind.UPLOAD:
            opened = self._sessions.open(route.name, route.reference)
            if opened is not None:
                joint = "&" if "?" in opened else "?"
                return joint.join(filter(None, (opened, urlencode(route.query))))
        return self._prefix + route.target

    def _ping(self) -> Answer:
        return self._pool.send("GET", f"{self._prefix}/v2/", {"Host": self._host})

    def location(self, value: str, route: Route, public: str, *, redirect: bool) -> str:
        """
        Return a `Location` as the client can use it.

        One that points at the upstream, relative or not, points at `public` afterwards; an upload's
        that is not of the specification's form is sealed into one that is.  Any other is kept: blob
        storage.

        Args:
            value: What the upstream said.
            route: What it was asked.
            public: The origin that the client knows.
            redirect: Whether this is a redirect, which may lead out of the API.

        Raises:
            UpstreamError: It is no address, or the proxy does not serve it.
        """
        try:
            parts = urlsplit(urljoin(self._origin + self._target(route), value))
            origin = _origin(parts.scheme, parts.hostname, parts.port)
        except ValueError:
            origin = None
        if origin is None:
            message = "the upstream registry sends a Location that is no address"
            raise UpstreamError(message)
        if origin not in (_split(self._origin), _split(public)):
            return value
        path = parts.path.removeprefix(self._prefix)
        if not is_address(path):
            if redirect:
                return value
            if route.kind in (Kind.UPLOADS, Kind.UPLOAD):
                sealed = self._sessions.seal(route.name, parts.path, parts.query)
                if sealed is not None:
                    return f"{public}/v2/{route.name}/blobs/uploads/{sealed}"
            message = "the upstream registry sends a Location outside the distribution API"
            raise UpstreamError(message)
        return f"{public}{path}?{parts.query}" if parts.query else f"{public}{path}"

    def link(self, value: str, route: Route, public: str) -> str:
        """
        Return a `Link` (RFC 8288) whose target is a path that the proxy serves.

        Raises:
            UpstreamError: It is not.
        """
        target, end, rest = value.partition(">")
        if not end or not target.strip().startswith("<"):
            message = "the upstream registry sends a Link that cannot be read"
            raise UpstreamError(message)
        rewritten = self.location(target.strip()[1:], route, public, redirect=False)
        return f"<{rewritten.removeprefix(public)}>{rest}"

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()


def _split(origin: str) -> tuple[str, str, int] | None:
    parts = urlsplit(origin)
    return _origin(parts.scheme, parts.hostname, parts.port)


def _origin(scheme: str, host: str | None, port: int | None) -> tuple[str, str, int] | None:
    """Return an origin (RFC 6454, section 4) that can be compared, or None."""
    if scheme not in _PORTS or not host:
        return None
    return scheme, host.lower(), port or _PORTS[scheme]
