"""
Origins of addresses: scheme, host and port as values that can be compared.

What lives here: the one reading of an address's origin (RFC 6454, section 4).
Not here: which origins are trusted (`upstream.realms`, `token.browser_origins`), and connecting
(`deadline`).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """An origin; host in lower case, the port always given."""

    scheme: str
    host: str
    port: int

    def names_same_host(self, other: "Origin") -> bool:
        """
        Tell whether both name one host and port, whatever their schemes.

        Behind a TLS front a server takes its own address for `http`: `http://HOST` and
        `https://HOST` then mean the same server, each with the default port of its scheme.
        """
        if self.host != other.host:
            return False
        return self.port == other.port or (self.has_default_port and other.has_default_port)

    @property
    def has_default_port(self) -> bool:
        """Whether the port is the one of the scheme."""
        return self.port == DEFAULT_PORTS[self.scheme]


def origin_of(address: str | SplitResult) -> Origin | None:
    """
    Return the origin of an `http` or `https` address; None for anything else.

    Port 0 is no port, and text that is not an address has no origin.
    """
    try:
        parts = urlsplit(address) if isinstance(address, str) else address
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port == 0:
        return None
    return Origin(parts.scheme, parts.hostname.lower(), port or DEFAULT_PORTS[parts.scheme])
