"""
The doctor: why a registry does not accept this server's tokens.

What lives here: asking a live registry for its challenge, trying tokens on it, and comparing what
it says with this server.  What must not: its configuration file
(`regauth.servers.setup.registry_file`), and changing anything.

A registry says of a token that it is invalid and no more.  So forms of tokens are tried until one
is accepted, and the difference is what is wrong.
"""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from regauth.engine import Decision, Identity, SigningKey, registry_token
from regauth.engine.source.foreign_text import quoted
from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.key_ids import key_id
from regauth.engine.tokens.keys import KeysError
from regauth.servers.configuration.settings import Settings, SigningSettings
from regauth.servers.http_client.documents import (
    Bounds,
    FetchError,
    Place,
    PlainHttpError,
    Reply,
    ask,
)
from regauth.servers.protocol.challenges import Challenge, read_challenges, strongest
from regauth.servers.signing.compat import FIRST_VERIFIERS
from regauth.servers.signing.signer import certified
from regauth.servers.state.state import State

from .registry_file import Finding, compare_file, right, wrong

MAX_SKEW: Final = timedelta(seconds=30)
"""Clocks that differ by less do no harm: registries allow a minute."""


def examine(
    url: str, settings: Settings, state: State, place: Place, registry_file: Path | None = None
) -> Iterator[Finding]:
    """
    Examine a registry and yield each finding as it is made; the first that stops the rest is last.

    Args:
        url: The registry's address.
        settings: This server's configuration.
        state: Its policy and keys.
        place: How to reach the registry.
        registry_file: The registry's configuration file, if it is at hand.
    """
    if registry_file is not None:
        yield from compare_file(registry_file, settings, state)
    try:
        reply = ask(f"{url.rstrip('/')}/v2/", place, Bounds(), {})
    except PlainHttpError:
        yield wrong(f"{url} is not https", "give its https address, or admit it by --allow-http")
        return
    except FetchError as error:
        yield wrong(str(error), "start the registry, or correct its address")
        return
    challenge, finding = _challenge(reply)
    yield finding
    if challenge is None:
        return
    yield _clock(reply, datetime.now(UTC))
    yield _service(challenge, state)
    yield from _realm(challenge, state, place)
    yield _try_tokens(f"{url.rstrip('/')}/v2/", challenge, settings, state.signer.key, place)


def _challenge(reply: Reply) -> tuple[Challenge | None, Finding]:
    if reply.status == HTTPStatus.OK:
        return None, wrong(
            "the registry lets anybody in without a token", "configure `auth: token:` in it"
        )
    header = reply.headers.get("www-authenticate", "")
    found = strongest(read_challenges(header))
    if reply.status != HTTPStatus.UNAUTHORIZED or found is None or found.scheme != "bearer":
        return None, wrong(
            f"the registry answers {reply.status} with the challenge {quoted(header)}",
            "it must answer 401 with a Bearer challenge: configure `auth: token:` in it",
        )
    return found, right(
        f"the registry sends clients to {quoted(found.realm)} for the service "
        f"{quoted(found.service)}"
    )


def _clock(reply: Reply, now: datetime) -> Finding:
    try:
        theirs = parsedate_to_datetime(reply.headers.get("date", ""))
    except ValueError:
        return right("the registry does not tell its time")
    if theirs.tzinfo is None:  # "-0000" (RFC 5322, section 3.3): UTC, of an unknown place
        theirs = theirs.replace(tzinfo=UTC)
    skew = abs(theirs - now)
    if skew > MAX_SKEW:
        return wrong(
            f"the registry's clock says {theirs:%H:%M:%S}, ours {now:%H:%M:%S} (UTC)",
            "set both by NTP: tokens would be expired, or not valid yet",
        )
    return right("the clocks agree")


def _service(challenge: Challenge, state: State) -> Finding:
    if challenge.service in state.policy.services:
        return right(f"the policy answers for the service {challenge.service!r}")
    return wrong(
        f"the policy does not answer for the service {challenge.service!r}",
        f"add it to `services` in the policy, or make the registry's `auth.token.service` one of "
        f"{', '.join(sorted(state.policy.services))}",
    )


def _realm(challenge: Challenge, state: State, place: Place) -> Iterator[Finding]:
    """Look whether a token server is where the registry says, and whether it is this one."""
    query = urlencode({"service": challenge.service})
    parts = urlsplit(challenge.realm)
    keys_url = f"{parts.scheme}://{parts.netloc}/.well-known/jwks.json"
    try:
        reply = ask(f"{challenge.realm}?{query}", place, Bounds(), {})
        published = ask(keys_url, place, Bounds(), {})
    except FetchError as error:
        yield wrong(
            f"no token server is where the registry sends clients: {error}",
            "start it, or correct the registry's `auth.token.realm`",
        )
        return
    if reply.status == HTTPStatus.NOT_FOUND:
        yield wrong(
            f"{challenge.realm} is no token endpoint (404)",
            "end the registry's `auth.token.realm` with /auth/token",
        )
        return
    try:
        known = {key.key_id for key in parse_jwks(published.body).keys}
    except KeysError:
        known = set()
    if state.signer.key.key_id in known:
        yield right("the token server there signs with our key")
    else:
        yield wrong(
            f"the token server there does not sign with our key {state.signer.key.key_id!r}",
            "correct the registry's `auth.token.realm`, or examine with that server's --config",
        )


def _try_tokens(
    url: str, challenge: Challenge, settings: Settings, key: SigningKey, place: Place
) -> Finding:
    """Try our token, then other forms of it, and tell what the accepted one has of its own."""
    if _accepts(url, challenge, settings.issuer, key, place):
        return right("the registry accepts our tokens")
    for name, form in _forms(settings.signing, key):
        if _accepts(url, challenge, settings.issuer, form, place):
            return wrong(
                "the registry refuses our tokens",
                f"it accepts them with `signing: {name}` in server.yaml",
            )
    unknown = "" if key.algorithm in FIRST_VERIFIERS else f", or it does not know {key.algorithm}"
    return wrong(
        "the registry refuses our tokens in every form",
        f"either its `auth.token.issuer` is not {settings.issuer!r}, or its `rootcertbundle` or "
        f"`jwks` does not hold our key{unknown}; --registry-config FILE tells which.  It reads "
        "both when it starts: restart it after changing them",
    )


def _forms(signing: SigningSettings, key: SigningKey) -> Iterator[tuple[str, SigningKey]]:
    """Yield other forms of our key, with what `signing` would have to say for them."""
    full = certified(signing, key, datetime.now(UTC))
    if full is not None and not key.x5c:
        yield "{x5c: true}", full
    for kind in ("libtrust", "rfc7638"):
        yield (
            f"{{keyId: {kind}, x5c: false}}",
            replace(key, key_id=key_id(key.public_key, kind), x5c=()),
        )


def _accepts(url: str, challenge: Challenge, issuer: str, key: SigningKey, place: Place) -> bool:
    token = registry_token(
        Decision(Identity("doctor", "doctor"), challenge.service, ()),
        issuer=issuer,
        key=key,
        now=datetime.now(UTC),
        lifetime=timedelta(seconds=60),
        jti=secrets.token_urlsafe(16),
    )
    try:
        reply = ask(url, place, Bounds(), {"Authorization": f"Bearer {token}"})
    except FetchError:
        return False
    return reply.status == HTTPStatus.OK
