"""
Where the keys that verify registry tokens come from, over time.

What lives here: root certificates, a JWK set in a file or at an address, or the embedded token
server's own keys.  Not here: verifying (`regauth.engine.tokens.registry_trust`).
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from regauth.engine import Reason
from regauth.engine.decisions.exchange import KeysUnavailable
from regauth.engine.policy.policy import JwksUri
from regauth.engine.source.startup import StartupError
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.keys import KeySet
from regauth.engine.tokens.registry_trust import (
    LEEWAY,
    RegistryToken,
    RegistryTrust,
    read_root_bundle,
    unknown_key_id,
    verify_registry_token,
)
from regauth.servers.bounded_cache import BoundedCache
from regauth.servers.http_client.fetching import Bounds, fetch
from regauth.servers.provider_keys.cache import Clock, KeyTimes, RemoteKeys
from regauth.servers.provider_keys.documents import fetch_keys
from regauth.servers.provider_keys.providers import KeyFile
from regauth.servers.signing.signer import Signer

MAX_REMEMBERED: Final = 10_000
"""Verified tokens that are remembered."""

MAX_REMEMBERED_LENGTH: Final = 8 * 1024
"""Characters of a remembered token.  A longer one would take too much memory."""


class TrustError(StartupError):
    """The keys of the token server cannot be used; the message says why."""


class TrustSource(Protocol):
    """Gives the trust that holds now."""

    def current(self, *, unknown_kid: bool = False) -> RegistryTrust | KeysUnavailable:
        """Return the trust; `unknown_kid` says that the trust returned before lacks a key."""


class FixedTrust:
    """Root certificates, read once, because a new signing key brings its own certificate."""

    def __init__(self, trust: RegistryTrust) -> None:
        self._trust = trust

    def current(self, *, unknown_kid: bool = False) -> RegistryTrust | KeysUnavailable:
        """Return the trust that was given."""
        del unknown_kid
        return self._trust


class KeysTrust:
    """Keys that change: of a file, an address, or a signer in this process."""

    def __init__(
        self,
        trust: RegistryTrust,
        keys: Callable[[bool], KeySet | KeysUnavailable],
    ) -> None:
        self._trust = trust
        self._keys = keys

    def current(self, *, unknown_kid: bool = False) -> RegistryTrust | KeysUnavailable:
        """Return the trust with the current keys; the same object while they are the same."""
        keys = self._keys(unknown_kid)
        if isinstance(keys, KeysUnavailable):
            return keys
        if keys is not self._trust.keys:
            self._trust = replace(self._trust, keys=keys)
        return self._trust


def from_bundle(trust: RegistryTrust, path: Path) -> TrustSource:
    """
    Trust the certificates in a file.

    Raises:
        TrustError: It cannot be read, or holds none.
    """
    try:
        roots, keys = read_root_bundle(path.read_bytes())
    except OSError as error:
        raise TrustError(f"{path} cannot be read: {error.strerror}") from error
    except KeysError as error:
        raise TrustError(f"{path}: {error}") from error
    return FixedTrust(replace(trust, roots=roots, keys=keys))


def from_file(trust: RegistryTrust, path: Path, clock: Clock = time.monotonic) -> TrustSource:
    """Trust the JWK set in a file, which is read again when it changes."""
    keys = KeyFile(path, clock=clock)
    return KeysTrust(trust, lambda _: keys.current())


def from_uri(trust: RegistryTrust, source: JwksUri, clock: Clock = time.monotonic) -> TrustSource:
    """Trust the JWK set at an address, which is fetched again in time."""
    remote = RemoteKeys(
        "the token server",
        lambda: fetch_keys(trust.issuer, source, fetch, Bounds()),
        KeyTimes(),
        clock,
    )
    return KeysTrust(trust, lambda unknown: remote.current(unknown_kid=unknown))


def from_signer(trust: RegistryTrust, signer: Callable[[], Signer]) -> TrustSource:
    """Trust the keys of a token server in this process."""
    known: list[tuple[Signer, KeySet]] = []

    def keys(_: bool) -> KeySet:  # noqa: FBT001 - the shape of `KeysTrust`'s question
        current = signer()
        if not known or known[-1][0] is not current:
            known[:] = [(current, parse_jwks(current.jwks()))]
        return known[-1][1]

    return KeysTrust(trust, keys)


class Verifier:
    """
    Verifies registry tokens, each once.  Safe to use from many threads.

    Args:
        source: Whose tokens are good.
        now: The clock.
    """

    def __init__(
        self, source: TrustSource, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._source = source
        self._now = now
        self._known: BoundedCache[bytes, tuple[RegistryTrust, RegistryToken]] = BoundedCache(
            MAX_REMEMBERED
        )

    def verify(self, text: str) -> RegistryToken | Reason | KeysUnavailable:
        """Return what a token gives, why it is refused, or why that cannot be known."""
        trust = self._source.current()
        if isinstance(trust, KeysUnavailable):
            return trust
        now = self._now()
        digest = sha256(text.encode("utf-8", "surrogateescape")).digest()
        known = self._known.get(digest)
        if known is not None and known[0] is trust and now < known[1].expires + LEEWAY:
            return known[1]
        if not trust.roots and unknown_key_id(text, trust.keys) is not None:
            trust = self._source.current(unknown_kid=True)
            if isinstance(trust, KeysUnavailable):
                return trust
        found = verify_registry_token(text, trust, now)
        if isinstance(found, RegistryToken) and len(text) <= MAX_REMEMBERED_LENGTH:
            self._known.put(digest, (trust, found))
        return found
