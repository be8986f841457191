"""
Forwarded fields: who sent a request, and to which address, through proxies that are trusted.

What lives here: the one reading of `X-Forwarded-For`, `-Proto` and `-Host`, and of `Forwarded` (RFC
7239).  Not here: what the request asks for (`token.request`, `protocol.reading`), and any use of
the client's address (`token.rate_limit`).

A client that can write these fields chooses whose rate limit its request counts against, and which
address answers name.  So the fields count only as far as trusted proxies wrote them.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from regauth.engine.source.addresses import Network, is_within, parse_ip
from regauth.servers.protocol.request_info import (
    REQUEST_INFO,
    AskedAddress,
    RequestInfo,
    new_request_id,
)

MAX_AGENT: Final = 200
MAX_HOPS: Final = 20

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_FIELDS: Final = {
    "HTTP_X_FORWARDED_FOR": "X-Forwarded-For",
    "HTTP_X_FORWARDED_PROTO": "X-Forwarded-Proto",
    "HTTP_X_FORWARDED_HOST": "X-Forwarded-Host",
    "HTTP_FORWARDED": "Forwarded",
}
_X_FORWARDED: Final = tuple(name for name in _FIELDS if name != "HTTP_FORWARDED")
_PAIR: Final = re.compile(
    r"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)")"""
    r"[ \t]*(?=[;,]|\Z)",
    re.ASCII,
)
_BETWEEN: Final = re.compile(r"[ \t;]*", re.ASCII)

Environ = Mapping[str, object]


class _Forwarded(Struct, frozen=True):
    """What the trusted fields of a request say."""

    client: str
    scheme: str = ""
    host: str = ""
    names: tuple[str, str] = ("X-Forwarded-Proto", "X-Forwarded-Host")
    """The headers that scheme and host stand in."""
    trusted: bool = True
    certain: bool = False
    """Whether `client` is certainly the client: the first hop that no trusted proxy is."""


class ForwardedFields:
    """
    Reads the circumstances of requests.  Safe to use from many threads.

    Args:
        trusted: The networks of the proxies whose fields are believed.
        rfc7239: Whether they write `Forwarded`; else they write `X-Forwarded-*`.  The other fields
            are not read, because a proxy passes on fields that it does not know as the client
            wrote them.
        ignored: Called once, for the first field that is ignored, with its name and its sender.
    """

    def __init__(
        self,
        trusted: Sequence[Network] = (),
        *,
        rfc7239: bool = False,
        ignored: Callable[[str, str], None] | None = None,
    ) -> None:
        self._trusted = tuple(trusted)
        self._rfc7239 = rfc7239
        self._untold = [] if ignored is None else [ignored]

    def read(self, environ: Environ) -> RequestInfo:
        """
        Return what is known of a request by its WSGI environment (PEP 3333).

        An `X-Request-Id` of a trusted proxy is taken over when it is one word, so that logs of
        several servers can be joined.  Anybody else could give its request the id of another.
        """
        began = time.perf_counter()
        found = self._believed(environ)
        # A client could otherwise choose the id and hide its request among another's log lines.
        given = _text(environ, "HTTP_X_REQUEST_ID") if found.trusted else ""
        if _REQUEST_ID.fullmatch(given) is None:
            given = new_request_id()
        agent = _text(environ, "HTTP_USER_AGENT")[:MAX_AGENT]
        asked = AskedAddress(
            found.scheme or _text(environ, "wsgi.url_scheme"),
            found.host or _text(environ, "HTTP_HOST"),
            found.names[0],
            found.names[1] if found.host else "Host",
        )
        address = parse_ip(found.client) if found.certain else None
        return RequestInfo(given, found.client, agent, began, asked, found.trusted, address)

    def trusts(self, peer: str) -> bool:
        """Tell whether a peer is a trusted proxy."""
        return bool(self._trusted) and is_within(_plain_ip(peer), self._trusted)

    def client(self, environ: Environ) -> str:
        """Return the client alone; of the environment, the forwarded fields are enough."""
        return self._believed(environ).client

    def _believed(self, environ: Environ) -> _Forwarded:
        """Return whose request it is, by the one field that trusted proxies write."""
        peer = _plain_ip(_text(environ, "REMOTE_ADDR"))
        if not self.trusts(peer):
            # A peer that sends such fields may be a proxy that nobody told us of.
            direct = environ.keys().isdisjoint(_FIELDS)
            if not direct:
                self._tell(environ, peer, _FIELDS)
            return _Forwarded(peer, trusted=False, certain=direct)
        if self._rfc7239:
            self._tell(environ, peer, _X_FORWARDED)
            return _by_rfc7239(peer, _text(environ, "HTTP_FORWARDED"), self._trusted)
        self._tell(environ, peer, ("HTTP_FORWARDED",))
        client, certain = _by_x_forwarded_for(
            peer, _text(environ, "HTTP_X_FORWARDED_FOR"), self._trusted
        )
        return _Forwarded(
            client,
            _first(environ, "HTTP_X_FORWARDED_PROTO").lower(),
            _first(environ, "HTTP_X_FORWARDED_HOST"),
            certain=certain,
        )

    def _tell(self, environ: Environ, peer: str, variables: Iterable[str]) -> None:
        """Report an ignored field, but only once: any client can send one with each request."""
        if not self._untold:
            return
        for one in variables:
            if one not in environ:
                continue
            try:
                tell = self._untold.pop()  # atomic, so that of many threads one alone tells
            except IndexError:
                return
            tell(_FIELDS[one], peer)
            return


class WithRequestInfo:
    """
    A WSGI application whose requests say who sent them, by `request_info`.

    The fields are read here alone, before the application is asked, so that nothing behind it can
    read them in another way.
    """

    def __init__(self, application: Callable[..., Any], fields: ForwardedFields) -> None:
        self._application = application
        self._fields = fields

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:  # noqa: ANN401 - WSGI
        """Pass a request on (PEP 3333)."""
        environ[REQUEST_INFO] = self._fields.read(environ)
        return self._application(environ, start_response)


def _by_x_forwarded_for(peer: str, forwarded: str, trusted: Sequence[Network]) -> tuple[str, bool]:
    """
    Return the address of the nearest party that is not a trusted proxy, and whether it is certain.

    It is not when a hop cannot be read, or when all hops are trusted proxies: then the client is
    the last proxy that is known.

    Each proxy appends the address it was asked from, so the list is read from its end.  What stands
    before the first address that is not trusted is that client's own claim.
    """
    client = peer
    # From the end: only there the entries of trusted proxies stand.  The bound keeps a long field
    # from costing time.
    hops = [hop.strip() for hop in forwarded.split(",")][-MAX_HOPS:] if forwarded else []
    while hops and is_within(client, trusted):
        hop = _hop(hops.pop())
        # An unreadable hop ends the walk.  The client is then the last proxy, never a part of the
        # field that a client wrote.
        if hop is None:
            return client, False
        client = hop
    return client, not is_within(client, trusted)


def _by_rfc7239(peer: str, text: str, trusted: Sequence[Network]) -> _Forwarded:
    """
    Read `Forwarded`, whose elements are as many as the proxies (RFC 7239, section 4).

    An element counts when a trusted proxy added it, so scheme and host are those of the outermost
    trusted proxy that says them.  A field with a fault counts for nothing: with one quote, a client
    could make what a proxy appends a part of its own element.
    """
    client, scheme, host, readable = peer, "", "", True
    elements = _elements(text)[-MAX_HOPS:]
    while elements and is_within(client, trusted):
        element = elements.pop()
        scheme, host = element.get("proto", scheme), element.get("host", host)
        hop = _hop(element.get("for", ""))
        if hop is None:  # `unknown`, or a name that the proxy made up (section 6)
            readable = False
            break
        client = hop
    certain = readable and not is_within(client, trusted)
    names = ("Forwarded", "Forwarded")
    return _Forwarded(client, scheme.lower(), host, names, certain=certain)


def _elements(text: str) -> list[dict[str, str]]:
    """Return the elements of `Forwarded` by lower-case names; none where any is malformed."""
    elements: list[dict[str, str]] = [{}]
    at = 0
    while True:
        at = _end(_BETWEEN, text, at)
        if at == len(text):
            return [one for one in elements if one]
        if text[at] == ",":
            elements.append({})
            at += 1
            continue
        pair = _PAIR.match(text, at)
        # Two parameters of one name, as two readers could take a different one.
        if pair is None or pair[1].lower() in elements[-1]:
            return []
        value = pair[2] if pair[2] is not None else re.sub(r"\\(.)", r"\1", pair[3])
        elements[-1][pair[1].lower()] = value
        at = pair.end()


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()


def _first(environ: Environ, variable: str) -> str:
    """
    Return the first member of a list that a trusted proxy sent, such as `https, http`.

    Proxies in a row append, so the first is what the outermost was asked.  A client that wrote the
    value itself changes only the addresses in its own answers.
    """
    return next(filter(None, map(str.strip, _text(environ, variable).split(","))), "")


def _hop(text: str) -> str | None:
    """Read one hop: an address, perhaps with a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    found = parse_ip(text)
    return None if found is None else str(found)


def _plain_ip(text: str) -> str:
    """Return an address with an IPv4-mapped one in IPv4's form."""
    if ":" not in text:
        return text
    found = parse_ip(text)
    return text if found is None else str(found)


def _text(environ: Environ, name: str) -> str:
    value = environ.get(name, "")
    return value if isinstance(value, str) else ""
