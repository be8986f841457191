"""
Waiting for connections that are ready.

What lives here: what the kernel watches each of waitress's channels for.  Not here: what is done
with them (`server`, `connections`).

waitress's own loop asks every channel on every turn what to watch it for.  So a request costs more
the more connections there are, idle ones included.  Every response also wakes that loop, though it
rarely has anything to do then.  Here the kernel watches each channel for one event at a time
(epoll's `EPOLLONESHOT`).  The loop, or the thread that answered a request, handles the event and
then registers the channel for the next one.  Where there is no epoll, waitress's own loop serves.
"""

import contextlib
import select
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from waitress import wasyncore

_READ: Final = select.POLLIN
"""
Without `POLLPRI`: no read removes a TCP urgent byte (RFC 9293, section 3.8.5), so one byte would
wake the loop for as long as its connection is open.
"""
_EITHER: Final = _READ | select.POLLOUT
_LOOK: Final = 1.0
"""Seconds between two turns that ask every channel: some close because time has passed."""

Channel = Any
"""One of waitress's dispatchers."""


class Channels(dict[int, Channel]):
    """waitress's map of channels by file descriptor, and its loop, one turn at a time."""

    def serve(self, channel: Channel) -> None:
        """Note that this thread answers the channel's request from now on."""

    def served(self) -> None:
        """Watch the channel of this thread's request for what it needs next."""
        for one in list(self.values()):
            if one.accepting:
                with contextlib.suppress(BlockingIOError):  # full of reasons to wake
                    one.trigger.pull_trigger()
                return

    def turn(self, seconds: float, *, look: bool = False) -> None:  # noqa: ARG002 - it always looks
        """
        Wait until a channel has something to do, at most `seconds`, and handle it.

        Args:
            seconds: How long to wait.
            look: Ask every channel whether it must be closed; otherwise that is once a second.
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
        self.precedence: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext
        """What is held while events are handled."""
        self._epoll = select.epoll()
        self._serving = threading.local()
        self._looked = 0.0
        self._full = False

    def __setitem__(self, descriptor: int, channel: Channel) -> None:
        super().__setitem__(descriptor, channel)
        # One event at a time: two threads must not handle one connection at the same moment.
        self._epoll.register(descriptor, _READ | select.EPOLLONESHOT)

    def __delitem__(self, descriptor: int) -> None:
        super().__delitem__(descriptor)
        self._epoll.unregister(descriptor)

    def serve(self, channel: Channel) -> None:
        """Note that this thread answers the channel's request from now on."""
        self._serving.channel = channel

    def served(self) -> None:
        """Watch the channel of this thread's request for what it needs next."""
        self._watch(self._serving.channel)

    def turn(self, seconds: float, *, look: bool = False) -> None:
        """Wait until a channel has something to do, at most `seconds`, and handle it."""
        now = time.monotonic()
        if look or self._full or now - self._looked >= _LOOK:
            self._looked, self._full = now, False
            for channel in list(self.values()):
                # A channel that waits for bytes is registered already.
                if channel.accepting or channel.writable():
                    self._watch(channel)
        ready = self._epoll.poll(seconds)
        if ready:
            with self.precedence():
                self._handle(ready)

    def _handle(self, ready: Sequence[tuple[int, int]]) -> None:
        for descriptor, flags in ready:
            channel = self.get(descriptor)
            # It was closed by an event before it in the same list.
            if channel is None:
                continue
            wanted = _wanted(channel)
            if wanted:
                # The channel may have changed since it was registered, so only what it wants now
                # counts.  Errors and hang-ups always count.
                wasyncore.readwrite(channel, flags & (wanted | ~_EITHER))
            self._watch(channel)

    def close(self) -> None:
        """Close every channel."""
        super().close()
        self._epoll.close()

    def _watch(self, channel: Channel) -> None:
        """
        Watch a channel for one event.

        A channel that needs nothing is busy: the thread that answers its request calls this
        afterwards.  If two threads call it at a time, the worst case is one wake-up for a channel
        with nothing to write, after which the loop calls this again.
        """
        wanted, descriptor = _wanted(channel), channel._fileno  # noqa: SLF001 - the map's key
        if not wanted and channel.accepting:
            self._full = True  # until a connection ends, which only the next turns can notice
        if wanted and descriptor is not None:
            with contextlib.suppress(OSError):  # the loop may have closed it in between
                self._epoll.modify(descriptor, wanted | select.EPOLLONESHOT)


def _wanted(channel: Channel) -> int:
    """Return what a channel waits for now, as `poll` flags."""
    flags = _READ if channel.readable() else 0
    # waitress calls a listening socket writable, but there is nothing to write.
    return flags | select.POLLOUT if channel.writable() and not channel.accepting else flags


def channels() -> Channels:
    """Return the channels for this system: watched by epoll, or else by waitress's loop."""
    return WatchedChannels() if hasattr(select, "epoll") else Channels()
