"""nginx moves the bytes and asks about each request, with the configuration in `deploy/nginx`."""

import hashlib
import http.client
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Site
from .decisions import NO_PUSH, OTHER, PULL, PUSH, Decision
from .images import write_image, write_large_image
from .programs import require, run
from .standing import bare_registry, nginx_before

pytestmark = pytest.mark.e2e

MIB = 1024 * 1024
LAYERS, LAYER = 4, 256 * MIB
"""Layers of the large image, and bytes in each: 1 GiB."""

ON_DISK = 3 * LAYERS * LAYER
"""Bytes on disk that it takes: in the registry, where it is pulled to, and some to spare."""


@pytest.fixture(scope="module")
def port(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where nginx listens."""
    require("nginx", "docker-registry", "skopeo")
    folder = tmp_path_factory.mktemp("nginx")
    with (
        bare_registry(folder / "registry") as registry,
        nginx_before(registry, site, folder / "nginx") as listening,
    ):
        yield listening


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small image."""
    folder = tmp_path_factory.mktemp("image")
    write_image(folder, "1", os.urandom(MIB))
    return folder


def copy(site: Site, port: int, decision: Decision, source: str, target: str) -> "tuple[int, str]":
    """Copy with skopeo as the decision's job."""
    side = "dest" if target.startswith("docker:") else "src"
    where = f"localhost:{port}/{decision.repository}:1"
    done = run(
        [
            *("skopeo", "--insecure-policy", "copy", f"--{side}-tls-verify=false"),
            *(f"--{side}-creds", f"sample:{site.jwt(decision.job)}"),
            *(one.replace("REGISTRY", where) for one in (source, target)),
        ],
        patience=600,
    )
    return done.returncode, done.stderr


def test_an_image_with_a_gibibyte_of_layers_is_pushed_and_pulled(
    site: Site, port: int, tmp_path: Path
) -> None:
    free = shutil.disk_usage(tmp_path).free
    if free < ON_DISK:
        pytest.skip(
            f"{ON_DISK // MIB} MiB of disk are needed in {tmp_path}, {free // MIB} are free"
        )
    source, pulled = tmp_path / "image", tmp_path / "pulled"
    source.mkdir()
    write_large_image(source, "1", LAYERS, LAYER)
    code, said = copy(site, port, PUSH, f"oci:{source}:1", "docker://REGISTRY")
    assert code == 0, said
    code, said = copy(site, port, PULL, "docker://REGISTRY", f"oci:{pulled}:1")
    assert code == 0, said

    came = {one.name: one.stat().st_size for one in (pulled / "blobs" / "sha256").iterdir()}
    assert sum(came.values()) > LAYERS * LAYER
    assert came.keys() == {one.name for one in (source / "blobs" / "sha256").iterdir()}
    with (pulled / "blobs" / "sha256" / max(came, key=came.__getitem__)).open("rb") as largest:
        assert hashlib.file_digest(largest, "sha256").hexdigest() == Path(largest.name).name
    shutil.rmtree(pulled)


@pytest.mark.parametrize("decision", [NO_PUSH, OTHER], ids=lambda one: one.name)
def test_what_the_policy_does_not_grant_is_denied(
    site: Site, port: int, image: Path, decision: Decision
) -> None:
    code, said = copy(site, port, decision, f"oci:{image}:1", "docker://REGISTRY")

    assert code != 0
    assert "denied" in said or "unauthorized" in said, said


def ask(port: int, method: str, target: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_a_client_without_a_token_is_told_where_to_get_one(port: int) -> None:
    answer = ask(port, "GET", "/v2/")
    challenge = f'realm="http://localhost:{port}/auth/token",service="registry.example.com"'

    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, f"Bearer {challenge}")
    answer = ask(port, "GET", "/v2/acme/app/tags/list")
    challenge += ',scope="repository:acme/app:pull"'
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, f"Bearer {challenge}")


HOSTILE = [
    "/v2/acme/app/../../secret/tags/list",
    "/v2//acme/app/tags/list",
    "/v2/acme%2Fapp/tags/list",
    "/v2/acme/app/%74ags/list",
    "/v2/acme/app/tags/list%00",
    "/v2/./tags/list",
    "/v2/Acme/tags/list",
    "/v2/acme/app/tags/list?n=1&n=2",
    "/_authorize",
    "//v2/",
    "/healthz",
]


@pytest.mark.parametrize("target", HOSTILE)
def test_what_can_be_read_in_two_ways_is_refused(port: int, target: str) -> None:
    assert ask(port, "GET", target).status in {400, 403, 404}


def test_headers_of_a_client_do_not_take_the_place_of_nginx_s(site: Site, port: int) -> None:
    answer = ask(
        port,
        "GET",
        "/v2/secret/tags/list",
        X_Original_URI="/v2/",
        X_Original_Method="GET",
        X_Forwarded_Uri="/v2/",
        X_Forwarded_Host="evil.example.com",
        X_Original_Host="evil.example.com",
    )

    assert answer.status == 401
    assert "repository:secret:pull" in answer.headers["WWW-Authenticate"]
    assert "evil" not in answer.headers["WWW-Authenticate"]
