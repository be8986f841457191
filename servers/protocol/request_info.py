"""
A request's circumstances: who sent it, to which address, and what logs call it.

What lives here: the value.  Not here: reading it from a request
(`regauth.servers.http_server.forwarded`), and what the request asks for.
"""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What is known of a request before it is read."""

    request_id: str
    client: str
    """The address of the nearest party that is not a trusted proxy."""
    agent: str
    """The `User-Agent`, cut."""
    began: float
    """When it came, by `time.perf_counter`."""
    origin: str | None = None
    """Where the client believes the server to be, as `https://registry.example.com`."""
    origin_fault: str = ""
    """Which header is wrong, where there is no origin."""

    def milliseconds(self) -> float:
        """Return how long ago it came."""
        return round((time.perf_counter() - self.began) * 1000, 2)
