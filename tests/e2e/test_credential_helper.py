"""skopeo pulls and pushes through docker-credential-regauth, and the token is never on disk."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
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


def ask_why(site: Site, place: str, *action: str, **variables: str) -> tuple[int, str, str]:
    helper = [sys.executable, "-m", "regauth.controller.docker_helper", "why", place, *action]
    done = run(helper, **variables)
    return done.returncode, done.stdout, done.stderr


def test_a_job_asks_why_it_may_not_push(
    site: Site, through_helper: Callable[[Decision], dict[str, str]]
) -> None:
    place = f"{site.registry}/{REPOSITORY}"
    feature = replace(PUSH, job=replace(PUSH.job, ref="refs/heads/feature`\x1b[2J"))
    code, told, errors = ask_why(site, place, "push", **through_helper(feature))
    lines = told.splitlines()
    request = lines[-1].removeprefix("request ")

    assert (code, errors) == (2, "")
    assert lines[0].startswith(f"{place}: logged in as sample, repo:{REPOSITORY}")
    assert f"repository:{REPOSITORY}:push: refused: no grant allows it (no-grant)" in lines
    assert '    NO  ref is "refs/heads/feature`\\u001b[2J"' in lines
    assert [" why " in line for line in site.log.splitlines() if request in line] == [True]
    assert "refs/heads/main" not in told


def test_a_job_that_may_push_reads_that(
    site: Site, through_helper: Callable[[Decision], dict[str, str]]
) -> None:
    code, told, _ = ask_why(site, f"{site.registry}/{REPOSITORY}", "push", **through_helper(PUSH))
    login, _, _ = ask_why(site, site.registry, **through_helper(PUSH))

    assert (code, login) == (0, 0)
    assert told.count("allowed (granted)") == 2


def test_a_refused_login_is_told_with_its_reason_and_the_request(
    site: Site, tmp_path: Path
) -> None:
    source = {"environment": {"variable": "JOB"}}
    registries = {site.registry: {"username": "sample", "source": source}}
    file = tmp_path / "helper.json"
    file.write_text(json.dumps({"registries": registries}))
    token = site.jwt(PUSH.job, aud="https://other.example.com")
    variables = {"REGAUTH_CREDENTIAL_HELPER_CONFIG": str(file), "JOB": token}
    code, told, _ = ask_why(site, site.registry, **variables)

    assert code == 2
    assert "the login is refused" in told
    assert "(wrong-audience)" in told
    assert told.splitlines()[-1].startswith("request ")
    assert token.split(".")[1] not in told


@pytest.mark.parametrize(
    ("place", "action", "said"),
    [
        ("", [], "usage: docker-credential-regauth why"),
        ("registry.example.com/acme/app", ["fly"], "usage: docker-credential-regauth why"),
        ("registry.example.com/Acme", [], "usage: docker-credential-regauth why"),
        ("other.example.com/acme/app", [], "has no other.example.com"),
    ],
)
def test_a_question_that_cannot_be_asked_says_so(
    site: Site,
    through_helper: Callable[[Decision], dict[str, str]],
    place: str,
    action: list[str],
    said: str,
) -> None:
    code, told, _ = ask_why(site, place, *action, **through_helper(PUSH))

    assert (code, said in told) == (1, True), told
