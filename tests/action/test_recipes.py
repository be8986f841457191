"""The recipes of docs/ci, run as they stand: only the registry's address and the user differ."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from regauth.controller.helpers.helper_configuration import read_configuration
from tests.e2e.conftest import Site
from tests.e2e.decisions import MAIN
from tests.e2e.programs import run

RECIPES = ("github-actions", "gitlab", "buildkite", "circleci", "tekton", "shell")
AUDIENCE = "https://registry.example.com"

PROGRAMS = {
    "docker": 'case $1 in login | logout) exec skopeo "$@" ;; *) echo "$@" >>"$CALLS" ;; esac',
    "buildkite-agent": """\
[ "$*" = "oidc request-token --audience https://registry.example.com --lifetime 300 --claim organization_id" ]
printf '%s\\n' "$TOKEN\"""",
    "circleci": """\
[ "$*" = 'run oidc get --claims {"aud": "https://registry.example.com"}' ]
printf '%s\\n' "$TOKEN\"""",
}
"""Programs of the services: they check how they are called, and give the job's signed token."""


def blocks(repository: Path, recipe: str, language: str) -> list[str]:
    text = (repository / "docs" / "ci" / f"{recipe}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def script(repository: Path, recipe: str) -> str:
    """Return the commands that the recipe's job runs, one after the other."""
    match recipe:
        case "shell":
            (text,) = blocks(repository, recipe, "sh")
            return text
        case "tekton":
            (text,) = blocks(repository, recipe, "yaml")
            _, task = yaml.safe_load_all(text)
            return str(task["spec"]["steps"][0]["script"]).replace("skopeo copy", "docker copy")
    (text,) = blocks(repository, recipe, "yaml")
    document = yaml.safe_load(text)
    match recipe:
        case "gitlab":
            lines = document["push-image"]["script"] + document["push-image"]["after_script"]
        case "buildkite":
            lines = document["steps"][0]["command"]
        case _:
            runs = [step["run"] for step in document["jobs"]["image"]["steps"] if "run" in step]
            lines = [one if isinstance(one, str) else one["command"] for one in runs]
    return "\n".join(lines)


@pytest.fixture
def follow(repository: Path, site: Site, tmp_path: Path) -> Callable[[str, str], "tuple[int, str]"]:
    """Run a recipe's commands with a token; return the exit code and what else was called."""

    def followed(recipe: str, token: str) -> tuple[int, str]:
        programs = tmp_path / "programs"
        programs.mkdir()
        for name, text in PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/sh\nset -eu\n{text}\n")
            (programs / name).chmod(0o755)
        containers = tmp_path / ".config" / "containers"
        containers.mkdir(parents=True)
        (containers / "registries.conf").write_text(
            f'[[registry]]\nlocation = "{site.registry}"\ninsecure = true\n'
        )
        (tmp_path / "token").write_text(token)
        calls = tmp_path / "calls"
        calls.write_text("")
        text = script(repository, recipe)
        assert "registry.example.com" in text
        text = re.sub(r"(?<!//)registry\.example\.com", site.registry, text)
        text = text.replace("/var/run/secrets/registry/token", str(tmp_path / "token"))
        done = run(
            ["bash", "-euo", "pipefail", "-c", text],
            PATH=f"{programs}:{Path(shutil.which('skopeo') or '/').parent}:/usr/bin:/bin",
            HOME=str(tmp_path),
            REGISTRY_AUTH_FILE=str(tmp_path / "auth.json"),
            CALLS=str(calls),
            TOKEN=token,
            TOKEN_FILE=str(tmp_path / "token"),
            REGISTRY_TOKEN=token,
            IMAGE=f"{site.registry}/acme/app:1",
            **dict.fromkeys(("CI_PROJECT_PATH", "BUILDKITE_PIPELINE_SLUG"), "acme/app"),
            **dict.fromkeys(("CI_COMMIT_SHA", "BUILDKITE_COMMIT", "CIRCLE_SHA1"), "1"),
        )
        return done.returncode, calls.read_text()

    return followed


@pytest.mark.e2e
@pytest.mark.parametrize("recipe", RECIPES[1:])
def test_a_recipe_logs_in_pushes_and_logs_out(
    follow: Callable[[str, str], "tuple[int, str]"], site: Site, tmp_path: Path, recipe: str
) -> None:
    code, calls = follow(recipe, site.jwt(MAIN))

    assert code == 0
    assert site.registry in calls
    assert site.registry not in (tmp_path / "auth.json").read_text()


@pytest.mark.e2e
@pytest.mark.parametrize("recipe", RECIPES[1:])
def test_a_recipe_ends_when_the_login_is_refused(
    follow: Callable[[str, str], "tuple[int, str]"], site: Site, recipe: str
) -> None:
    code, calls = follow(recipe, site.jwt(MAIN, repository_owner_id="7"))

    assert code != 0
    assert calls == ""


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_asks_for_the_audience_and_links_its_policy_and_suite(
    repository: Path, recipe: str
) -> None:
    text = (repository / "docs" / "ci" / f"{recipe}.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)

    assert any(link.endswith(".policytest.yaml") for link in links)
    assert [] == [link for link in links if not (repository / "docs" / "ci" / link).is_file()]
    assert recipe in {"github-actions", "shell"} or AUDIENCE in text


def test_a_workflow_uses_the_inputs_and_outputs_that_the_actions_have(repository: Path) -> None:
    build, logout, policy = blocks(repository, "github-actions", "yaml")
    steps = [
        step
        for text in (build + logout, policy)
        for job in yaml.safe_load(text)["jobs"].values()
        for step in job["steps"]
        if "jwt-registry-auth" in step.get("uses", "")
    ]
    folders = [step["uses"].partition("@")[0].partition("/action")[2] for step in steps]
    assert ["", "", "/policytest"] == folders
    for folder, step in zip(folders, steps, strict=True):
        about = yaml.safe_load((repository / f"action{folder}/action.yml").read_text())
        assert set(step["with"]) <= set(about["inputs"])
        used = re.findall(rf"steps\.{step.get('id', '-')}\.outputs\.([\w-]+)", build + policy)
        assert set(used) <= set(about["outputs"])


def test_the_credential_helper_reads_the_recipe_s_configuration(
    repository: Path, tmp_path: Path
) -> None:
    (text,) = blocks(repository, "shell", "json")
    (tmp_path / "credential-helper.json").write_text(text)
    registries = read_configuration(str(tmp_path / "credential-helper.json"))

    assert ["registry.example.com"] == list(registries)
