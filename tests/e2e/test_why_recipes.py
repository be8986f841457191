"""The recipes of docs/why.md for GitLab and a plain shell, run by bash against a token server."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.docs.pages import blocks

from .conftest import Site
from .decisions import PUSH, Decision
from .programs import require
from .test_credential_helper import through_helper

__all__ = ["through_helper"]

pytestmark = pytest.mark.e2e

PAGE = REPOSITORY / "docs" / "why.md"
FEATURE = replace(PUSH, job=replace(PUSH.job, ref="refs/heads/feature"))
REFUSING = '#!/bin/sh\necho "denied: requested access to the resource is denied"\nexit 1\n'
PUSHING = "#!/bin/sh\necho pushed\n"


def by_bash(script: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a script as the runner of a CI system does."""
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def gitlab_script(site: Site) -> str:
    """Return the script of the page's GitLab job, for the test's own server and provider."""
    [job] = [
        found["why-not"]
        for block in blocks(PAGE)
        if block.language == "yaml" and "why-not" in (found := yaml.safe_load(block.text))
    ]
    assert job["id_tokens"].keys() == {"REGISTRY_TOKEN"}
    script = "\n".join(job["script"])
    for old, new in (
        ("https://auth.example.com/auth/why", site.realm.replace("/auth/token", "/auth/why")),
        ("gitlab:", "sample:"),
    ):
        assert old in script
        script = script.replace(old, new)
    return script


@pytest.mark.parametrize(("decision", "pushes"), [(FEATURE, False), (PUSH, True)])
def test_the_gitlab_job_prints_the_answer(site: Site, decision: Decision, *, pushes: bool) -> None:
    require("curl")
    token = site.jwt(decision.job)
    variables = {"REGISTRY_TOKEN": token, "CI_PROJECT_PATH": decision.job.repository}
    done = by_bash(gitlab_script(site), variables)

    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    pull, push = answer["accesses"]
    assert answer["login"] == "accepted"
    assert pull["access"] == f"repository:{decision.job.repository}:pull"
    assert (pull["allowed"], push["allowed"]) == (True, pushes)
    read = [one for grant in push.get("nearest", ()) for one in grant["read"]]
    ref = {"claim": "ref", "yours": decision.job.ref, "satisfied": False}
    assert (ref in read) is not pushes
    assert answer["requestId"] in site.log
    assert token.split(".")[2] not in done.stdout


def test_the_gitlab_job_prints_why_its_login_is_refused(site: Site) -> None:
    require("curl")
    token = site.jwt(PUSH.job, aud="https://other.example.com")
    variables = {"REGISTRY_TOKEN": token, "CI_PROJECT_PATH": "acme/app"}
    done = by_bash(gitlab_script(site), variables)
    [error] = json.loads(done.stdout)["errors"]

    assert error["code"] == "UNAUTHORIZED"
    assert error["detail"]["reason"] == "wrong-audience"
    assert error["detail"]["requestId"] in site.log


def test_the_line_for_a_shell_asks_when_the_push_fails(
    site: Site, tmp_path: Path, through_helper: Callable[[Decision], dict[str, str]]
) -> None:
    [line] = re.findall(r"\*\*A plain shell\.\*\* `([^`]+)`", PAGE.read_text(encoding="utf-8"))
    assert line.startswith("docker push registry.example.com/")
    environment = through_helper(FEATURE)
    script = line.replace("registry.example.com", site.registry)
    # In the place of Docker, whose daemon the tests do not have.
    docker = tmp_path / "bin" / "docker"
    docker.write_text(REFUSING)
    docker.chmod(0o755)
    refused = by_bash(script, environment)
    docker.write_text(PUSHING)
    pushed = by_bash(script, environment)

    assert refused.returncode == 2, refused.stderr
    assert "repository:acme/app:push: refused: no grant allows it (no-grant)" in refused.stdout
    assert '    NO  ref is "refs/heads/feature"' in refused.stdout.splitlines()
    assert refused.stdout.splitlines()[-1].startswith("request ")
    assert (pushed.returncode, pushed.stdout) == (0, "pushed\n")
