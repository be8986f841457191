"""
The Kubernetes API: the one module that sends requests to it.

What lives here: addresses, credentials and TLS as the `kubernetes` package configures them,
requests, streams, and errors as values of one type.  Not here: what the objects mean (`reading`),
and how to log in (`connection`).

The package's generated methods are not used: they build an object for every field of every list,
which for thousands of accounts is most of the controller's memory and time.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config.config_exception import ConfigException

from .api_errors import ApiError, TooLargeError

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""

APPLY: Final = "application/apply-patch+yaml"
"""Server-side apply (Kubernetes documentation, "Server-Side Apply"); JSON is YAML."""

ACCEPT: Final = "application/json, application/jwk-set+json"
"""The API server answers with keys (RFC 7517, section 8.5) only who accepts their own type."""

JSON_PATCH: Final = "application/json-patch+json"
"""RFC 6902."""

_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 30.0
_URGENT_SECONDS: Final = 5.0
"""For the Lease, as controller-runtime has it: who waits longer neither keeps nor takes it."""
_ERRORS: Final = 400


Count = Callable[[str, str, int], None]
"""Is told of each request: its method, the kind of thing it was about, the answer's status."""


class Cluster:
    """
    A cluster's API server.

    Args:
        configuration: Where it is and how to log in, from `kubernetes.config`.
        throttle: Called before each request but streams; it may wait.
        count: Told of each request.
        dated: Told the Date field of each answer.
    """

    def __init__(
        self,
        configuration: Configuration,
        throttle: Callable[[], None] = lambda: None,
        count: Count = lambda _method, _kind, _status: None,
        dated: Callable[[str | None], None] = lambda _date: None,
    ) -> None:
        self._configuration = configuration
        self._pool = RESTClientObject(configuration).pool_manager
        self._throttle = throttle
        self._count = count
        self._dated = dated

    def get(self, path: str, **query: str) -> Object:
        """Read an object or a list."""
        return self._call("GET", path, query=query)

    def page(self, path: str, query: Mapping[str, str], most: int) -> tuple[Object, int]:
        """
        Read a page of a list; return it and how many bytes it has.

        Raises:
            TooLargeError: It has more than `most` bytes, of which no more are read.
            ApiError: The request failed.
        """
        self._throttle()
        response = self._send("GET", path, None, "", query, _READ_SECONDS, stream=True)
        try:
            data = response.read(most + 1)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(0, f"the API server: {type(error).__name__}") from error
        if len(data) > most:
            response.close()  # what is not read would be in the way of the next answer
            raise TooLargeError
        response.release_conn()
        return _object(data), len(data)

    def create(self, path: str, body: Object, *, urgent: bool = False) -> Object:
        """Create an object, or a subresource such as a token."""
        return self._call("POST", path, body, urgent=urgent)

    def replace(self, path: str, body: Object) -> Object:
        """Replace an object if it still has the body's resourceVersion; never waits in line."""
        return self._call("PUT", path, body, urgent=True)

    def apply(self, path: str, body: Object, manager: str, *, force: bool = False) -> Object:
        """Apply an object; without `force`, no field is taken from another manager."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return self._call("PATCH", path, body, APPLY, query)

    def patch(self, path: str, operations: list[Object], manager: str) -> Object:
        """Patch an object, all operations or none."""
        return self._call("PATCH", path, operations, JSON_PATCH, {"fieldManager": manager})

    def delete(self, path: str, uid: str) -> Object:
        """Delete an object if it still has this UID (DeleteOptions, `preconditions`)."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        return self._call("DELETE", path, body)

    def urgent(self, path: str) -> Object:
        """Read an object without waiting in line, for leases."""
        return self._call("GET", path, urgent=True)

    def stream(self, path: str, query: Mapping[str, str], seconds: float) -> "Stream":
        """
        Begin to watch.

        Args:
            path: The collection.
            query: The request's parameters.
            seconds: How long the stream may be silent before it counts as broken.
        """
        # The answer begins at once.  A connection that nobody answers, such as one to a server that
        # has gone behind a balancer, must not be waited for as long as a watch may be silent.
        response = self._send("GET", path, None, "", query, _READ_SECONDS, stream=True)
        socket = getattr(response.connection, "sock", None)
        if socket is not None:
            socket.settimeout(seconds)
        return Stream(response)

    def _call(
        self,
        method: str,
        path: str,
        body: Object | list[Object] | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        *,
        urgent: bool = False,
    ) -> Object:
        if not urgent:
            self._throttle()
        seconds = _URGENT_SECONDS if urgent else _READ_SECONDS
        response = self._send(method, path, body, content_type, query or {}, seconds)
        return _object(response.data)

    def _send(
        self,
        method: str,
        path: str,
        body: Object | list[Object] | None,
        content_type: str,
        query: Mapping[str, str],
        seconds: float,
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        url = f"{self._configuration.host.rstrip('/')}{path}"
        headers = {"Accept": ACCEPT, "User-Agent": "regauth-controller", **self._login()}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            response = self._pool.request(
                method,
                f"{url}?{urlencode(query)}" if query else url,
                headers=headers,
                body=None if body is None else json.dumps(body),
                timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, seconds), read=seconds),
                preload_content=not stream,
                redirect=False,
                retries=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._count(method, kind_of(path), 0)
            raise ApiError(0, f"the API server: {type(error).__name__}") from error
        self._count(method, kind_of(path), response.status)
        self._dated(response.headers.get("Date"))
        if response.status >= _ERRORS:
            raise _error(response)
        return response

    def _login(self) -> dict[str, str]:
        """Return the header to log in with; the package reads the token again when it gets old."""
        try:
            found = self._configuration.auth_settings().get("BearerToken")
        except (ConfigException, OSError, ValueError) as error:
            raise ApiError(0, f"the credentials cannot be read: {type(error).__name__}") from None
        if found is None:
            return {}
        value = str(found["value"]).strip()
        if not value.isprintable():
            # http.client would refuse it with an error that quotes it.
            raise ApiError(0, "the credentials are no token: they have control characters")
        return {str(found["key"]): value}


class Stream:
    """The lines of a watch, each a JSON object."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response

    def __iter__(self) -> Iterator[Object]:
        """
        Yield objects until the server ends the stream.

        Raises:
            ApiError: The stream broke, or a line is no object.
        """
        try:
            for line in self._response:
                if line.strip():
                    yield _object(line)
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # AttributeError: urllib3, when another thread has closed the connection.
            raise ApiError(0, f"the watch broke: {type(error).__name__}") from error
        finally:
            self._response.close()

    def close(self) -> None:
        """End the stream, also for a thread that is reading it."""
        try:
            self._response.shutdown()
        except (ValueError, OSError, RuntimeError, AttributeError):
            self._response.close()


def path_of(version: str, plural: str, namespace: str = "", name: str = "", sub: str = "") -> str:
    """Return the path of a collection, an object or a subresource."""
    root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    steps = [root]
    if namespace:
        steps += ["namespaces", quote(namespace, safe="")]
    steps.append(plural)
    steps += [quote(one, safe="") for one in (name, sub) if one]
    return "/".join(steps)


def kind_of(path: str) -> str:
    """Return what a path is about, without names: `secrets`, `serviceaccounts/token`."""
    steps = path.strip("/").split("/")
    rest = steps[2:] if steps[0] == "api" else steps[3:] if steps[0] == "apis" else steps[:1]
    if rest[:1] == ["namespaces"] and len(rest) > 2:  # noqa: PLR2004 - below a namespace
        rest = rest[2:]
    return "/".join((rest[0], *rest[2:])) if rest else ""


def _object(data: bytes) -> Object:
    try:
        found = json.loads(data)
    except ValueError:
        raise ApiError(0, "the API server answered with something that is not JSON") from None
    if not isinstance(found, dict):
        raise ApiError(0, "the API server answered with something that is no object")
    return found


def _error(response: urllib3.BaseHTTPResponse) -> ApiError:
    """Read a Status (Kubernetes API conventions, "Response Status Kind")."""
    try:
        found = json.loads(response.data)
    except (ValueError, urllib3.exceptions.HTTPError):
        found = {}
    status = found if isinstance(found, dict) else {}
    details = status.get("details")
    listed = details.get("causes") if isinstance(details, dict) else None
    causes = [one.get("reason", "") for one in listed or [] if isinstance(one, dict)]
    error = ApiError(
        response.status,
        str(status.get("message") or f"the API server answered {response.status}"),
        str(status.get("reason") or ""),
        " ".join(map(str, causes)),
    )
    wait = response.headers.get("Retry-After", "")
    if wait.isascii() and wait.isdigit():
        error.retry_after = float(wait)
    return error
