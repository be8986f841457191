"""Distribution 3, each release and each way of trusting a token server, with the form that `compat`
chooses."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest

from .clients import Home, Skopeo
from .conftest import Site, standing_site
from .decisions import MAIN, PULL_REQUEST
from .fronts import Front
from .images import layer_content, write_image
from .programs import TOKEN_SERVER, require, run

pytestmark = pytest.mark.e2e

SIGNING = "signing:\n"
BUNDLE, JWKS = "rootcertbundle: {}/keys/root.crt", "jwks: {}/keys/jwks.json"


@dataclass(frozen=True)
class Trust:
    """A release, what it is told to trust, and the `compat` that suits it."""

    program: str
    jwks: bool
    compat: str


TRUST = {
    "3.0, certificates in the token": Trust("registry-3.0", False, "distribution-3.0"),
    "3.1, certificates in the token": Trust("registry-3.1", False, "distribution-3.1"),
    "3.0, the set of keys alone": Trust("registry-3.0", True, "distribution-3-jwks"),
    "3.1, the set of keys alone": Trust("registry-3.1", True, "distribution-3-jwks"),
    "any release, one form for all": Trust(
        "registry-3.0", False, "distribution-2.8, distribution-3.0, distribution-3.1"
    ),
}


@pytest.fixture(scope="module", params=TRUST.values(), ids=TRUST)
def trusting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Trust, Site]]:
    trust: Trust = request.param
    require(trust.program, extra=True)
    folder = tmp_path_factory.mktemp("three") / "site"
    changes = [("server.yaml", SIGNING, f"{SIGNING}  compat: [{trust.compat}]\n")]
    if trust.jwks:
        changes.append(("registry.yml", BUNDLE.format(folder), JWKS.format(folder)))
    with standing_site(folder, registry=trust.program, changes=changes) as site:
        yield trust, site


def test_the_registry_takes_the_tokens_and_enforces_them(
    trusting: tuple[Trust, Site], tmp_path: Path
) -> None:
    trust, site = trusting
    (tmp_path / "image").mkdir()
    write_image(tmp_path / "image", "1", os.urandom(4096))
    main = Home(tmp_path / "main").make(site.registry, site.jwt(MAIN))
    reader = Home(tmp_path / "reader").make(site.registry, site.jwt(PULL_REQUEST))
    reference = f"{site.registry}/acme/app:1"

    pushed = Skopeo().push(main, tmp_path / "image", reference)
    assert pushed.returncode == 0, pushed.stderr
    pulled = Skopeo().pull(reader, reference, tmp_path / "out")
    assert pulled.returncode == 0, pulled.stderr
    assert layer_content(tmp_path / "out") == layer_content(tmp_path / "image")
    for who, name in ((reader, "acme/app"), (main, "acme/other"), (main, "globex/app")):
        refused = Skopeo().push(who, tmp_path / "image", f"{site.registry}/{name}:2")
        assert refused.returncode != 0
        assert "denied" in refused.stderr or "unauthorized" in refused.stderr, refused.stderr

    header = jwt.get_unverified_header(_front(site).token(MAIN, "repository:acme/app:pull"))
    assert ("x5c" in header) is not trust.jwks


def _front(site: Site) -> Front:
    return Front(site, site.registry_port, site.folder / "registry.log")


def test_doctor_finds_it_right(trusting: tuple[Trust, Site]) -> None:
    _, site = trusting
    done = run(
        [
            *(*TOKEN_SERVER, "doctor", f"http://{site.registry}"),
            *("--config", site.folder / "server.yaml"),
            *("--registry-config", site.folder / "registry.yml"),
        ]
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "the registry accepts our tokens" in done.stdout


def test_certificates_for_a_registry_that_has_the_set_of_keys_alone_are_refused(
    tmp_path: Path,
) -> None:
    """The test above can fail: this is what `compat` keeps from happening."""
    require("registry-3.1", extra=True)
    folder = tmp_path / "site"
    changes = [("registry.yml", BUNDLE.format(folder), JWKS.format(folder))]
    with standing_site(folder, registry="registry-3.1", changes=changes) as site:
        token = _front(site).token(MAIN, "repository:acme/app:pull")

        assert _front(site).ask("GET", "/v2/", token) == 401
