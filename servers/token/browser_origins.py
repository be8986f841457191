"""
Browsers: which pages of other origins may ask for tokens (CORS; Fetch Standard, section 3.2).

What lives here: the headers by which a browser lets a page of a registry's user interface read the
token endpoint's answers.
Not here: who gets a token, which no origin changes (`service`).
"""

from typing import Final

import falcon

PREFLIGHT_SECONDS: Final = 600
"""Seconds for which a browser may remember a preflight's answer."""

METHODS: Final = "GET, HEAD, POST"


class BrowserOrigins:
    """
    Answers the CORS part of requests.

    Args:
        allowed: The origins of the pages that may ask, to the byte; none is the default.
    """

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        self._allowed = allowed

    def answer(self, request: falcon.Request, response: falcon.Response) -> bool:
        """Add the headers that let a page of a known origin read the response."""
        if not self._allowed:
            return False
        response.append_header("Vary", "Origin")  # a cache must not give it to another origin
        origin = request.get_header("Origin")
        if origin not in self._allowed:
            return False
        # The origin and never `*`, which browsers refuse for requests with credentials (Fetch
        # Standard, "CORS protocol and credentials").
        response.set_header("Access-Control-Allow-Origin", origin)
        response.set_header("Access-Control-Allow-Credentials", "true")
        response.set_header("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
        return True

    def preflight(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer the request by which a browser asks whether it may send another one."""
        response.status = falcon.HTTP_204
        response.set_header("Allow", f"{METHODS}, OPTIONS")
        if self.answer(request, response):
            response.set_header("Access-Control-Allow-Methods", METHODS)
            response.set_header("Access-Control-Allow-Headers", "Authorization, Content-Type")
            response.set_header("Access-Control-Max-Age", str(PREFLIGHT_SECONDS))
