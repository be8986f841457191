"""
PEM (RFC 7468): public keys, private keys and certificates.

What lives here: reading them.
Not here: whether a certificate is trusted (`registry_trust`).
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from .algorithms import KeysError
from .keys import Key, KeySet, PrivateKey, PublicKey, algorithms_of


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
            material = load_pem_public_key(block)  # type: ignore[assignment]  # require_keys refuses the other kinds
    except (ValueError, UnsupportedAlgorithm) as error:
        label = block.partition(b"-----")[2].partition(b"-----")[0].decode(errors="replace")
        raise KeysError(
            f"the PEM block {label!r} cannot be read: it is cut off, altered, or of another kind"
        ) from error
    if not isinstance(material, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        raise KeysError("a PEM key of a kind that is not supported; RSA, EC and Ed25519 are")
    return material


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
