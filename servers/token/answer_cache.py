"""
The token service with its answers of a moment ago.

What lives here: when the same question may get the same registry token again.
Not here: making tokens (`service`), logins that are kept (`login_cache`), and HTTP (`resource`).

Clients ask the same several times within a second or two: a push asks once for each connection.
An answer is given again only

- to the very same request: method, `Authorization` header, query or form, byte for byte, from the
  same address;
- while policy and signing keys are the same objects: reading them again ends it;
- while the provider's keys are those that verified the login: a provider that takes a key back ends
  it;
- until the login's own token expires or grows too old, and at most for some seconds, within which
  no grant of the policy ends and the clock is not set back;
- when nothing that decided it asks for the time;
- and never for refusals, for sessions (a revoked one ends at once), or while a shadow policy is
  compared.

The reply's `expires_in` is counted from when the token was signed.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from msgspec import Struct

from regauth.engine import KeySet, NeedKeys, Policy, Refusal
from regauth.servers.bounded_cache import BoundedCache
from regauth.servers.provider_keys.providers import ProviderKeys
from regauth.servers.state.state import State

from .login_cache import end_of
from .request import TokenRequest
from .service import Admit, Issued, TokenAnswer, TokenService

MIN_LIFETIME: Final = timedelta(seconds=60)
"""A reply never announces a shorter lifetime, because clients would take it for this one."""

MAX_ANSWERS: Final = 2000
"""Answers that one process keeps."""

Prepared = TypeVar("Prepared")


class CacheQuestion(Struct, frozen=True):
    """
    One request: the cache's key and how the request is read when it is new.

    The cache's key is called `name`, because keys are the providers' here.  `name_of` makes it of
    what the request says: address, method, `Authorization`, query or form.  Policy, signing keys
    and the provider's keys are not in it: an answer that was given with others is not given again.
    """

    name: bytes
    read: Callable[[], TokenRequest]

    @staticmethod
    def name_of(method: str, authorization: str | None, text: bytes, client: str = "") -> bytes:
        """
        Return a digest of a request, which stands for it without holding its token.

        The client's address is a part of it, where it is known: an answer may depend on it.
        """
        # No header field has a line end, so two requests never join to one text.
        parts = f"{client} {method} {authorization or ''}\n".encode("utf-8", "surrogatepass")
        return hashlib.sha256(parts + text).digest()


class Granted(Struct, Generic[Prepared], frozen=True):
    """An answer with a token, the prepared reply, and how long the token is valid."""

    answer: TokenAnswer
    issued: Issued
    prepared: Prepared
    left: timedelta
    reused: bool = False


@dataclass(frozen=True, slots=True)
class _CachedAnswer(Generic[Prepared]):
    answer: TokenAnswer
    issued: Issued
    prepared: Prepared
    state: State
    until: datetime


@dataclass(frozen=True, slots=True)
class _PolicyTimes:
    policy: Policy
    asks: bool
    """Whether any condition of it depends on the time of the request."""
    ends: tuple[datetime, ...]
    """When its statements end by themselves."""


class AnswerCache(Generic[Prepared]):
    """
    Answers requests by the token service, or with its earlier answer.

    Args:
        service: Answers what is new.
        keys: The providers' keys.
        prepare: Makes the part of the reply that is the same each time.
        seconds: For how long answers are kept at most; 0 keeps none.
    """

    def __init__(
        self,
        service: TokenService,
        keys: ProviderKeys,
        prepare: Callable[[TokenAnswer, Issued], Prepared],
        seconds: float = 5,
    ) -> None:
        self._service = service
        self._keys = keys
        self._prepare = prepare
        self._seconds = min(timedelta(seconds=seconds), _spare(service.lifetime))
        size = MAX_ANSWERS if self._seconds else 0
        self._entries: BoundedCache[bytes, _CachedAnswer[Prepared]] = BoundedCache(size)
        self.on = size > 0
        """Whether it keeps answers; otherwise questions need no name."""
        self._times: _PolicyTimes | None = None

    def answer(
        self, question: CacheQuestion, admit: Admit = lambda _: None
    ) -> Granted[Prepared] | TokenAnswer:
        """
        Answer a request.

        Args:
            question: The request.
            admit: Called with the identity before anything is decided; raises when it asks too
                often.

        Returns:
            What was granted, or an answer whose outcome is a refusal.
        """
        # Read once: a reload in between must not mix the answer of one policy with the check of
        # another.
        state = self._service.state
        if self.on:
            kept = self._kept(question.name, state, self._service.now())
            if kept is not None:
                admit(kept.issued.decision.identity)
                return kept
        answer = self._service.answer(question.read(), state, admit)
        issued = answer.outcome
        if isinstance(issued, Refusal):
            return answer
        prepared = self._prepare(answer, issued)
        if self.on:
            self._keep(question.name, answer, issued, prepared, state)
        return Granted(answer, issued, prepared, issued.lifetime)

    def _kept(self, name: bytes, state: State, now: datetime) -> Granted[Prepared] | None:
        """Return the answer that may be given again, if there is one."""
        entry = self._entries.get(name)
        # Compared as objects: a policy that was read again is another state, even with the same
        # text.
        if entry is None or entry.state is not state:
            return None
        if not entry.answer.now <= now < entry.until:  # the clock may have been set back
            return None
        if not self._has_same_keys(entry.issued):
            return None
        left = entry.issued.lifetime - (now - entry.answer.now)
        return Granted(entry.answer, entry.issued, entry.prepared, left, reused=True)

    def _keep(
        self, name: bytes, answer: TokenAnswer, issued: Issued, prepared: Prepared, state: State
    ) -> None:
        """Keep an answer, if it is one that may be given again."""
        asked = answer.asked
        # A refresh token is given once.  A shadow policy must see every request.
        if asked.offline or asked.refreshing or state.shadow is not None:
            return
        times = self._times
        if times is None or times.policy is not answer.policy:
            asks = answer.policy.depends_on_time(logins=True)
            self._times = times = _PolicyTimes(answer.policy, asks, answer.policy.ends)
        # A condition that reads the time can change its answer at any moment.
        if times.asks:
            return
        seconds = min(self._seconds, _spare(issued.lifetime))
        if not seconds:
            return
        ends = [answer.now + seconds, *(end for end in times.ends if end > answer.now)]
        if issued.login is not None:
            ends.append(end_of(issued.login))
        self._entries.put(name, _CachedAnswer(answer, issued, prepared, state, min(ends)))

    def _has_same_keys(self, issued: Issued) -> bool:
        """
        Tell whether the provider's keys are still those that verified the login.

        The comparison is with the keys that verified the login, not with those at the time the
        answer was kept.  A key that was withdrawn between the two must end the answer, as it ends
        the login.
        """
        if issued.login is None:
            return True
        keys = self._keys.keys_for(NeedKeys(issued.login.provider))
        return isinstance(keys, KeySet) and keys is issued.keys


def _spare(lifetime: timedelta) -> timedelta:
    """
    Return for how long a token can be given again.

    It must then still have the shortest lifetime that clients believe.
    """
    return max(timedelta(0), lifetime - MIN_LIFETIME)
