"""
The keys that the cluster signs service account tokens with, by their ids.

What lives here: knowing when one is gone, so that tokens signed with it are replaced.
Not here: verifying a token, which token servers do (`regauth.engine.tokens.jwt`).

Source: Kubernetes documentation, "Managing Service Accounts", "Service account issuer discovery".
"""

from collections.abc import Callable
from typing import Final

from .api_errors import ApiError
from .cluster import Cluster

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
        self._last: frozenset[str] | None = None
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
        # What is known before is kept beside: keys may change while nothing can be known of them.
        self._last = self._last if self.known is None else self.known
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
        published = _ids(found)
        # Where no key is ever published, only the keys in use are known.  Tokens must not be
        # renewed again and again.
        if published or published != self._published:
            self._used = frozenset()
        self._published = published
        return None not in (self._last, self.known) and self._last != self.known


def _ids(keys: object) -> frozenset[str] | None:
    """
    Return the ids of a JWK set's keys; None when they do not tell whose a token is.

    A set without keys is an answer: no earlier token is valid now.
    """
    if not isinstance(keys, list):
        return None
    ids = [one.get("kid") if isinstance(one, dict) else None for one in keys]
    known = [one for one in ids if isinstance(one, str)]
    return frozenset(known) if len(known) == len(ids) else None
