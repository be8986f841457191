"""Ports of loopback for programs that have to be told one."""

import random
import socket
from contextlib import suppress
from typing import Final

_PORTS: Final = range(15_000, 32_768)
"""
Below those that Linux gives to whoever asks for any port, and to each connection that goes out:
one of these could be taken between the answer and the program's start.
"""


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all different."""
    dice = random.SystemRandom()  # no two processes draw alike, whatever a test has seeded
    found: list[int] = []
    while len(found) < count:
        port = dice.choice(_PORTS)
        with suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found
