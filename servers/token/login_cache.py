"""
A cache of verified logins.

What lives here: when the result of a login may stand in for doing it again.
Not here: a login itself (`regauth.engine.decisions.exchange`), and anything about repositories:
every access is decided anew for every request (`service`).

A result is used again only for the very same token, user name and service, under the very same
policy and provider keys.  These are compared as objects, so that a policy that is read again, or
keys that are fetched again, end it.  It ends too when the token expires or grows too old, and after
`seconds`.  A provider whose rules or subject read the time is never cached.  Refusals are never
cached: a token that was refused a second ago may be valid now.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from regauth.engine import Authenticated, Credentials, KeySet, NeedKeys, Policy, Refusal, login
from regauth.engine.decisions.exchange import Keys, run
from regauth.servers.bounded_cache import BoundedCache
from regauth.servers.provider_keys.providers import ProviderKeys

Name = tuple[bytes, str, str]


@dataclass(frozen=True, slots=True)
class _CachedLogin:
    authenticated: Authenticated
    policy: Policy
    keys: KeySet
    until: datetime


class LoginCache:
    """
    Verifies logins, and remembers those that succeeded.

    Args:
        keys: The providers' keys.
        size: How many are remembered; 0 remembers none.
        seconds: For how long at most.
        wait: Whether a login may wait for its provider's keys.
    """

    def __init__(
        self, keys: ProviderKeys, size: int = 2000, seconds: float = 30, *, wait: bool = True
    ) -> None:
        self._keys = keys
        self._keys_for = partial(keys.keys_for, wait=wait)
        self._entries: BoundedCache[Name, _CachedLogin] = BoundedCache(size if seconds > 0 else 0)
        self._seconds = timedelta(seconds=seconds)

    def beside(self) -> "LoginCache":
        """Return another such cache, for a shadow policy, whose logins never wait."""
        seconds = self._seconds.total_seconds()
        return LoginCache(self._keys, self._entries.size, seconds, wait=False)

    def without_memory(self) -> "LoginCache":
        """Return one that verifies each login anew and remembers none."""
        return LoginCache(self._keys, 0, 0)

    def login(
        self, policy: Policy, credentials: Credentials, service: str, now: datetime
    ) -> tuple[Authenticated | Refusal, KeySet | None]:
        """Return whose login this is, or why it is refused, and the keys that verified it."""
        if not self._entries.size:
            return self._verified(policy, credentials, service, now)
        # A digest is kept in place of the token.
        digest = hashlib.sha256(credentials.password.encode("utf-8", "surrogatepass")).digest()
        # The user name and the service belong to the key: both choose what the login is checked
        # against.
        name = (digest, credentials.username, service)
        entry = self._entries.get(name)
        if entry is not None and self._holds(entry, policy, now):
            return entry.authenticated, entry.keys
        outcome, keys = self._verified(policy, credentials, service, now)
        # Only good logins are kept, so that nobody can fill the cache with tokens that are refused.
        if keys is None or isinstance(outcome, Refusal) or outcome.provider.depends_on_time:
            return outcome, keys
        until = min(now + self._seconds, end_of(outcome))
        self._entries.put(name, _CachedLogin(outcome, policy, keys, until))
        return outcome, keys

    def _verified(
        self, policy: Policy, credentials: Credentials, service: str, now: datetime
    ) -> tuple[Authenticated | Refusal, KeySet | None]:
        """Verify a login anew."""
        used: KeySet | None = None

        def keys_for(need: NeedKeys) -> Keys:
            nonlocal used
            keys = self._keys_for(need)
            if isinstance(keys, KeySet):
                used = keys
            return keys

        outcome = run(login(policy, credentials, service, now), keys_for)
        return outcome, None if isinstance(outcome, Refusal) else used

    def _holds(self, entry: _CachedLogin, policy: Policy, now: datetime) -> bool:
        provider = entry.authenticated.provider
        return (
            entry.policy is policy
            and entry.authenticated.at <= now < entry.until  # a clock can be set back
            and self._keys_for(NeedKeys(provider)) is entry.keys
        )


def end_of(login: Authenticated) -> datetime:
    """Return when a login ends by itself: at `exp`, or when its token is too old."""
    most = login.provider.max_token_age
    issued = login.claims.get("iat")
    if most is None or not isinstance(issued, int | float):
        return login.expires
    return min(login.expires, datetime.fromtimestamp(issued, login.expires.tzinfo) + most)
