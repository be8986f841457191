"""
Connecting in time, however many addresses a host's name has.

What lives here: urllib3's connections with one deadline for all addresses.  urllib3 itself gives
each address the whole time-out.  Not here: where to connect, and what is asked there
(`regauth.servers.http_client.fetching`).
"""

import socket
import time
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection


class _InTime:
    """
    Opens the socket of a connection within a deadline; urllib3 calls `_new_conn` for it.

    Args:
        deadline: Monotonic seconds; past it no address is tried.
    """

    host: str
    port: int

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - urllib3's own
        deadline: float,
        **named: Any,  # noqa: ANN401 - urllib3's own
    ) -> None:
        super().__init__(*arguments, **named)
        self._deadline = deadline

    def _new_conn(self) -> socket.socket:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        failure: OSError = TimeoutError("timed out")
        for left_over, (*_, where) in zip(reversed(range(len(found))), found, strict=True):
            left = self._deadline - time.monotonic()
            # urllib3 gives every address the whole time-out, so a name with many silent addresses
            # would take many times as long.
            if left <= 0:
                break
            try:
                # An address gets half of the time that is left, so that a silent one leaves time
                # for the next.
                address = (str(where[0]), self.port)
                made = socket.create_connection(address, left / 2 if left_over else left)
            except OSError as error:
                failure = error
                continue
            made.settimeout(max(0.001, self._deadline - time.monotonic()))
            return made
        raise failure


class PlainConnection(_InTime, HTTPConnection):
    """A connection in the clear."""


class TlsConnection(_InTime, HTTPSConnection):
    """A connection over TLS."""
