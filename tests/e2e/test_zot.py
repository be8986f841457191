"""A real zot: without tokens behind our proxy, and in bearer mode, which opens other repositories."""

import hashlib
import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from regauth.engine.tokens import jwt
from regauth.engine.tokens.keys import SigningKey
from regauth.servers.signing import key_folder
from tests.ports import free_ports

from .conftest import Site
from .decisions import NO_PUSH, PULL, PUSH, Decision
from .fronts import Front
from .images import layer_content, write_image
from .programs import TOKEN_SERVER, require, run, running
from .standing import ISSUER, SERVICE, proxy_before

pytestmark = pytest.mark.e2e

CONTENT = b"stored by zot\n"


@contextmanager
def zot(folder: Path, auth: dict[str, object] | None = None) -> Iterator[tuple[int, Path]]:
    """Run zot until the block ends; yield its port and its configuration."""
    require("zot", extra=True)
    folder.mkdir()
    [port] = free_ports(1)
    http: dict[str, object] = {"address": "127.0.0.1", "port": str(port)}
    content = {
        "distSpecVersion": "1.0.1-dev",
        "storage": {"rootDirectory": str(folder / "data")},
        "http": {**http, **({"auth": auth} if auth else {})},
        "log": {"level": "warn"},
    }
    file = folder / "config.json"
    file.write_text(json.dumps(content))
    with running(["zot", "serve", file], port, folder / "zot.log"):
        yield port, file


@pytest.fixture(scope="module")
def front(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Our proxy before a zot that asks for nothing."""
    folder = tmp_path_factory.mktemp("zot")
    with (
        zot(folder / "zot") as (registry, _),
        proxy_before(registry, site, folder / "proxy") as port,
    ):
        yield Front(site, port, folder / "zot" / "zot.log")


def copy(front: Front, decision: Decision, source: str, target: str) -> tuple[int, str]:
    side = "dest" if target.startswith("docker:") else "src"
    where = f"{front.registry}/{decision.repository}:1"
    done = run(
        [
            *("skopeo", "--insecure-policy", "copy", f"--{side}-tls-verify=false"),
            *(f"--{side}-creds", f"sample:{front.site.jwt(decision.job)}"),
            *(one.replace("REGISTRY", where) for one in (source, target)),
        ]
    )
    return done.returncode, done.stderr


def test_o1_zot_behind_the_proxy_stores_and_gives_what_the_policy_grants(
    front: Front, tmp_path: Path
) -> None:
    write_image(tmp_path / "image", "1", CONTENT)
    pushed, said = copy(front, PUSH, f"oci:{tmp_path / 'image'}:1", "docker://REGISTRY")
    assert pushed == 0, said
    pulled, said = copy(front, PULL, "docker://REGISTRY", f"oci:{tmp_path / 'pulled'}:1")
    assert pulled == 0, said
    assert layer_content(tmp_path / "pulled") == CONTENT

    refused, said = copy(front, NO_PUSH, f"oci:{tmp_path / 'image'}:1", "docker://REGISTRY")
    assert refused != 0
    assert "denied" in said or "unauthorized" in said, said


def test_o1_a_mount_from_a_repository_that_the_token_does_not_name_is_refused(
    front: Front,
) -> None:
    digest = "sha256:" + "a" * 64
    token = front.token(PUSH.job, "repository:acme/app:pull,push")
    target = f"/v2/acme/app/blobs/uploads/?mount={digest}&from=globex/secret"

    assert front.ask("POST", target, token) == 401


def test_o1_in_bearer_mode_a_token_for_one_repository_reads_another_s_blob(
    site: Site, tmp_path: Path
) -> None:
    """
    The hole that `compat: zot` asks consent for.  Where this fails, zot has mended it.

    A token whose audience is another service is taken too.
    """
    now = datetime.now(UTC)
    stored = key_folder.create(tmp_path / "keys", "RS256", now).current
    signer = SigningKey(stored.key, "RS256", None, ())
    certificate = tmp_path / "keys" / f"{stored.name}.crt"
    bearer = {"realm": site.realm, "service": SERVICE, "cert": str(certificate)}
    with zot(tmp_path / "zot", {"bearer": bearer}) as (port, _):
        secret = b"a layer of another repository"
        digest = f"sha256:{hashlib.sha256(secret).hexdigest()}"
        owner = _token(signer, now, "secret/vault")
        where = _ask(port, "POST", "/v2/secret/vault/blobs/uploads/", owner).location
        put = _ask(port, "PUT", f"{where}?digest={digest}", owner, secret)
        thief = _token(signer, now, "acme/app/steal", audience="other.example.com")
        before = _ask(port, "GET", f"/v2/secret/vault/blobs/{digest}", thief)
        mount = f"/v2/acme/app/steal/blobs/uploads/?mount={digest}&from=secret/vault"
        mounted = _ask(port, "POST", mount, thief)
        read = _ask(port, "GET", f"/v2/acme/app/steal/blobs/{digest}", thief)

    assert (put.status, before.status) == (201, 401)
    assert (mounted.status, read.status, read.body) == (201, 200, secret)


class _Reply(NamedTuple):
    status: int
    location: str
    body: bytes


def _ask(port: int, method: str, target: str, token: str, body: bytes = b"") -> _Reply:
    with closing(http.client.HTTPConnection("127.0.0.1", port, 30)) as connection:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
        connection.request(method, target, body, headers)
        reply = connection.getresponse()
        return _Reply(reply.status, reply.getheader("Location", ""), reply.read())


def _token(key: SigningKey, now: datetime, repository: str, audience: str = SERVICE) -> str:
    """Return a registry token (distribution docs/spec/auth/jwt.md) for one repository alone."""
    began = int(now.timestamp())
    access = [{"type": "repository", "name": repository, "actions": ["pull", "push"]}]
    claims = {"iss": ISSUER, "aud": audience, "sub": "someone", "access": access}
    return jwt.sign({**claims, "iat": began - 10, "nbf": began - 10, "exp": began + 300}, key)


def test_o6_the_doctor_says_what_bearer_mode_opens_and_which_certificate_it_has(
    site: Site, tmp_path: Path
) -> None:
    """This zot knows RSA alone, so the token server that is examined has a key of its own."""
    keys = site.folder / "rsa"
    assert run([*TOKEN_SERVER, "keys", "new", keys, "--algorithm", "RS256"]).returncode == 0
    server = site.folder / "rsa.yaml"
    text = (site.folder / "server.yaml").read_text()
    server.write_text(text.replace("  keyFolder: keys", "  keyFolder: rsa"))
    name = (keys / "current").read_text().strip()
    bearer = {"realm": site.realm, "service": SERVICE, "cert": str(keys / f"{name}.crt")}
    with zot(tmp_path / "zot", {"bearer": bearer}) as (port, file):
        options = ("--config", server, "--registry-config", file)
        done = run([*TOKEN_SERVER, "doctor", f"http://localhost:{port}", *options])

    assert done.returncode == 1, done.stdout
    assert "the configuration is zot's" in done.stdout
    assert "WRONG zot checks neither the `aud` of a token" in done.stdout
    assert f"{name}.crt holds our key's own certificate" in done.stdout
    assert "the registry accepts our tokens" in done.stdout
