"""
Requests as granian reads them, made a WSGI environment, strictly.

What lives here: which requests are refused before the application is asked, and what the
application is told of the others (PEP 3333).  Not here: bodies (`granian_answers`), sockets and
threads (`granian_server`).

hyper, granian's HTTP, has ended the header and decoded the target before this module sees a
request.  What it leaves open is closed here: one reading of each field, and of the end of a body.
"""

import sys
from typing import Any, Final, Protocol

from .server import MAX_BODY_BYTES, MAX_HEADER_BYTES

_NOT_ASCII: Final = "a header field has bytes that are not ASCII"
_VARIABLES: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
_BASE: Final[dict[str, Any]] = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}


class Headers(Protocol):
    """The header of a request, as RSGI has it: values that are not ASCII are left out."""

    def __len__(self) -> int:
        """Return how many names there are."""

    def items(self) -> list[tuple[str, str]]:
        """Return each field, its name in lower case."""


class RsgiScope(Protocol):
    """A request without its body, as RSGI has it."""

    http_version: str
    scheme: str
    method: str
    path: str
    """Decoded; what is not UTF-8 is replaced."""
    query_string: str
    authority: str | None
    """The host of a target in absolute form (RFC 9112, section 3.2.2)."""
    client: str
    """Address and port."""
    server: str
    headers: Headers


class RefusedRequestError(Exception):
    """A request that the application is not asked about; the connection ends with the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def environ_of(scope: RsgiScope) -> dict[str, Any]:
    """
    Return a request as a WSGI environment, without its body.

    There is no `REQUEST_URI`: the target as it was sent is not known.

    Raises:
        RefusedRequestError: The target is no path, names a user, a field is not ASCII, or the
            fields are longer than `MAX_HEADER_BYTES`.
    """
    host, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        **_BASE,
        # hyper takes 1.0 and 1.1 alone, and granian calls the first 1.
        "SERVER_PROTOCOL": "HTTP/1.1" if scope.http_version == "1.1" else "HTTP/1.0",
        "SERVER_NAME": host.strip("[]"),
        "SERVER_PORT": port,
        "REMOTE_ADDR": address_of(scope.client),
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": _latin(scope.path),
        "QUERY_STRING": _latin(scope.query_string),
        "wsgi.url_scheme": scope.scheme,
    }
    _read_fields(scope.headers, environ)
    _read_target(scope, environ)
    return environ


def address_of(peer: str) -> str:
    """Return the address of `address:port` or `[address]:port`."""
    return peer.rpartition(":")[0].strip("[]")


def closes_after(environ: dict[str, Any]) -> bool:
    """
    Tell whether the connection must end with the answer.

    A request may say its length by `Transfer-Encoding` and by `Content-Length`, and hyper drops the
    second.  A proxy in front may have gone by it, so what follows is nobody's request: the
    connection ends (RFC 9112, section 6.1).
    """
    return "HTTP_TRANSFER_ENCODING" in environ


def length_of(environ: dict[str, Any]) -> int | None:
    """
    Return how many bytes the body has, or None where only its end will tell.

    Raises:
        RefusedRequestError: It is larger than `MAX_BODY_BYTES`, two ends are given, or the body has
            another coding than `chunked`.
    """
    text = environ.get("CONTENT_LENGTH")
    if closes_after(environ):
        if text is not None or environ["HTTP_TRANSFER_ENCODING"].lower() != "chunked":
            raise RefusedRequestError(400, "the end of the body is ambiguous")
        return None
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise RefusedRequestError(400, "the body's length is malformed")
    # Few digits first: a number of thousands of digits takes its time.
    if len(text.lstrip("0")) > len(str(MAX_BODY_BYTES)) or int(text) > MAX_BODY_BYTES:
        raise RefusedRequestError(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    return int(text)


def _read_fields(headers: Headers, environ: dict[str, Any]) -> None:
    names, size = set(), 0
    for name, value in headers.items():
        names.add(name)
        size += len(name) + len(value)
        # WSGI has one name for `X-Forwarded-For` and `X_Forwarded_For`: a client could write the
        # second over what a trusted proxy says by the first.
        if "_" in name:
            continue
        variable = _VARIABLES.get(name) or "HTTP_" + name.upper().replace("-", "_")
        before = environ.get(variable)
        environ[variable] = value if before is None else f"{before}, {value}"
    # granian leaves out a value that is not ASCII.  A field that is there and not seen would make
    # a proxy's request look like a client's own.
    if len(names) != len(headers):
        raise RefusedRequestError(400, _NOT_ASCII)
    # hyper's own bound is higher, because nobody is told of what it refuses.
    if size > MAX_HEADER_BYTES:
        raise RefusedRequestError(431, f"the header is larger than {MAX_HEADER_BYTES} bytes")


def _read_target(scope: RsgiScope, environ: dict[str, Any]) -> None:
    if not scope.path.startswith("/") and scope.path != "*":
        raise RefusedRequestError(400, "the target is neither a path nor an http address")
    authority = scope.authority
    if authority is None:
        return
    if "@" in authority or scope.method == "CONNECT":
        raise RefusedRequestError(400, "the target is neither a path nor an http address")
    # The target wins over a `Host` field (RFC 9112, section 3.2.2).
    environ["HTTP_HOST"] = authority


def _latin(text: str) -> str:
    """Return a text as WSGI has it: each byte of its UTF-8 a character."""
    return text if text.isascii() else text.encode().decode("latin-1")
