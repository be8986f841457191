"""
The exchange of a JWT for a decision, without any input or output of its own.

What lives here: the order of a login's steps, and the questions it asks its host.
Not here: how keys are fetched and cached (`regauth.servers.provider_keys.cache`), and what the host
does with the answer (`regauth.servers.token.service`).

`exchange` returns a generator, which the host drives.  The generator yields `NeedKeys`, the host
sends a `KeySet` or `KeysUnavailable` back, and the generator's value is the answer.  `run` does
this for hosts that answer at once.
"""

from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from typing import TypeVar

from msgspec import Struct

from regauth.engine.access.outcomes import Decision, Identity, Reason, Refusal
from regauth.engine.access.scope import Access
from regauth.engine.policy.policy import Policy, Provider
from regauth.engine.source.addresses import IpAddress
from regauth.engine.tokens import jwt
from regauth.engine.tokens.jwt import NO_CLAIMS, Claims, MalformedTokenError, UnverifiedToken
from regauth.engine.tokens.keys import KeySet

from .authentication import Authenticated, authenticate, refusal
from .decide import decide


class Credentials(Struct, frozen=True):
    """A login's user name and password (RFC 7617); the password is the JWT."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


class NeedKeys(Struct, frozen=True):
    """
    A question to the host: the provider's current keys.

    With `unknown_kid` the host is asked a second time, because its keys include none with that id:
    the provider may have new keys.  A host that has just fetched them sends the same keys again.
    """

    provider: Provider
    unknown_kid: str | None = None


class KeysUnavailable(Struct, frozen=True):
    """A host's answer when it has no keys of the provider that it may still use."""

    reason: str


Keys = KeySet | KeysUnavailable
Answer = TypeVar("Answer")
Login = Generator[NeedKeys, Keys, Authenticated | Refusal]
Exchange = Generator[NeedKeys, Keys, Decision | Refusal]


def exchange(
    policy: Policy,
    credentials: Credentials | None,
    service: str,
    accesses: Sequence[Access],
    now: datetime,
    client: IpAddress | None = None,
) -> Exchange:
    """
    Decide what a login gets (policy language, "Meaning").

    Args:
        policy: The policy.
        credentials: What the client sent, or None for a request without credentials.
        service: The service the client asks a token for.
        accesses: What it asks for, possibly nothing.
        now: The time, with its zone.
        client: The address of the client; None: it is not known.

    Returns:
        A generator that asks for keys and ends with a `Decision` or a `Refusal`.
    """
    if credentials is None:
        return anonymous(policy, service, accesses, now, client)
    authenticated = yield from login(policy, credentials, service, now)
    if isinstance(authenticated, Refusal):
        return authenticated
    identity = authenticated.identity.from_client(client)
    return decide(policy, identity, authenticated.claims, service, accesses, now)


def anonymous(
    policy: Policy,
    service: str,
    accesses: Sequence[Access],
    now: datetime,
    client: IpAddress | None = None,
) -> Decision | Refusal:
    """Decide a request without credentials: what the policy's `anonymous` gives, if it has one."""
    if service not in policy.services:
        return refusal(Reason.UNKNOWN_SERVICE, f"service {service!r}")
    if policy.anonymous is None:
        return refusal(Reason.NO_CREDENTIALS)
    return decide(policy, Identity(client=client), NO_CLAIMS, service, accesses, now)


def login(policy: Policy, credentials: Credentials, service: str, now: datetime) -> Login:
    """
    Authenticate a login; the first half of `exchange`, for hosts that keep its result.

    The result holds for this policy, this service and until the token expires.
    """
    if service not in policy.services:
        return refusal(Reason.UNKNOWN_SERVICE, f"service {service!r}")
    try:
        token = jwt.parse(credentials.password)
    except MalformedTokenError as error:
        return refusal(error.reason, str(error))
    # Choosing by an unverified claim is safe: the chosen provider's own keys must still verify the
    # token, and `authenticate` compares `iss` again.
    provider = _provider(policy, credentials.username, token.claims.get("iss"))
    if isinstance(provider, Refusal):
        return provider
    claims = yield from _verify(provider, token)
    if isinstance(claims, Refusal):
        return claims
    return authenticate(provider, claims, service, now)


def login_verified(
    policy: Policy, username: str, claims: Claims, service: str, now: datetime
) -> Authenticated | Refusal:
    """
    Authenticate a login whose signature was verified before, as the one of a recorded decision.

    It does everything that `login` does but check the token's form, algorithm and signature.
    """
    if service not in policy.services:
        return refusal(Reason.UNKNOWN_SERVICE, f"service {service!r}")
    provider = _provider(policy, username, claims.get("iss"))
    if isinstance(provider, Refusal):
        return provider
    return authenticate(provider, claims, service, now)


def _provider(policy: Policy, username: str, issuer: object) -> Provider | Refusal:
    """Choose by user name, else by the unverified `iss`: the one thing read before verifying."""
    # The user name comes first: it lets a client choose among several providers of one issuer.
    named = policy.providers.get(username)
    if named is not None:
        return named
    found = [provider for provider in policy.providers.values() if provider.issuer == issuer]
    if len(found) == 1:
        return found[0]
    # Two providers of one issuer differ in rules and subject.  To guess could let a token in by the
    # weaker rules.
    if found:
        names = ", ".join(provider.name for provider in found)
        return refusal(Reason.AMBIGUOUS_PROVIDER, f"{issuer!r} is the issuer of {names}")
    return refusal(
        Reason.UNKNOWN_PROVIDER,
        # Anybody can send any name, and logs keep it.
        f"no provider is called {username[:100]!r} or has the issuer {repr(issuer)[:200]}",
    )


def _verify(
    provider: Provider, token: UnverifiedToken
) -> Generator[NeedKeys, Keys, Claims | Refusal]:
    def refused(reason: Reason, detail: str) -> Refusal:
        return refusal(reason, detail, provider=provider.name)

    # This comes before the keys: a token with an algorithm that is not allowed must not cause a
    # fetch.
    if token.algorithm not in provider.algorithms:
        allowed = ", ".join(provider.algorithms)
        detail = f"alg is {token.algorithm!r}, not one of {allowed}"
        return refused(Reason.ALGORITHM_NOT_ALLOWED, detail)
    # Only here the host may fetch: the provider is known to the policy, so a token cannot name the
    # address.
    keys = yield NeedKeys(provider)
    # An issuer that rotates its keys signs with a new one before caches expire.  The host bounds
    # how often a stranger's `kid` makes it ask.
    if isinstance(keys, KeySet) and token.key_id is not None and not keys.named(token.key_id):
        keys = yield NeedKeys(provider, unknown_kid=token.key_id)
    if isinstance(keys, KeysUnavailable):
        return refused(Reason.PROVIDER_UNAVAILABLE, keys.reason)
    claims = jwt.verify(token, keys, provider.algorithms)
    if not isinstance(claims, Reason):
        return claims
    number = len(jwt.fitting_keys(token, keys))
    most = jwt.MAX_TRIED_KEYS
    untried = f"; tried the first {most} of {number} keys that fit" if number > most else ""
    return refused(claims, f"alg {token.algorithm!r}, kid {token.key_id!r}{untried}")


def run(steps: Generator[NeedKeys, Keys, Answer], keys_for: Callable[[NeedKeys], Keys]) -> Answer:
    """Drive an exchange or a login to its end, for a host that answers at once."""
    try:
        question = next(steps)
        while True:
            question = steps.send(keys_for(question))
    except StopIteration as end:
        answer: Answer = end.value
        return answer
