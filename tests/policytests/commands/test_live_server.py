"""The forgeries against a running token server."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from regauth.policytests.tokens.forgeries.known import FORGERIES
from regauth.policytests.tokens.issuing import generate_key
from tests.forkserver.programs import forked
from tests.policytests.test_plugin import run
from tests.ports import free_ports

SUITE = """\
policy: demo/policy
at: 2026-11-01T12:00:00Z
tokens:
  main:
    profile: github-actions
    claims: {repository: acme/app, repository_owner_id: "1342004"}
hostile: {tokens: [main], repositories: [acme/app]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Run the starter's token server; yield its folder and its token endpoint."""
    root = tmp_path_factory.mktemp("live")
    (root / ".git").mkdir()
    subprocess.run([*forked("token-server"), "init", "demo"], cwd=root, check=True)
    [port] = free_ports(1)
    config = root / "demo" / "server.yaml"
    text = config.read_text().replace("127.0.0.1:5001", f"127.0.0.1:{port}")
    config.write_text(text + "rateLimits: {client: false, failures: false}\n")
    command = [*forked("token-server"), "--config", "demo/server.yaml"]
    process = subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    retries = urllib3.Retry(total=200, backoff_factor=0.1, backoff_max=0.1)
    try:
        with urllib3.PoolManager(retries=retries) as pool:
            assert 200 == pool.request("GET", f"{url}/healthz").status
        (root / "live.policytest.yaml").write_text(SUITE)
        yield root, f"{url}/auth/token"
    finally:
        process.terminate()
        process.wait(30)


def test_a_running_server_refuses_every_forgery(server: tuple[Path, str]) -> None:
    root, url = server
    arguments = ("--server", url, "--suite", "live.policytest.yaml")
    done = run(root, "hostile", *arguments, "--key", "demo/sample/issuer.key")
    assert ("", f"{len(FORGERIES)} forged tokens sent\n") == (done.stdout, done.stderr)
    assert 0 == done.returncode


def test_a_key_the_server_does_not_trust_proves_nothing(server: tuple[Path, str]) -> None:
    root, url = server
    arguments = ("--server", url, "--suite", "live.policytest.yaml")
    stranger = generate_key("RS256").private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (root / "stranger.key").write_bytes(stranger)
    done = run(root, "hostile", *arguments, "--key", "stranger.key")
    assert 4 == done.returncode
    assert "the genuine token `main` is answered 401" in done.stderr
