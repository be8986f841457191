"""
About a request: who sent it, and what it is called.

What lives here: the client's address through trusted proxies, and the request's id.  What must
not: what the request asks for.
"""

import ipaddress
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_AGENT: Final = 200
MAX_HOPS: Final = 20
IPV6_CLIENT: Final = 64
"""Bits of an IPv6 address that are one client's: a host has all addresses of such a network."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What is known of a request before it is read."""

    request_id: str
    client: str
    agent: str
    began: float

    def milliseconds(self) -> float:
        """Return how long ago it began."""
        return round((time.perf_counter() - self.began) * 1000, 2)


def request_info(environ: dict[str, str], trusted: Sequence[Network]) -> RequestInfo:
    """
    Describe a request by its WSGI environment.

    An `X-Request-Id` is taken over when it is one word, so that logs of several servers can be
    joined; `X-Forwarded-For` counts only when it comes from a trusted proxy.
    """
    began = time.perf_counter()
    given = environ.get("HTTP_X_REQUEST_ID")
    if given is None or _REQUEST_ID.fullmatch(given) is None:
        given = os.urandom(8).hex()
    client = environ.get("REMOTE_ADDR", "")
    if trusted:
        client = client_address(client, environ.get("HTTP_X_FORWARDED_FOR", ""), trusted)
    return RequestInfo(given, client, environ.get("HTTP_USER_AGENT", "")[:MAX_AGENT], began)


def client_address(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """
    Return the address of the nearest party that is not a trusted proxy.

    Each proxy appends the address it was asked from, so the list is read from its end; what stands
    before the first stranger is that stranger's own claim.
    """
    client = peer
    hops = [hop.strip() for hop in forwarded.split(",")][-MAX_HOPS:] if forwarded else []
    while hops and _is_trusted(client, trusted):
        hop = _address(hops.pop())
        if hop is None:
            break
        client = hop
    return client


def client_of(address: str) -> str:
    """Return what stands for the client that has an address: itself, or its IPv6 network."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, IPV6_CLIENT), strict=False))


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in trusted)


def _address(text: str) -> str | None:
    """Read one hop: an address, perhaps with a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
