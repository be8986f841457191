"""
Shedding: telling clients to come again while more ask than can be answered.

What lives here: which requests may be turned away, what they are told, what is told of them, and
how the threads take turns meanwhile.  Not here: when the server has too much to do
(`regauth.servers.fair_queue`), and connections (`connections`, `granian_answers`).

A request is turned away before anything of it is read but its first line and whose it is, so that
it costs a small part of an answer.  Its connection ends with the answer, because what follows on it
was not read.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from regauth.servers.fair_queue import FairQueue, WaitBounds
from regauth.servers.protocol.errors import error_body
from regauth.servers.protocol.request_info import client_of, new_request_id
from regauth.servers.telemetry.turned_away import RejectionLog

from .forwarded import ForwardedFields

PRIVILEGED: Final = frozenset(("/healthz", "/readyz", "/metrics"))
"""Paths that are answered while others wait: whoever watches the server must not lose it."""

RETRY_SECONDS: Final = (2, 10)
"""
The least and the most that `Retry-After` says, by chance: clients that were turned away together
must not come back together.
"""

MESSAGE: Final = "the server has too much to do; try again later"
REASON: Final = "overloaded"

WORKING: Final = 0.01
"""Seconds between two times that the threads which work stop."""

MAX_STOP: Final = 0.012
"""Seconds for which they stop at most: about half of the time is theirs, whatever comes."""

_STEP: Final = 0.0001
"""
Seconds of one step of a stop.  The system wakes a thread that is `SCHED_BATCH` only when the others
have nothing to do.
"""

_BUSY: Final = 2
"""Requests that are taken in during a step if more of them wait."""

_QUIET_STEPS: Final = 3
"""Steps with fewer after which none is thought to wait."""

_HEAVY: Final = 3
"""Requests that are taken in for each that is answered, from which on stops have several steps."""

_WAITING: Final = 32
"""Connections that wait to be accepted, from which on they do too."""

# Made once: to make a body takes longer than all else of turning a client away.
_NO_ID: Final = "0" * 16
_BODY: Final = error_body(503, MESSAGE, REASON, request_id=_NO_ID)
_SECONDS: Final = [str(one) for one in range(RETRY_SECONDS[0], RETRY_SECONDS[1] + 1)]
_HEAD: Final = (
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: %s\r\n"
    "X-Request-Id: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
_BODILESS: Final = (b"GET ", b"HEAD ")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)

Item = TypeVar("Item")


class Shedding(Generic[Item]):
    """
    Whom one process turns away.  Its queue is used under `lock`.

    Args:
        bounds: How long the queue may become; None: nobody is turned away.
        fields: Says whose request it is that a trusted proxy passes on.
        rejections: Is told of those that are turned away.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        bounds: WaitBounds | None = None,
        fields: ForwardedFields | None = None,
        rejections: RejectionLog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.on = bounds is not None
        self.lock = threading.Lock()
        self.queue: FairQueue[Item] = FairQueue(bounds, clock)
        self._fields = fields or ForwardedFields()
        self._rejections = rejections
        self._turned_away = 0
        self.active = False
        """Whether somebody was turned away since the last look, or the one before."""

    def client(self, peer: str, environ: Mapping[str, object]) -> str:
        """Return whose request it is; `environ` has at least its forwarded fields."""
        return client_of(self._fields.client(environ) if self._fields.trusts(peer) else peer)

    def refuses_peer(self, peer: str) -> bool:
        """
        Tell whether requests of a peer are to be turned away, whatever they ask for.

        A trusted proxy's are its clients', so they are judged when their fields were read.
        """
        if not len(self.queue) or self._fields.trusts(peer):
            return False
        with self.lock:
            return self.queue.refuses(client_of(peer))

    def come_again(self) -> tuple[str, str, str]:
        """
        Count a request that is turned away.

        Returns:
            The id of the request, the seconds of `Retry-After`, and the body.
        """
        with self.lock:
            self._turned_away += 1
            self.active = True
        request_id = new_request_id()
        # The id is random, and another random number would take as long as the rest of this.
        seconds = _SECONDS[int(request_id[:4], 16) % len(_SECONDS)]
        return request_id, seconds, _BODY.replace(_NO_ID, request_id)

    def whole_answer(self) -> bytes:
        """Count a request that is turned away, and return a response that ends its connection."""
        request_id, seconds, body = self.come_again()
        return (_HEAD % (seconds, request_id, len(body)) + body).encode()

    def tell(self) -> None:
        """Tell the log and the metrics of those that were turned away since the last time."""
        with self.lock:
            number, self._turned_away = self._turned_away, 0
            self.active = number > 0
            waiting, oldest = len(self.queue), self.queue.oldest()
        if number and self._rejections is not None:
            self._rejections.shed(number, waiting, oldest)


def is_privileged(data: bytes) -> bool:
    """Tell whether a request may not be turned away by its first bytes; few bytes tell nothing."""
    end = data.find(b"\r\n")
    parts = data[:end].split(b" ")
    if end < 0 or len(parts) != 3:  # noqa: PLR2004 - method, target, version
        return True  # the parser says what is wrong with it
    return parts[1].partition(b"?")[0].decode("latin-1") in PRIVILEGED


def is_whole(data: bytes) -> bool:
    """
    Tell whether nothing more of a request comes, as far as its first bytes tell.

    It decides only how its connection is closed: nothing after these bytes is read as a request.
    """
    if data.startswith(_BODILESS):
        return data.endswith(b"\r\n\r\n")
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    length = _LENGTH.search(head + b"\r\n")
    return length is not None and len(body) >= int(length[1])


class Turns:
    """
    Has the threads that work, and the one that takes requests in, take turns.

    All compete for the interpreter's lock, and whoever has it keeps it for milliseconds.  So the
    thread that takes in would turn away a few hundred clients a second, and thousands would wait to
    hear that they must come again.  Here the threads that work stop from time to time, and the one
    that takes in waits for that.  Neither interrupts the other, which costs several times what
    turning a client away does.

    waitress's threads need none of it: its loop takes precedence (`tasks`).

    Args:
        unaccepted: Tells how many connections wait to be accepted.
    """

    def __init__(self, unaccepted: Callable[[], int] = lambda: 0) -> None:
        self._unaccepted = unaccepted
        self._stopping = threading.Lock()
        self._stopped = threading.Event()
        self._next = 0.0
        self._alone_until = 0.0
        # Threads may lose one of the other's steps.  Only about how many there are counts.
        self._taken = self._taken_before = 0
        self._answered = self._answered_before = 0

    def take(self, *, overloaded: bool) -> None:
        """Wait for this turn, in the thread that takes requests in."""
        self._taken += 1
        if not overloaded or self._stopped.is_set() or time.monotonic() < self._alone_until:
            return
        # The others do not stop while all of them wait for something.
        if not self._stopped.wait(2 * WORKING):
            self._alone_until = time.monotonic() + 2 * WORKING

    def answered(self, *, overloaded: bool) -> None:
        """Give the others their turn after an answer, in a thread that works."""
        self._answered += 1
        if not overloaded:
            return
        with self._stopping:  # all threads that work stop here
            began = time.monotonic()
            if began < self._next:
                return
            self._stopped.set()
            self._stop(began + MAX_STOP)
            self._stopped.clear()
            self._taken_before, self._answered_before = self._taken, self._answered
            self._next = time.monotonic() + WORKING

    def _stop(self, end: float) -> None:
        taken = self._taken
        heavy = self._unaccepted() > _WAITING or taken - self._taken_before > _HEAVY * (
            self._answered - self._answered_before
        )
        time.sleep(_STEP)
        quiet = 0
        while heavy and quiet < _QUIET_STEPS and time.monotonic() < end:
            quiet = quiet + 1 if self._taken - taken < _BUSY else 0
            taken = self._taken
            time.sleep(_STEP)
