"""
Answering the requests that granian has read, by a WSGI application.

What lives here: the body, within its time and size, the call of the application, and errors that
are answered before it.  Not here: what a request is (`granian_requests`),
and granian's worker (`granian_server`).
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, Final, Literal, NamedTuple

from regauth.servers.protocol.errors import error_body
from regauth.servers.protocol.request_info import new_request_id
from regauth.servers.telemetry.turned_away import Why

from .connections import Clients
from .granian_requests import (
    RefusedRequestError,
    RsgiScope,
    address_of,
    closes_after,
    environ_of,
    length_of,
)
from .server import MAX_BODY_BYTES, Application
from .shedding import PRIVILEGED, Shedding, Turns

_FAILED: Final = "the server failed; its log says why"
_CLOSE: Final = ("Connection", "close")
_log = logging.getLogger(__name__)

Environ = dict[str, Any]
Transport = Any
"""What takes the answer of one request: RSGI's HTTP protocol."""


class Whole(NamedTuple):
    """A request that was read to its end."""

    transport: Transport
    environ: Environ
    body: bytes


class Answers:
    """
    Answers requests in granian's threads, and those with a body in threads of its own.

    A thread begins when the body is whole, so that a slow client holds none.

    granian's threads are one more than requests are answered at a time.  That one takes requests in
    while the others work, and answers probes.  So requests wait here and not in granian, where
    nobody could see them.

    Args:
        application: The WSGI application.
        loop: Runs in a thread; bodies are received in it.
        threads: Requests that are answered at a time.
        clients: What clients may take, and who is told of those that take more.
        unaccepted: Tells how many connections wait to be accepted.
    """

    def __init__(
        self,
        application: Application,
        loop: asyncio.AbstractEventLoop,
        threads: int,
        clients: Clients,
        unaccepted: Callable[[], int] = lambda: 0,
    ) -> None:
        self._application = application
        self._loop = loop
        self._clients = clients
        self._shedding: Shedding[Whole] = clients.shedding
        self._free = threads
        self._turns = Turns(unaccepted)
        self._probed = False
        """Whether the thread that takes requests in answers a probe."""
        self._receiving: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(threads, "with-body")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def take(self, watcher: Any) -> None:  # noqa: ANN401 - granian's
        """Take a request; granian calls this in a thread of its pool, and must get no exception."""
        transport, scope = watcher.proto, watcher.scope
        try:
            self._turns.take(overloaded=self._shedding.active)
            if self._refuses(scope):
                self._come_again(transport)
                return
            environ = environ_of(scope)
            length = length_of(environ)
            if length == 0:
                self._enter(Whole(transport, environ, b""))
            else:
                self._loop.call_soon_threadsafe(self._begin, transport, environ, length)
        except RefusedRequestError as error:
            self._turn_away(transport, error, address_of(scope.client))
        except BaseException:  # noqa: BLE001 - no thread of granian may get an exception
            _fail(transport)

    def look(self) -> None:
        """Turn away the requests that waited too long, and tell of all that were; once a second."""
        with self._shedding.lock:
            overtaken = self._shedding.queue.overtaken()
        for one in overtaken:
            self._come_again(one.transport)
        self._shedding.tell()

    def _refuses(self, scope: RsgiScope) -> bool:
        """Tell whether a request is to be turned away before its fields are read."""
        if not len(self._shedding.queue) or scope.path in PRIVILEGED:
            return False
        return self._shedding.refuses_peer(address_of(scope.client))

    def _come_again(self, transport: Transport) -> None:
        request_id, seconds, body = self._shedding.come_again()
        headers = [
            ("Content-Type", "application/json"),
            ("Retry-After", seconds),
            ("X-Request-Id", request_id),
            _CLOSE,
        ]
        transport.response_str(503, headers, body)

    def _enter(self, whole: Whole) -> None:
        """Answer a request in this thread of granian's, have it wait, or turn it away."""
        match self._place(whole, here=True):
            case "now":
                self._work(whole)
            case "probe":
                try:
                    self._answer(*whole)
                finally:
                    self._probed = False
            case "never":
                self._come_again(whole.transport)
            case "later":
                pass

    def _place(self, whole: Whole, *, here: bool) -> Literal["now", "probe", "later", "never"]:
        """
        Say when a request is answered; `later` leaves it in the queue.

        Args:
            whole: The request.
            here: Whether this is granian's thread, which may answer a probe.
        """
        shedding, gives_way = self._shedding, None
        with shedding.lock:
            if self._free:
                self._free -= 1
                return "now"
            client, queue = "", shedding.queue
            if shedding.on:
                peer = whole.environ["REMOTE_ADDR"]
                if whole.environ["PATH_INFO"] in PRIVILEGED:
                    if here and not self._probed:
                        self._probed = True
                        return "probe"
                    if queue.add_privileged(peer, whole):
                        return "later"
                client = shedding.client(peer, whole.environ)
                if queue.refuses(client):
                    return "never"
            gives_way = queue.add(client, whole)
        if gives_way is not None:
            self._come_again(gives_way.transport)
        return "later"

    def _work(self, whole: Whole) -> None:
        """Answer a request, and then those that wait."""
        one: Whole | None = whole
        while one is not None:
            self._answer(*one)
            self._turns.answered(overloaded=self._shedding.active)
            with self._shedding.lock:
                one = self._shedding.queue.next()
                if one is None:
                    self._free += 1

    def _turn_away(
        self,
        transport: Transport,
        error: RefusedRequestError,
        address: str,
        why: Why = "request-refused",
    ) -> None:
        """Answer in place of the application, and tell the log the id."""
        request_id = new_request_id()
        self._clients.tell(why, address, request_id)
        _refuse(transport, error, "slow" if why == "slow-body" else why, request_id)

    def _begin(self, transport: Transport, environ: Environ, length: int | None) -> None:
        task = self._loop.create_task(self._receive(transport, environ, length))
        # The loop itself keeps no task alive.
        self._receiving.add(task)
        task.add_done_callback(self._receiving.discard)

    async def _receive(self, transport: Transport, environ: Environ, length: int | None) -> None:
        """Wait for the body, at most its time, and have the request answered."""
        try:
            async with asyncio.timeout(self._clients.bounds.body_seconds):
                body = await (_chunks(transport) if length is None else _whole(transport, length))
        except TimeoutError:
            late = RefusedRequestError(408, "the request took too long")
            self._turn_away(transport, late, environ["REMOTE_ADDR"], "slow-body")
        except RefusedRequestError as error:
            self._turn_away(transport, error, environ["REMOTE_ADDR"])
        except Exception:  # noqa: BLE001 - the client would wait for ever
            _fail(transport)
        else:
            whole = Whole(transport, environ, body)
            match self._place(whole, here=False):
                case "now":
                    self._threads.submit(self._work, whole)
                case "never":
                    self._come_again(transport)
                case _:
                    pass

    def _answer(self, transport: Transport, environ: Environ, body: bytes) -> None:
        """Ask the application (PEP 3333), and send what it says."""
        told: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> None:
            told[:] = int(status[:3]), headers

        closes = closes_after(environ)
        if closes:
            # The body is whole, so the application reads it by its length, as on waitress.
            del environ["HTTP_TRANSFER_ENCODING"]
            environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = BytesIO(body)
        try:
            parts = self._application(environ, start_response)
            try:
                content = b"".join(parts)
            finally:
                if hasattr(parts, "close"):
                    parts.close()
            status, headers = told
        except BaseException:  # noqa: BLE001 - no thread of granian may get an exception
            _fail(transport)
            return
        transport.response_bytes(status, [*headers, _CLOSE] if closes else headers, content)


async def _whole(transport: Transport, length: int) -> bytes:
    """
    Receive a body whose length is known.

    Raises:
        RefusedRequestError: The client hung up before.
    """
    try:
        body: bytes = await transport()
    except RuntimeError as error:
        raise RefusedRequestError(400, "the body is not whole") from error
    if len(body) != length:
        raise RefusedRequestError(400, "the body is not whole")
    return body


async def _chunks(transport: Transport) -> bytes:
    """
    Receive a body in chunks (RFC 9112, section 7.1).

    granian tells of a fault, or of a trailer, by an empty piece before the last, which is empty
    too.  A form that breaks off is not the form that was meant.

    Raises:
        RefusedRequestError: It is too large, breaks off, is malformed, or has a trailer.
    """
    body, empty = bytearray(), 0
    async for piece in transport:
        body += piece
        empty += not piece
        if len(body) > MAX_BODY_BYTES:
            raise RefusedRequestError(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    if empty > 1:
        raise RefusedRequestError(400, "the body is not whole, or has a trailer")
    return bytes(body)


def _fail(transport: Transport) -> None:
    """Answer for an exception that is being handled; the client learns no details."""
    request_id = new_request_id()
    _log.exception("the request %s failed", request_id)
    _refuse(transport, RefusedRequestError(500, _FAILED), "failed", request_id)


def _refuse(transport: Transport, error: RefusedRequestError, reason: str, request_id: str) -> None:
    """Answer in place of the application, and end the connection."""
    headers = [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("X-Request-Id", request_id),
        _CLOSE,
    ]
    body = error_body(error.status, str(error), reason, request_id=request_id)
    transport.response_str(error.status, headers, body)
