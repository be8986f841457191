"""A policy with tags, in a proxy before a real registry: which tags a real client can push and pull."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_ports

from .decisions import Job
from .images import layer_content, write_image
from .programs import TOKEN_SERVER, require, run, running
from .standing import ISSUER, PROXY, SERVICE, bare_registry

pytestmark = pytest.mark.e2e

CONTENT = b"hello by tag\n"
GRANTS = """
grants:
  - name: releases
    repositories: ["${claims.repository.lowerAscii()}"]
    tags: ["v*"]
    actions: [pull, push]
  - {name: base, repositories: ["base/**"], actions: [pull, push]}
  - name: create
    when: claims.repository == "acme/lib"
    repositories: ["new/**"]
    tags: ["v*"]
    actions: [pull, push]
    newTagsOnly: true
  - {name: browse, when: claims.repository == "acme/app", catalog: true}
denials:
  - {name: frozen, repositories: ["**"], tags: ["v1"], actions: [push]}
"""


@dataclass
class Place:
    """A proxy with a policy, before a registry that has no auth."""

    folder: Path
    port: int

    def jwt(self, job: Job) -> str:
        chosen = ("--repository", job.repository, "--ref", job.ref, "--event", job.event)
        made = run([*TOKEN_SERVER, "sample-jwt", self.folder, *chosen])
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def copy(self, side: str, job: Job, *names: str) -> "subprocess.CompletedProcess[str]":
        return run(
            [
                *("skopeo", "--insecure-policy", "copy", f"--{side}-tls-verify=false"),
                *(f"--{side}-creds", f"sample:{self.jwt(job)}"),
                *(name.replace("REGISTRY", f"localhost:{self.port}") for name in names),
            ]
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    require("docker-registry", "skopeo")
    folder = tmp_path_factory.mktemp("tags") / "site"
    made = run([*TOKEN_SERVER, "init", folder])
    assert made.returncode == 0, made.stderr
    policy = folder / "policy" / "policy.yaml"
    policy.write_text(policy.read_text().partition("\ngrants:")[0] + GRANTS)
    [port] = free_ports(1)
    with ExitStack() as stack:
        registry = stack.enter_context(bare_registry(folder / "registry"))
        (folder / "proxy.yaml").write_text(
            f"upstream: {{url: 'http://127.0.0.1:{registry}'}}\n"
            f"token: {{autoRedirect: true, service: {SERVICE}, issuer: {ISSUER}}}\n"
            "embedded: true\npolicy: policy\nsigning: {keyFolder: keys}\nfilterCatalog: true\n"
            f"listen: 127.0.0.1:{port}\n"
        )
        command = [*PROXY, "--config", folder / "proxy.yaml"]
        stack.enter_context(running(command, port, folder / "proxy.log"))
        yield Place(folder, port)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    write_image(folder, "1", CONTENT)
    return folder


APP, LIB = Job(repository="acme/app"), Job(repository="acme/lib")


def test_a_tag_that_is_granted_is_pushed_and_pulled(
    place: Place, image: Path, tmp_path: Path
) -> None:
    pushed = place.copy("dest", APP, f"oci:{image}:1", "docker://REGISTRY/acme/app:v2")
    pulled = place.copy("src", APP, "docker://REGISTRY/acme/app:v2", f"oci:{tmp_path}:1")

    assert pushed.returncode == 0, pushed.stderr
    assert pulled.returncode == 0, pulled.stderr
    assert layer_content(tmp_path) == CONTENT


@pytest.mark.parametrize(("tag", "what"), [("latest", "pull and push"), ("v1", "push")])
def test_another_tag_is_not_moved_and_the_client_says_which(
    place: Place, image: Path, tag: str, what: str
) -> None:
    done = place.copy("dest", APP, f"oci:{image}:1", f"docker://REGISTRY/acme/app:{tag}")

    assert done.returncode != 0
    assert f"the policy does not allow {what} of acme/app:{tag}" in done.stderr, done.stderr


def test_a_new_tag_is_created_once(place: Place, image: Path, tmp_path: Path) -> None:
    write_image(tmp_path, "1", b"other content\n")
    name = "docker://REGISTRY/new/app:v2"
    first, other, same = (
        place.copy("dest", LIB, f"oci:{folder}:1", name) for folder in (image, tmp_path, image)
    )
    pulled = place.copy("src", LIB, name, f"oci:{tmp_path / 'back'}:1")

    assert first.returncode == 0, first.stderr
    for refused in (other, same):
        assert refused.returncode != 0
        assert "the policy allows new tags only, and there is one already" in refused.stderr
    assert pulled.returncode == 0, pulled.stderr
    assert layer_content(tmp_path / "back") == CONTENT


def test_of_several_clients_exactly_one_creates_a_tag(
    place: Place, tmp_path: Path, image: Path
) -> None:
    folders = [image]
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_image(folder, "1", f"content {number}\n".encode())
        folders.append(folder)
    with ThreadPoolExecutor(len(folders)) as pool:
        name = "docker://REGISTRY/new/app:v3"
        done = list(pool.map(lambda one: place.copy("dest", LIB, f"oci:{one}:1", name), folders))

    assert sorted(one.returncode != 0 for one in done) == [False, True, True, True]


def test_what_is_pushed_by_digest_can_be_pulled_by_it(
    place: Place, image: Path, tmp_path: Path
) -> None:
    digest = json.loads((image / "index.json").read_text())["manifests"][0]["digest"]
    name = f"docker://REGISTRY/acme/app@{digest}"
    pushed = place.copy("dest", APP, "--preserve-digests", f"oci:{image}:1", name)
    pulled = place.copy("src", APP, name, f"oci:{tmp_path}:1")

    assert pushed.returncode == 0, pushed.stderr
    assert pulled.returncode == 0, pulled.stderr


def test_the_catalog_shows_each_its_own(place: Place, image: Path) -> None:
    for job, name in ((APP, "acme/app:v3"), (LIB, "acme/lib:v3"), (LIB, "base/os:1")):
        done = place.copy("dest", job, f"oci:{image}:1", f"docker://REGISTRY/{name}")
        assert done.returncode == 0, done.stderr
    realm = f"http://localhost:{place.port}/auth/token"
    asked = ("--service", SERVICE, "--scope", "registry:catalog:*", "--raw")
    token = run(
        [*TOKEN_SERVER, "exchange", realm, "--username", "sample", *asked], text=place.jwt(APP)
    )
    assert token.returncode == 0, token.stderr
    url = f"http://localhost:{place.port}/v2/_catalog"
    bearer = f"Authorization: Bearer {token.stdout.strip()}"
    got = run(["curl", "--silent", "--show-error", "--header", bearer, url])

    assert json.loads(got.stdout) == {"repositories": ["acme/app", "base/os"]}


def test_a_token_server_does_not_serve_such_a_policy(place: Place) -> None:
    done = run([*TOKEN_SERVER, "--config", place.folder / "server.yaml"])

    assert done.returncode != 0
    assert "a token server cannot see tags, which `releases` is about" in done.stderr
    assert "Traceback" not in done.stderr
