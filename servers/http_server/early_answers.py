"""
Early answers: what the HTTP front answers before an application sees a request.

What lives here: the bytes of these answers, in Distribution's form and with a request id.
Not here: when they are given (`connections`, `framing`), and the answers of applications
(`protocol.errors`).

The id is always our own.  Nothing was read yet that says whether the peer is a trusted proxy.
"""

import logging
from http import HTTPStatus
from typing import Final

from waitress.task import ErrorTask

from regauth.servers.protocol.errors import error_body
from regauth.servers.protocol.request_info import new_request_id

_RETRY_SECONDS: Final = 5


def early_answer(status: int, message: str, reason: str, request_id: str) -> bytes:
    """Return a whole response that ends its connection."""
    body = error_body(status, message, reason, request_id=request_id).encode()
    retry = f"Retry-After: {_RETRY_SECONDS}\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\n{retry}"
        f"X-Request-Id: {request_id}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class EarlyErrorTask(ErrorTask):
    """waitress's answer to a request that its parser refused, or whose application failed."""

    def execute(self) -> None:
        """Answer, and tell the log the id."""
        error, request_id = self.request.error, new_request_id()
        # Some of waitress's messages quote a header field, which may be a token.
        message = str(error.body).partition('"')[0].strip()
        reason = "request-refused"
        if error.code == HTTPStatus.INTERNAL_SERVER_ERROR:
            reason = "failed"
            logging.getLogger(__name__).error("the request %s failed", request_id)
        else:
            self.channel.refused(request_id)
        body = error_body(error.code, message, reason, request_id=request_id)
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [
            ("Content-Type", "application/json"),
            ("X-Request-Id", request_id),
        ]
        # After a fault nobody knows where the request ends, so what follows must not be read as
        # another one (RFC 9112, section 6.3).
        self.set_close_on_finish()
        written = body.encode()
        self.content_length = len(written)
        self.write(written)
