"""What the servers' tests share."""

import logging
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import falcon.testing
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from regauth.servers.configuration.settings import (
    PostgresqlSettings,
    SessionSettings,
    SqliteSettings,
)
from regauth.servers.signing.certificates import (
    certificate_pem,
    make_authority,
    make_key,
    private_pem,
)

from . import desk
from .hosting import HOSTS, Bridge, serving
from .local_http import Provider, serve
from .postgresql import PASSWORD, Cluster, running_cluster
from .process import COMMAND, PATIENCE, Running, run


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL cluster for the run; without PostgreSQL its tests are skipped."""
    with running_cluster() as running:
        yield running


@pytest.fixture
def database(cluster: Cluster, tmp_path: Path) -> PostgresqlSettings:
    """An empty database."""
    password = tmp_path / "database-password"
    password.write_text(f"{PASSWORD}\n")
    conninfo = cluster.new_database(f"test_{secrets.token_hex(8)}")
    return PostgresqlSettings(conninfo, password)


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> SessionSettings:
    """Each place that sessions can be kept in, empty."""
    if request.param == "sqlite":
        return SqliteSettings(tmp_path / "sessions.db")
    database: PostgresqlSettings = request.getfixturevalue("database")
    return database


@pytest.fixture(params=["memory", *HOSTS])
def each_host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Have the application of each desk asked in memory, and behind each host."""
    host = request.param
    with ExitStack() as stack:

        def connected(application: Callable[..., Any]) -> falcon.testing.TestClient:
            port = stack.enter_context(serving(host, application))
            return falcon.testing.TestClient(Bridge(port))

        if host != "memory":
            monkeypatch.setattr(desk, "connected", connected)
        yield host


@pytest.fixture(params=HOSTS)
def each_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the command serve by each host."""
    monkeypatch.setenv("TOKEN_SERVER_SERVER", request.param)
    return str(request.param)


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


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def initialized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `token-server init` made, for any free port; to be copied."""
    site = tmp_path_factory.mktemp("initialized") / "site"
    made = run("init", site, "--port", "0")
    assert made.returncode == 0, made.stderr
    configuration = site / "server.yaml"
    text = configuration.read_text().replace("logFormat: text", "logFormat: json")
    configuration.write_text(text)
    return site


@pytest.fixture
def folder(initialized: Path, tmp_path: Path) -> Path:
    """A folder as `token-server init` makes it, for any free port; its keys are those of others."""
    site = shutil.copytree(initialized, tmp_path / "site", symlinks=True)
    registry = site / "registry.yml"
    registry.write_text(registry.read_text().replace(str(initialized), str(site)))
    return site


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Start a server; those that still run at the end are ended."""
    started: list[Running] = []

    def begin(*arguments: str | Path, command: Sequence[str] = COMMAND) -> Running:
        started.append(Running(arguments, command))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(PATIENCE)
        one._reader.join(PATIENCE)
        assert one.process.stderr is not None
        one.process.stderr.close()
