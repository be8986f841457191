"""
The keys of all providers of one process, kept warm.

What lives here: which cache serves which provider, key files, and the thread that refreshes in
time.
Not here: the life of one provider's keys (`regauth.servers.provider_keys.cache`) and HTTP
(`regauth.servers.http_client.fetching`).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from regauth.engine.compiler import json_faults
from regauth.engine.decisions.exchange import KeysUnavailable, NeedKeys
from regauth.engine.policy.policy import Discovery, JwksUri, KeySource, Policy, Provider, StaticKeys
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.keys import KeySet
from regauth.servers.http_client.fetching import Bounds, fetch

from .cache import Clock, KeyState, KeyTimes, RemoteKeys, Spawn, spawn_thread, tell_of_keys
from .documents import Fetch, fetch_keys

MAX_KEY_FILE: Final = 1024 * 1024
"""Bytes that are read of a key file.  A larger file is cut, and so is broken JSON."""

_TICK: Final = 1.0

log = logging.getLogger(__name__)

CacheKey = tuple[str, KeySource, Path]


@dataclass(frozen=True, slots=True)
class _Content:
    """The last content of a key file, as one object, so that no thread sees half of a change."""

    keys: KeySet | None = None
    problem: str = ""
    stamp: tuple[int, int, int] | None = None
    read_at: float = 0.0


class KeyFile:
    """
    A JWK set file, read again when it changes.

    A file that cannot be read, or is no JWK set, leaves the last keys in use for `stale` seconds
    from when they were last seen there.  A JWK set without a usable key takes the keys back at
    once, and so does a file that is taken away.

    Args:
        path: The file.
        stale: Seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self, path: Path, stale: float = KeyTimes().stale, clock: Clock = time.monotonic
    ) -> None:
        self._path = path
        self._stale = stale
        self._clock = clock
        self._lock = threading.Lock()
        self._content = _Content()
        self._good_at = 0.0

    def current(self, *, unknown_kid: bool = False) -> KeySet | KeysUnavailable:
        """
        Return the keys in the file.

        Args:
            unknown_kid: The keys that this returned before lack the one a token names.  Then the
                earlier keys of a file that cannot be read now are no answer.
        """
        content, now = self._look(), self._clock()
        if not content.problem:
            self._good_at = now
        stale = unknown_kid or now >= self._good_at + self._stale
        if content.keys is None or (content.problem and stale):
            return KeysUnavailable(content.problem)
        return content.keys

    def state(self) -> KeyState:
        """Tell how things stand."""
        keys, content = self.current(), self._content
        if isinstance(keys, KeysUnavailable):
            return KeyState(usable=False, age=None, problem=keys.reason)
        problem = content.problem or keys.why_empty
        return KeyState(bool(keys), self._clock() - content.read_at, problem)

    def _look(self) -> _Content:
        """Return what the file holds; read it if it has changed or could not be read before."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._content.stamp:
                return self._content
            with self._lock:
                if stamp != self._content.stamp:
                    self._content = self._read(stamp)
        except OSError as error:
            keys = None if isinstance(error, FileNotFoundError) else self._content.keys
            problem = f"{self._path} cannot be read: {error.strerror}"
            if problem != self._content.problem:
                log.warning("a key file cannot be used: %s", problem)
            self._content = _Content(keys, problem, None, self._content.read_at)
        return self._content

    def _read(self, stamp: tuple[int, int, int]) -> _Content:
        before = self._content
        with self._path.open("rb") as file:
            data = file.read(MAX_KEY_FILE + 1)
        try:
            keys = _keys_of(data, str(self._path))
        except KeysError as error:
            problem = str(error)
            log.warning("a key file cannot be used: %s", problem)
            return _Content(before.keys, problem, stamp, before.read_at)
        tell_of_keys(str(self._path), before.keys, keys)
        return _Content(keys, "", stamp, self._clock())


def _keys_of(data: bytes, file: str) -> KeySet:
    """
    Return the keys of a file.

    Raises:
        KeysError: It is no JWK set; the message has the place of a mistake in its JSON.
    """
    if len(data) > MAX_KEY_FILE:
        raise KeysError(f"{file}: not a JWK set: it is larger than {MAX_KEY_FILE} bytes")
    try:
        return parse_jwks(data)
    except KeysError as error:
        raise KeysError(json_faults.located(data, file) or f"{file}: {error}") from error


Keys = RemoteKeys | KeyFile


@dataclass(frozen=True, slots=True)
class KeyHosting:
    """What the caches are made with."""

    times: KeyTimes = field(default_factory=KeyTimes)
    bounds: Bounds = field(default_factory=Bounds)
    clock: Clock = time.monotonic
    spawn: Spawn = spawn_thread
    fetch: Fetch = fetch


class ProviderKeys:
    """
    Answers the engine's `NeedKeys`.  Safe to use from many threads.

    Caches are known by issuer and key source, so that a policy which is read again keeps the keys
    of providers it did not change.
    """

    def __init__(self, hosting: KeyHosting | None = None) -> None:
        self._hosting = hosting or KeyHosting()
        self._by_source: Mapping[CacheKey, Keys] = {}
        self._current: Mapping[int, tuple[Provider, Keys]] = {}
        self._by_provider = self._current  # and those of the policies served before
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def serve(self, policies: Iterable[tuple[Policy, Path]]) -> None:
        """
        Keep caches for exactly the providers of these policies, each with its folder.

        Relative `jwksFile` paths begin in the folder.  Returns at once; fetching begins beside.
        Requests that began under the policies served before are still answered.
        """
        with self._lock:
            by_source: dict[CacheKey, Keys] = {}
            by_provider: dict[int, tuple[Provider, Keys]] = {}
            for policy, folder in policies:
                for provider in policy.providers.values():
                    if isinstance(provider.keys, StaticKeys):
                        continue
                    key = (provider.issuer, provider.keys, folder)
                    cache = by_source.get(key) or self._by_source.get(key)
                    by_source[key] = cache or self._make(provider, folder)
                    by_provider[id(provider)] = (provider, by_source[key])
            self._by_provider = {**self._current, **by_provider}
            self._current, self._by_source = by_provider, by_source
        self.refresh()

    def keys_for(self, need: NeedKeys, *, wait: bool = True) -> KeySet | KeysUnavailable:
        """
        Return the keys that the engine asks for, or why there are none.

        Args:
            need: Whose, and what is known of the key.
            wait: Whether to wait for keys that are not here.
        """
        source = need.provider.keys
        if isinstance(source, StaticKeys):
            return source.key_set
        entry = self._by_provider.get(id(need.provider))
        if entry is None:
            return KeysUnavailable("this server does not serve the provider")
        cache = entry[1]
        unknown_kid = need.unknown_kid is not None
        if isinstance(cache, RemoteKeys):
            return cache.current(unknown_kid=unknown_kid, wait=wait)
        return cache.current(unknown_kid=unknown_kid)

    def state_of(self, provider: Provider) -> KeyState:
        """Tell how things stand with a provider's keys."""
        if isinstance(provider.keys, StaticKeys):
            return KeyState(usable=True, age=None, problem="")
        entry = self._by_provider.get(id(provider))
        return entry[1].state() if entry else KeyState(usable=False, age=None, problem="not served")

    def states(self, policy: Policy) -> Mapping[str, KeyState]:
        """Tell how things stand with the keys of a policy's providers, by their names."""
        return {name: self.state_of(one) for name, one in policy.providers.items()}

    def refresh(self) -> None:
        """Begin every fetch that is due, and look at every file; returns at once."""
        for cache in self._by_source.values():
            if isinstance(cache, RemoteKeys):
                cache.refresh_if_due()
            else:
                cache.current()

    def start(self, told: Callable[[], object] = lambda: None) -> None:
        """
        Begin to refresh in time, in a thread of this process.

        Args:
            told: Is called about once a second, to tell others how things stand.
        """
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._tick, args=(told,), name="provider-keys", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _tick(self, told: Callable[[], object]) -> None:
        while not self._ended.wait(_TICK):
            try:
                self.refresh()
                told()
            except Exception:  # no error may end the refreshing
                log.exception("looking after the providers' keys failed")

    def _make(self, provider: Provider, folder: Path) -> Keys:
        source, hosting = provider.keys, self._hosting
        if isinstance(source, StaticKeys):
            raise TypeError("keys in the policy need no cache")
        if isinstance(source, Discovery | JwksUri):
            issuer, remote = provider.issuer, source
            return RemoteKeys(
                provider.name,
                lambda: fetch_keys(issuer, remote, hosting.fetch, hosting.bounds),
                hosting.times,
                hosting.clock,
                hosting.spawn,
            )
        return KeyFile(folder / source.path, hosting.times.stale, hosting.clock)
