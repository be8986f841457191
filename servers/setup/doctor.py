"""
The doctor: why a registry does not accept this server's tokens.

What lives here: asking a live registry for its challenge, trying tokens on it, and comparing its
answers with this server.  Not here: its configuration file (`regauth.servers.setup.comparison`),
and changing anything.

A registry says only that a token is invalid.  So the doctor tries forms of tokens until one is
accepted.  The difference between the forms is the fault.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from regauth.engine import Decision, Identity, SigningKey, registry_token
from regauth.engine.access.outcomes import Verdict, Why
from regauth.engine.access.scope import REPOSITORY, Access, Resource
from regauth.engine.policy.policy import RemoteAccess
from regauth.engine.source.addresses import is_loopback
from regauth.engine.source.foreign_text import quoted, visible
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.key_ids import key_id
from regauth.servers.configuration.settings import Settings, SigningSettings
from regauth.servers.http_client.fetching import (
    Bounds,
    FetchError,
    PeerReply,
    PlainHttpError,
    ask,
)
from regauth.servers.http_client.origins import origin_of
from regauth.servers.protocol.challenges import Challenge, read_challenges, strongest
from regauth.servers.signing.compat import FIRST_VERIFIERS
from regauth.servers.signing.signer import certified
from regauth.servers.state.state import State

from .comparison import compare
from .findings import CheckResult, right, wrong
from .registry_file import RegistryFileError, RegistryKind, read_registry_configuration

MAX_SKEW: Final = timedelta(seconds=30)
"""Seconds by which clocks may differ without harm: registries allow a minute."""

MAX_ZOT_SKEW: Final = timedelta(seconds=8)
"""zot has no leeway for `iat`, which is written 10 seconds early; HTTP tells whole seconds."""


@dataclass(frozen=True, slots=True)
class Examined:
    """
    What is examined.

    Args:
        url: The registry's address, with or without `/v2/`.
        settings: This server's configuration.
        state: Its policy and keys.
        place: How to reach the registry and the token server.
        file: The registry's configuration file, if it is at hand.
        environment: A file with the variables that the registry runs with, if it is at hand.
    """

    url: str
    settings: Settings
    state: State
    place: RemoteAccess
    file: Path | None = None
    environment: Path | None = None


def examine(given: Examined) -> Iterator[CheckResult]:
    """Examine a registry; yield each finding as it is made.  One that stops the rest is last."""
    zot = False
    if given.file is not None or given.environment is not None:
        try:
            found = read_registry_configuration(given.file, given.environment)
        except RegistryFileError as error:
            yield wrong(str(error), error.remedy)
        else:
            zot = found.kind is RegistryKind.ZOT
            yield from compare(found, given.settings, given.state)
    base = given.url.rstrip("/").removesuffix("/v2")
    try:
        reply, theirs = _asked(f"{base}/v2/", given.place)
    except PlainHttpError:
        yield wrong(
            f"{visible(base)} is not https", "give its https address, or admit it by --allow-http"
        )
        return
    except FetchError as error:
        yield wrong(visible(str(error)), "start the registry, or correct its address")
        return
    challenge, finding = _challenge(reply)
    yield finding
    if challenge is None:
        return
    yield _service(challenge, given.state)
    yield from _realm_address(challenge, base)
    findings, ours = _realm(challenge, given)
    yield from findings
    yield _clock(theirs, ours, zot=zot)
    yield _try_tokens(f"{base}/v2/", challenge, given, timedelta() if ours is None else ours)


def _asked(url: str, place: RemoteAccess) -> tuple[PeerReply, timedelta | None]:
    """
    Ask, and return the answer with how far the peer's clock is ahead of this machine's.

    Raises:
        FetchError: There is no answer.
    """
    reply = ask(url, place, Bounds(), {})
    now = datetime.now(UTC)
    try:
        told = parsedate_to_datetime(reply.headers.get("date", ""))
    except ValueError:
        return reply, None
    if told.tzinfo is None:  # "-0000" (RFC 5322, section 3.3): UTC, of an unknown place
        told = told.replace(tzinfo=UTC)
    return reply, told - now


def _challenge(reply: PeerReply) -> tuple[Challenge | None, CheckResult]:
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


def _clock(theirs: timedelta | None, ours: timedelta | None, *, zot: bool) -> CheckResult:
    """
    Compare the registry's clock with the token server's, whatever this machine's says.

    A token server that does not answer, or does not tell its time, is taken to have this machine's.
    """
    if theirs is None:
        return right("the registry does not tell its time")
    now, whose = datetime.now(UTC), "the token server's" if ours is not None else "ours"
    ours = ours or timedelta()
    skew = theirs - ours
    if abs(skew) <= (MAX_ZOT_SKEW if zot else MAX_SKEW):
        return right("the clocks agree")
    harm = "tokens are expired when they come" if skew > timedelta() else "tokens are not valid yet"
    return wrong(
        f"the registry's clock says {now + theirs:%H:%M:%S}, {whose} {now + ours:%H:%M:%S} (UTC)",
        f"set the clocks of both machines by NTP: {harm}",
    )


def _service(challenge: Challenge, state: State) -> CheckResult:
    if challenge.service in state.policy.services:
        return right(f"the policy answers for the service {quoted(challenge.service)}")
    return wrong(
        f"the policy does not answer for the service {quoted(challenge.service)}",
        f"add it to `services` in the policy, or make the registry's `auth.token.service` one of "
        f"{', '.join(sorted(state.policy.services))}",
    )


def _realm_address(challenge: Challenge, base: str) -> Iterator[CheckResult]:
    """Check whether clients can reach the realm, and whether their logins are safe on the way."""
    realm, registry = origin_of(challenge.realm), origin_of(base)
    if realm is None or registry is None:
        yield wrong(
            f"the realm {quoted(challenge.realm)} is no http or https address",
            "make the registry's `auth.token.realm` the token endpoint's whole address",
        )
        return
    if realm.host in _EVERYWHERE:
        yield wrong(
            f"the realm's host {realm.host} is where a server listens, and no address for clients",
            "put the host name that clients reach into the registry's `auth.token.realm`",
        )
    elif is_loopback(realm.host) and not is_loopback(registry.host):
        yield wrong(
            f"the realm's host {quoted(realm.host)} is each client's own machine",
            "put the host name that clients reach into the registry's `auth.token.realm`",
        )
    if registry.scheme == "https" and realm.scheme == "http":
        yield wrong(
            "the registry speaks TLS, but sends clients to a realm without: "
            "anybody in the network between can read their logins",
            f"serve the token endpoint by TLS and make the registry's `auth.token.realm` "
            f"{quoted(challenge.realm.replace('http://', 'https://', 1))}",
        )


_EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - what must not stand there


def _realm(challenge: Challenge, given: Examined) -> tuple[list[CheckResult], timedelta | None]:
    """
    Check whether a token server is where the registry says, and whether it is this one.

    Return the findings, and how far its clock is ahead of this machine's.
    """
    query = urlencode({"service": challenge.service})
    parts = urlsplit(challenge.realm)
    keys_url = f"{parts.scheme}://{parts.netloc}/.well-known/jwks.json"
    key = given.state.signer.key
    try:
        reply, ahead = _asked(f"{challenge.realm}?{query}", given.place)
        published = ask(keys_url, given.place, Bounds(), {})
    except FetchError as error:
        fact = f"no token server is where the registry sends clients: {visible(str(error))}"
        return [wrong(fact, "start it, or correct the registry's `auth.token.realm`")], None
    if reply.status == HTTPStatus.NOT_FOUND:
        fact = f"{visible(challenge.realm)} is no token endpoint (404)"
        return [wrong(fact, "end the registry's `auth.token.realm` with /auth/token")], None
    try:
        known = {one.key_id for one in parse_jwks(published.body).keys}
    except KeysError:
        known = set()
    if key.key_id in known:
        return [right("the token server there signs with our key")], ahead
    return [
        wrong(
            f"the token server there does not sign with our key {quoted(key.key_id or '')}",
            "correct the registry's `auth.token.realm`, or examine with that server's --config",
        )
    ], ahead


def _try_tokens(url: str, challenge: Challenge, given: Examined, ahead: timedelta) -> CheckResult:
    """Try our token, then other forms of it, and say how the accepted form differs."""
    key, issuer = given.state.signer.key, given.settings.issuer
    first = _tried(url, challenge, given, key, ahead)
    if first == HTTPStatus.OK:
        return right("the registry accepts our tokens")
    for name, form in _forms(given.settings.signing, key):
        if _tried(url, challenge, given, form, ahead) == HTTPStatus.OK:
            return wrong(
                "the registry refuses our tokens",
                f"it accepts them with `signing: {name}` in server.yaml",
            )
    if first is None and key.algorithm not in FIRST_VERIFIERS:
        return wrong(
            f"the registry breaks off at a token that is signed with {key.algorithm}; "
            "Distribution 2.8 panics so",
            "make a key that it knows, `token-server keys rotate KEYS --algorithm ES256`, or run "
            "Distribution 3",
        )
    unknown = "" if key.algorithm in FIRST_VERIFIERS else f", or it does not know {key.algorithm}"
    return wrong(
        "the registry refuses our tokens in every form",
        f"either its `auth.token.issuer` is not {issuer!r}, or its `rootcertbundle` or "
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


_PING: Final = Verdict(Access(Resource(REPOSITORY, ""), "pull"), Why.GRANTED)
"""
The access that zot wants in a token for `/v2/`: a repository with an empty name, which does not
exist.

Distribution wants a valid token there and no access.
"""


def _tried(
    url: str, challenge: Challenge, given: Examined, key: SigningKey, ahead: timedelta
) -> int | None:
    """Return the status of a request with a token of the server's time; None for no answer."""
    token = registry_token(
        Decision(Identity("doctor", "doctor"), challenge.service, (_PING,)),
        issuer=given.settings.issuer,
        key=key,
        now=datetime.now(UTC) + ahead,
        lifetime=timedelta(seconds=60),
        jti=secrets.token_urlsafe(16),
    )
    try:
        reply = ask(url, given.place, Bounds(), {"Authorization": f"Bearer {token}"})
    except FetchError:
        return None
    return reply.status
