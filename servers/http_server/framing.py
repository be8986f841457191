"""
Framing: where a request and its header fields end (RFC 9112, sections 5 and 6).

What lives here: stricter checks than those of waitress's parser, and bounds on what takes it too
long.  Not here: how long a client may take (`regauth.servers.http_server.connections`), and what is
asked (`token.request`, `protocol.reading`).
"""

import contextlib
import errno
import re
from io import BytesIO
from typing import Any, Final

from waitress.buffers import OverflowableBuffer
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, Error

MAX_FIELDS: Final = 256
"""
Header fields of a request.  Parsing ten thousand took 50 milliseconds, in which no other client is
served.
"""

MAX_BLANKS: Final = 64
"""Spaces and tabs in a row.  waitress matches a field in time that grows with their square."""

MAX_CHUNK_TEXT: Final = 8 * 1024
"""Bytes of a chunk's size with its extensions, or of the trailer; waitress keeps them in memory."""


_ABSOLUTE: Final = re.compile(r"https?://([^/?#@]*)([/?].*)?", re.ASCII | re.IGNORECASE)
_NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


class SpoolFullError(Error):
    """A body that the disk has no room for (RFC 4918, section 11.5)."""

    code = 507
    reason = "Insufficient Storage"


class _Spool:
    """
    Where a body waits until it is whole, which may be a disk that is full.

    Bytes without room are thrown away, and the connection stays open for now.  If it ended at once,
    a client that still sends would see a reset instead of the answer, and try again for ever.
    """

    def __init__(self, buffer: OverflowableBuffer) -> None:
        self._buffer = buffer
        self.full = False

    def __len__(self) -> int:
        return 0 if self.full else len(self._buffer)

    def append(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if self.full:
            return
        try:
            self._buffer.append(data)
        except OSError as error:
            # Another error is a failure of this server, not a full disk.
            if error.errno not in _NO_ROOM:
                raise
            self.full = True
            self.close()

    def getfile(self) -> Any:  # noqa: ANN401 - waitress's own
        """Return the body, to be read."""
        return BytesIO() if self.full else self._buffer.getfile()

    def close(self) -> None:
        """Drop the body.  Closing a file writes what is left of it, which may fail once more."""
        with contextlib.suppress(OSError):
            self._buffer.close()


class FramedRequest(HTTPRequestParser):
    """
    A request whose end can be read in one way only; waitress accepts some others.

    If a proxy in front reads another end than this server, the rest of one client's request
    becomes the start of another client's (request smuggling).
    """

    request_uri: str
    path: str
    _spool: _Spool | None = None

    def received(self, data: bytes) -> int:
        """Read the bytes that arrived; send no 100 for a complete request (RFC 9110, 10.1.1)."""
        taken = int(super().received(data))
        body = self.body_rcv if self.chunked else None
        if body is not None and len(body.control_line) + len(body.trailer) > MAX_CHUNK_TEXT:
            message = f"more than {MAX_CHUNK_TEXT} bytes about a chunk, or after the last"
            self.error, self.completed = BadRequest(message), True
        if self.completed:  # else waitress would take the next request's headers for this one's
            self.expect_continue = False
            if self._spool is not None and self._spool.full and self.error is None:
                self.error = SpoolFullError("the server has no room for the request's body")
        return taken

    def parse_header(self, header_plus: bytes) -> None:
        """
        Read line and headers.

        Raises:
            ParsingError: The version is not 1.0 or 1.1, the end of the body is ambiguous, or a
                field continues on a second line (RFC 9112, sections 2.3, 5.2, 6.1 and 6.3); there
                are too many fields or blanks; or the target or a length is malformed.
        """
        # This comes first: the checks of waitress's parser are what takes the time.
        _check_cost(header_plus)
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # waitress would hang up and log a traceback
            raise ParsingError("the target or the body's length is malformed") from error
        # waitress treats every other version as 1.0, while a proxy in front may read 2.0 or 0.9 in
        # its own way.
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("the version must be HTTP/1.0 or HTTP/1.1")
        self._take_absolute_form()
        # waitress removes the coding `chunked` for HTTP/1.1 alone; HTTP/1.0 has no codings.
        # With both a length and chunks, one server goes by the one and the next by the other (RFC
        # 9112, section 6.1): that is how requests are smuggled.
        if "TRANSFER_ENCODING" in self.headers or (
            self.chunked and "CONTENT_LENGTH" in self.headers
        ):
            raise ParsingError("the end of the body is ambiguous")
        if self.body_rcv is not None:
            self._spool = self.body_rcv.buf = _Spool(self.body_rcv.buf)

    def _take_absolute_form(self) -> None:
        """
        Turn a target such as `http://registry.example.com/v2/` into the origin form and a `Host`.

        A server must accept this form, and must take the host from the target (RFC 9112, section
        3.2.2).  All later readers see one form.

        Raises:
            ParsingError: The target is of another scheme, or names a user (RFC 9110, 4.2.4).
        """
        target = self.request_uri
        if target.startswith("/") or target == "*":
            return
        found = _ABSOLUTE.fullmatch(target)
        if found is None or not found[1]:
            raise ParsingError("the target is neither a path nor an http address")
        path = found[2] or "/"
        self.request_uri = path if path.startswith("/") else f"/{path}"
        self.path = self.path or "/"
        # The target wins over a `Host` field (RFC 9112, section 3.2.2).  A server that keeps both
        # answers for one host and logs another.
        self.headers["HOST"] = found[1]


def _check_cost(header_plus: bytes) -> None:
    """
    Refuse what keeps waitress's parser busy, which stops all connections of the process.

    Raises:
        ParsingError: A field is folded, or there are too many fields or blanks.
    """
    blanks = header_plus.replace(b"\t", b" ")
    if b"\n " in blanks:  # waitress joins folded lines, so short runs become one long run
        raise ParsingError("a header field continues on a second line")
    if b" " * (MAX_BLANKS + 1) in blanks:
        raise ParsingError(f"more than {MAX_BLANKS} spaces or tabs in a row")
    if header_plus.count(b"\n") > MAX_FIELDS + 2:  # the first and the last line are no fields
        raise ParsingError(f"more than {MAX_FIELDS} header fields")
