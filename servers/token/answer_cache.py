"""
Answers given a moment ago.

What lives here: when the same question may get the same registry token again.  What must not:
making tokens.

Clients ask the same several times within a second or two: a push asks once for each connection.
An answer is given again only

- to the very same request: method, `Authorization` header, query or form, byte for byte;
- while policy and signing keys are the same objects: reading them again ends it;
- while the provider's keys are the same object: a provider that takes a key back ends it;
- until the login's own token expires or grows too old, and at most for some seconds, within which
  no grant of the policy ends, and the clock is not set back;
- when nothing that was decided by asks for the time;
- and never for refusals, sessions (a revoked one ends at once), or while a shadow policy is
  compared.

The reply's `expires_in` is counted from when the token was signed.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from regauth.engine import KeySet, NeedKeys, Policy
from regauth.servers.bounded_cache import BoundedCache
from regauth.servers.provider_keys.providers import ProviderKeys
from regauth.servers.state.state import State

from .login_cache import end_of
from .service import Answer, Issued

MIN_LIFETIME: Final = timedelta(seconds=60)
"""A reply never says that a token is good for less: clients would take it for this much."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An answer with what is written of it each time that it is given."""

    answer: Answer
    issued: Issued
    before: str
    """The reply up to the seconds that the token is good for."""
    after: str
    """The reply after them."""
    logged: str
    """What the event log says of it."""


@dataclass(frozen=True, slots=True)
class _Entry:
    prepared: Prepared
    state: State
    keys: KeySet | None
    until: datetime


@dataclass(frozen=True, slots=True)
class _PolicyTimes:
    policy: Policy
    asks: bool
    """Whether any condition of it depends on the time of the request."""
    ends: tuple[datetime, ...]
    """When its statements end by themselves."""


class AnswerCache:
    """
    Keeps answers for some seconds.

    Args:
        keys: The providers' keys.
        lifetime: How long registry tokens are good for.
        size: How many answers are kept.
        seconds: For how long at most; 0 keeps none.
    """

    def __init__(
        self,
        keys: ProviderKeys,
        lifetime: timedelta,
        size: int = 2000,
        seconds: float = 5,
    ) -> None:
        # What remains of a token that is given again must still be a life that clients believe.
        spare = max(timedelta(0), lifetime - MIN_LIFETIME)
        self._seconds = min(timedelta(seconds=seconds), spare)
        self._entries: BoundedCache[bytes, _Entry] = BoundedCache(size if self._seconds else 0)
        self._keys = keys
        self._times: _PolicyTimes | None = None

    @staticmethod
    def name(method: str, authorization: str | None, question: bytes) -> bytes:
        """Return a digest of a request, which stands for it without holding its token."""
        parts = f"{method} {authorization or ''}\n".encode("utf-8", "surrogatepass")
        return hashlib.sha256(parts + question).digest()

    def get(self, name: bytes, state: State, now: datetime) -> Prepared | None:
        """Return the answer that may be given again, if there is one."""
        entry = self._entries.get(name)
        if entry is None or entry.state is not state:
            return None
        if not entry.prepared.answer.now <= now < entry.until:  # a clock can be set back
            return None
        if self._keys_of(entry.prepared.issued) is not entry.keys:
            return None
        return entry.prepared

    def put(self, name: bytes, prepared: Prepared, state: State) -> None:
        """Keep an answer, if it is one that may be given again."""
        answer, outcome = prepared.answer, prepared.issued
        if (
            not self._seconds
            or answer.asked.offline
            or answer.asked.refreshing
            or answer.shadow_policy is not None
        ):
            return
        times = self._times
        if times is None or times.policy is not answer.policy:
            self._times = times = _times_of(answer.policy)
        if times.asks:
            return
        ends = [answer.now + self._seconds, *(end for end in times.ends if end > answer.now)]
        if outcome.login is not None:
            ends.append(end_of(outcome.login))
        # The keys that verified the login, not those of now: a key that was taken back between the
        # two must end the answer as it ends the login.
        keys = outcome.keys
        self._entries.put(name, _Entry(prepared, state, keys, min(ends)))

    def _keys_of(self, issued: Issued) -> object:
        if issued.login is None:
            return None
        keys = self._keys.keys_for(NeedKeys(issued.login.provider))
        return keys if isinstance(keys, KeySet) else object()


def _times_of(policy: Policy) -> _PolicyTimes:
    return _PolicyTimes(policy, policy.depends_on_time(logins=True), policy.ends)
