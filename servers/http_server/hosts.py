"""
Which host serves an application: waitress or granian.

What lives here: the choice, and what a process does for its host before anything else.  Not here:
the hosts (`regauth.servers.http_server.server`, `regauth.servers.http_server.granian_server`).
"""

import socket
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from regauth.servers.configuration.settings import HostName

from .connections import Clients
from .server import Application, Server


class ProcessServer(Protocol):
    """One process's server."""

    def run(self) -> None:
        """Serve until `stop` is called, then let requests under way end."""

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""


def check_host(name: HostName, per_client: int | None) -> None:
    """
    Check that a host can serve here.

    Args:
        name: The host.
        per_client: Connections of one client, or None for no bound.

    Raises:
        GranianError: It cannot.
    """
    if name == "granian":
        from .granian_server import check_granian  # noqa: PLC0415 - only who asks for it needs it

        check_granian(per_client)


def prepare(name: HostName) -> None:
    """Set this process up for its host, before the application is made and threads start."""
    if name == "granian":
        from .granian_server import prefer_throughput  # noqa: PLC0415 - only who asks for it needs it

        prefer_throughput()


def make_host(
    name: HostName,
    application: Application,
    listeners: Sequence[socket.socket],
    clients: Clients,
    *,
    threads: int,
    drain: float = 10.0,
    adjustments: Mapping[str, int] = MappingProxyType({}),
) -> ProcessServer:
    """
    Return a host of an application.

    Args:
        name: The host.
        application: The WSGI application.
        listeners: Listening sockets; several processes may serve the same.  `run` closes them.
        clients: Whose connections there are, and what they may take of them.
        threads: Requests that are answered at a time.
        drain: Seconds that requests under way have to end after `stop`.
        adjustments: waitress's own.
    """
    if name == "granian":
        from .granian_server import GranianServer  # noqa: PLC0415 - only who asks for it needs it

        return GranianServer(application, listeners, threads=threads, drain=drain, clients=clients)
    return Server(
        application,
        listeners,
        threads=threads,
        drain=drain,
        adjustments=adjustments,
        clients=clients,
    )
