"""
Waiting for connections that have something to do.

What lives here: what the kernel watches each of waitress's channels for.  What must not: what is
done with them.

waitress's own loop asks every channel, on every turn, what to watch it for, so that a request costs
more the more connections there are, idle ones included; and every answer wakes the loop, though
hardly any leaves it something to do.  Here each channel is watched for one event at a time
(epoll's `EPOLLONESHOT`), and whoever has dealt with the event, the loop or the thread that answered
a request, has it watched for the next.  Where there is no epoll, waitress's own loop serves.
"""

import contextlib
import select
import threading
import time
from typing import Any, Final

from waitress import wasyncore

_READ: Final = select.POLLIN
"""
Without `POLLPRI`: no read takes a TCP urgent byte (RFC 9293, section 3.8.5) away, so one byte would
wake the loop for as long as its connection is open.
"""
_EITHER: Final = _READ | select.POLLOUT
_LOOK: Final = 1.0
"""Seconds after which every channel is asked: time alone may have told it to close."""

Channel = Any
"""One of waitress's dispatchers."""


class Channels(dict[int, Channel]):
    """waitress's map of channels by file descriptor, and its loop, one turn at a time."""

    def serve(self, channel: Channel) -> None:
        """Say that this thread serves the channel from now on."""

    def served(self) -> None:
        """Have the channel that this thread serves watched for what it wants now."""
        for one in list(self.values()):
            if one.accepting:
                with contextlib.suppress(BlockingIOError):  # full of reasons to wake
                    one.trigger.pull_trigger()
                return

    def turn(self, seconds: float, *, look: bool = False) -> None:  # noqa: ARG002 - it always looks
        """
        Wait until a channel has something to do, at most so many seconds, and let it.

        Args:
            seconds: How long to wait.
            look: Ask every channel whether it is to be closed, as is else done once in a while.
        """
        wasyncore.loop(timeout=seconds, use_poll=True, map=self, count=1)

    def close(self) -> None:
        """Close every channel."""
        wasyncore.close_all(self, ignore_all=True)


class WatchedChannels(Channels):
    """
    Channels that the kernel watches.

    `turn` belongs to one thread.  The others call `serve` and `served`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        self._serving = threading.local()
        self._looked = 0.0
        self._full = False

    def __setitem__(self, descriptor: int, channel: Channel) -> None:
        super().__setitem__(descriptor, channel)
        self._epoll.register(descriptor, _READ | select.EPOLLONESHOT)

    def __delitem__(self, descriptor: int) -> None:
        super().__delitem__(descriptor)
        self._epoll.unregister(descriptor)

    def serve(self, channel: Channel) -> None:
        """Say that this thread serves the channel from now on."""
        self._serving.channel = channel

    def served(self) -> None:
        """Have the channel that this thread serves watched for what it wants now."""
        self._watch(self._serving.channel)

    def turn(self, seconds: float, *, look: bool = False) -> None:
        """Wait until a channel has something to do, at most so many seconds, and let it."""
        now = time.monotonic()
        if look or self._full or now - self._looked >= _LOOK:
            self._looked, self._full = now, False
            for channel in list(self.values()):
                # What waits to be read from is watched already.
                if channel.accepting or channel.writable():
                    self._watch(channel)
        for descriptor, flags in self._epoll.poll(seconds):
            channel = self.get(descriptor)
            if channel is None:
                continue
            wanted = _wanted(channel)
            if wanted:
                wasyncore.readwrite(channel, flags & (wanted | ~_EITHER))
            self._watch(channel)

    def close(self) -> None:
        """Close every channel."""
        super().close()
        self._epoll.close()

    def _watch(self, channel: Channel) -> None:
        """
        Watch a channel for what it wants, once.

        One that wants nothing is busy: whoever answers its request comes here afterwards.  Two
        that come here at a time can only mistake a channel for one that has something to write,
        and writing nothing brings the loop here again.
        """
        wanted, descriptor = _wanted(channel), channel._fileno  # noqa: SLF001 - the map's key
        if not wanted and channel.accepting:
            self._full = True  # until a connection goes, which only the next turns can tell
        if wanted and descriptor is not None:
            with contextlib.suppress(OSError):  # the loop may have closed it meanwhile
                self._epoll.modify(descriptor, wanted | select.EPOLLONESHOT)


def _wanted(channel: Channel) -> int:
    """Return what a channel waits for now, as `poll` flags."""
    flags = _READ if channel.readable() else 0
    # A listening socket says that it is writable, too.
    return flags | select.POLLOUT if channel.writable() and not channel.accepting else flags


def channels() -> Channels:
    """Return what serves best here."""
    return WatchedChannels() if hasattr(select, "epoll") else Channels()
