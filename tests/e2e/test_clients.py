"""Real clients: what the policy lets each do, whatever stands between it and the blobs."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from .clients import CLIENTS, EDITORS, LISTERS, Buildah, Client, Crane, Home, Oras, Podman, Skopeo
from .conftest import Site, standing_site
from .decisions import MAIN, PULL_REQUEST, Job
from .fronts import FRONTS, OPERATOR, Front
from .images import layer_content, write_image
from .programs import require

pytestmark = pytest.mark.e2e

REFUSED = ("denied", "unauthorized", "insufficient", "401")
OPERATIONS = Job(repository="acme/ops")
ELSEWHERE = "https://else.example.com"
WRONG_AUDIENCE = "the token is meant for another audience"
SAYING_LITTLE = (Skopeo, Podman, Buildah)
"""Clients whose `login` says of any refusal "invalid username/password"."""

BASE = Job(repository="acme/base")


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site where the operators' job may delete and list."""
    require("docker-registry")
    folder = tmp_path_factory.mktemp("clients") / "site"
    with standing_site(folder, grants=OPERATOR) as site:
        yield site


@pytest.fixture(scope="module", params=FRONTS)
def front(
    request: pytest.FixtureRequest, operated: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front") / "front"
    with FRONTS[request.param](operated, folder) as standing:
        yield standing


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with a layer that no registry has yet."""
    folder = tmp_path / "image"
    folder.mkdir()
    write_image(folder, "1", os.urandom(4096))
    return folder


def home(front: Front, folder: Path, job: Job, **claims: object) -> Home:
    """Return the home of a client that is logged in as the job is."""
    made = len(list(folder.glob("home-*")))
    return Home(folder / f"home-{made}").make(front.registry, front.site.jwt(job, **claims))


def manifest_of(image: Path) -> Any:  # noqa: ANN401 - JSON
    digest = json.loads((image / "index.json").read_text())["manifests"][0]["digest"]
    return json.loads((image / "blobs" / digest.replace(":", "/")).read_text())


def needed(client: Client) -> None:
    require(client.program, extra=client.program != "skopeo")


def name_of(client: Client) -> str:
    return client.program


def is_refused(said: str) -> bool:
    return any(word in said.lower() for word in REFUSED)


@pytest.mark.parametrize("client", CLIENTS, ids=name_of)
def test_what_one_job_pushes_another_pulls_and_may_not_push(
    front: Front, client: Client, image: Path, tmp_path: Path
) -> None:
    needed(client)
    reference = f"{front.registry}/acme/app:0.1.{CLIENTS.index(client)}"
    pushed = client.push(home(front, tmp_path, MAIN), image, reference)
    assert pushed.returncode == 0, pushed.stderr

    other = home(front, tmp_path, PULL_REQUEST)
    pulled = client.pull(other, reference, tmp_path / "pulled")
    assert pulled.returncode == 0, pulled.stderr
    assert client.content(tmp_path / "pulled", reference) == layer_content(image)

    refused = client.push(other, image, f"{front.registry}/acme/app:0.2.{CLIENTS.index(client)}")
    assert refused.returncode != 0
    assert is_refused(refused.stderr), refused.stderr


@pytest.mark.parametrize("client", CLIENTS, ids=name_of)
def test_a_login_is_kept_and_used_and_a_bad_one_says_why(
    front: Front, client: Client, tmp_path: Path
) -> None:
    needed(client)
    where = Home(tmp_path / "home").make()
    good = client.login(where, front.registry, front.site.jwt(PULL_REQUEST))
    assert good.returncode == 0, good.stderr
    stored = json.loads((where.folder / "config.json").read_text())["auths"]
    assert front.registry in stored

    bad = client.login(where, front.registry, front.site.jwt(PULL_REQUEST, aud=ELSEWHERE))
    if not isinstance(client, Crane):  # which asks nobody until it pulls
        assert bad.returncode != 0
        assert WRONG_AUDIENCE in bad.stderr or isinstance(client, SAYING_LITTLE), bad.stderr
    wrong = home(front, tmp_path, PULL_REQUEST, aud=ELSEWHERE)
    pulled = client.pull(wrong, f"{front.registry}/acme/app:none", tmp_path / "pulled")
    assert pulled.returncode != 0
    assert WRONG_AUDIENCE in pulled.stderr


@pytest.mark.parametrize("client", EDITORS, ids=name_of)
def test_a_copy_within_the_registry_mounts_what_may_be_pulled(
    front: Front, client: Skopeo | Crane | Oras, image: Path, tmp_path: Path
) -> None:
    needed(client)
    source = f"{front.registry}/acme/base:{client.program}"
    target = f"{front.registry}/acme/app:{client.program}-copy"
    done = client.push(home(front, tmp_path, BASE), image, source)
    assert done.returncode == 0, done.stderr

    copied = client.copy(home(front, tmp_path, MAIN), source, target)
    assert copied.returncode == 0, copied.stderr
    mounts = [
        (status, target)
        for method, target, status in front.requests()
        if method == "POST" and target.startswith("/v2/acme/app/") and "mount=" in target
    ]
    assert mounts[-1][0] == 201
    assert "from=acme/base" in unquote(mounts[-1][1])

    elsewhere = client.copy(
        home(front, tmp_path, MAIN), source, f"{front.registry}/acme/other:copy"
    )
    assert elsewhere.returncode != 0
    assert is_refused(elsewhere.stderr), elsewhere.stderr


def test_a_mount_from_a_repository_that_the_token_does_not_name_is_none(
    front: Front, image: Path, tmp_path: Path
) -> None:
    source = f"{front.registry}/acme/base:mounted"
    assert Skopeo().push(home(front, tmp_path, BASE), image, source).returncode == 0
    layer = manifest_of(image)["layers"][0]["digest"]
    mount = f"/v2/acme/app/blobs/uploads/?mount={layer}&from=acme/base"
    into, out = "repository:acme/app:pull,push", "repository:acme/base:pull"

    assert front.ask("POST", mount, front.token(MAIN, into)) == 401
    assert front.ask("HEAD", f"/v2/acme/app/blobs/{layer}", front.token(MAIN, into)) == 404
    assert front.ask("POST", mount, front.token(MAIN, into, out)) == 201
    assert front.ask("HEAD", f"/v2/acme/app/blobs/{layer}", front.token(MAIN, into)) == 200


@pytest.mark.parametrize("client", EDITORS, ids=name_of)
def test_the_operators_delete_and_nobody_else_does(
    front: Front, client: Skopeo | Crane | Oras, image: Path, tmp_path: Path
) -> None:
    needed(client)
    reference = f"{front.registry}/acme/app:{client.program}-old"
    main, operator = home(front, tmp_path, MAIN), home(front, tmp_path, OPERATIONS)
    assert client.push(main, image, reference).returncode == 0

    refused = client.delete(main, reference)
    assert refused.returncode != 0
    assert is_refused(refused.stderr), refused.stderr
    deleted = client.delete(operator, reference)
    assert deleted.returncode == 0, deleted.stderr
    gone = client.pull(operator, reference, tmp_path / "pulled")
    assert gone.returncode != 0


@pytest.mark.parametrize("client", LISTERS, ids=name_of)
def test_the_operators_list_the_repositories_and_nobody_else_does(
    front: Front, client: Crane | Oras, image: Path, tmp_path: Path
) -> None:
    needed(client)
    main, operator = home(front, tmp_path, MAIN), home(front, tmp_path, OPERATIONS)
    assert client.push(main, image, f"{front.registry}/acme/app:listed").returncode == 0

    listed = client.catalog(operator, front.registry)
    assert listed.returncode == 0, listed.stderr
    assert "acme/app" in listed.stdout.split()
    refused = client.catalog(main, front.registry)
    assert refused.returncode != 0
    assert is_refused(refused.stderr), refused.stderr


def test_docker_without_a_daemon_logs_in_and_reads_and_pushes_lists(
    front: Front, image: Path, tmp_path: Path
) -> None:
    require("docker", extra=True)
    reference = f"{front.registry}/acme/app:docker"
    main = home(front, tmp_path, MAIN)
    assert Skopeo().push(main, image, reference).returncode == 0

    where = Home(tmp_path / "docker").make()
    login = ("docker", "login", "--username", "sample", "--password-stdin", front.registry)
    good = where.run(*login, text=front.site.jwt(PULL_REQUEST))
    assert good.returncode == 0, good.stderr
    seen = where.run("docker", "manifest", "inspect", "--insecure", reference)
    assert seen.returncode == 0, seen.stderr
    assert json.loads(seen.stdout)["config"] == manifest_of(image)["config"]

    made = ("docker", "manifest", "create", "--insecure", f"{reference}-list", reference)
    pushed = ("docker", "manifest", "push", "--insecure", f"{reference}-list")
    for who, may in ((main, True), (where, False)):
        assert who.run(*made).returncode == 0
        done = who.run(*pushed)
        assert (done.returncode == 0) is may, done.stderr
        assert may or is_refused(done.stderr), done.stderr

    bad = where.run(*login, text=front.site.jwt(PULL_REQUEST, aud=ELSEWHERE))
    assert bad.returncode != 0
    assert WRONG_AUDIENCE in bad.stderr
