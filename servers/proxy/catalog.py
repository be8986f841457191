"""
The catalog without what its reader may not see.

What lives here: walking the upstream's pages and cutting pages of our own from what is visible
(distribution docs/spec/api.md, "Catalog").  Not here: who may see what (`policy`).

Pages are cut anew because the upstream's `Link` names the last repository of its page, which may
be one that must not be seen.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from regauth.servers.http_client.pool import UpstreamAnswer, UpstreamError
from regauth.servers.protocol.errors import ErrorCode
from regauth.servers.protocol.reading import read_route
from regauth.servers.protocol.routes import Route, RouteFault
from regauth.servers.upstream.registry import Upstream

MAX_PAGE: Final = 16 * 1024 * 1024
"""Bytes of one of the upstream's pages."""

MAX_PAGES: Final = 1000
"""Upstream pages that are read for one page of ours."""

MAX_SECONDS: Final = 20.0
"""Seconds in which upstream pages are read for one page of ours."""

SLICE: Final = 200
"""Names that one decision covers."""

DEFAULT_ENTRIES: Final = 100
MAX_ENTRIES: Final = 1000
"""Repositories in a page of ours; Distribution's numbers."""

PARTIAL: Final = frozenset(
    ("Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range")
)
"""Request headers that ask for anything but the whole page."""

_REL_NEXT: Final = re.compile(r"[;,]\s*rel\s*=\s*\"?next\b", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """A page for the client; `link` is empty on the last one."""

    body: bytes
    link: str = ""


def read_catalog(
    upstream: Upstream,
    route: Route,
    headers: Mapping[str, str],
    visible: Callable[[Sequence[str]], list[str]],
    public: str,
) -> Page | RouteFault:
    """
    Return a page of what is visible, or why there is none.

    Args:
        upstream: The registry.
        route: What the client asked.
        headers: What passes of the request's.
        visible: Tells which of some repositories the client may see.
        public: The origin that the client knows, which the upstream may write in its `Link`.

    Raises:
        CredentialsError, UpstreamError, UpstreamRefusedError: The catalog cannot be had.
    """
    wanted = _wanted(dict(route.query), visible)
    if isinstance(wanted, RouteFault):
        return wanted
    most, last = wanted
    # A range or a validator would be about the upstream's page, not about the filtered one.
    sent = {name: value for name, value in headers.items() if name not in PARTIAL}
    first = replace(route, method="GET", query=(("last", last),) if last else ())
    walk = _PageCollector(visible, most, last)
    for names in _pages(upstream, first, sent, public):
        if isinstance(names, RouteFault):
            return names
        if not walk.take(names):
            return _page(walk.found[:most], most)
        # What is left of a page counts too: a list that ends too early would hide repositories.
        if time.monotonic() > walk.deadline:
            raise _too_large()
    return _page(walk.found, 0)


def _wanted(
    query: Mapping[str, str], visible: Callable[[Sequence[str]], list[str]]
) -> tuple[int, str] | RouteFault:
    """Return how many names a page has at most and which name it comes after."""
    number, last = query.get("n", str(DEFAULT_ENTRIES)), query.get("last", "")
    if _NUMBER.fullmatch(number) is None:
        return RouteFault(400, ErrorCode.PAGINATION_NUMBER_INVALID, "`n` is a number from 1")
    if last and not visible([last]):  # the upstream's answer would tell whether it exists
        return RouteFault(400, ErrorCode.NAME_INVALID, "`last` is no repository of this catalog")
    return min(int(number), MAX_ENTRIES), last


def _pages(
    upstream: Upstream, route: Route, headers: Mapping[str, str], public: str
) -> Iterator[list[str] | RouteFault]:
    """
    Return the names on each of the upstream's pages, or why there is no catalog.

    The walk has a bound, because a client that sees few names could make it read the whole catalog.

    Raises:
        CredentialsError, UpstreamError, UpstreamRefusedError: A page cannot be had.
    """
    for _ in range(MAX_PAGES):
        answer = upstream.send(route, headers, None)
        try:
            if answer.status >= HTTPStatus.BAD_REQUEST:
                yield _no_catalog(answer.status)
                return
            names, link = _names(answer), answer.header("Link")
        finally:
            answer.close()
        yield names
        if link is None or _REL_NEXT.search(link) is None:
            return
        route = _next(upstream, route, link, public)
    raise _too_large()


def _too_large() -> UpstreamError:
    return UpstreamError(
        "the upstream's catalog is too large to look through for what may be seen", late=True
    )


class _PageCollector:
    """The names found so far; at most one more than fits into a page."""

    def __init__(self, visible: Callable[[Sequence[str]], list[str]], most: int, last: str) -> None:
        self._visible = visible
        self._most = most
        self._last = last
        self.found: list[str] = []
        self.deadline = time.monotonic() + MAX_SECONDS

    def take(self, names: Sequence[str]) -> bool:
        """Look through names of the upstream's; tell whether there is room for more."""
        if self._last in names:  # an upstream that does not page repeats the earlier names
            names = names[names.index(self._last) + 1 :]
        for begin in range(0, len(names), SLICE):
            if len(self.found) > self._most or time.monotonic() > self.deadline:
                break
            self.found += self._visible(names[begin : begin + SLICE])
        return len(self.found) <= self._most


def _no_catalog(status: int) -> RouteFault:
    """Say that there is no page, without the upstream's words: they may name what is hidden."""
    code = ErrorCode.UNSUPPORTED if status in (404, 405, 501) else ErrorCode.UNAVAILABLE
    return RouteFault(status, code, "the upstream registry gives no catalog")


def _page(names: Sequence[str], most: int) -> Page:
    body = json.dumps({"repositories": names}, separators=(",", ":")).encode() + b"\n"
    if not most:
        return Page(body)
    query = urlencode({"last": names[-1], "n": most})
    return Page(body, f'</v2/_catalog?{query}>; rel="next"')


def _names(answer: UpstreamAnswer) -> list[str]:
    page = answer.read(MAX_PAGE + 1) if answer.status == HTTPStatus.OK else b""
    try:
        names = json.loads(page)["repositories"] or []  # some registries send null for []
    except (ValueError, KeyError, TypeError, RecursionError):
        names = None
    if len(page) > MAX_PAGE or not isinstance(names, list):
        raise UpstreamError("the upstream registry sends a catalog that cannot be read")
    return [name for name in names if isinstance(name, str)]


def _next(upstream: Upstream, route: Route, link: str, public: str) -> Route:
    """
    Return the upstream's next page.

    Raises:
        UpstreamError: What it names is no page of a catalog.
    """
    target = upstream.link(link, route, public).partition(">")[0].lstrip("<")
    found = read_route("GET", target)
    # The same query again would be an endless walk.
    if not isinstance(found, Route) or found.kind is not route.kind or found.query == route.query:
        raise UpstreamError("the upstream registry sends a Link that is no next page")
    return found
