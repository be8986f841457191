"""
The catalog without what its reader may not see.

What lives here: walking the upstream's pages and cutting pages of our own from what is visible
(distribution docs/spec/api.md, "Catalog").  What must not: who may see what.

Pages are cut anew because the upstream's `Link` names the last repository of its page, which may
be one that must not be seen.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from .outgoing_pool import Answer, UpstreamError
from .registry_routes import Route, RouteFault, read_route
from .upstream import Upstream

MAX_PAGE: Final = 16 * 1024 * 1024
"""Bytes of one of the upstream's pages."""

MAX_PAGES: Final = 1000
"""Pages of the upstream that are walked for one of ours."""

DEFAULT_ENTRIES: Final = 100
MAX_ENTRIES: Final = 1000
"""Repositories in a page of ours; Distribution's numbers."""

PARTIAL: Final = frozenset(
    ("Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range")
)
"""Headers of a request for something else than the whole page."""

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
) -> Page | Answer | RouteFault:
    """
    Return a page of what is visible; the upstream's own answer where it is not a page.

    Args:
        upstream: The registry.
        route: What the client asked.
        headers: What passes of the request's.
        visible: Tells which of some repositories the client may see.

    Raises:
        CredentialsError, UpstreamError, UpstreamRefusedError: The catalog cannot be had.
    """
    given = dict(route.query)
    number = given.get("n", str(DEFAULT_ENTRIES))
    if _NUMBER.fullmatch(number) is None:
        return RouteFault(
            HTTPStatus.BAD_REQUEST, "PAGINATION_NUMBER_INVALID", "`n` is a number from 1"
        )
    most = min(int(number), MAX_ENTRIES)
    last = (("last", given["last"]),) if given.get("last") else ()
    sent = {name: value for name, value in headers.items() if name not in PARTIAL}
    following = replace(route, method="GET", query=last)
    found: list[str] = []
    for _ in range(MAX_PAGES):
        answer = upstream.send(following, sent, None)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            return answer
        try:
            found += visible(_names(answer))
            link = answer.header("Link")
        finally:
            answer.close()
        if len(found) > most:
            return _page(found[:most], most)
        if link is None:
            return _page(found, 0)
        following = _next(upstream, following, link)
    message = f"the upstream's catalog has more than {MAX_PAGES} pages to look through"
    raise UpstreamError(message)


def _page(names: Sequence[str], most: int) -> Page:
    body = json.dumps({"repositories": names}, separators=(",", ":")).encode() + b"\n"
    if not most:
        return Page(body)
    query = urlencode({"last": names[-1], "n": most})
    return Page(body, f'</v2/_catalog?{query}>; rel="next"')


def _names(answer: Answer) -> list[str]:
    page = answer.read(MAX_PAGE + 1) if answer.status == HTTPStatus.OK else b""
    try:
        names = json.loads(page)["repositories"] or []  # some registries say null for none
    except (ValueError, KeyError, TypeError, RecursionError):
        names = None
    if len(page) > MAX_PAGE or not isinstance(names, list):
        message = "the upstream registry sends a catalog that cannot be read"
        raise UpstreamError(message)
    return [name for name in names if isinstance(name, str)]


def _next(upstream: Upstream, route: Route, link: str) -> Route:
    """
    Return the upstream's next page.

    Raises:
        UpstreamError: What it names is no page of a catalog.
    """
    target = upstream.link(link, route, "http://catalog.invalid").partition(">")[0].lstrip("<")
    found = read_route("GET", target)
    if not isinstance(found, Route) or found.kind is not route.kind or found.query == route.query:
        message = "the upstream registry sends a Link that is no next page"
        raise UpstreamError(message)
    return found
