"""
Headers that pass the proxy.

What lives here: which of a client's headers go upstream, and which of the upstream's come back.
Not here: the addresses in an answer's headers, which are rewritten
(`regauth.servers.upstream.registry`).

A request keeps only the headers of a list.  So nothing else that a client adds reaches the
registry, above all not `Authorization`.  An answer keeps all headers but those about the connection
and the proxy's own login.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from regauth.servers.protocol.request_info import RequestInfo
from regauth.servers.telemetry.open_telemetry import TRACE_PARENT

PASSED: Final = (
    "Accept",
    "Cache-Control",
    "Content-Range",
    "Content-Type",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "OCI-Subject",
    "Range",
    "User-Agent",
)
"""A client's headers that the registry sees."""

_HELD_BACK: Final = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("alt-svc", "authorization", "set-cookie", "strict-transport-security"),
        *("www-authenticate", "location", "link", "date", "server"),
        *("content-location", "refresh", "x-request-id"),
    )
)
"""
Headers of the connection (RFC 9110, section 7.6.1), about another host, or written by other parts.

`Content-Location` and `Refresh` hold addresses as `Location` does, and no registry client reads
them.  `X-Request-Id` is the id by which this proxy's log knows the request; it went upstream too.
"""


def upstream_headers(environ: Mapping[str, str], info: RequestInfo) -> dict[str, str]:
    """Return the headers of a request to the upstream, `Authorization` and `Host` excepted."""
    headers = {}
    for name in PASSED:
        variable = name.upper().replace("-", "_")
        value = environ.get(variable if name == "Content-Type" else f"HTTP_{variable}")
        if value:
            headers[name] = value
    # Ours, and never the client's: a trace that a stranger writes would end in the registry's.
    if (trace := environ.get(TRACE_PARENT)) is not None:
        headers["traceparent"] = trace
    scheme, _, host = (info.origin or "").partition("://")
    return {
        **headers,
        "X-Forwarded-For": info.client,
        "X-Forwarded-Host": host,
        "X-Forwarded-Proto": scheme,
        "X-Request-Id": info.request_id,
    }


def client_headers(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers of an answer to the client, `Location` and `Link` excepted."""
    named = {
        name.strip().lower()
        for key, value in headers
        if key.lower() == "connection"
        for name in value.split(",")
    }
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in _HELD_BACK and name.lower() not in named
    ]
