"""
Forgeries of the algorithm: no signature, or an HMAC keyed with what everybody knows.

What lives here: the group `algorithm`.  Not here: the other groups (`keys`, `claims`, `form`).
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from regauth.engine.tokens.jwks import public_jwk

from .forgery import Forgery, Make, Material, base64url, encode, sealed, signed

# --- no signature, or one that is none -----------------------------------------------------------


def _unsigned(algorithm: object) -> Callable[[Material], str]:
    def make(material: Material) -> str:
        header = {**material.header, "alg": algorithm}
        return f"{encode(header)}.{encode(material.claims)}."

    return make


def _none_signed(material: Material) -> str:
    header = encode({**material.header, "alg": "none"})
    return sealed(header, encode(material.claims), material.key)


def _no_alg(material: Material) -> str:
    header = {name: value for name, value in material.header.items() if name != "alg"}
    return signed(header, material.claims, material.key)


def _other_alg(material: Material) -> str:
    other = {"RS256": "RS512", "RS512": "RS256"}.get(material.key.algorithm, "RS256")
    return signed({**material.header, "alg": other}, material.claims, material.key)


# --- HMAC keyed with what everybody knows (RFC 8725, section 2.1) --------------------------------


def _pem(material: Material) -> bytes:
    return material.key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _der(material: Material) -> bytes:
    return material.key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _jwk(material: Material) -> bytes:
    return json.dumps(public_jwk(material.key.public_key)).encode()


def _hmac(size: str, secret: Callable[[Material], bytes]) -> Callable[[Material], str]:
    def make(material: Material) -> str:
        header = encode({**material.header, "alg": f"HS{size}"})
        signing_input = f"{header}.{encode(material.claims)}"
        mac = hmac.new(secret(material), signing_input.encode(), getattr(hashlib, f"sha{size}"))
        return f"{signing_input}.{base64url(mac.digest())}"

    return make


_ALGORITHMS: Final[Mapping[str, object]] = {
    "alg-none": "none",
    "alg-none-capital": "None",
    "alg-none-upper": "NONE",
    "alg-none-mixed": "nOnE",
    "alg-none-space": "none ",
    "alg-empty": "",
    "alg-null": None,
    "alg-list": ["RS256", "none"],
}
_MADE: Final[tuple[tuple[str, str, Make], ...]] = (
    ("alg-none-signed", "ignores the signature of an unsigned token", _none_signed),
    ("alg-absent", "assumes an algorithm the header does not name", _no_alg),
    ("alg-other", "verifies with another algorithm than the header's", _other_alg),
    ("hs256-public-key", "takes the public key for an HMAC secret", _hmac("256", _pem)),
    ("hs384-public-key", "takes the public key for an HMAC secret", _hmac("384", _pem)),
    ("hs512-public-key", "takes the public key for an HMAC secret", _hmac("512", _pem)),
    ("hs256-public-der", "takes the DER public key for a secret", _hmac("256", _der)),
    (
        "hs256-public-pem-stripped",
        "takes the public key without its last newline for a secret",
        _hmac("256", lambda material: _pem(material).strip()),
    ),
    ("hs256-public-jwk", "takes the public JWK for a secret", _hmac("256", _jwk)),
    ("hs256-empty", "takes an empty secret", _hmac("256", lambda _: b"")),
    ("hs256-secret", "takes a guessable secret", _hmac("256", lambda _: b"secret")),
)

FORGERIES: Final[tuple[Forgery, ...]] = (
    *(
        Forgery(
            name,
            "algorithm",
            f"takes a token whose `alg` is {json.dumps(algorithm)} without a signature",
            _unsigned(algorithm),
        )
        for name, algorithm in _ALGORITHMS.items()
    ),
    *(Forgery(name, "algorithm", about, make) for name, about, make in _MADE),
)
