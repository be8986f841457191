"""
Connections of a host that does not tell of them: counted and ended by their sockets.

What lives here: how many connections one client has, and clients that read nothing of an answer,
where the host accepts and writes by itself.  Not here: how long a request may take, and the host
(`regauth.servers.http_server.granian_server`).

The process's own descriptors say which connections there are, and the kernel what became of the
bytes (`tcp(7)`, `TCP_INFO`).  Linux tells both.
"""

import contextlib
import fcntl
import logging
import os
import socket
import stat
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regauth.servers.protocol.request_info import new_request_id

from .connections import Clients, ConnectionCounts, too_many

TICK: Final = 0.5
"""Seconds between two looks."""

_DESCRIPTORS: Final = Path("/proc/self/fd")
_TCP_INFO_BYTES: Final = 160
_UNACKED: Final = 24
"""Where it has `tcpi_unacked`, 32 bits, which a listening socket has for its queue."""
_ACKED: Final = 120
"""Where `struct tcp_info` (linux/tcp.h) has `tcpi_bytes_acked`, 64 bits."""
_SEGMENTS_OUT: Final = 156
"""Where it has `tcpi_data_segs_out`, 32 bits: segments with data that were sent."""

WORKS: Final = sys.platform == "linux"
"""Whether this system tells enough."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Connection:
    """An accepted connection."""

    address: str
    acked: int
    """Bytes that the client had acknowledged when it last did."""
    since: float
    """When that was."""


class ConnectionWatch:
    """
    Watches the connections that this process has accepted.

    Args:
        ports: Where the process listens.
        clients: What clients may take, and who is told of those that take more.
    """

    def __init__(self, ports: set[int], clients: Clients) -> None:
        self._ports = ports
        self._clients = clients
        self._known: dict[int, _Connection | None] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="connections", daemon=True)

    def start(self) -> None:
        """Look at the connections again and again, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        self._thread.join()

    def look(self) -> None:
        """End connections beyond a client's bound, and those whose client reads nothing."""
        now = self._clients.clock()
        found = {inode: self._seen(inode, number, now) for number, inode in _sockets()}
        self._known = {inode: found[inode] for inode in self._in_order(found)}
        numbers = {inode: number for number, inode in _sockets()}
        counts = ConnectionCounts(self._clients.bounds)
        for inode, one in self._known.items():
            number = numbers.get(inode)
            if one is None or number is None:
                continue
            if not counts.admit(one.address):
                request_id = new_request_id()
                self._clients.tell("too-many", one.address, request_id)
                _end(number, inode, too_many(request_id))
            elif self._is_stalled(number, one, now):
                _end(number, inode)

    def end(self) -> None:
        """End all connections."""
        for number, inode in list(_sockets()):
            if self._seen(inode, number, 0.0) is not None:
                _end(number, inode)

    def _in_order(self, found: dict[int, _Connection | None]) -> Iterator[int]:
        """Give those that were there before first: they are not the ones too many."""
        yield from (inode for inode in self._known if inode in found)
        yield from (inode for inode in found if inode not in self._known)

    def _seen(self, inode: int, number: int, now: float) -> _Connection | None:
        """Return what is known of a socket, or None where it is no client's connection."""
        # The kernel does not give a socket's inode number to another socket.
        if inode in self._known:
            return self._known[inode]
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as one:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                name, peer = one.getsockname(), one.getpeername()
                if name[1] in self._ports:
                    return _Connection(str(peer[0]), 0, now)
        return None

    def _is_stalled(self, number: int, one: _Connection, now: float) -> bool:
        """Tell whether a client has acknowledged nothing of what waits for it, for too long."""
        try:
            waiting = struct.unpack("i", fcntl.ioctl(number, termios.TIOCOUTQ, b"\0" * 4))[0]
            acked = _information(number, _ACKED, "Q") if waiting else one.acked
        except OSError:
            return False
        if not waiting or acked != one.acked:
            one.acked, one.since = acked, now
        return now - one.since >= self._clients.bounds.stall_seconds

    def _watch(self) -> None:
        while not self._ending.wait(TICK):
            try:
                self.look()
            except Exception:  # noqa: BLE001 - clients must be bounded for ever
                # Without this thread, nothing would bound what one client takes.
                _log.exception("the connections could not be looked at")


def _sockets() -> Iterator[tuple[int, int]]:
    """Give each socket of this process: its descriptor and its inode."""
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - numbers, not paths
        with contextlib.suppress(OSError):  # closed meanwhile
            found = os.fstat(int(name))
            if stat.S_ISSOCK(found.st_mode):
                yield int(name), found.st_ino


def _information(number: int, at: int, kind: str) -> int:
    with socket.socket(fileno=os.dup(number)) as one:
        told = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    return int(struct.unpack_from(kind, told, at)[0])


def unaccepted(listener: socket.socket) -> int:
    """Return how many connections of a listening socket wait to be accepted; 0 if it is unknown."""
    with contextlib.suppress(OSError, struct.error):
        told = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        return int(struct.unpack_from("I", told, _UNACKED)[0])
    return 0


def _end(number: int, inode: int, words: bytes = b"") -> None:
    """
    End a connection, with a word where nothing was sent on it yet.

    The host owns the descriptor and closes it when it notices.
    """
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as one:
        # Meanwhile the number may have become another connection's.
        if os.fstat(one.fileno()).st_ino != inode:
            return
        # In the middle of an answer the word would become a part of it.
        if words and not _information(one.fileno(), _SEGMENTS_OUT, "I"):
            one.send(words, socket.MSG_DONTWAIT)
        one.shutdown(socket.SHUT_RDWR)
