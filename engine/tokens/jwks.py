"""
Keys: the public keys of providers and the private keys that sign registry tokens.

What lives here: JWK sets (RFC 7517), PEM keys and certificates, key ids, and which algorithm fits
which key (RFC 7518, RFC 8037).  What must not: fetching or caching keys, which hosts do, and
reading tokens (`regauth.engine.tokens.jwt`).
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import jwt.algorithms
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from regauth.engine.source.strictjson import MAX_DEPTH, JsonError, loads_marked, why_odd

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "EdDSA",
)
"""The signature algorithms there are here: the asymmetric ones of RFC 7518 and RFC 8037."""

MAX_KEYS: Final = 100
"""Keys in one set; the rest of a longer one is refused with it."""

MAX_LEFT_OUT_LENGTH: Final = 200
"""Characters that are kept of why one member of a set was left out."""

MAX_WHY_LENGTH: Final = 400
"""Characters that are told of why all of them were: publishers write a part of it."""

MIN_RSA_BITS: Final = 2048
"""RFC 7518, section 3.3."""

MAX_RSA_BITS: Final = 8192
"""Over this, one verification takes a server's time for many."""

MAX_EXPONENT_BITS: Final = 32
"""Of an RSA key; every issuer's is 65537, and the time of a verification grows with it."""

_CURVES: Final[Mapping[str, tuple[str, str]]] = {
    SECP256R1.name: ("ES256", "P-256"),
    SECP384R1.name: ("ES384", "P-384"),
    SECP521R1.name: ("ES512", "P-521"),
}
_SIGNATURE_USES: Final = (None, "sig", "jwt-svid")
"""`use` of a key that verifies; `jwt-svid` is SPIFFE's (SPIFFE Trust Domain and Bundle, 4.2.2)."""


class KeysError(ValueError):
    """Text that should hold keys holds none that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """One public key, its id if it has one, and the algorithms that fit it."""

    material: PublicKey
    algorithms: tuple[str, ...]
    key_id: str | None = None
    thumbprints: frozenset[str] = frozenset()
    """Of its certificate, by the set (RFC 7517, sections 4.8 and 4.9): they only choose."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """
    The public keys of one provider.

    An empty set verifies nothing.  It is an answer, "nobody", and not the want of one.
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
        return tuple(key for key in self.keys if key.key_id is None or key.key_id == key_id)

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
    Return keys that somebody wrote down to be used.

    Raises:
        KeysError: There is none, so that the writer is told.
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
        if key.curve.name not in _CURVES:
            raise KeysError(
                f"a key on the curve {key.curve.name}; P-256, P-384 and P-521 are accepted"
            )
        return (_CURVES[key.curve.name][0],)
    return ("EdDSA",)


def parse_jwks(source: bytes | str | Mapping[str, object]) -> KeySet:
    """
    Read a JWK set (RFC 7517, section 5).

    Members that cannot verify a signature here are left out, as section 5 asks: other key types,
    other uses, symmetric keys.  So is a key whose private part is in the set: what is published is
    nobody's secret.  A member that is no strict JSON is left out alone, because one odd key must
    not take the others away.

    The set is empty when no member is left: its publisher says that no key is good now, and whoever
    holds earlier keys must let them go.

    Raises:
        KeysError: This is not a JWK set.
    """
    if isinstance(source, Mapping):
        document: object = source
    else:
        try:
            document = loads_marked(source)
        except JsonError as error:
            raise KeysError(f"not a JWK set: {error}") from error
    members = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(members, list):
        raise KeysError('not a JWK set: it must be an object with a list called "keys"')
    if len(members) > MAX_KEYS:
        raise KeysError(f"a JWK set of {len(members)} keys; at most {MAX_KEYS} are accepted")
    keys: list[Key] = []
    left_out: list[str] = []
    for member in members:
        try:
            keys.append(_parse_jwk(member))
        except KeysError as error:
            left_out.append(_why_left_out(member, error))
    return KeySet(tuple(keys), tuple(dict.fromkeys(left_out)))


def _why_left_out(member: object, error: KeysError) -> str:
    """Name a member that is left out; what its publisher wrote is escaped and cut short."""
    named = member.get("kid") if isinstance(member, Mapping) else None
    text = f"{named!r} is {error}" if isinstance(named, str) else str(error)
    return ascii(text)[1:-1][:MAX_LEFT_OUT_LENGTH]


def _parse_jwk(member: object) -> Key:
    """Read one JWK (RFC 7517, section 4)."""
    if odd := why_odd(member, max_depth=MAX_DEPTH - 2):
        raise KeysError(f"a key that is no strict JSON: {odd}")
    if not isinstance(member, Mapping):
        raise KeysError("a key that is not an object")
    jwk = {str(name): value for name, value in member.items()}
    _check_jwk_use(jwk)
    parsers: dict[object, type[jwt.algorithms.Algorithm]] = {
        "RSA": jwt.algorithms.RSAAlgorithm,
        "EC": jwt.algorithms.ECAlgorithm,
        "OKP": jwt.algorithms.OKPAlgorithm,
    }
    kind = jwk.get("kty")
    parser = parsers.get(kind) if isinstance(kind, str) else None
    if parser is None:
        raise KeysError(f"a key of type {kind!r}")
    try:
        material = parser.from_jwk(jwk)
    except Exception as error:  # PyJWT and cryptography raise many kinds for broken numbers
        raise KeysError(f"a broken {kind} key: {error}") from error
    if not isinstance(material, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        raise KeysError(f"a {kind} key of a kind that is not supported")
    algorithms = algorithms_of(material)
    named = jwk.get("alg")
    if named is not None:
        algorithms = tuple(algorithm for algorithm in algorithms if algorithm == named)
        if not algorithms:
            raise KeysError(f"a {kind} key for the algorithm {named!r}")
    key_id = jwk.get("kid")
    return Key(
        material, algorithms, key_id if isinstance(key_id, str) else None, thumbprints_of(jwk)
    )


def thumbprints_of(members: Mapping[str, object]) -> frozenset[str]:
    """Return `x5t` and `x5t#S256` of a JWK or a header (RFC 7515, sections 4.1.7 and 4.1.8)."""
    found = (members.get(name) for name in ("x5t", "x5t#S256"))
    return frozenset(one for one in found if isinstance(one, str))


def _check_jwk_use(jwk: Mapping[str, object]) -> None:
    if "d" in jwk or "k" in jwk:
        raise KeysError("a key with its private part")
    if jwk.get("use") not in _SIGNATURE_USES:
        raise KeysError(f"a key for the use {jwk['use']!r}")
    operations = jwk.get("key_ops")
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):
        raise KeysError("a key whose operations do not include `verify`")


def parse_pem(text: bytes | str) -> KeySet:
    """
    Read PEM public keys and certificates (RFC 7468), any number one after another.

    Only the key of a certificate counts: its dates, names and issuer are not looked at.

    Raises:
        KeysError: A block cannot be read or is a private key, or there is none.
    """
    data = text.encode() if isinstance(text, str) else text
    keys = []
    for block in _pem_blocks(data):
        material = _load_pem(block)
        keys.append(Key(material, algorithms_of(material)))
    if not keys:
        raise KeysError(
            "no PEM block; expected -----BEGIN PUBLIC KEY----- or -----BEGIN CERTIFICATE-----"
        )
    return KeySet(tuple(keys))


def _pem_blocks(data: bytes) -> list[bytes]:
    blocks = []
    for part in data.split(b"-----BEGIN ")[1:]:
        body, end, _ = part.partition(b"-----END ")
        if not end:
            raise KeysError("a PEM block has no end")
        label = body.partition(b"-----")[0]
        blocks.append(b"-----BEGIN " + body + b"-----END " + label + b"-----\n")
    return blocks


def _load_pem(block: bytes) -> PublicKey:
    if b"PRIVATE KEY" in block.partition(b"\n")[0]:
        raise KeysError("this is a private key; only its public part belongs in a policy")
    try:
        if block.startswith(b"-----BEGIN CERTIFICATE"):
            material = x509.load_pem_x509_certificate(block).public_key()
        else:
            material = load_pem_public_key(block)  # type: ignore[assignment]
    except (ValueError, UnsupportedAlgorithm) as error:
        label = block.partition(b"-----")[2].partition(b"-----")[0].decode(errors="replace")
        raise KeysError(
            f"the PEM block {label!r} cannot be read: it is cut off, altered, or of another kind"
        ) from error
    if not isinstance(material, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        raise KeysError("a PEM key of a kind that is not supported; RSA, EC and Ed25519 are")
    return material


KeyIdForm = Literal["libtrust", "rfc7638"]


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

    def __post_init__(self) -> None:
        fitting = algorithms_of(self.material.public_key())
        if self.algorithm not in fitting:
            raise KeysError(
                f"{self.algorithm} does not fit this key; it can sign {', '.join(fitting)}"
            )
        if self.x5c and self.x5c[0].public_key() != self.material.public_key():
            raise KeysError("the first certificate of the chain is not this key's")

    def __repr__(self) -> str:
        return f"SigningKey(algorithm={self.algorithm!r}, key_id={self.key_id!r})"

    @property
    def public_key(self) -> PublicKey:
        """The half that verifies what this key signs."""
        return self.material.public_key()


def load_private_key(data: bytes) -> PrivateKey:
    """
    Read an unencrypted PEM private key.

    Raises:
        KeysError: It cannot be read, or is of a kind that does not sign here.
    """
    try:
        material = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeysError(f"the private key cannot be read: {error}") from error
    if not isinstance(material, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise KeysError(
            "the private key is of a kind that is not supported; RSA, EC and Ed25519 are"
        )
    return material


def load_certificates(data: bytes) -> tuple[x509.Certificate, ...]:
    """
    Read PEM certificates, in their order.

    Raises:
        KeysError: They cannot be read, or there is none.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(data))
    except ValueError as error:
        raise KeysError(f"the certificates cannot be read: {error}") from error


def key_id(key: PublicKey, form: KeyIdForm) -> str:
    """
    Return the id that registries compute for a key.

    `libtrust` is the fingerprint Distribution 2 knows keys by: the first 240 bits of the SHA-256
    of the DER public key, in base32 groups.  `rfc7638` is the JWK thumbprint (RFC 7638, section
    3) of Distribution 3.
    """
    if form == "rfc7638":
        return _thumbprint(public_jwk(key))
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    letters = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(letters[start : start + 4] for start in range(0, len(letters), 4))


def known_ids(key: PublicKey) -> tuple[str, ...]:
    """
    Return every id that a token may name a key by, those included that are computed wrongly.

    An id only chooses the key that must have signed.  Of an elliptic curve's keys Distribution 3.0
    and docker_auth take the thumbprint of the curve's generator, one for all keys; Distribution 3.1
    leaves out leading zeros of the coordinates.
    """
    found = [key_id(key, "libtrust"), key_id(key, "rfc7638")]
    if isinstance(key, EllipticCurvePublicKey):
        found.append(_OF_GENERATOR[key.curve.name])
        point, members = key.public_numbers(), public_jwk(key)
        short = {"x": _integer(point.x), "y": _integer(point.y)}
        found.append(_thumbprint({**members, **short}))
    return tuple(dict.fromkeys(found))


def _thumbprint(members: Mapping[str, str]) -> str:
    required = {name: members[name] for name in sorted(members) if name in _THUMBPRINT}
    text = json.dumps(required, separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(text.encode()).digest())


_THUMBPRINT: Final = frozenset(("crv", "e", "kty", "n", "x", "y"))
_OF_GENERATOR: Final = {
    "secp256r1": "xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M",
    "secp384r1": "-W6Wzot_wuerYbKBVKfGEks3iY2EALna-hBqObnPuJE",
    "secp521r1": "67t2ktf21o_Z2-ygUyR0zriEF9PMHtlT1l4q9rGSYOM",
}


def public_jwk(key: PublicKey) -> dict[str, str]:
    """Return a key's JWK without `kid` (RFC 7518, section 6; RFC 8037, section 2)."""
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "n": _integer(numbers.n), "e": _integer(numbers.e)}
    if isinstance(key, EllipticCurvePublicKey):
        point = key.public_numbers()
        size = (key.curve.key_size + 7) // 8
        return {
            "kty": "EC",
            "crv": _CURVES[key.curve.name][1],
            "x": _base64url(point.x.to_bytes(size, "big")),
            "y": _base64url(point.y.to_bytes(size, "big")),
        }
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(raw)}


def jwks(keys: Sequence[tuple[PublicKey, str, str]]) -> dict[str, object]:
    """Return a JWK set of (key, key id, algorithm) triples, to be published."""
    return {
        "keys": [
            {**public_jwk(key), "kid": identifier, "use": "sig", "alg": algorithm}
            for key, identifier, algorithm in keys
        ]
    }


def _integer(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
