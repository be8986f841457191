"""
Networks: whether an address is in one.

What lives here: reading a network as a condition writes it.  Not here: reading an address
(`source.addresses`), and whose address it is.
"""

import ipaddress
from functools import lru_cache

from regauth.engine.cel.syntax.errors import CelError, CelErrorCode
from regauth.engine.source.addresses import IpAddress, Network, parse_network


@lru_cache(maxsize=1024)
def read_network(text: str) -> Network:
    """
    Read a network such as `10.0.0.0/8` or `2001:db8::/32`; an IPv4-mapped one is the IPv4 network.

    Raises:
        CelError: The text is none, or has bits behind its prefix.
    """
    try:
        ipaddress.ip_network(text)
        return parse_network(text)
    except ValueError:
        raise CelError(
            CelErrorCode.ARGUMENT, f"{text!r} is not a network such as 10.0.0.0/8"
        ) from None


def in_network(address: IpAddress, text: str) -> bool:
    """
    Tell whether an address is in a network; one of the other version is not.

    Raises:
        CelError: The text is no network.
    """
    return address in read_network(text)
