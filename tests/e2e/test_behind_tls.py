"""The token server behind TLS, by the configurations of nginx and Caddy that are shipped."""

import base64
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from regauth.engine.policy.policy import RemoteAccess
from regauth.servers.http_client.fetching import Bounds, PeerReply, ask
from regauth.servers.signing.certificates import (
    certificate_pem,
    make_authority,
    make_key,
    private_pem,
)
from tests.ports import free_ports

from .conftest import Site
from .decisions import PUSH
from .programs import TOKEN_SERVER, require, run, running

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Behind:
    """A token server of its own behind a gate that speaks TLS."""

    url: str
    ca: Path
    log: Path
    check: tuple[str | Path, ...]
    """The command with which the gate checks its configuration."""

    def get(self, target: str, **headers: str) -> PeerReply:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(f"{self.url}{target}", RemoteAccess(ca_file=str(self.ca)), Bounds(), given)


@contextmanager
def _nginx(folder: Path, shipped: Path, port: int, tls_port: int) -> Iterator[Sequence[str | Path]]:
    require("nginx", extra=True)
    text = (shipped / "nginx" / "token-server.conf").read_text()
    changed = (
        text.replace("127.0.0.1:5001", f"127.0.0.1:{port}")
        .replace("listen 443 ssl", f"listen 127.0.0.1:{tls_port} ssl")
        .replace("/etc/nginx/tls/auth.example.com", str(folder / "tls"))
    )
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{changed}\n}}\n"
    )
    nginx = ("nginx", "-p", folder, "-c", folder / "nginx.conf")
    with running(nginx, tls_port, folder / "nginx.log"):
        yield (*nginx, "-t")


@contextmanager
def _caddy(folder: Path, shipped: Path, port: int, tls_port: int) -> Iterator[Sequence[str | Path]]:
    require("caddy", extra=True)
    text = (shipped / "caddy" / "token-server.Caddyfile").read_text()
    site = f"https://localhost:{tls_port} {{\n\tbind 127.0.0.1\n"
    certificate = f"\ttls {folder}/tls.crt {folder}/tls.key\n"
    changed = (
        text.replace("127.0.0.1:5001", f"127.0.0.1:{port}")
        .replace("auth.example.com {\n", site + certificate)
        .replace("{\n\tservers", "{\n\tadmin off\n\tauto_https disable_redirects\n\tservers")
    )
    (folder / "Caddyfile").write_text(changed)
    config = ("--config", folder / "Caddyfile", "--adapter", "caddyfile")
    home = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with running(("caddy", "run", *config), tls_port, folder / "caddy.log", env=home):
        yield ("caddy", "validate", *config)


@pytest.fixture(scope="module", params=[_nginx, _caddy], ids=["nginx", "caddy"])
def behind(
    request: pytest.FixtureRequest,
    site: Site,
    tmp_path_factory: pytest.TempPathFactory,
    repository: Path,
) -> Iterator[Behind]:
    tmp_path = tmp_path_factory.mktemp("behind")
    port, tls_port = free_ports(2)
    ca = _certificate(tmp_path)
    configuration = tmp_path / "server.yaml"
    text = (site.folder / "server.yaml").read_text().replace(f":{site.port}", f":{port}")
    for name in ("policy", "keys"):
        text = text.replace(f": {name} ", f": {site.folder / name} ")
    configuration.write_text(text + "trustedProxies: [127.0.0.1]\n")
    serve = [*TOKEN_SERVER, "--config", configuration]
    with (
        running(serve, port, tmp_path / "log"),
        request.param(tmp_path, repository / "deploy", port, tls_port) as check,
    ):
        yield Behind(f"https://localhost:{tls_port}", ca, tmp_path / "log", check)


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
    site: Site, behind: Behind
) -> None:
    # As large as a token may be: the gate's own bound on headers must not be what stops it.
    jwt = site.jwt(PUSH.job, workflow="x" * 9000)
    pair = base64.b64encode(f"sample:{jwt}".encode()).decode()
    query = "service=registry.example.com&scope=repository:acme/app:pull,push"
    reply = behind.get(
        f"/auth/token?{query}", Authorization=f"Basic {pair}", X_Forwarded_For="192.0.2.7"
    )

    assert reply.status == 200, reply.body
    assert json.loads(reply.body)["scope"] == "repository:acme/app:pull,push"
    assert "client=127.0.0.1" in behind.log.read_text()
    assert "192.0.2.7" not in behind.log.read_text(), "what a client claims to be is not believed"


@pytest.mark.parametrize("gate", [_nginx, _caddy], ids=["nginx", "caddy"])
def test_s8_the_gate_strips_fields_with_an_underscore(
    gate: Callable[..., AbstractContextManager[Sequence[str | Path]]],
    tmp_path: Path,
    repository: Path,
) -> None:
    """A WSGI server has one name for `X_Forwarded_For` and the field that the gate writes."""
    got: list[Message] = []

    class Recorder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append(self.headers)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep silent."""

    port, tls_port = free_ports(2)
    ca = _certificate(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", port), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    odd = ("X_Forwarded_For", "X-Forwarded_For", "x_forwarded-for", "X_Forwarded_Proto", "X_Any")
    with gate(tmp_path, repository / "deploy", port, tls_port):
        url = f"https://localhost:{tls_port}/auth/token"
        reply = ask(url, RemoteAccess(ca_file=str(ca)), Bounds(), dict.fromkeys(odd, "192.0.2.7"))
    server.shutdown()
    server.server_close()

    assert reply.status == 204
    assert not [name for name in got[0] if "_" in name]
    assert got[0]["X-Forwarded-For"] == "127.0.0.1"


@pytest.mark.parametrize(
    "target",
    [
        "/metrics",
        "/metrics/",
        "/METRICS",
        "/%6detrics",
        "//metrics",
        "/x/../metrics",
        "/metrics?x",
        "/readyz",
        "/%72eadyz?x",
    ],
)
def test_metrics_and_readiness_are_not_for_everybody(behind: Behind, target: str) -> None:
    reply = behind.get(target)

    assert reply.status in {400, 403, 404}
    assert b"# HELP" not in reply.body


def test_the_configuration_is_one_that_the_gate_takes(behind: Behind) -> None:
    checked = run(behind.check)

    assert checked.returncode == 0, checked.stderr
