"""
HTTP out, for the helpers.

What lives here: one bounded request, over TLS or to this machine.  Not here: what is asked, and
what the answer means (`token_sources`, `kubelet_plugin`, `why`).

No redirect is followed: a helper's requests carry secrets, and may go only where its configuration
says.  `http.client` and `ssl` are imported by those who call this and nobody else.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from email.message import Message
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from .strict_input import MAX_BYTES, HelperError

SECONDS: Final = 10.0
"""How long each step of a request may take."""

WHOLE_SECONDS: Final = 20.0
"""How long a request may take, from the look-up of the name to the last byte of the answer."""

LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "::1"))
"""This machine, to which plain HTTP may go."""
_OK: Final = 200


class HttpsAnswer(NamedTuple):
    """What a server answered."""

    status: int
    headers: Message
    text: str


def get(url: str, headers: Mapping[str, str], what: str, ca_file: str | None = None) -> str:
    """
    Return the body of the answer to a GET request.

    Raises:
        HelperError: As `ask`, or the answer is not 200.
    """
    answer = ask("GET", url, headers, what, ca_file=ca_file)
    if answer.status != _OK:
        host = urlsplit(url).hostname
        raise HelperError(f"{what} at {host} answered {answer.status}")
    return answer.text


def ask(
    method: str,
    url: str,
    headers: Mapping[str, str],
    what: str,
    *,
    body: str | None = None,
    ca_file: str | None = None,
) -> HttpsAnswer:
    """
    Send one request and return the answer, whatever its status is.

    Raises:
        HelperError: The address is neither https nor this machine's, the peer cannot be reached
            or trusted, or its answer is late, too large or not UTF-8.  The message has the host and
            not the rest of the address, which may hold secrets.
    """
    connection, target, host = _connection(url, what, ca_file)
    whose = f"{what} at {host}"

    def exchange() -> HttpsAnswer:
        try:
            connection.request(method, target, body, headers={"User-Agent": "regauth", **headers})
            with connection.getresponse() as answer:
                return _whole(answer, answer.read(MAX_BYTES + 1), whose)
        finally:
            connection.close()

    try:
        return _in_time(exchange, whose)
    except ssl.SSLCertVerificationError as error:
        raise HelperError(
            f"{whose}: its certificate is not trusted: {error.verify_message}"
        ) from None
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise HelperError(f"{whose} cannot be asked: {_reason(error)}") from None


def _in_time(exchange: Callable[[], HttpsAnswer], whose: str) -> HttpsAnswer:
    """
    Return what a function returns, or raise what it raises, within `WHOLE_SECONDS`.

    A socket's time-out starts again with every byte, and the look-up of a name has none.  So it
    runs in a thread, a daemon: a helper is a process for one question, and ends while that waits.
    """
    told: list[HttpsAnswer | BaseException] = []

    def run() -> None:
        try:
            told.append(exchange())
        except BaseException as error:  # noqa: BLE001 - a thread's traceback could show a token
            told.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(WHOLE_SECONDS)
    if not told:
        raise HelperError(f"{whose} did not answer in full within {WHOLE_SECONDS:g} s")
    if isinstance(told[0], BaseException):
        raise told[0]
    return told[0]


def _whole(answer: http.client.HTTPResponse, data: bytes, whose: str) -> HttpsAnswer:
    if answer.status == _OK and len(data) > MAX_BYTES:
        raise HelperError(f"{whose} answered with more than {MAX_BYTES} bytes")
    try:
        return HttpsAnswer(answer.status, answer.headers, data.decode("utf-8"))
    except UnicodeDecodeError:
        raise HelperError(f"{whose} answered with something that is not UTF-8") from None


def _connection(
    url: str, what: str, ca_file: str | None
) -> tuple[http.client.HTTPConnection, str, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise HelperError(f"the address of {what} is none") from None
    if not host or parts.username is not None or parts.scheme not in ("http", "https"):
        raise HelperError(f"the address of {what} is not an https address")
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    if parts.scheme == "http":
        if host not in LOOPBACK:
            raise HelperError(f"{what} at {host} is not https; a token would go there in the clear")
        return http.client.HTTPConnection(host, port, timeout=SECONDS), target, host
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        reason = error.strerror or "it holds no certificate"
        raise HelperError(f"the CA file {ca_file} cannot be used: {reason}") from None
    return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context), target, host


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"it did not answer within {SECONDS:g} s"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    return getattr(error, "strerror", None) or type(error).__name__
