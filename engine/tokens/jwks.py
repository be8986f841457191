"""
JWK sets (RFC 7517): reading those of providers, and writing our own.

What lives here: the JSON form of public keys (RFC 7518, section 6; RFC 8037, section 2).
Not here: PEM (`pem`), and reading tokens (`jwt`).
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Final

import jwt.algorithms
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from regauth.engine.source.strictjson import MAX_DEPTH, JsonError, loads_marked, why_odd

from .algorithms import KeysError
from .keys import CURVES, Key, KeySet, PublicKey, algorithms_of

MAX_KEYS: Final = 100
"""Keys in one set.  A longer set is refused as a whole."""

MAX_LEFT_OUT_LENGTH: Final = 200
"""Characters that are kept of why one member of a set was left out."""

_SIGNATURE_USES: Final = (None, "sig", "jwt-svid")
"""`use` of a key that verifies; `jwt-svid` is SPIFFE's (SPIFFE Trust Domain and Bundle, 4.2.2)."""


def parse_jwks(source: bytes | str | Mapping[str, object]) -> KeySet:
    """
    Read a JWK set (RFC 7517, section 5).

    Members that cannot verify a signature here are left out, as section 5 asks: other key types,
    other uses, symmetric keys.  So is a key whose private part is in the set, because everybody can
    sign with it.  A member that is no strict JSON is left out alone, because one odd key must not
    disable the others.

    The set is empty when no member is left.  The publisher then says that no key is valid now, and
    a host that holds earlier keys must drop them.

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
    # A token without `kid` is tried with several keys, so a long set would make each such login
    # expensive.
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
    # Two members of one name could show two keys to two readers.
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
    # PyJWT also reads Ed448 keys, which no algorithm here uses.
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
    # `k` is a symmetric key: whoever can verify with it can also sign.
    if "d" in jwk or "k" in jwk:
        raise KeysError("a key with its private part")
    if jwk.get("use") not in _SIGNATURE_USES:
        raise KeysError(f"a key for the use {jwk['use']!r}")
    operations = jwk.get("key_ops")
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):
        raise KeysError("a key whose operations do not include `verify`")


def public_jwk(key: PublicKey) -> dict[str, str]:
    """Return a key's JWK without `kid` (RFC 7518, section 6; RFC 8037, section 2)."""
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "n": integer(numbers.n), "e": integer(numbers.e)}
    if isinstance(key, EllipticCurvePublicKey):
        point = key.public_numbers()
        size = (key.curve.key_size + 7) // 8
        return {
            "kty": "EC",
            "crv": CURVES[key.curve.name][1],
            "x": base64url(point.x.to_bytes(size, "big")),
            "y": base64url(point.y.to_bytes(size, "big")),
        }
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}


def jwks(keys: Sequence[tuple[PublicKey, str, str]]) -> dict[str, object]:
    """Return a JWK set of (key, key id, algorithm) triples, to be published."""
    return {
        "keys": [
            {**public_jwk(key), "kid": identifier, "use": "sig", "alg": algorithm}
            for key, identifier, algorithm in keys
        ]
    }


def integer(number: int) -> str:
    """Return a number as Base64urlUInt (RFC 7518, section 2)."""
    return base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def base64url(data: bytes) -> str:
    """Return bytes in base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
