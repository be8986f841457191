"""
What a request to the Kubernetes API can fail with, as values of one type.

What lives here: the errors and the status codes.  Not here: requests (`cluster`), and reading their
answers (`reading`).
"""

from typing import Final

CONFLICT: Final = 409
GONE: Final = 410
NOT_FOUND: Final = 404
FORBIDDEN: Final = 403
INVALID: Final = 422
THROTTLED: Final = 429
_AWAY: Final = frozenset((0, 502, 503, 504))


class ApiError(Exception):
    """
    The API server refused a request, or could not be reached (`status` 0).

    The message is the server's own, which never holds a token.
    """

    def __init__(self, status: int, message: str, reason: str = "", causes: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.causes = causes
        """The types of the causes in the Status, with blanks between."""
        self.retry_after: float | None = None
        """Seconds that the server asks to wait."""

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (0, THROTTLED) or self.status >= 500  # noqa: PLR2004 - all server errors

    @property
    def away(self) -> bool:
        """Whether the server was not reached, or said that it cannot serve anybody now."""
        return self.status in _AWAY


class TooLargeError(Exception):
    """A page of a list has more bytes than may be read at once."""
