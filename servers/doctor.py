"""
The doctor: why a registry does not accept this server's tokens.

What lives here: asking a live registry for its challenge, trying tokens on it, comparing what it
says, and its configuration file if it is given, with this server's.  What must not: changing
anything.

A registry says of a token that it is invalid and no more.  So forms of tokens are tried until one
is accepted, and the difference is what is wrong.
"""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from regauth.engine import Decision, Identity, Problems, SigningKey, registry_token
from regauth.engine.keys import KeysError, key_id, load_certificates, parse_jwks
from regauth.engine.nodes import MappingNode, parse

from .outgoing import Bounds, FetchError, Place, PlainHttpError, Reply, ask
from .settings import Settings
from .token_service import State

MAX_SKEW: Final = timedelta(seconds=30)
"""Clocks that differ by less do no harm: registries allow a minute."""

_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"', re.ASCII)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: whether it is right, and what to do when it is not."""

    right: bool
    fact: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry asks for (RFC 6750, section 3; docs/spec/auth/token.md)."""

    realm: str
    service: str


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
        yield from _compare_file(registry_file, settings, state)
    try:
        reply = ask(f"{url.rstrip('/')}/v2/", place, Bounds(), {})
    except PlainHttpError:
        yield _wrong(f"{url} is not https", "give its https address, or admit it by --allow-http")
        return
    except FetchError as error:
        yield _wrong(str(error), "start the registry, or correct its address")
        return
    challenge, finding = _challenge(reply)
    yield finding
    if challenge is None:
        return
    yield _clock(reply, datetime.now(UTC))
    yield _service(challenge, state)
    yield from _realm(challenge, state, place)
    yield _try_tokens(f"{url.rstrip('/')}/v2/", challenge, settings, state.signer.key, place)


def _right(fact: str) -> Finding:
    return Finding(right=True, fact=fact)


def _wrong(fact: str, remedy: str) -> Finding:
    return Finding(right=False, fact=fact, remedy=remedy)


def _challenge(reply: Reply) -> tuple[Challenge | None, Finding]:
    if reply.status == HTTPStatus.OK:
        return None, _wrong(
            "the registry lets anybody in without a token", "configure `auth: token:` in it"
        )
    header = reply.headers.get("www-authenticate", "")
    scheme = header.partition(" ")[0].lower()
    found = dict(_PARAMETER.findall(header))
    if reply.status != HTTPStatus.UNAUTHORIZED or scheme != "bearer" or "realm" not in found:
        return None, _wrong(
            f"the registry answers {reply.status} with the challenge {header[:200]!r}",
            "it must answer 401 with a Bearer challenge: configure `auth: token:` in it",
        )
    challenge = Challenge(found["realm"], found.get("service", ""))
    return challenge, _right(
        f"the registry sends clients to {challenge.realm} for the service {challenge.service!r}"
    )


def _clock(reply: Reply, now: datetime) -> Finding:
    try:
        theirs = parsedate_to_datetime(reply.headers.get("date", ""))
    except ValueError:
        return _right("the registry does not tell its time")
    skew = abs(theirs - now)
    if skew > MAX_SKEW:
        return _wrong(
            f"the registry's clock says {theirs:%H:%M:%S}, ours {now:%H:%M:%S} (UTC)",
            "set both by NTP: tokens would be expired, or not valid yet",
        )
    return _right("the clocks agree")


def _service(challenge: Challenge, state: State) -> Finding:
    if challenge.service in state.policy.services:
        return _right(f"the policy answers for the service {challenge.service!r}")
    return _wrong(
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
        yield _wrong(
            f"no token server is where the registry sends clients: {error}",
            "start it, or correct the registry's `auth.token.realm`",
        )
        return
    if reply.status == HTTPStatus.NOT_FOUND:
        yield _wrong(
            f"{challenge.realm} is no token endpoint (404)",
            "end the registry's `auth.token.realm` with /auth/token",
        )
        return
    try:
        known = {key.key_id for key in parse_jwks(published.body).keys}
    except KeysError:
        known = set()
    if state.signer.key.key_id in known:
        yield _right("the token server there signs with our key")
    else:
        yield _wrong(
            f"the token server there does not sign with our key {state.signer.key.key_id!r}",
            "correct the registry's `auth.token.realm`, or examine with that server's --config",
        )


def _try_tokens(
    url: str, challenge: Challenge, settings: Settings, key: SigningKey, place: Place
) -> Finding:
    """Try our token, then other forms of it, and tell what the accepted one has of its own."""
    if _accepts(url, challenge, settings.issuer, key, place):
        return _right("the registry accepts our tokens")
    for name, form in _forms(key):
        if _accepts(url, challenge, settings.issuer, form, place):
            return _wrong(
                "the registry refuses our tokens", f"it accepts them {name} in server.yaml"
            )
    return _wrong(
        "the registry refuses our tokens in every form",
        f"either its `auth.token.issuer` is not {settings.issuer!r}, or its `rootcertbundle` or "
        "`jwks` does not hold our key; --registry-config FILE tells which.  It reads both when it "
        "starts: restart it after changing them",
    )


def _forms(key: SigningKey) -> Sequence[tuple[str, SigningKey]]:
    public = key.public_key
    libtrust = replace(key, key_id=key_id(public, "libtrust"), x5c=())
    thumbprint = replace(key, key_id=key_id(public, "rfc7638"), x5c=())
    return (
        ("with `signing: {keyId: libtrust, x5c: false}`", libtrust),
        ("with `signing: {keyId: rfc7638, x5c: false}`", thumbprint),
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


def _compare_file(file: Path, settings: Settings, state: State) -> Iterator[Finding]:
    """Compare a Distribution configuration file with ours."""
    token = _token_section(file)
    if token is None:
        yield _wrong(f"{file} has no `auth: token:`", "configure it in the registry")
        return
    issuer = token.get("issuer")
    if issuer == settings.issuer:
        yield _right(f"the registry's issuer is ours, {issuer!r}")
    else:
        yield _wrong(
            f"the registry's `auth.token.issuer` is {issuer!r}, ours is {settings.issuer!r}",
            "make them the same, letter for letter",
        )
    bundle, key_set = token.get("rootcertbundle"), token.get("jwks")
    if isinstance(bundle, str) and bundle:
        yield _compare_bundle(Path(bundle), state)
    if isinstance(key_set, str) and key_set:
        yield _compare_key_set(Path(key_set), state)


def _token_section(file: Path) -> Mapping[str, object] | None:
    try:
        node = parse(file.read_text(encoding="utf-8"), str(file), Problems())
    except (OSError, UnicodeDecodeError):
        return None
    for name in ("auth", "token"):
        node = node.get(name) if isinstance(node, MappingNode) else None
    plain = node.plain() if node is not None else None
    return plain if isinstance(plain, dict) else None


def _compare_bundle(file: Path, state: State) -> Finding:
    key = state.signer.key
    try:
        trusted = load_certificates(file.read_bytes())
    except (OSError, KeysError) as error:
        return _wrong(f"the registry's rootcertbundle cannot be read: {error}", "correct its path")
    if any(one.public_key() == key.public_key for one in trusted):
        return _right(f"{file} holds our key's own certificate")
    for authority in trusted if key.x5c else ():
        try:
            key.x5c[-1].verify_directly_issued_by(authority)
        except Exception:  # noqa: BLE001, S112 - any failure says: not this one
            continue
        return _right(f"{file} holds the authority of our certificates")
    return _wrong(
        f"{file} holds neither our key's certificate nor its authority's",
        "copy root.crt of the key folder there and restart the registry"
        if key.x5c
        else "our tokens carry no certificates: put the key's own certificate there",
    )


def _compare_key_set(file: Path, state: State) -> Finding:
    try:
        known = {key.key_id for key in parse_jwks(file.read_bytes()).keys}
    except (OSError, KeysError) as error:
        return _wrong(f"the registry's jwks cannot be read: {error}", "correct its path")
    if state.signer.key.key_id in known:
        return _right(f"{file} holds our key")
    return _wrong(
        f"{file} does not hold our key {state.signer.key.key_id!r}",
        "copy jwks.json of the key folder there and restart the registry",
    )
