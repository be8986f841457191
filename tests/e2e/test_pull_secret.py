"""
The login that the controller writes, from a real kube-apiserver to a real registry.

Needs `KUBEBUILDER_ASSETS`; `make test-kube` says how to get them.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import CONTENT, COPY, Place, standing_place
from .images import layer_content
from .programs import run

pytestmark = pytest.mark.e2e


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with standing_place(tmp_path) as standing:
        yield standing


def test_a_pod_s_image_is_pulled_with_the_secret_and_another_namespace_s_is_not(
    place: Place, tmp_path: Path
) -> None:
    done = run(place.controller("--once"))
    assert done.returncode == 0, done.stderr
    secret = place.api.get("secrets", "builder-pull-secret", "team-a")
    assert secret is not None
    content = base64.b64decode(secret["data"][".dockerconfigjson"])
    (tmp_path / "auth.json").write_bytes(content)
    pulled, refused = (
        run(
            [*COPY, f"docker://{place.image(namespace)}", f"oci:{tmp_path / namespace}:1"],
            REGISTRY_AUTH_FILE=str(tmp_path / "auth.json"),
        )
        for namespace in ("team-a", "team-b")
    )

    assert pulled.returncode == 0, pulled.stderr + place.site.log
    assert layer_content(tmp_path / "team-a") == CONTENT + b"1"
    assert refused.returncode != 0
    assert "denied" in refused.stderr or "unauthorized" in refused.stderr, refused.stderr
    assert place.api.get("secrets", "stranger-pull-secret", "team-a") is None
    account = place.api.get("serviceaccounts", "builder", "team-a")
    assert account is not None
    assert account["imagePullSecrets"] == [{"name": "builder-pull-secret"}]
