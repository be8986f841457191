"""The proxy's own login from a real credential helper: docker's own, which keeps it in `pass`."""

import http.client
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_ports

from .conftest import Site
from .decisions import PUSH
from .programs import TOKEN_SERVER, require, run, running
from .standing import ISSUER, PROXY, SERVICE

pytestmark = pytest.mark.e2e

PASSWORD = "s3cret"
HASH = "$2b$05$dq5CObXxuuZyEKHvAhVyQeJQ3bM6DeEjX4pqR/PhMv5om7LixzCdK"
"""Of the password, by bcrypt, as htpasswd -B writes it."""

REGISTRY = """\
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: FOLDER/data}}
http: {addr: "127.0.0.1:PORT"}
auth: {htpasswd: {realm: upstream, path: FOLDER/htpasswd}}
"""
KEY = "%no-protection\nKey-Type: eddsa\nKey-Curve: ed25519\nSubkey-Type: ecdh\nSubkey-Curve: cv25519\nName-Real: test\n"


@dataclass
class Place:
    """A proxy before a registry that asks for a password, which a helper keeps."""

    site: Site
    upstream: int
    port: int
    environment: dict[str, str]
    log: Path

    def helper(self, action: str, text: str) -> "subprocess.CompletedProcess[str]":
        return run(["docker-credential-pass", action], text=text, **self.environment)

    def keep(self, password: str) -> None:
        login = {"ServerURL": f"127.0.0.1:{self.upstream}", "Username": "proxy", "Secret": password}
        stored = self.helper("store", json.dumps(login))
        assert stored.returncode == 0, stored.stdout

    def ask(self) -> tuple[int, bytes]:
        """Ask for a list of tags with a token that may see it."""
        asked = ("--service", SERVICE, "--scope", "repository:acme/app:pull,push", "--raw")
        command = [*TOKEN_SERVER, "exchange", self.site.realm, "--username", "sample", *asked]
        token = run(command, text=self.site.jwt(PUSH.job)).stdout.strip()
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            headers = {"Authorization": f"Bearer {token}", "Content-Length": "0"}
            connection.request("POST", "/v2/acme/app/blobs/uploads/", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.fixture
def place(site: Site, tmp_path: Path) -> Iterator[Place]:
    require("docker-registry", "skopeo")
    require("docker-credential-pass", "pass", "gpg", extra=True)
    upstream, port = free_ports(2)
    (tmp_path / "htpasswd").write_text(f"proxy:{HASH}\n")
    text = REGISTRY.replace("FOLDER", str(tmp_path)).replace("PORT", str(upstream))
    (tmp_path / "config.yml").write_text(text)
    (tmp_path / "proxy.yaml").write_text(
        f"upstream: {{url: 'http://127.0.0.1:{upstream}', credentials: {{helper: pass}}}}\n"
        f"token:\n  realm: {site.realm}\n  service: {SERVICE}\n  issuer: {ISSUER}\n"
        f"  rootCertBundle: {site.folder}/keys/root.crt\nlisten: 127.0.0.1:{port}\n"
    )
    with ExitStack() as stack:
        # gpg's agent listens in this folder, and a socket's path is short
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpg-")))
        environment = {
            "GNUPGHOME": str(home), "PASSWORD_STORE_DIR": str(tmp_path / "store"), "PATH": os.environ["PATH"],
        }  # fmt: skip
        made = run(["gpg", "--batch", "--quiet", "--generate-key"], text=KEY, **environment)
        assert made.returncode == 0, made.stderr
        stack.callback(run, ["gpgconf", "--kill", "all"], **environment)
        made = run(["pass", "init", "test"], **environment)
        assert made.returncode == 0, made.stderr
        registry = ["docker-registry", "serve", tmp_path / "config.yml"]
        stack.enter_context(running(registry, upstream, tmp_path / "registry.log"))
        proxy, log = [*PROXY, "--config", tmp_path / "proxy.yaml"], tmp_path / "proxy.log"
        stack.enter_context(running(proxy, port, log, env={**os.environ, **environment}))
        yield Place(site, upstream, port, environment, log)


def test_the_proxy_logs_in_with_what_the_helper_keeps(place: Place) -> None:
    place.keep(PASSWORD)

    assert place.ask()[0] == 202
    assert PASSWORD not in place.log.read_text()


def test_a_password_that_was_wrong_is_asked_for_again(place: Place) -> None:
    place.keep("wrong")
    status, body = place.ask()
    place.keep(PASSWORD)

    assert (status, b"UNAVAILABLE" in body) == (502, True)
    assert place.ask()[0] == 202


def test_a_helper_that_knows_nothing_is_no_login(place: Place) -> None:
    """Docker's own says so by empty words, and not by the protocol's error."""
    found = place.helper("get", f"127.0.0.1:{place.upstream}")

    assert json.loads(found.stdout)["Username"] == ""
    assert place.ask()[0] == 502
