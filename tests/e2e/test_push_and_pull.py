"""A real image into and out of a real registry, as far as the policy lets it."""

import json
import subprocess
from pathlib import Path

import pytest

from .conftest import Site
from .decisions import DECISIONS, ELSEWHERE, NO_PUSH, OTHER, PULL, PUSH, Decision
from .images import layer_content, write_image
from .programs import TOKEN_SERVER, run

pytestmark = pytest.mark.e2e

CONTENT = b"hello from a policy\n"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image in an OCI layout."""
    folder = tmp_path_factory.mktemp("image")
    write_image(folder, "1", CONTENT)
    return folder


@pytest.fixture(scope="module")
def pushed(site: Site, image: Path) -> Site:
    """The site, with the image pushed by the job that may."""
    done = push(site, image, PUSH)
    assert done.returncode == 0, done.stderr + site.log
    return site


def push(site: Site, image: Path, decision: Decision) -> "subprocess.CompletedProcess[str]":
    """Copy the image into the registry as the decision's job."""
    return run(
        [
            *("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"),
            *("--dest-creds", f"sample:{site.jwt(decision.job)}"),
            f"oci:{image}:1",
            f"docker://{site.registry}/{decision.repository}:1",
        ]
    )


def test_a_job_that_may_push_pushes_and_one_that_may_pull_pulls_the_same_bytes(
    pushed: Site, tmp_path: Path
) -> None:
    done = run(
        [
            *("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false"),
            *("--src-creds", f"sample:{pushed.jwt(PULL.job)}"),
            f"docker://{pushed.registry}/{PULL.repository}:1",
            f"oci:{tmp_path}:1",
        ]
    )

    assert done.returncode == 0, done.stderr
    assert layer_content(tmp_path) == CONTENT


@pytest.mark.parametrize("decision", [NO_PUSH, OTHER, ELSEWHERE], ids=lambda one: one.name)
def test_a_push_that_the_policy_does_not_grant_is_refused_by_the_registry(
    pushed: Site, image: Path, decision: Decision
) -> None:
    done = push(pushed, image, decision)

    assert done.returncode != 0
    assert "denied" in done.stderr or "unauthorized" in done.stderr, done.stderr


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda one: one.name)
def test_the_token_says_what_the_registry_enforces(pushed: Site, decision: Decision) -> None:
    scope = f"repository:{decision.repository}:{','.join(decision.asked)}"
    done = run(
        [
            *TOKEN_SERVER,
            *("exchange", pushed.realm, "--username", "sample"),
            *("--service", "registry.example.com", "--scope", scope),
        ],
        text=pushed.jwt(decision.job),
    )

    assert done.returncode == 0, done.stderr
    access = json.loads(done.stdout)["claims"]["access"]
    assert [list(decision.granted)] * bool(decision.granted) == [one["actions"] for one in access]


def test_a_token_of_another_organisation_is_refused_with_the_rule_s_own_message(
    pushed: Site,
) -> None:
    stranger = pushed.jwt(PUSH.job, repository_owner_id="7")
    done = run(
        [*TOKEN_SERVER, "exchange", pushed.realm, "--service", "registry.example.com"],
        text=stranger,
    )

    assert done.returncode == 1
    assert "only workflows of the acme organisation may log in (rule:our-organisation)" in (
        done.stderr
    )


def test_no_token_is_in_the_token_server_s_log(pushed: Site) -> None:
    token = pushed.jwt(PUSH.job)
    done = run(
        [
            *TOKEN_SERVER,
            *("exchange", pushed.realm, "--username", "sample", "--raw"),
            *("--service", "registry.example.com"),
        ],
        text=token,
    )

    assert done.stdout.strip().count(".") == 2
    assert "issued" in pushed.log
    for secret in (token, done.stdout.strip()):
        assert not any(part in pushed.log for part in secret.split("."))
