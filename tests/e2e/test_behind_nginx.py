"""The token server behind TLS, by the nginx configuration that is shipped."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from regauth.servers.certificates import certificate_pem, make_authority, make_key, private_pem
from regauth.servers.outgoing import Bounds, Place, ask

from .conftest import Site
from .decisions import PUSH
from .programs import TOKEN_SERVER, free_ports, require, run, running

pytestmark = pytest.mark.e2e


@pytest.fixture
def behind(site: Site, tmp_path: Path, repository: Path) -> Iterator[tuple[str, Path, Path]]:
    """Run nginx before a token server of its own; give the address, the CA file and the log."""
    require("nginx", extra=True)
    port, tls_port = free_ports(2)
    ca = _certificate(tmp_path)
    configuration = tmp_path / "server.yaml"
    text = (site.folder / "server.yaml").read_text().replace(f":{site.port}", f":{port}")
    for name in ("policy", "keys"):
        text = text.replace(f": {name} ", f": {site.folder / name} ")
    configuration.write_text(text + "trustedProxies: [127.0.0.1]\n")
    shipped = (repository / "deploy" / "nginx" / "token-server.conf").read_text()
    changed = (
        shipped.replace("127.0.0.1:5001", f"127.0.0.1:{port}")
        .replace("listen 443 ssl", f"listen 127.0.0.1:{tls_port} ssl")
        .replace("/etc/nginx/tls/auth.example.com", str(tmp_path / "tls"))
    )
    paths = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off;\npid {tmp_path}/pid;\nerror_log {tmp_path}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{changed}\n}}\n"
    )
    serve = [*TOKEN_SERVER, "--config", configuration]
    nginx = ["nginx", "-p", tmp_path, "-c", tmp_path / "nginx.conf"]
    with (
        running(serve, port, tmp_path / "log"),
        running(nginx, tls_port, tmp_path / "nginx.log"),
    ):
        yield f"https://localhost:{tls_port}", ca, tmp_path / "log"


def _certificate(folder: Path) -> Path:
    now = datetime.now(UTC)
    authority = make_authority("test authority", now, timedelta(days=1))
    key = make_key("ES256")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(certificate_pem(certificate))
    (folder / "tls.key").write_bytes(private_pem(key))
    (folder / "ca.crt").write_bytes(certificate_pem(authority.certificate))
    return folder / "ca.crt"


def test_a_token_is_exchanged_over_tls_and_the_log_names_the_client(
    site: Site, behind: tuple[str, Path, Path]
) -> None:
    url, ca, log = behind
    # As large as a token may be: nginx's own bound on headers must not be what stops it.
    jwt = site.jwt(PUSH.job, workflow="x" * 9000)
    pair = base64.b64encode(f"sample:{jwt}".encode()).decode()
    query = "service=registry.example.com&scope=repository:acme/app:pull,push"
    reply = ask(
        f"{url}/auth/token?{query}",
        Place(ca_file=str(ca)),
        Bounds(),
        {"Authorization": f"Basic {pair}", "X-Forwarded-For": "192.0.2.7"},
    )
    metrics = ask(f"{url}/metrics", Place(ca_file=str(ca)), Bounds(), {})

    assert reply.status == 200, reply.body
    assert json.loads(reply.body)["scope"] == "repository:acme/app:pull,push"
    assert metrics.status == 403
    assert "client=127.0.0.1" in log.read_text()
    assert "192.0.2.7" not in log.read_text(), "what a client claims to be is not believed"


def test_the_configuration_is_one_that_nginx_takes(behind: tuple[str, Path, Path]) -> None:
    folder = behind[2].parent
    checked = run(["nginx", "-t", "-p", folder, "-c", folder / "nginx.conf"])

    assert checked.returncode == 0, checked.stderr
