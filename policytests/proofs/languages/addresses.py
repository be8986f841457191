"""
Addresses of clients as texts, so that networks cut them as languages cut any text.

What lives here: writing an address as a text, and which texts are one.  Not here: what a condition
asks of an address (`evaluation.calls`).

An address is `4` or `6` and its bits, so a network is a beginning: `10.0.0.0/8` is `400001010`.
Any other text stands for an address that is not known.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from regauth.engine.source.addresses import IpAddress, Network

_CLASSES: Final[dict[str, type[IpAddress]]] = {"4": IPv4Address, "6": IPv6Address}
_WRITTEN: Final = re.compile("4[01]{32}|6[01]{128}")


def written(address: IpAddress) -> str:
    """Return an address as a text."""
    return f"{address.version}{int(address):0{address.max_prefixlen}b}"


def beginning(network: Network) -> str:
    """Return what the texts of all addresses in a network begin with."""
    return written(network.network_address)[: 1 + network.prefixlen]


def read(text: str | None) -> IpAddress | None:
    """Return the address that a text is, or None: it is not known."""
    if text is None or not _WRITTEN.fullmatch(text):
        return None
    return _CLASSES[text[0]](int(text[1:], 2))


EXAMPLES: Final = (
    written(IPv4Address("192.0.2.7")),
    written(IPv6Address("2001:db8::7")),
    written(IPv4Address("198.51.100.7")),
)
"""Addresses of documentation (RFC 5737 and 3849), which no network of a policy should hold."""
