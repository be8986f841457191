"""Each kind of signing key, in each form that a registry may know it by, accepted by the real
registry."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest

from .conftest import Site, standing_site
from .decisions import MAIN
from .fronts import Front
from .programs import TOKEN_SERVER, require, run

pytestmark = pytest.mark.e2e

DEBIAN, FIRST, SECOND = "docker-registry", "registry-3.0", "registry-3.1"
ROOT, OWN, SET = "root.crt", "NAME.crt", "jwks.json"
"""What the registry trusts: the authority, the key's own certificate, the set of keys."""


@dataclass(frozen=True)
class Case:
    """A registry, what it trusts, and how tokens are signed for it."""

    registry: str
    compat: str
    algorithm: str
    trusts: str = ROOT
    form: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.compat, self.algorithm, self.trusts, self.form)))


BY_LIBTRUST, BY_RFC_7638 = "keyId: libtrust, x5c: false", "keyId: rfc7638, x5c: false"
CASES = (
    *(
        Case(DEBIAN, "distribution-2.8", one)
        for one in ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
    ),
    Case(DEBIAN, "distribution-2.8", "RS256", OWN, BY_LIBTRUST),
    Case(DEBIAN, "distribution-2.8", "ES256", OWN, BY_LIBTRUST),
    Case(DEBIAN, "distribution-2.8", "ES256", ROOT, "keyId: {fixed: mine}, x5c: true"),
    Case(DEBIAN, "harbor", "RS256"),
    Case(FIRST, "distribution-3.0", "EdDSA"),
    Case(FIRST, "distribution-3.0", "RS256", OWN, BY_RFC_7638),
    Case(FIRST, "distribution-3-jwks", "EdDSA", SET, BY_LIBTRUST),
    Case(FIRST, "distribution-3-jwks", "ES256", SET, BY_RFC_7638),
    Case(SECOND, "distribution-3.1", "EdDSA"),
    Case(SECOND, "distribution-3.1", "RS512"),
    Case(SECOND, "distribution-3.1", "ES512", OWN, BY_RFC_7638),
    Case(SECOND, "distribution-3.1", "EdDSA", OWN, BY_RFC_7638),
)


@pytest.fixture(params=CASES, ids=str)
def stood(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Case, Site]]:
    case: Case = request.param
    require(case.registry, extra=case.registry != DEBIAN)
    folder, keys = tmp_path / "site", tmp_path / "keys"
    made = run([*TOKEN_SERVER, "keys", "new", keys, "--algorithm", case.algorithm])
    assert made.returncode == 0, made.stderr
    trusted = keys / case.trusts.replace("NAME", (keys / "current").read_text().strip())
    option = "jwks" if case.trusts == SET else "rootcertbundle"
    signing = f"signing: {{keyFolder: {keys}, algorithm: {case.algorithm}, compat: [{case.compat}]"
    changes = [
        (
            "server.yaml",
            "signing:\n  keyFolder: keys",
            ", ".join(filter(None, (signing, case.form))) + "}",
        ),
        ("registry.yml", f"rootcertbundle: {folder}/keys/root.crt", f"{option}: {trusted}"),
    ]
    with standing_site(folder, registry=case.registry, changes=changes) as site:
        yield case, site


def test_the_registry_takes_the_token(stood: tuple[Case, Site]) -> None:
    case, site = stood
    front = Front(site, site.registry_port, site.folder / "registry.log")
    token = front.token(MAIN, "repository:acme/app:pull")
    head, claims, signature = token.split(".")
    forged = f"{head}.{claims}.{signature[::-1]}"

    assert jwt.get_unverified_header(token)["alg"] == case.algorithm
    assert front.ask("GET", "/v2/acme/app/tags/list", token) == 404, "it knows no such repository"
    assert front.ask("GET", "/v2/acme/other/tags/list", token) == 401
    assert front.ask("GET", "/v2/", forged) == 401
