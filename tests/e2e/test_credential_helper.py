"""skopeo pulls and pushes through docker-credential-regauth, and the token is never on disk."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Site
from .decisions import PULL, PUSH, Decision
from .images import layer_content, write_image
from .programs import TOKEN_SERVER, run

pytestmark = pytest.mark.e2e

CONTENT = b"hello through a helper\n"
REPOSITORY = "acme/app"
TAG = "helper"


@pytest.fixture
def through_helper(site: Site, tmp_path: Path) -> Callable[[Decision], dict[str, str]]:
    """The environment of a client that has the helper, with the decision's job as the source."""
    programs = tmp_path / "bin"
    programs.mkdir()
    helper = programs / "docker-credential-regauth"
    helper.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m regauth.controller.docker_helper "$@"\n'
    )
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {site.registry: "regauth"}}))

    def environment(decision: Decision) -> dict[str, str]:
        job = decision.job
        command = [
            *TOKEN_SERVER, "sample-jwt", str(site.folder),
            "--repository", job.repository, "--ref", job.ref, "--event", job.event,
        ]  # fmt: skip
        source = {"username": "sample", "source": {"command": {"command": command}}}
        configuration = tmp_path / "credential-helper.json"
        configuration.write_text(json.dumps({"registries": {site.registry: source}}))
        return {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "REGAUTH_CREDENTIAL_HELPER_CONFIG": str(configuration),
            "REGISTRY_AUTH_FILE": str(tmp_path / "config.json"),
            "HOME": str(tmp_path),
        }

    return environment


def test_an_image_goes_in_and_comes_out_through_the_helper(
    site: Site, tmp_path: Path, through_helper: Callable[[Decision], dict[str, str]]
) -> None:
    image = f"docker://{site.registry}/{REPOSITORY}:{TAG}"
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in", TAG, CONTENT)
    copy = (
        "skopeo",
        "--insecure-policy",
        "copy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
    )
    pushed = run([*copy, f"oci:{tmp_path / 'in'}:{TAG}", image], **through_helper(PUSH))
    pulled = run([*copy, image, f"oci:{tmp_path / 'out'}:{TAG}"], **through_helper(PULL))

    assert (pushed.returncode, pulled.returncode) == (0, 0), pushed.stderr + pulled.stderr
    assert CONTENT == layer_content(tmp_path / "out")


def test_what_the_policy_refuses_the_helper_does_not_give(
    site: Site, tmp_path: Path, through_helper: Callable[[Decision], dict[str, str]]
) -> None:
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in", TAG, CONTENT)
    done = run(
        [
            *("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"),
            *(f"oci:{tmp_path / 'in'}:{TAG}", f"docker://{site.registry}/{REPOSITORY}:refused"),
        ],
        **through_helper(PULL),
    )

    assert done.returncode != 0
    assert "denied" in done.stderr or "unauthorized" in done.stderr, done.stderr
