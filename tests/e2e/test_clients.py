"""Other clients against the real registry: podman and buildah; deletion, mounts, the catalogue."""

import http.client
import json
import subprocess
from pathlib import Path

import pytest

from .conftest import Site
from .decisions import PULL, PUSH, Job
from .images import layer_content, write_image
from .programs import TOKEN_SERVER, require, run

pytestmark = pytest.mark.e2e

CONTENT = b"hello from podman\n"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    folder = tmp_path / "image"
    folder.mkdir()
    write_image(folder, "1", CONTENT)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Where clients keep what they store, away from the machine's own."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "auth.json").write_text("{}")
    return {
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
        "DOCKER_CONFIG": str(folder / "docker"),
        "CONTAINERS_STORAGE_CONF": str(_storage(folder)),
    }


def _storage(folder: Path) -> Path:
    file = folder / "storage.conf"
    file.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    )
    return file


def registry_token(site: Site, job: Job, *scopes: str) -> str:
    options = [option for scope in scopes for option in ("--scope", scope)]
    done = run(
        [
            *(*TOKEN_SERVER, "exchange", site.realm, "--username", "sample", "--raw"),
            *("--service", "registry.example.com", *options),
        ],
        text=site.jwt(job),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ask(site: Site, method: str, path: str, token: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("localhost", site.registry_port, timeout=20)
    try:
        accept = "application/vnd.oci.image.manifest.v1+json"
        headers = {"Authorization": f"Bearer {token}", "Accept": accept, "Content-Length": "0"}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("program", ["podman", "buildah"])
def test_login_pull_and_a_refused_push(
    site: Site, image: Path, home: dict[str, str], tmp_path: Path, program: str
) -> None:
    require(program, extra=True)
    pushed = push(site, image, site.jwt(PUSH.job), "acme/app:podman", home)
    assert pushed.returncode == 0, pushed.stderr
    name = f"{site.registry}/acme/app:podman"
    login = run(
        [program, "login", "--tls-verify=false", "-u", "sample", "--password-stdin", site.registry],
        text=site.jwt(PULL.job),
        **home,
    )
    pull = run([program, "pull", "--tls-verify=false", name], **home)
    refused = run([program, "push", "--tls-verify=false", name], **home)

    assert login.returncode == 0, login.stderr
    assert pull.returncode == 0, pull.stderr
    assert refused.returncode != 0
    assert "denied" in refused.stderr or "unauthorized" in refused.stderr, refused.stderr


def push(
    site: Site, image: Path, jwt: str, name: str, home: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    return run(
        [
            *("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"),
            *("--dest-creds", f"sample:{jwt}", f"oci:{image}:1"),
            f"docker://{site.registry}/{name}",
        ],
        **home,
    )


def test_docker_login_needs_no_daemon_and_keeps_what_it_was_given(
    site: Site, home: dict[str, str]
) -> None:
    require("docker", extra=True)
    login = ["docker", "login", "--username", "sample", "--password-stdin", site.registry]
    good = run(login, text=site.jwt(PULL.job), **home)
    bad = run(login, text=site.jwt(PULL.job, "--claim", "aud=https://else.example.com"), **home)
    stored = json.loads((Path(home["DOCKER_CONFIG"]) / "config.json").read_text())

    assert good.returncode == 0, good.stderr
    assert "auth" in stored["auths"][site.registry]
    assert bad.returncode != 0
    assert "the token is meant for another audience" in bad.stderr


def test_a_blob_is_mounted_from_a_repository_that_may_be_pulled(
    site: Site, image: Path, home: dict[str, str]
) -> None:
    source = Job(repository="acme/base")
    assert push(site, image, site.jwt(source), "acme/base:1", home).returncode == 0
    manifest = json.loads((image / "index.json").read_text())["manifests"][0]["digest"]
    blob = json.loads((image / "blobs" / manifest.replace(":", "/")).read_text())
    digest = blob["layers"][0]["digest"]
    path = f"/v2/acme/app/blobs/uploads/?mount={digest}&from=acme/base"
    into = "repository:acme/app:pull,push"
    mounted = ask(
        site, "POST", path, registry_token(site, PUSH.job, into, "repository:acme/base:pull")
    )
    without = ask(site, "POST", path, registry_token(site, PUSH.job, into))

    assert mounted[0] == 201
    assert without[0] in (202, 401), "an upload begins instead, or it is refused; no mount"


def test_nobody_deletes_and_nobody_reads_the_catalogue(
    site: Site, image: Path, home: dict[str, str]
) -> None:
    """The policy of `token-server init` grants neither to anybody."""
    assert push(site, image, site.jwt(PUSH.job), "acme/app:keep", home).returncode == 0
    token = registry_token(
        site, PUSH.job, "repository:acme/app:pull,push,delete", "registry:catalog:*"
    )
    manifest = json.loads((image / "index.json").read_text())["manifests"][0]["digest"]

    assert ask(site, "GET", f"/v2/acme/app/manifests/{manifest}", token)[0] == 200
    assert ask(site, "DELETE", f"/v2/acme/app/manifests/{manifest}", token)[0] == 401
    assert ask(site, "GET", "/v2/_catalog", token)[0] == 401


def test_the_same_bytes_come_out_by_another_client(
    site: Site, image: Path, home: dict[str, str], tmp_path: Path
) -> None:
    require("podman", extra=True)
    assert push(site, image, site.jwt(PUSH.job), "acme/app:bytes", home).returncode == 0
    name = f"{site.registry}/acme/app:bytes"
    credentials = f"sample:{site.jwt(PULL.job)}"
    pulled = run(["podman", "pull", "--tls-verify=false", "--creds", credentials, name], **home)
    saved = run(["podman", "push", name, f"oci:{tmp_path}/out:1"], **home)

    assert pulled.returncode == 0, pulled.stderr
    assert saved.returncode == 0, saved.stderr
    assert layer_content(tmp_path / "out") == CONTENT
