"""
waitress's threads, fed from a fair queue.

What lives here: which channel's request a thread answers next.  Not here: the order
(`regauth.servers.fair_queue`), what a channel is (`connections`), and the answer to a request that
is turned away (`shedding`).
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final

from waitress.task import ThreadedTaskDispatcher

from .shedding import PRIVILEGED, Shedding

Channel = Any
"""A connection of `connections`, whose first request waits."""

_PROBES: Final = "waitress-privileged"


class Tasks(ThreadedTaskDispatcher):
    """
    Has requests answered by threads, and one more thread that answers only privileged ones.

    Args:
        threads: Requests that are answered at a time.
        shedding: Says who is served next, and who is turned away.
    """

    def __init__(self, threads: int, shedding: Shedding[Channel]) -> None:
        super().__init__()
        self._shedding = shedding
        # One lock for waitress's threads and the queue: no request is there that no thread sees.
        self.lock = shedding.lock
        self.queue_cv = threading.Condition(self.lock)
        self.thread_exit_cv = threading.Condition(self.lock)
        self.queue = _Queue(shedding)
        self._privileged_cv = threading.Condition(self.lock)
        self._ended = False
        self._reading = threading.Lock()
        """Held while the thread that reads has precedence."""
        self.set_thread_count(threads)
        if shedding.on:
            threading.Thread(target=self._answer_privileged, name=_PROBES, daemon=True).start()

    def add_task(self, task: Channel) -> None:
        """
        Have a channel's first request wait, or turn it away.

        waitress calls this while it reads, or in a thread that has answered the request before.
        """
        if task.turned_away:
            return
        gives_way = None
        with self.lock:
            if self._add_privileged(task):
                return
            queue = self._shedding.queue
            client = task.client() if self._shedding.on and len(queue) else ""
            # Only the thread that reads may end connections.
            refused = task.reads and bool(client) and queue.refuses(client)
            if not refused:
                gives_way = queue.add(client, task, may_displace=task.reads)
                self.queue_cv.notify()
        if refused:
            task.turn_away()
        elif gives_way is not None:
            gives_way.turn_away()

    @contextlib.contextmanager
    def precedence(self) -> Iterator[None]:
        """
        Have no thread begin with a request while the block runs, if any waits.

        The interpreter's lock goes to another thread at each call of the system, and that one keeps
        it for milliseconds.  So the thread that reads would turn away a few hundred clients a
        second, and thousands would wait to hear that they must come again.
        """
        if not len(self.queue):
            yield
            return
        with self._reading:
            yield

    def wait_for_turn(self) -> None:
        """Wait while another thread has precedence; a thread calls this before each request."""
        if self._reading.locked():
            with self._reading:
                pass

    def end_overtaken(self) -> None:
        """Turn away the requests that waited too long; the thread that reads calls this."""
        with self.lock:
            overtaken = self._shedding.queue.overtaken()
        for channel in overtaken:
            channel.turn_away()

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:  # noqa: FBT001, FBT002 - waitress's
        """End the threads."""
        with self.lock:
            self._ended = True
            self._privileged_cv.notify()
        return bool(super().shutdown(cancel_pending, timeout))

    def _add_privileged(self, task: Channel) -> bool:
        request = task.requests[0]
        # A request that could not be parsed has no path.
        if not self._shedding.on or request.error is not None or request.path not in PRIVILEGED:
            return False
        if not self._shedding.queue.add_privileged(task.addr[0], task):
            return False
        # Whoever is free first.  The one that comes later finds nothing and waits again.
        self.queue_cv.notify()
        self._privileged_cv.notify()
        return True

    def _answer_privileged(self) -> None:
        while True:
            with self.lock:
                while (task := self._shedding.queue.next_privileged()) is None:
                    if self._ended:
                        return
                    self._privileged_cv.wait()
            try:
                task.service()
            except BaseException:  # as waitress's own threads
                self.logger.exception("a privileged request failed")


class _Queue:
    """The queue, as `ThreadedTaskDispatcher` uses one, with the lock held."""

    def __init__(self, shedding: Shedding[Channel]) -> None:
        self._queue = shedding.queue

    def __len__(self) -> int:
        return len(self._queue)

    def popleft(self) -> Channel:
        return self._queue.next()
