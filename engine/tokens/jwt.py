"""
JSON Web Tokens: reading them without trust, verifying their signature, signing our own.

The one module that speaks JWT (RFC 7519) in JWS compact form (RFC 7515, section 7.1).

What lives here: form and signature.  Not here: what a provider's policy asks of the claims
(`regauth.engine.decisions.authentication`), and the refusal of an algorithm before any key is asked
for (`regauth.engine.decisions.exchange`).

This module reads the form strictly: with a lenient reader, two parties can see two different tokens
in one text.  Signatures are verified by the cryptography library, for most algorithms by way of
PyJWT, with the keys and algorithms that the policy names and never with those that the token names.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final, NewType, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from jwt.algorithms import get_default_algorithms
from msgspec import Struct

from regauth.engine.access.outcomes import Reason
from regauth.engine.source.strictjson import MAX_DEPTH, JsonError, loads

from . import base64url, json_text
from .algorithms import ALGORITHMS
from .jwks import thumbprints_of
from .keys import Key, KeySet, SigningKey

MAX_TOKEN_LENGTH: Final = 16 * 1024
"""Characters in a token; a longer one is refused unread."""

MAX_TRIED_KEYS: Final = 16
"""
Keys that are tried for a token that does not say which key signed it.  Anybody can send such a
token.
"""

UnverifiedClaims = NewType("UnverifiedClaims", dict[str, object])
"""Claims that anybody may have written.  They serve only to choose the provider to verify with."""

Claims = NewType("Claims", dict[str, object])
"""
Claims whose signature was verified with a key of their provider.

The type is the proof: `verify` alone makes them of a token.  `recalled` and `supposed` say why the
others are taken for verified, and `tests/house` holds who may call which.
"""

_TYPES: Final = ("jwt", "jose", "at+jwt")
"""
The `typ` of headers, in lower case (RFC 7519, section 5.1; RFC 7515, section 4.1.9; RFC 9068,
section 2.1).  A token of another type was made for another purpose (RFC 8725, section 3.11).
"""
_MEDIA: Final = "application/"
_verifiers: Final = {name: get_default_algorithms()[name] for name in ALGORITHMS}
# RFC 7518, section 3.3.
_rsa: Final = {
    "RS256": (padding.PKCS1v15(), SHA256()),
    "RS384": (padding.PKCS1v15(), SHA384()),
    "RS512": (padding.PKCS1v15(), SHA512()),
}
# How, and in how many bytes each of the signature's two numbers is written.
_ecdsa: Final = {
    "ES256": (ec.ECDSA(SHA256()), 32),
    "ES384": (ec.ECDSA(SHA384()), 48),
    "ES512": (ec.ECDSA(SHA512()), 66),
}
NO_CLAIMS: Final[Claims] = Claims({})
"""The claims of a request without credentials."""

_REMEMBERED_HEADER: Final = 512
"""Characters of the longest encoded header that is read once for many tokens."""


class MalformedTokenError(ValueError):
    """Text is not a signed token in JWS compact form; the message quotes nothing of it."""

    def __init__(self, message: str, reason: Reason = Reason.MALFORMED_TOKEN) -> None:
        super().__init__(message)
        self.reason = reason


class UnverifiedToken(Struct, frozen=True):
    """A token whose form is right and whose signature nobody has looked at."""

    algorithm: str
    key_id: str | None
    thumbprints: frozenset[str]
    """The thumbprints of the certificate whose key signed, as the header says."""
    claims: UnverifiedClaims
    certificates: tuple[str, ...]
    """The header's `x5c` (RFC 7515, section 4.1.6), leaf first: anybody's, until verified."""
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:  # a log must not get what a token could be made of
        return f"UnverifiedToken(algorithm={self.algorithm!r}, key_id={self.key_id!r})"


def parse(
    token: str, *, max_length: int = MAX_TOKEN_LENGTH, max_depth: int = MAX_DEPTH
) -> UnverifiedToken:
    """
    Read a token's form (RFC 7515, sections 4 and 5.2), trusting nothing in it.

    Args:
        token: The token, as it came.
        max_length: The characters it may have.
        max_depth: How deep its payload may nest.

    Raises:
        MalformedTokenError: It is too long, not three base64url parts of strict JSON objects, has
            no `alg`, or asks for an extension (`crit`, `b64`, `zip`; RFC 7515, section 4.1.11).
    """
    # The length comes first: the steps below cost time that grows with the text, and anybody can
    # send one.
    if len(token) > max_length:
        raise MalformedTokenError(
            f"the token is longer than {max_length} characters", Reason.TOKEN_TOO_LARGE
        )
    signing_input, header, payload, signature = _parts(token)
    read = _known_header if len(header) <= _REMEMBERED_HEADER else _header
    algorithm, key_id, thumbprints, certificates = read(header)
    return UnverifiedToken(
        algorithm=algorithm,
        key_id=key_id,
        thumbprints=thumbprints,
        claims=UnverifiedClaims(_object(payload, "payload", max_depth)),
        certificates=certificates,
        signing_input=signing_input,
        signature=_decode(signature, "signature"),
    )


_NO_PARTS: Final = "it is not three base64url parts with dots between"


def _parts(token: str) -> tuple[bytes, bytes, bytes, bytes]:
    """
    Return the text that is signed, its two parts, and the signature, none of them decoded.

    The signature may be empty, so that `alg: none` is refused as an algorithm.
    """
    text = token.encode("ascii", "replace")  # `?` is not of the alphabet either
    signing_input, _, signature = text.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    # The decoder takes these three, and refuses every other character, a fourth part's dot too.
    if not header or not payload or "=" in token or "+" in token or "/" in token:
        raise MalformedTokenError(_NO_PARTS)
    return signing_input, header, payload, signature


def _header(part: bytes) -> tuple[str, str | None, frozenset[str], tuple[str, ...]]:
    """Read a header: the algorithm, and the key id, thumbprints and certificates it names."""
    header = _object(part, "header")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise MalformedTokenError("the header names no algorithm (`alg`)")
    if key_id is not None and not isinstance(key_id, str):
        raise MalformedTokenError("the key id (`kid`) is not a string")
    _check_header(header)
    return algorithm, key_id, thumbprints_of(header), _certificates(header.get("x5c"))


# All tokens of one key have the same header, and its meaning depends on its text alone.
_known_header: Final = lru_cache(maxsize=256)(_header)


def _check_header(header: Mapping[str, object]) -> None:
    # A reader that ignores an extension would read another token than the one that was signed:
    # `b64: false` (RFC 7797) changes what the signature covers, and `zip` what the payload says.
    for name in ("crit", "b64", "zip"):
        if name in header:
            raise MalformedTokenError(
                f"the header asks for an extension (`{name}`) that is not supported"
            )
    kind = header.get("typ")
    # A type without a slash and the same with `application/` are one (RFC 7515, section 4.1.9).
    named = kind.lower().removeprefix(_MEDIA) if isinstance(kind, str) else ""
    if kind is not None and named not in _TYPES:
        raise MalformedTokenError("the header's `typ` is not that of a JWT")


def _certificates(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else []
    texts = tuple(one for one in listed if isinstance(one, str))
    if value is not None and (not texts or len(texts) != len(listed)):
        raise MalformedTokenError("the header's certificates (`x5c`) are not a list of texts")
    return texts


def _object(part: bytes, what: str, max_depth: int = MAX_DEPTH) -> dict[str, object]:
    try:
        value = loads(_decode(part, what), max_depth=max_depth)
    except JsonError as error:
        raise MalformedTokenError(f"the {what} is malformed: {error}") from None
    if not isinstance(value, dict):
        raise MalformedTokenError(f"the {what} is not a JSON object")
    return value


def _decode(part: bytes, what: str) -> bytes:
    try:
        return base64url.decode(part)
    except ValueError:
        raise MalformedTokenError(f"{_NO_PARTS}: the {what} is not base64url") from None


def recalled(claims: dict[str, object]) -> Claims:
    """
    Return claims that were verified before, and kept where nobody but us writes.

    They come from the store of sessions, from a registry token whose own signature was verified, or
    from the record of a decision.
    """
    return Claims(claims)


def restated(claims: Claims, changes: Mapping[str, object]) -> Claims:
    """Return verified claims, some of them in another form with the same meaning."""
    return Claims({**claims, **changes})


def supposed(claims: Mapping[str, object]) -> Claims:
    """
    Return claims as if a token with them had been verified.

    For tools that ask what a policy would decide.  No host that answers clients calls this.
    """
    return Claims(dict(claims))


def verify(token: UnverifiedToken, keys: KeySet, algorithms: Collection[str]) -> Claims | Reason:
    """
    Check a token's signature (RFC 7515, section 5.2); return its claims, or why it is refused.

    Args:
        token: The token.
        keys: The provider's keys.  Keys a token brings along (`jwk`, `jku`, `x5c`, `x5u`) are
            never looked at.
        algorithms: Those the provider's policy allows; the key must fit the algorithm too
            (RFC 8725, section 3.1).
    """
    # The policy names the algorithms.  A verifier that trusts `alg` alone accepts `none`, or an
    # HMAC whose key is the public key (RFC 8725, section 2.1).
    if token.algorithm not in algorithms or token.algorithm not in _verifiers:
        return Reason.ALGORITHM_NOT_ALLOWED
    fitting = fitting_keys(token, keys)
    if not fitting:
        named = keys.named(token.key_id)
        return Reason.ALGORITHM_NOT_ALLOWED if named else Reason.UNKNOWN_KEY
    # Without the bound, one token without `kid` would cost a verification for each key of a large
    # set.
    for key in fitting[:MAX_TRIED_KEYS]:
        if _verifies(token, key):
            return Claims(token.claims)
    return Reason.BAD_SIGNATURE


def fitting_keys(token: UnverifiedToken, keys: KeySet) -> list[Key]:
    """
    Return the keys that may have signed a token, those of its thumbprints first.

    A thumbprint chooses which keys are tried first (RFC 7515, section 4.1.7).  It rules none out,
    because a JWK set need not hold thumbprints, or may hold one of its two kinds.
    """
    # The key must fit the algorithm, or an RSA key could verify a token of another family.
    fitting = [key for key in keys.named(token.key_id) if token.algorithm in key.algorithms]
    if token.thumbprints:
        fitting.sort(key=lambda key: key.thumbprints.isdisjoint(token.thumbprints))
    return fitting


def _verifies(token: UnverifiedToken, key: Key) -> bool:
    by_rsa = _rsa.get(token.algorithm)
    if by_rsa is not None:
        return _verifies_rsa(token, key, *by_rsa)
    verifier = _verifiers[token.algorithm]
    # `is True`: a library that returns another truthy value, such as an error object, must not let
    # anybody in.
    return verifier.verify(token.signing_input, key.material, token.signature) is True


def _verifies_rsa(
    token: UnverifiedToken, key: Key, method: padding.PKCS1v15, digest: HashAlgorithm
) -> bool:
    """Verify as PyJWT does, without its way there: nearly every issuer signs so."""
    public = cast("rsa.RSAPublicKey", key.material)  # the only kind that fits
    try:
        public.verify(token.signature, token.signing_input, method, digest)
    except InvalidSignature:
        return False
    return True


def sign(claims: Mapping[str, object], key: SigningKey) -> str:
    """
    Return the claims as a signed token.

    The header is the key's (`SigningKey.header`).
    """
    signing_input = b"%b.%b" % (key.header, base64url.encode(json_text.write(claims)))
    return (b"%b.%b" % (signing_input, base64url.encode(signature(signing_input, key)))).decode()


def signature(data: bytes, key: SigningKey) -> bytes:
    """Return the signature (RFC 7518, section 3) of bytes that need not be a token."""
    if key.algorithm in _ecdsa:
        return _sign_ecdsa(data, key)
    made: bytes = _verifiers[key.algorithm].sign(data, key.material)
    return made


def _sign_ecdsa(data: bytes, key: SigningKey) -> bytes:
    """Sign as PyJWT does, which goes by way of hexadecimal text (RFC 7518, section 3.4)."""
    method, size = _ecdsa[key.algorithm]
    private = cast("ec.EllipticCurvePrivateKey", key.material)  # the only kind that fits
    first, second = decode_dss_signature(private.sign(data, method))
    return first.to_bytes(size, "big") + second.to_bytes(size, "big")
