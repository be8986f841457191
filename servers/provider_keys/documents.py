"""
From a provider's address to its keys: discovery documents and JWK sets.

What lives here: which documents are fetched and what must be true of them.  Not here: when they are
fetched and how long they are good for (`regauth.servers.provider_keys.cache`), and how long one
fetch may take (`http_client.fetching.Bounds`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from regauth.engine.policy.policy import Discovery, JwksUri, RemoteAccess
from regauth.engine.source.addresses import is_loopback
from regauth.engine.source.foreign_text import quoted
from regauth.engine.source.strictjson import JsonError, Odd, loads_marked, why_odd
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.keys import KeySet
from regauth.servers.http_client.fetching import Bounds, FetchedDocument, FetchError, origin

WELL_KNOWN: Final = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0, section 4.1: appended to the issuer."""

_MAX_AGE: Final = re.compile(r"(?:^|,)\s*max-age=([0-9]{1,9})\s*(?:,|$)", re.ASCII | re.IGNORECASE)

Fetch = Callable[[str, RemoteAccess, Bounds], FetchedDocument]


@dataclass(frozen=True, slots=True)
class FetchedKeys:
    """Keys with the lifetime in seconds that their publisher announces, if it does."""

    key_set: KeySet
    max_age: int | None = None


def fetch_keys(
    issuer: str, source: Discovery | JwksUri, fetch: Fetch, bounds: Bounds
) -> FetchedKeys:
    """
    Fetch the keys of the provider with this issuer.

    Raises:
        FetchError: A document cannot be had, or is not what it must be.
    """
    place = source.access
    if isinstance(source, JwksUri):
        return _jwks(source.uri, place, fetch, bounds)
    url = issuer.rstrip("/") + WELL_KNOWN
    document = fetch(url, place, bounds)
    return _jwks(*_jwks_uri(issuer, document, place), fetch, bounds)


def _jwks_uri(
    issuer: str, document: FetchedDocument, place: RemoteAccess
) -> tuple[str, RemoteAccess]:
    """
    Return where a discovery document says the keys are.

    The document's issuer must be the policy's, byte for byte (OpenID Connect Discovery 1.0,
    section 4.3).  The bearer token is for the issuer's own host and goes nowhere else, and a
    document that came over TLS cannot send this server to plain HTTP.
    """
    url = document.url
    try:
        content = loads_marked(document.body)
    except JsonError as error:
        raise FetchError(f"{url} is not a discovery document: {error}") from error
    if not isinstance(content, Mapping):
        odd = f": {content.why}" if isinstance(content, Odd) else ""
        raise FetchError(f"{url} is not a discovery document{odd}")
    found = content.get("issuer")
    if found != issuer:
        raise FetchError(
            f"{url} is not the discovery document of {issuer}: {_other_issuer(found, issuer)}"
        )
    uri = content.get("jwks_uri")
    if not isinstance(uri, str) or why_odd(uri):
        raise FetchError(f"{url} names no `jwks_uri`")
    if origin(uri) == origin(url):
        return uri, place
    parts = urlsplit(uri)
    local = is_loopback(parts.hostname or "") and is_loopback(urlsplit(url).hostname or "")
    if parts.scheme != "https" and not place.allow_http and not local:
        raise FetchError(f"{url} names a `jwks_uri` that is not https")
    return uri, RemoteAccess(place.ca_file, None, place.allow_http)


def _other_issuer(found: object, issuer: str) -> str:
    """Say which issuer the document names instead of the policy's."""
    if not isinstance(found, str):
        return "it names no `issuer`"
    told = f"its `issuer` is {quoted(found)}"
    if found.rstrip("/") == issuer.rstrip("/"):
        with_slash = "with" if found.endswith("/") else "without"
        return f"{told}, {with_slash} a slash at its end; write `issuer` in the policy the same way"
    return told


def _jwks(url: str, place: RemoteAccess, fetch: Fetch, bounds: Bounds) -> FetchedKeys:
    document = fetch(url, place, bounds)
    try:
        key_set = parse_jwks(document.body)
    except KeysError as error:
        raise FetchError(f"{url}: {error}") from error
    match = _MAX_AGE.search(document.headers.get("cache-control", ""))
    return FetchedKeys(key_set, int(match[1]) if match else None)
