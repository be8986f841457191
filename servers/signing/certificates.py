"""
Certificates: a private authority, and leaves that it signs, for `x5c`.

What lives here: making keys and X.509 certificates (RFC 5280).
Not here: files (`regauth.servers.signing.key_folder`), and tokens
(`regauth.engine.tokens.registry_token`).

A registry that trusts the authority (`rootcertbundle`) accepts every key the authority has signed,
so the signing key can change without a restart of the registry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from regauth.engine.tokens.keys import PrivateKey, PublicKey

RSA_BITS: Final = 2048
RSA_EXPONENT: Final = 65537
_CURVES: Final[Mapping[str, EllipticCurve]] = {
    "ES256": SECP256R1(),
    "ES384": SECP384R1(),
    "ES512": SECP521R1(),
}
_BACKDATED: Final = timedelta(minutes=5)  # the registry's clock may be behind ours


@dataclass(frozen=True, slots=True)
class Authority:
    """A private certificate authority: its key and its own certificate."""

    key: PrivateKey
    certificate: x509.Certificate


def make_key(algorithm: str) -> PrivateKey:
    """
    Make a private key that can sign with an algorithm.

    Raises:
        ValueError: The algorithm is not one that tokens are signed with.
    """
    if algorithm.startswith("RS"):
        return generate_rsa(RSA_EXPONENT, RSA_BITS)
    if algorithm == "EdDSA":
        return Ed25519PrivateKey.generate()
    if algorithm not in _CURVES:
        raise ValueError(f"no key can be made for {algorithm!r}")
    while True:
        key = generate_private_key(_CURVES[algorithm])
        if _full_length(key):
            return key


def _full_length(key: EllipticCurvePrivateKey) -> bool:
    """
    Tell whether no coordinate of an EC key begins with a zero byte.

    Distribution 3.1 strips such bytes before it computes a key id, so that it knows the key by
    another `kid` than RFC 7638 gives it.
    """
    point = key.public_key().public_numbers()
    least = 1 << 8 * ((key.curve.key_size + 7) // 8 - 1)
    return point.x >= least and point.y >= least


def make_authority(name: str, now: datetime, life: timedelta) -> Authority:
    """Make an authority whose certificate is good from `now` for `life`."""
    key = make_key("ES256")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _builder(subject, subject, key.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Authority(key, builder.sign(key, hashes.SHA256()))


def make_leaf(
    authority: Authority, key: PublicKey, name: str, now: datetime, life: timedelta
) -> x509.Certificate:
    """Sign a certificate for a token-signing key; it never outlives the authority's own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    life = min(life, authority.certificate.not_valid_after_utc - now)
    issuer_key = authority.key
    builder = (
        _builder(subject, authority.certificate.subject, key, now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    algorithm = None if isinstance(issuer_key, Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, algorithm)


def private_pem(key: PrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS #8 (RFC 5958) in PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates in PEM, one after another."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )
