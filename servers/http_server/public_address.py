"""
Where a client believes the registry to be.

What lives here: the scheme and host that a client asked, through proxies that are trusted.  What
must not: any use of it.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Final

from .forwarded import Network

_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?",
    re.ASCII,
)


def public_origin(environ: Mapping[str, object], trusted: Sequence[Network]) -> str | None:
    """
    Return the origin that a request was sent to, as `https://registry.example.com`, or None.

    `X-Forwarded-Proto` and `X-Forwarded-Host` count when a trusted proxy sent them, and only when
    each says one thing.  A `Host` that is no host is none: what a client writes there comes back in
    headers.
    """
    scheme, host = _text(environ, "wsgi.url_scheme"), _text(environ, "HTTP_HOST")
    if is_trusted(environ, trusted):
        forwarded = _text(environ, "HTTP_X_FORWARDED_PROTO")
        if forwarded in ("http", "https"):
            scheme = forwarded
        host = _text(environ, "HTTP_X_FORWARDED_HOST") or host
    if _HOST.fullmatch(host) is None or scheme not in ("http", "https"):
        return None
    return f"{scheme}://{host}"


def is_trusted(environ: Mapping[str, object], trusted: Sequence[Network]) -> bool:
    """Tell whether a request comes from a trusted proxy."""
    try:
        peer = ipaddress.ip_address(_text(environ, "REMOTE_ADDR"))
    except ValueError:
        return False
    return any(peer in network for network in trusted)


def _text(environ: Mapping[str, object], name: str) -> str:
    value = environ.get(name, "")
    return value if isinstance(value, str) else ""
