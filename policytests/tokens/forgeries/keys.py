"""
Forgeries that bring a key of their own, or break the signature.

What lives here: the groups `key`, `signature` and `header`.  Not here: claims (`claims`) and form
(`form`).
"""

import base64
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from regauth.engine.tokens.jwks import public_jwk
from regauth.engine.tokens.keys import SigningKey

from .forgery import Forgery, Make, Material, base64url, encode, genuine, signed, stranger

# --- keys the token brings along (RFC 7515, sections 4.1.2 to 4.1.6) -----------------------------


def _with_header(
    extra: Callable[[Material, SigningKey], dict[str, object]],
) -> Make:
    def make(material: Material) -> str:
        key = stranger(material)
        return signed({**material.header, **extra(material, key)}, material.claims, key)

    return make


def _jwk(_: Material, key: SigningKey) -> dict[str, object]:
    return {"jwk": {**public_jwk(key.public_key), "kid": key.key_id, "use": "sig"}}


def _jwk_without_kid(material: Material) -> str:
    key = stranger(material)
    header = {"typ": "JWT", "alg": key.algorithm, "jwk": public_jwk(key.public_key)}
    return signed(header, material.claims, key)


def _x5c(material: Material, key: SigningKey) -> dict[str, object]:
    return {"x5c": [base64.b64encode(_certificate(material, key)).decode()]}


def _certificate(material: Material, key: SigningKey) -> bytes:
    """Return a certificate the stranger issued to itself in the issuer's name."""
    issuer = str(material.claims.get("iss"))[:60]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key)
        .serial_number(1)
        .not_valid_before(material.now - timedelta(days=1))
        .not_valid_after(material.now + timedelta(days=1))
    )
    hash_ = None if isinstance(key.material, Ed25519PrivateKey) else SHA256()
    return builder.sign(key.material, hash_).public_bytes(Encoding.DER)


def _thumbprint(_: Material, __: SigningKey) -> dict[str, object]:
    return {"x5t#S256": base64url(b"0" * 32)}


_STRANGER_URL: Final = "https://evil.example.com"
_BROUGHT: Final[tuple[tuple[str, str, Make], ...]] = (
    ("jwk-embedded", "trusts the key in the header's `jwk`", _with_header(_jwk)),
    ("jwk-only", "trusts `jwk` when the header names no key", _jwk_without_kid),
    (
        "jku",
        "fetches keys from the header's `jku`",
        _with_header(lambda _, __: {"jku": f"{_STRANGER_URL}/jwks.json"}),
    ),
    (
        "jku-issuer-prefix",
        "trusts a `jku` that begins with the issuer's address",
        _with_header(lambda m, __: {"jku": f"{m.claims.get('iss')}@evil.example.com/jwks"}),
    ),
    (
        "x5u",
        "fetches a certificate from `x5u`",
        _with_header(lambda _, __: {"x5u": f"{_STRANGER_URL}/c"}),
    ),
    ("x5c", "trusts the certificate in `x5c`", _with_header(_x5c)),
    ("x5t", "trusts a certificate thumbprint", _with_header(_thumbprint)),
    ("other-key", "does not verify, or with any key", _with_header(lambda _, __: {})),
)

# --- tricks with the key id ----------------------------------------------------------------------


def _kid(value: object) -> Make:
    def make(material: Material) -> str:
        return signed({**material.header, "kid": value}, material.claims, stranger(material))

    return make


_KEY_IDS: Final[Mapping[str, object]] = {
    "kid-traversal": "../../../../../../dev/null",
    "kid-sql": "x' UNION SELECT 'secret' -- ",
    "kid-command": "key; sleep 10",
    "kid-url": f"{_STRANGER_URL}/key.pem",
    "kid-unknown": "no-such-key",
    "kid-empty": "",
    "kid-null-byte": "sample-1\0",
    "kid-number": 1,
    "kid-list": ["sample-1"],
    "kid-object": {"kid": "sample-1"},
    "kid-true": True,
    "kid-long": "k" * 8000,
}


def _no_kid(material: Material) -> str:
    header = {"typ": "JWT", "alg": material.key.algorithm}
    return signed(header, material.claims, stranger(material))


# --- the signature itself ------------------------------------------------------------------------


def _altered(change: Callable[[bytes], bytes]) -> Make:
    def make(material: Material) -> str:
        header, payload, mark = genuine(material)
        raw = base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4))
        return f"{header}.{payload}.{base64url(change(raw))}"

    return make


def _claims_swapped(material: Material) -> str:
    header, _, mark = genuine(material)
    return f"{header}.{encode(material.changed(sub='root'))}.{mark}"


def _header_swapped(material: Material) -> str:
    _, payload, mark = genuine(material)
    return f"{encode({**material.header, 'x': 1})}.{payload}.{mark}"


def _stripped(material: Material) -> str:
    return ".".join(genuine(material)[:2])


_SIGNATURES: Final[tuple[tuple[str, str, Make], ...]] = (
    ("signature-stripped", "accepts a token of two parts", _stripped),
    ("signature-empty", "accepts an empty signature", _altered(lambda _: b"")),
    ("signature-zero", "accepts a signature of zeros", _altered(lambda raw: bytes(len(raw)))),
    ("signature-bit", "compares signatures loosely", _altered(lambda r: bytes([r[0] ^ 1]) + r[1:])),
    (
        "signature-last-bit",
        "compares signatures loosely",
        _altered(lambda r: r[:-1] + bytes([r[-1] ^ 1])),
    ),
    ("signature-short", "compares a part of the signature", _altered(lambda raw: raw[:-1])),
    ("signature-long", "ignores what follows the signature", _altered(lambda raw: raw + b"\0")),
    ("signature-twice", "ignores what follows the signature", _altered(lambda raw: raw + raw)),
    ("claims-swapped", "verifies other claims than it reads", _claims_swapped),
    ("header-swapped", "verifies another header than it reads", _header_swapped),
)

# --- extensions a reader must understand or refuse (RFC 7515, section 4.1.11) --------------------


def _genuine_with(extra: Mapping[str, object]) -> Make:
    def make(material: Material) -> str:
        return signed({**material.header, **extra}, material.claims, material.key)

    return make


_EXTENSIONS: Final[Mapping[str, Mapping[str, object]]] = {
    "crit": {"crit": ["exp"], "exp": 1},
    "crit-unknown": {"crit": ["urn:example:must-understand"], "urn:example:must-understand": True},
    "crit-empty": {"crit": []},
    "crit-null": {"crit": None},
    "b64-false": {"b64": False, "crit": ["b64"]},
    "b64-false-alone": {"b64": False},
    "zip": {"zip": "DEF"},
    "typ-other": {"typ": "dpop+jwt"},
    "typ-list": {"typ": ["JWT"]},
}

FORGERIES: Final[tuple[Forgery, ...]] = (
    *(Forgery(name, "key", about, make) for name, about, make in _BROUGHT),
    *(
        Forgery(name, "key", "reads more into `kid` than the name of a key it has", _kid(value))
        for name, value in _KEY_IDS.items()
    ),
    Forgery("kid-absent", "key", "takes any key for a token that names none", _no_kid),
    *(Forgery(name, "signature", about, make) for name, about, make in _SIGNATURES),
    *(
        Forgery(
            name,
            "header",
            "ignores a header that changes what the token means",
            _genuine_with(extra),
        )
        for name, extra in _EXTENSIONS.items()
    ),
)
