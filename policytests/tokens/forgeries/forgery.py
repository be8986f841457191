"""
A forgery: a token that no policy may accept.

What lives here: what every forgery is made of.  Not here: any one forgery (`algorithm`, `keys`,
`claims`, `form`), and genuine tokens that must not get access (`near_misses`).

The forgeries come from RFC 8725 and from reported holes of JWT libraries.  They are put together
by hand, because a JWT library refuses to sign most of them.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from regauth.engine.tokens.jwt import signature
from regauth.engine.tokens.keys import PrivateKey, SigningKey


@dataclass(frozen=True, slots=True)
class Material:
    """The parts of a token that would be accepted, and a key that its issuer does not have."""

    claims: Mapping[str, object]
    key: SigningKey
    stranger: Callable[[str], PrivateKey]
    now: datetime
    skew: timedelta

    @property
    def header(self) -> dict[str, object]:
        """The header that the genuine token has."""
        return {"typ": "JWT", "alg": self.key.algorithm, "kid": self.key.key_id}

    def changed(self, **claims: object) -> dict[str, object]:
        """Return the claims with some replaced."""
        return {**self.claims, **claims}

    def seconds(self, offset: float = 0) -> int:
        """Return the time of the login, moved by seconds, as a NumericDate."""
        return int(self.now.timestamp() + offset)


Make = Callable[[Material], str]
"""Forges a token."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """One way to forge a token; `about` says which mistake of a verifier would accept it."""

    name: str
    group: str
    about: str
    make: Make = field(repr=False)


def base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode(value: object) -> str:
    """Encode a value's JSON."""
    return base64url(json.dumps(value, separators=(",", ":")).encode())


def signed(header: object, payload: object, key: SigningKey) -> str:
    """Return a token of any header and payload, signed with a key's own algorithm."""
    return sealed(encode(header), encode(payload), key)


def sealed(header: str, payload: str, key: SigningKey) -> str:
    """Return a token of any two parts, whatever they are, signed with a key's own algorithm."""
    signing_input = f"{header}.{payload}"
    return f"{signing_input}.{base64url(signature(signing_input.encode(), key))}"


def stranger(material: Material, algorithm: str | None = None) -> SigningKey:
    """Return the stranger's key, under the name of the issuer's."""
    algorithm = algorithm or material.key.algorithm
    return SigningKey(material.stranger(algorithm), algorithm, material.key.key_id)


def genuine(material: Material) -> tuple[str, str, str]:
    """Return the three parts of the genuine token."""
    header, payload, mark = signed(material.header, material.claims, material.key).split(".")
    return header, payload, mark
