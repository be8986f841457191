"""
The keys that the cluster signs service account tokens with, by their ids.

What lives here: knowing when one is gone, so that tokens signed with it are replaced.  What must
not: verifying anything; token servers do.

Source: Kubernetes documentation, "Managing Service Accounts", "Service account issuer discovery".
"""

from collections.abc import Callable
from typing import Final

from .cluster import ApiError, Cluster

PATH: Final = "/openid/v1/jwks"
REFRESH_SECONDS: Final = 3600.0
"""How old the key set may get; the API server says `max-age=3600` of it."""

PAUSE_SECONDS: Final = 60.0
"""How long after one request the next may come."""


class SigningKeys:
    """
    The ids of the cluster's keys, as far as they are known.

    Args:
        cluster: The API.
        clock: Seconds that never run backwards.
    """

    def __init__(self, cluster: Cluster, clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._clock = clock
        self._published: frozenset[str] | None = None
        self._used: frozenset[str] = frozenset()
        self._asked: float | None = None

    @property
    def known(self) -> frozenset[str] | None:
        """The ids, or None when they cannot be known."""
        return None if self._published is None else self._published | self._used

    def seen(self, key_id: str | None) -> None:
        """
        Take note of the key of a token that the API server has just issued.

        Such a key is current even if it is not published yet: with several API servers, one may
        sign with a key that another does not publish.
        """
        if key_id is not None and key_id not in (self._published or ()):
            self._used |= {key_id}

    def refresh(self, older_than: float = REFRESH_SECONDS) -> bool:
        """Read the key set again if it is that old, in seconds; return whether it has changed."""
        now = self._clock()
        if self._asked is not None and now - self._asked < max(older_than, PAUSE_SECONDS):
            return False
        self._asked = now
        try:
            found = self._cluster.get(PATH).get("keys")
        except ApiError as error:
            if not error.temporary:
                self._published = None  # it is not published to us, and nothing is known
            return False
        before = self.known
        ids = {one.get("kid") for one in found or [] if isinstance(one, dict)}
        self._published = frozenset(one for one in ids if isinstance(one, str)) or None
        self._used = frozenset()
        return before is not None and before != self.known
