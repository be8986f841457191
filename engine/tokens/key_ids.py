"""
Key ids: the names that registries know a key by.

What lives here: how each registry computes them from a key, mistakes included.
Not here: which of them a token carries (`regauth.servers.signing.compat`).
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .jwks import base64url, integer, public_jwk
from .keys import PublicKey

KeyIdForm = Literal["libtrust", "rfc7638"]


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
        short = {"x": integer(point.x), "y": integer(point.y)}
        found.append(_thumbprint({**members, **short}))
    return tuple(dict.fromkeys(found))


def _thumbprint(members: Mapping[str, str]) -> str:
    required = {name: members[name] for name in sorted(members) if name in _THUMBPRINT}
    text = json.dumps(required, separators=(",", ":"), sort_keys=True)
    return base64url(hashlib.sha256(text.encode()).digest())


_THUMBPRINT: Final = frozenset(("crv", "e", "kty", "n", "x", "y"))
_OF_GENERATOR: Final = {
    "secp256r1": "xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M",
    "secp384r1": "-W6Wzot_wuerYbKBVKfGEks3iY2EALna-hBqObnPuJE",
    "secp521r1": "67t2ktf21o_Z2-ygUyR0zriEF9PMHtlT1l4q9rGSYOM",
}
