"""
A request's circumstances: who sent it, to which address, and what logs call it.

What lives here: the value, and where applications find it.  Not here: reading it from a request
(`regauth.servers.http_server.forwarded`), and what the request asks for (`token.request`,
`reading`).
"""

import os
import re
import time
from collections.abc import Mapping
from ipaddress import IPv6Network
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from regauth.engine.source.addresses import IpAddress, parse_ip

REQUEST_INFO: Final = "regauth.request_info"
"""The variable of the WSGI environment; no client can set one without the prefix `HTTP_`."""
IPV6_CLIENT: Final = 64
"""Bits of an IPv6 address that are one client's: a host has all addresses of such a network."""

_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?",
    re.ASCII,
)


def new_request_id() -> str:
    """Return an id for a request that came with none: 64 random bits."""
    return os.urandom(8).hex()


class AskedAddress(Struct, frozen=True):
    """The scheme and host that a client asked, as headers say them."""

    scheme: str
    host: str
    scheme_header: str = "X-Forwarded-Proto"
    host_header: str = "Host"

    @property
    def fault(self) -> str:
        """
        Which header is wrong; empty when none is.

        A malformed host is refused, because it comes back to the client in headers.  An unknown
        scheme is refused too: with the scheme of the last connection, the answers would send
        clients to plain HTTP.
        """
        if self.scheme not in ("http", "https"):
            return f"{self.scheme_header} is neither http nor https"
        if _HOST.fullmatch(self.host) is None:
            return f"the {self.host_header} header is not a host"
        return ""


class RequestInfo(Struct, frozen=True):
    """What is known of a request before it is read."""

    request_id: str
    client: str
    """The address of the nearest party that is not a trusted proxy."""
    agent: str
    """The `User-Agent`, cut."""
    began: float
    """When it came, by `time.perf_counter`."""
    asked: AskedAddress = AskedAddress("", "")
    trusted: bool = False
    """Whether a trusted proxy sent it."""
    address: IpAddress | None = None
    """
    The address of the client, for conditions of a policy.

    None where `client` is not certainly it: without a peer address, after a hop that cannot be
    read, with trusted hops only, and with forwarded fields of a peer that is not trusted.
    """

    @property
    def origin_fault(self) -> str:
        """Which header is wrong, where there is no origin."""
        return self.asked.fault

    @property
    def origin(self) -> str | None:
        """Where the client believes the server to be, as `https://registry.example.com`."""
        return None if self.asked.fault else f"{self.asked.scheme}://{self.asked.host}"

    def at_host(self, host: str, header: str) -> "RequestInfo":
        """
        Return it with the host that a gateway says in a header of its own, if that is trusted.

        Args:
            host: The header's value; the first counts, if it is a list.
            header: The header's name.
        """
        if not self.trusted:
            return self
        first = host.partition(",")[0].strip()
        return replace(self, asked=replace(self.asked, host=first, host_header=header))

    def milliseconds(self) -> float:
        """Return how long ago it came."""
        return round((time.perf_counter() - self.began) * 1000, 2)


def request_info(environ: Mapping[str, Any]) -> RequestInfo:
    """Return what the server found out about a request before the application got it."""
    found: RequestInfo = environ[REQUEST_INFO]
    return found


def client_of(address: str) -> str:
    """Return what stands for the client that has an address: itself, or its IPv6 network."""
    if ":" not in address:
        return address
    parsed = parse_ip(address.partition("%")[0])
    if parsed is None or parsed.version == 4:  # noqa: PLR2004 - IPv4
        return address if parsed is None else str(parsed)
    return str(IPv6Network((int(parsed), IPV6_CLIENT), strict=False))
