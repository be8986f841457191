"""containerd: a daemon of one's own on loopback, whose client asks for tokens by POST."""

import os
import re
from collections.abc import Iterator

import pytest

from .clients import Done, Home, Skopeo
from .conftest import Site
from .containerd import Containerd, standing_containerd
from .decisions import MAIN, PULL_REQUEST, Job
from .images import write_image
from .programs import run

pytestmark = pytest.mark.e2e

_REQUEST = re.compile(r'(?:msg="|\})([A-Z]+) (/[^ ?]*)\S* HTTP/1\.1"')


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    with standing_containerd(tmp_path_factory.mktemp("c")) as standing:
        yield standing


@pytest.fixture(scope="module")
def reference(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image in the registry."""
    folder = tmp_path_factory.mktemp("image")
    write_image(folder, "1", os.urandom(4096))
    home = Home(folder / "home").make(site.registry, site.jwt(MAIN))
    pushed = Skopeo().push(home, folder, f"{site.registry}/acme/app:containerd")
    assert pushed.returncode == 0, pushed.stderr
    return f"{site.registry}/acme/app:containerd"


def with_login(site: Site, job: Job, **claims: object) -> tuple[str, ...]:
    return ("--plain-http", "--user", f"sample:{site.jwt(job, **claims)}", "--http-dump")


def asked(done: Done) -> list[tuple[str, str]]:
    """Return method and path of each request that the client made."""
    return _REQUEST.findall(done.stdout + done.stderr)


def test_an_image_is_fetched_with_a_token_by_post(
    site: Site, containerd: Containerd, reference: str
) -> None:
    fetched = containerd.ctr("content", "fetch", *with_login(site, PULL_REQUEST), reference)
    assert fetched.returncode == 0, fetched.stderr
    assert ("POST", "/auth/token") in asked(fetched)
    assert ("GET", "/auth/token") not in asked(fetched)


def test_an_image_is_pushed_by_the_job_that_may_and_by_no_other(
    site: Site, containerd: Containerd, reference: str
) -> None:
    if run(["unshare", "--mount", "true"]).returncode:
        pytest.skip("nothing can be mounted here, and containerd unpacks what it pulls by mounts")
    pulled = containerd.ctr(
        *("images", "pull", "--snapshotter", "native", "--all-platforms"),
        *(*with_login(site, MAIN), reference),
    )
    assert pulled.returncode == 0, pulled.stderr
    target = f"{site.registry}/acme/app:containerd-again"
    push = ("images", "push")
    pushed = containerd.ctr(*push, *with_login(site, MAIN), target, reference)
    assert pushed.returncode == 0, pushed.stderr
    assert ("POST", "/auth/token") in asked(pushed)
    for job, name in ((PULL_REQUEST, "acme/app"), (MAIN, "acme/other")):
        where = f"{site.registry}/{name}:containerd-refused"
        refused = containerd.ctr(*push, *with_login(site, job), where, reference)
        assert refused.returncode != 0
        assert "authorization failed" in refused.stderr or "denied" in refused.stderr, (
            refused.stderr
        )


def test_a_bad_login_is_tried_by_post_and_by_get_and_fails(
    site: Site, containerd: Containerd, reference: str
) -> None:
    login = with_login(site, PULL_REQUEST, aud="https://else.example.com")
    refused = containerd.ctr("content", "fetch", *login, reference)

    assert refused.returncode != 0
    assert "401 Unauthorized" in refused.stderr, refused.stderr[-2000:]
    tokens = [method for method, path in asked(refused) if path == "/auth/token"]
    assert tokens == ["POST", "GET"]
    assert "the token is meant for another audience" in refused.stdout + refused.stderr
