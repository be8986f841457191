"""
Logging in at the upstream: from its challenge to the header that a request carries.

What lives here: answers to Basic and Bearer challenges (distribution docs/spec/auth/token.md) with
the proxy's own login, and tokens kept until they expire.
Not here: reading challenges (`regauth.servers.protocol.challenges`); the client's credentials,
which never come here (`proxy.gate`); the requests that are passed on (`registry`).
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode, urlsplit

from regauth.engine.source.foreign_text import quoted
from regauth.servers.bounded_cache import BoundedCache
from regauth.servers.http_client.pool import Connecting, Pool, UpstreamAnswer, UpstreamError
from regauth.servers.protocol.challenges import Challenge, read_challenges, strongest

from .docker_login import UpstreamLogin
from .realms import trusted_realm

MAX_TOKENS: Final = 10_000
"""Tokens that are kept, one for each set of scopes."""

MAX_TOKEN_ANSWER: Final = 256 * 1024
MIN_LIFE: Final = 60.0
"""Seconds that a token is good for when its server does not say (docs/spec/auth/token.md)."""

LOGIN_AGE: Final = 300.0
"""Seconds after which a login is read again from where it comes from."""

CHALLENGE_AGE: Final = 3600.0
_KEPT: Final = 0.9  # of a token's lifetime; the rest is for the request to arrive


class UpstreamRefusedError(Exception):
    """The upstream, or its token server, does not accept the proxy's own login."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A token, and the login it was given for: withdrawing the login ends the token."""

    value: str = field(repr=False)
    login: UpstreamLogin
    until: float

    def serves(self, login: UpstreamLogin, now: float) -> bool:
        return self.login == login and now < self.until


class UpstreamCredentials:
    """
    Makes the `Authorization` of requests to one upstream.  Safe to use from many threads.

    Args:
        origin: The upstream, as `https://registry.example.com`.
        connecting: How it and its token server are reached.
        login: Returns the proxy's own login; raises `CredentialsError`.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        origin: str,
        connecting: Connecting,
        login: Callable[[], UpstreamLogin],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = urlsplit(origin)
        self._connecting = connecting
        self._login = login
        self._clock = clock
        self._lock = threading.Lock()
        self._flights: dict[tuple[str, ...], threading.Lock] = {}
        self._tokens: BoundedCache[tuple[str, ...], _Kept] = BoundedCache(MAX_TOKENS)
        self._challenge: tuple[Challenge | None, float] | None = None
        self._differing: BoundedCache[tuple[str, ...], tuple[Challenge, float]] = BoundedCache(
            MAX_TOKENS
        )
        self._known: tuple[UpstreamLogin, float] | None = None

    def authorization(self, scopes: Sequence[str], ping: Callable[[], UpstreamAnswer]) -> str:
        """
        Return the header's value for a request with these scopes; empty for none.

        Args:
            scopes: What the request needs, in the words of the token protocol.
            ping: Sends `GET /v2/` without credentials, to learn what the upstream asks for.

        Raises:
            CredentialsError: The login cannot be had.
            UpstreamError: The upstream or its token server cannot be reached or trusted.
            UpstreamRefusedError: The login is not accepted.
        """
        login = self._current_login()
        # It is sent as it is: docker's `registrytoken` is a bearer token that nobody exchanges.
        if login.registry_token:
            return f"Bearer {login.registry_token}"
        challenge = self._current_challenge(tuple(scopes), ping)
        if challenge is None:
            return ""
        if challenge.scheme == "basic":
            return login.basic
        return f"Bearer {self._token(challenge, login, tuple(scopes))}"

    def learn(self, scopes: Sequence[str], field: str | None) -> None:
        """
        Remember a refusal, so that the next request with these scopes answers its challenge.

        A 401 says how to log in to the very resource (RFC 9110, section 15.5.2), and resources of
        one registry differ: some answer `GET /v2/` without a login, some want another login for the
        catalog than for repositories.

        Args:
            scopes: What the request needed.
            field: The refusal's `WWW-Authenticate`.
        """
        found = _demand(field)
        now = self._clock()
        with self._lock:
            self._known = None
            general = None if self._challenge is None else self._challenge[0]
            if found is None or (general is not None and found != general):
                self._challenge = None
            elif general is None:
                self._challenge = (found, now + CHALLENGE_AGE)
        # Only these scopes have another challenge.  To replace the general one would make the next
        # request fail, and the two would replace each other for ever.
        if found is not None and general is not None and found != general:
            self._differing.put(tuple(scopes), (found, now + CHALLENGE_AGE))
        else:
            self._differing.drop(tuple(scopes))
        self._tokens.drop(tuple(scopes))

    def refusal(self, field: str | None) -> UpstreamRefusedError:
        """Return what a final 401 with this `WWW-Authenticate` means, for the operator."""
        challenges = read_challenges(field)
        login = self._current_login()
        if strongest(challenges) is None:
            schemes = quoted(", ".join(one.scheme for one in challenges))
            return UpstreamRefusedError(
                "the upstream registry refuses the request and offers no login that the proxy "
                f"knows; it offers {schemes if challenges else 'none'}"
            )
        if login == UpstreamLogin():
            return UpstreamRefusedError(
                f"the upstream registry asks for a login, and the proxy has none{login.because}"
            )
        return UpstreamRefusedError("the upstream registry does not accept the proxy's login")

    def _current_login(self) -> UpstreamLogin:
        known, now = self._known, self._clock()
        if known is not None and now < known[1]:
            return known[0]
        with self._lock:
            known = self._known
            if known is None or now >= known[1]:
                known = self._known = (self._login(), now + LOGIN_AGE)
            return known[0]

    def _current_challenge(
        self, scopes: tuple[str, ...], ping: Callable[[], UpstreamAnswer]
    ) -> Challenge | None:
        """Return the challenge to answer: the one of these scopes, or the one of `GET /v2/`."""
        now = self._clock()
        differing = self._differing.get(scopes)
        if differing is not None and now < differing[1]:
            return differing[0]
        known = self._challenge
        if known is not None and now < known[1]:
            return known[0]
        with self._lock:
            known = self._challenge
            if known is None or now >= known[1]:
                answer = ping()
                try:
                    # Some registries send a challenge in good answers too, and accept any request.
                    refused = answer.status == HTTPStatus.UNAUTHORIZED
                    found = _demand(answer.header("WWW-Authenticate")) if refused else None
                finally:
                    answer.close()
                known = self._challenge = (found, now + CHALLENGE_AGE)
            return known[0]

    def _token(self, challenge: Challenge, login: UpstreamLogin, scopes: tuple[str, ...]) -> str:
        kept = self._tokens.get(scopes)
        if kept is not None and kept.serves(login, self._clock()):
            return kept.value
        with self._lock:
            # One request for a token at a time for the same scopes: a pull of many layers starts
            # with many threads.
            flight = self._flights.setdefault(scopes, threading.Lock())
        try:
            with flight:  # the threads that come while one asks wait for its answer
                kept = self._tokens.get(scopes)
                if kept is None or not kept.serves(login, self._clock()):
                    kept = self._ask(challenge, login, scopes)
                    self._tokens.put(scopes, kept)
                return kept.value
        finally:
            with self._lock:
                self._flights.pop(scopes, None)

    def _ask(self, challenge: Challenge, login: UpstreamLogin, scopes: tuple[str, ...]) -> _Kept:
        realm = trusted_realm(challenge.realm, self._origin)
        target = realm.path or "/"
        pool = Pool(f"{realm.scheme}://{realm.netloc}", self._connecting)
        began = self._clock()
        try:
            answer = self._send(pool, target, realm.query, challenge, login, scopes)
            try:
                body = answer.read(MAX_TOKEN_ANSWER)
            finally:
                answer.close()
        finally:
            pool.close()
        # Token servers use each of the three for a login that they do not accept.
        if answer.status in (400, 401, 403):
            if login == UpstreamLogin():
                raise UpstreamRefusedError(
                    "the upstream's token server gives no token without a login, and the proxy has "
                    f"none{login.because}"
                )
            raise UpstreamRefusedError(
                "the upstream's token server does not accept the proxy's login"
            )
        token, life = _read_token(body) if answer.status == HTTPStatus.OK else ("", 0.0)
        if not token:
            raise UpstreamError(
                f"the upstream's token server answered {answer.status} without a token"
            )
        return _Kept(token, login, began + max(life, MIN_LIFE) * _KEPT)

    def _send(
        self,
        pool: Pool,
        path: str,
        query: str,
        challenge: Challenge,
        login: UpstreamLogin,
        scopes: tuple[str, ...],
    ) -> UpstreamAnswer:
        headers = {"User-Agent": "regauth", "Accept": "application/json"}
        asked = [("service", challenge.service)] if challenge.service else []
        if login.identity_token:
            form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", login.identity_token),
                ("client_id", "regauth"),
                *asked,
                ("scope", " ".join(scopes)),
            ]
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return pool.send("POST", path, headers, urlencode(form).encode())
        if login.basic:
            headers["Authorization"] = login.basic
        more = urlencode([*asked, *(("scope", scope) for scope in scopes)])
        joined = "&".join(filter(None, (query, more)))
        return pool.send("GET", f"{path}?{joined}" if joined else path, headers)


def _demand(field: str | None) -> Challenge | None:
    """Return the challenge to answer, without what differs from request to request (`scope`)."""
    found = strongest(read_challenges(field))
    if found is None:
        return None
    return Challenge(found.scheme, {"realm": found.realm, "service": found.service})


def _read_token(body: bytes) -> tuple[str, float]:
    """Return token and life in seconds from a token server's answer; no token if it has none."""
    try:
        content = json.loads(body)
    except ValueError:
        return "", 0.0
    if not isinstance(content, Mapping):
        return "", 0.0
    token = content.get("token") or content.get("access_token")
    life = content.get("expires_in", 0)
    seconds = float(life) if isinstance(life, int | float) else 0.0
    # The token goes into a header, where a line end would begin another one.
    good = isinstance(token, str) and token.isascii() and token.isprintable()
    return (str(token), seconds) if good else ("", 0.0)
