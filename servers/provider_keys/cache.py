"""
One provider's remote keys over time.

What lives here: when keys are fetched, how long they are good for, and what happens while the
provider is down.
Not here: HTTP (`regauth.servers.http_client.fetching`), documents and key formats (`documents`),
which `load` hides.

The rules:

1. Keys are fresh for as long as their publisher says, within bounds, and are fetched again when
   four fifths of that have passed.
2. While the provider cannot be reached, or what it sends is no JWK set, keys that were fetched stay
   in use for `stale`; then they are dropped, and logins are refused as unavailable.  A JWK set
   without a usable key is an answer: it takes the earlier keys back at once, and is asked for again
   after `min_fresh`.
3. Fetches are single flight.  After a failure the next attempt waits, twice as long each time.
4. A token with an unknown `kid` makes for at most one fetch in `unknown_kid_interval`.
   While the provider cannot be reached, such a token is answered as "unavailable": its key may be a
   new one, and nobody can know.
5. A request waits only when there are no usable keys: at most `wait`, and at most `wait_failing`
   while the provider keeps failing.  A request that waits holds a thread that other logins need,
   and anybody can make a token that waits.  A shadow policy never waits.
"""

import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Final

from regauth.engine.decisions.exchange import KeysUnavailable
from regauth.engine.tokens.keys import KeySet
from regauth.servers.http_client.fetching import FetchError

from .documents import FetchedKeys

_REFRESH_AT: Final = 0.8
_JITTER: Final = 0.1

log = logging.getLogger(__name__)

Clock = Callable[[], float]
Spawn = Callable[[Callable[[], None]], None]


def spawn_thread(work: Callable[[], None]) -> None:
    """Run something beside the requests; it does not keep the process from ending."""
    threading.Thread(target=work, name="provider-keys-fetch", daemon=True).start()


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """How long keys are used, and how long a request waits for them.  All in seconds."""

    fresh: float = 600
    """The lifetime when the publisher says none."""
    min_fresh: float = 60
    max_fresh: float = 3600
    stale: float = 24 * 3600
    """Counted from the last successful fetch."""
    unknown_kid_interval: float = 60
    wait: float = 3
    wait_failing: float = 0.3
    first_retry: float = 1
    max_retry: float = 60


@dataclass(frozen=True, slots=True)
class KeyState:
    """What is known of one provider's keys, for readiness and metrics."""

    usable: bool
    """Whether a token can be verified now."""
    age: float | None
    """Seconds since they were fetched; None when they never were."""
    problem: str
    """Why the last attempt failed, or why no key of what it brought can be used; else empty."""


def tell_of_keys(name: str, before: KeySet | None, now: KeySet) -> None:
    """
    Log what is wrong with a key set, once until that changes.

    Args:
        name: Whose keys these are.
        before: The keys before these, if there were any.
        now: The keys that came.
    """
    if before is not None and (before.left_out, not before) == (now.left_out, not now):
        return
    if not now:
        log.warning(
            "the keys of %s verify nothing, so its tokens are refused: %s",
            name,
            now.why_empty,
        )
    elif now.left_out:
        log.warning("keys of %s are left out: %s", name, now.why_left_out)


class RemoteKeys:
    """
    The keys of one provider.  Safe to use from many threads.

    Args:
        name: The provider, for the log.
        load: Fetches the keys; raises `FetchError`.
        times: The bounds.
        clock: Monotonic seconds.
        spawn: Runs a fetch beside the requests.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], FetchedKeys],
        times: KeyTimes,
        clock: Clock,
        spawn: Spawn = spawn_thread,
    ) -> None:
        self._name = name
        self._load = load
        self._times = times
        self._clock = clock
        self._spawn = spawn
        self._lock = threading.Lock()
        self._in_flight: Future[None] | None = None
        self._started = 0.0
        self._keys: KeySet | None = None
        self._fetched = self._refresh_at = self._fresh_until = self._stale_until = 0.0
        self._next_attempt = 0.0
        self._failures = 0
        self._problem = ""
        self._last_unknown: float | None = None

    def current(self, *, unknown_kid: bool = False, wait: bool = True) -> KeySet | KeysUnavailable:
        """
        Return the keys to verify with now.

        Args:
            unknown_kid: The keys that this returned before lack the one a token names.
            wait: Whether to wait for a fetch when no usable keys are there.
        """
        now = self._clock()
        if not unknown_kid and now < self._fresh_until and self._keys is not None:
            if now >= self._refresh_at:
                self._begin(now)
            return self._keys
        flight = self._begin_for_unknown_kid(now) if unknown_kid else self._begin(now)
        # While the provider fails, old keys answer at once: an outage must not slow every login
        # down.
        if wait and (unknown_kid or not self._usable(now) or not self._failures):
            self._wait(flight)
        keys = self._keys
        if unknown_kid and self._problem:
            # The provider may have published the key by now, so the answer is not "unknown": the
            # client is told to come back.
            return KeysUnavailable(self._problem)
        if keys is not None and self._clock() < self._stale_until:
            return keys
        return KeysUnavailable(self._problem or "its keys have not arrived yet")

    def refresh_if_due(self) -> None:
        """Begin a fetch if one is due; returns at once."""
        now = self._clock()
        if now >= self._refresh_at:
            self._begin(now)

    def state(self) -> KeyState:
        """Tell how things stand."""
        now = self._clock()
        age = now - self._fetched if self._keys is not None else None
        keys = self._keys
        empty = keys.why_empty if keys is not None else ""
        return KeyState(self._usable(now) and not empty, age, self._problem or empty)

    def _usable(self, now: float) -> bool:
        return self._keys is not None and now < self._stale_until

    def _begin(self, now: float, *, at_once: bool = False) -> "Future[None] | None":
        """Begin a fetch, unless one is under way or it is too early for another."""
        with self._lock:
            if self._in_flight is not None:
                return self._in_flight
            # After a failure the next attempts come later and later, so that a provider that
            # recovers is not flooded.
            if now < self._next_attempt and not at_once:
                return None
            flight: Future[None] = Future()
            self._in_flight, self._started = flight, now
        self._spawn(lambda: self._fetch(flight))
        return flight

    def _begin_for_unknown_kid(self, now: float) -> "Future[None] | None":
        with self._lock:
            if self._in_flight is not None:
                return self._in_flight
            last = self._last_unknown
            if last is not None and now - last < self._times.unknown_kid_interval:
                return None
            # The time is taken before the fetch, so that a failing fetch counts too.  Otherwise
            # tokens with invented key ids could make the server fetch without pause.
            self._last_unknown = now
        return self._begin(now, at_once=True)

    def _wait(self, flight: "Future[None] | None") -> None:
        """Wait for a fetch, counted from its start, so that one slow fetch delays nobody twice."""
        if flight is None:
            return
        wait = self._times.wait
        if self._failures:
            wait = min(wait, self._times.wait_failing)
        left = self._started + wait - self._clock()
        try:
            flight.result(timeout=max(0.0, left))
        except FutureTimeoutError:
            if not self._problem:
                self._problem = "its keys have not arrived yet"

    def _fetch(self, flight: "Future[None]") -> None:
        try:
            self._succeeded(self._load())
        except FetchError as error:
            self._failed(str(error))
        except Exception as error:  # no error that a peer's bytes cause may end fetching
            log.exception("fetching the keys of %s failed unexpectedly", self._name)
            self._failed(f"unexpected {type(error).__name__}")
        finally:
            with self._lock:
                self._in_flight = None
            flight.set_result(None)

    def _succeeded(self, fetched: FetchedKeys) -> None:
        now, times = self._clock(), self._times
        fresh = times.fresh if fetched.max_age is None else float(fetched.max_age)
        fresh = max(min(fresh, times.max_fresh) if fetched.key_set else 0, times.min_fresh)
        # Servers that started together would otherwise ask the provider at the same moment.
        early = fresh * (_REFRESH_AT - random.uniform(0, _JITTER))  # noqa: S311 - spreads load
        if self._problem or self._keys is None:
            log.info("the keys of %s are here", self._name)
        tell_of_keys(self._name, self._keys, fetched.key_set)
        # This is set before the keys: a thread that sees the new keys must not see an old end.
        self._stale_until = now + max(times.stale, fresh)
        self._keys = fetched.key_set
        self._fetched, self._refresh_at, self._fresh_until = now, now + early, now + fresh
        self._failures, self._problem, self._next_attempt = 0, "", 0.0

    def _failed(self, problem: str) -> None:
        now, times = self._clock(), self._times
        retry = min(times.first_retry * 2**self._failures, times.max_retry)
        self._failures = min(self._failures + 1, 32)
        self._problem, self._next_attempt = problem, now + retry
        left = self._stale_until - now if self._keys is not None else 0
        log.warning(
            "the keys of %s cannot be fetched: %s (%s)",
            self._name,
            problem,
            f"the last ones serve for {left:.0f} s more" if left > 0 else "its logins are refused",
        )
