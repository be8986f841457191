"""What the servers' tests share."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from regauth.servers.certificates import certificate_pem, make_authority, make_key, private_pem

from .local_http import Provider, serve


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A local HTTP server that a test tells what to answer."""
    with serve() as running:
        yield running


@pytest.fixture
def tls_provider(tmp_path: Path) -> Iterator[tuple[Provider, Path]]:
    """The same over TLS, with the file of the authority that signed its certificate."""
    now = datetime.now(UTC)
    authority = make_authority("test authority", now, timedelta(days=1))
    key = make_key("ES256")
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    chain, private, ca = tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "ca.crt"
    chain.write_bytes(certificate_pem(certificate))
    private.write_bytes(private_pem(key))
    ca.write_bytes(certificate_pem(authority.certificate))
    with serve((chain, private)) as running:
        yield running, ca
