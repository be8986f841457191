"""
Addresses of machines, as texts.

What lives here: addresses to listen on, addresses of peers, and hosts that are this machine.  Pure:
no name is resolved.  Not here: the origins of URLs (`regauth.servers.http_client.origins`), and who
is trusted (`regauth.servers.http_server.forwarded`).
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

MAX_PORT: Final = 65535
_MAX_IP: Final = 64
"""Characters of an address, with a zone; clients send longer texts, which are not remembered."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")


def parse_address(text: str) -> tuple[str, int]:
    """
    Read HOST:PORT; the host `*`, or none, is every address of the machine and is returned empty.

    Raises:
        ValueError: The text is not an address, or the port is too high.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()):
        raise ValueError(f"{text!r} is not an address such as 127.0.0.1:5000 or *:5000")
    if len(port) > len(str(MAX_PORT)) or int(port) > MAX_PORT:
        raise ValueError(f"{port} is not a port; the highest is {MAX_PORT}")
    return "" if host == "*" else host.strip("[]"), int(port)


def parse_ip(text: str) -> IpAddress | None:
    """
    Return an IP address, or None if the text is none.

    An IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) is the IPv4 address: a socket for both
    families calls its IPv4 peers so, and lists of networks name them the other way.
    """
    return _parse_ip(text) if len(text) <= _MAX_IP else None


@lru_cache(maxsize=1024)
def _parse_ip(text: str) -> IpAddress | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found if mapped is None else mapped


def parse_network(text: str) -> Network:
    """
    Return a network, such as 10.0.0.0/8; bits of a host are left out.

    Raises:
        ValueError: The text is not a network.
    """
    found = ipaddress.ip_network(text, strict=False)
    if isinstance(found, ipaddress.IPv6Network) and found.subnet_of(_MAPPED):
        mapped = int(found.network_address) & 0xFFFFFFFF
        return ipaddress.IPv4Network((mapped, found.prefixlen - 96))
    return found


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Tell whether an address is in one of some networks; text that is no address is in none."""
    parsed = parse_ip(address)
    return parsed is not None and any(parsed in network for network in networks)


def is_loopback(host: str) -> bool:
    """Tell whether a URL's host is this machine, by its name or address alone."""
    if host == "localhost":
        return True
    parsed = parse_ip(host)
    return parsed is not None and parsed.is_loopback
