"""
Keys: the public keys of providers, and the private keys that sign registry tokens.

What lives here: the values, and which algorithm fits which key (RFC 7518, RFC 8037).
Not here: reading them (`jwks`, `pem`), their ids (`key_ids`), and fetching or caching them
(`regauth.servers.provider_keys`).
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from . import base64url, json_text
from .algorithms import ALGORITHMS, KeysError

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

MAX_WHY_LENGTH: Final = 400
"""Characters of the reasons for all left-out members together.  Publishers write a part of them."""

MIN_RSA_BITS: Final = 2048
"""RFC 7518, section 3.3."""

MAX_RSA_BITS: Final = 8192
"""Bits.  One verification with a larger key would take the time of many."""

MAX_EXPONENT_BITS: Final = 32
"""
The largest public exponent of an RSA key.  Issuers use 65537, and the time of a verification grows
with it.
"""

CURVES: Final[Mapping[str, tuple[str, str]]] = {
    SECP256R1.name: ("ES256", "P-256"),
    SECP384R1.name: ("ES384", "P-384"),
    SECP521R1.name: ("ES512", "P-521"),
}


@dataclass(frozen=True, slots=True)
class Key:
    """One public key, its id if it has one, and the algorithms that fit it."""

    material: PublicKey
    algorithms: tuple[str, ...]
    key_id: str | None = None
    thumbprints: frozenset[str] = frozenset()
    """
    The thumbprints of its certificate, as the set says (RFC 7517, sections 4.8 and 4.9).  They only
    choose which keys are tried first.
    """


@dataclass(frozen=True, slots=True)
class KeySet:
    """
    The public keys of one provider.

    An empty set verifies nothing.  It is an answer: no key is valid.  It does not mean that the
    keys are unknown.
    """

    keys: tuple[Key, ...] = ()
    left_out: tuple[str, ...] = field(default=(), compare=False)
    """Why members of the JWK set are not among the keys, each with its `kid`; printable text."""

    def named(self, key_id: str | None) -> tuple[Key, ...]:
        """
        Return the keys that a token with this `kid` may be signed with.

        A key without an id (PEM) fits every token; a token without a `kid` fits every key.
        """
        if key_id is None:
            return self.keys
        return tuple([key for key in self.keys if key.key_id is None or key.key_id == key_id])

    @property
    def why_empty(self) -> str:
        """Why there is no key here; empty when there is one."""
        if self.keys:
            return ""
        why = self.why_left_out or "it is empty"
        return f"the JWK set has no key that can verify a signature: {why}"

    @property
    def why_left_out(self) -> str:
        """Why members were left out, in one line for a log; empty when none was."""
        text = "; ".join(self.left_out)
        return text if len(text) <= MAX_WHY_LENGTH else f"{text[:MAX_WHY_LENGTH]}..."

    def __bool__(self) -> bool:
        return bool(self.keys)


def require_keys(keys: KeySet) -> KeySet:
    """
    Return keys that an author wrote down.

    Raises:
        KeysError: There is no key among them.
    """
    if not keys:
        raise KeysError(keys.why_empty)
    return keys


def algorithms_of(key: PublicKey) -> tuple[str, ...]:
    """
    Return the algorithms that fit a key.

    Raises:
        KeysError: None does: the key is too small, too large, or on an unknown curve.
    """
    if isinstance(key, RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise KeysError(
                f"an RSA key of {key.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted"
            )
        if key.public_numbers().e.bit_length() > MAX_EXPONENT_BITS:
            raise KeysError(
                f"an RSA key with an exponent of more than {MAX_EXPONENT_BITS} bits;"
                " verifying with it would take too long"
            )
        return ALGORITHMS[:6]
    if isinstance(key, EllipticCurvePublicKey):
        if key.curve.name not in CURVES:
            raise KeysError(
                f"a key on the curve {key.curve.name}; P-256, P-384 and P-521 are accepted"
            )
        return (CURVES[key.curve.name][0],)
    return ("EdDSA",)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """
    A private key that signs, with the header members that tell a registry which key it is.

    `x5c` is the certificate chain to send, leaf first (RFC 7515, section 4.1.6); empty sends none.
    """

    material: PrivateKey
    algorithm: str
    key_id: str | None = None
    x5c: tuple[x509.Certificate, ...] = ()
    header: bytes = field(init=False, repr=False, compare=False)
    """The encoded header of its tokens: `typ`, `alg` and what says which key it is."""

    def __post_init__(self) -> None:
        fitting = algorithms_of(self.material.public_key())
        if self.algorithm not in fitting:
            raise KeysError(
                f"{self.algorithm} does not fit this key; it can sign {', '.join(fitting)}"
            )
        if self.x5c and self.x5c[0].public_key() != self.material.public_key():
            raise KeysError("the first certificate of the chain is not this key's")
        object.__setattr__(self, "header", base64url.encode(json_text.write(self._header())))

    def _header(self) -> Mapping[str, object]:
        header: dict[str, object] = {"typ": "JWT", "alg": self.algorithm}
        if self.key_id is not None:
            header["kid"] = self.key_id
        if self.x5c:
            ders = [one.public_bytes(Encoding.DER) for one in self.x5c]
            header["x5c"] = [base64.b64encode(der).decode() for der in ders]
        return header

    def __repr__(self) -> str:
        return f"SigningKey(algorithm={self.algorithm!r}, key_id={self.key_id!r})"

    @property
    def public_key(self) -> PublicKey:
        """The half that verifies what this key signs."""
        return self.material.public_key()
