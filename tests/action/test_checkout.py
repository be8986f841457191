"""
S3: nothing of a checkout runs in a step that may get ID tokens.

The real scripts run in a checkout full of files that would run if anything took the current
directory, or a relative entry of a search path, for a place to look for code.
"""

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.forkserver.server import NO_HYPOTHESIS

from .composite import Job
from .github import Github, serving
from .hostile import HostileCheckout, hostile_checkout

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing": {},
    "all": {
        # An empty entry at both ends, one that is a dot, and folders of the checkout.
        "PATH": ":.:programs:./programs:{PATH}:",
        "PYTHONPATH": ".::/nowhere",
        "PYTHONUSERBASE": ".",
        "PYTHONSTARTUP": "json/__init__.py",
        "PYTHONINSPECT": "1",
        "PIP_CONFIG_FILE": "pip.conf",
        "CDPATH": "programs:.",
    },
}
"""What a workflow may set for reasons of its own; `{PATH}` is the runner's."""

TOKEN = "eyJhbGciOiJub25lIn0.{}.c2ln"
CLIENT = "#!/bin/sh\ncat >/dev/null\n"
"""It takes a login from standard input, as skopeo does."""


@pytest.fixture
def checkout(tmp_path: Path) -> HostileCheckout:
    return hostile_checkout(tmp_path / "checkout", tmp_path / "ran")


@pytest.fixture
def github() -> Iterator[Github]:
    """GitHub's token service; who signed the token is not looked at here."""

    def sign(claims: dict[str, object]) -> str:
        text = json.dumps(claims | {"iat": int(time.time()), "exp": int(time.time()) + 300})
        return TOKEN.format(base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))

    with serving({"sub": "repo:acme/app:ref:refs/heads/main"}, sign) as service:
        yield service


@pytest.fixture
def start(checkout: HostileCheckout, job: Callable[..., Job], tmp_path: Path) -> Callable[..., Job]:
    """Make a job in the hostile checkout, with a client and one of the environments."""

    def started(environment: str, **variables: str) -> Job:
        made = job("", **variables)
        client = tmp_path / "programs" / "skopeo"
        client.write_text(CLIENT)
        client.chmod(0o755)
        made.workspace = checkout.folder
        path = made.environment["PATH"]
        made.environment |= {
            name: value.replace("{PATH}", path) for name, value in ENVIRONMENTS[environment].items()
        }
        made.environment["GITHUB_WORKSPACE"] = str(checkout.folder)
        return made

    return started


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ([sys.executable, "-m", "venv", "nowhere"], {}),
        ([sys.executable, "-m", "pip"], {}),
        ([sys.executable, "-c", "import ssl"], {}),
        (["/bin/sh", "-c", "curl"], {"PATH": ":/bin"}),
        (["/bin/sh", "-c", "python3"], {"PATH": "/nowhere:programs"}),
        ([sys._base_executable, "-c", ""], {"PYTHONPATH": "."}),
        ([sys._base_executable, "-c", ""], {"PYTHONUSERBASE": "."}),
    ],
)
def test_the_hostile_checkout_s_files_do_run_when_they_are_looked_for(
    checkout: HostileCheckout, command: list[str], environment: dict[str, str]
) -> None:
    """The other tests would see it."""
    subprocess.run(command, cwd=checkout.folder, check=False, env=environment)

    assert checkout.ran


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_s3_the_login_action_runs_nothing_of_the_checkout(
    repository: Path,
    checkout: HostileCheckout,
    github: Github,
    start: Callable[..., Job],
    environment: str,
) -> None:
    done = start(environment, **github.environment)
    action = repository / "action" / "action.yml"
    inputs = {"registry": "registry.example.com", "mode": "helper"}
    code, _ = done.run(action, **inputs)
    assert code == 0, done.output
    # A later step, in which a client starts the helper.
    (helper,) = [Path(folder, "docker-credential-regauth") for folder in done.path]
    asked = subprocess.run(
        [helper, "get"],
        input="registry.example.com",
        capture_output=True,
        text=True,
        check=False,
        cwd=checkout.folder,
        env=done.variables,
    )
    assert json.loads(asked.stdout)["Username"] == "github", asked.stderr
    code, _ = done.run(action, **inputs, logout="true")

    assert (0, set()) == (code, checkout.ran), done.output


def test_s3_installing_policytest_runs_nothing_of_the_checkout(
    repository: Path, checkout: HostileCheckout, start: Callable[..., Job]
) -> None:
    """Without an index pip starts, starts itself for the build, and ends there."""
    done = start("all", PIP_NO_INDEX="1")
    (checkout.folder.parent / "programs" / "cp").symlink_to("/bin/cp")
    code, _ = done.step(repository / "action" / "policytest" / "action.yml", "install")

    assert (1, set()) == (code, checkout.ran), done.output
    assert "::error title=policytest cannot be installed::" in done.output


def test_s3_running_policytest_imports_no_module_of_the_checkout(
    repository: Path, checkout: HostileCheckout, start: Callable[..., Job]
) -> None:
    """A suite is data; the Python that policytest runs on purpose is a test of its own."""
    done = start("all", PYTEST_ADDOPTS=NO_HYPOTHESIS)
    suite = repository / "policytests" / "cases" / "gitlab-ci.policytest.yaml"
    policy = repository / "policy" / "gitlab-ci" / "policy.yaml"
    for path in (suite, policy):
        copy = checkout.folder / "own" / path.relative_to(repository)
        copy.parent.mkdir(parents=True)
        copy.write_bytes(path.read_bytes())
    program = Path(sys.executable).with_name("policytest")
    code, _ = done.run(
        repository / "action" / "policytest" / "action.yml",
        known={"install": {"policytest": str(program)}},
        paths="own",
        arguments="-k\nnot hostile",
    )

    assert (0, set()) == (code, checkout.ran), done.output


@pytest.mark.parametrize("named", [".docker", "./.docker", "{checkout}/.docker", "{link}/.docker"])
def test_s3_a_docker_configuration_of_the_checkout_is_refused(
    repository: Path,
    checkout: HostileCheckout,
    github: Github,
    start: Callable[..., Job],
    tmp_path: Path,
    named: str,
) -> None:
    """Clients run the credential helpers that it names."""
    (tmp_path / "link").symlink_to(checkout.folder)
    folder = named.format(checkout=checkout.folder, link=tmp_path / "link")
    done = start("nothing", **github.environment)
    action = repository / "action" / "action.yml"
    for inputs in ({"docker_config": folder}, {}):
        done.environment["DOCKER_CONFIG"] = folder
        for logout in ("false", "true"):
            code, _ = done.run(action, registry="r.example.com", logout=logout, **inputs)

            assert (1, [], set()) == (code, github.asked, checkout.ran)
            assert f"config.json is '{folder}'; it must be an absolute path" in done.output


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"PATH": "/a::b:/c d:", "LD_LIBRARY_PATH": "/l"}, {"PATH": "/a:/c d", "LD_LIBRARY_PATH": "/l"}),
        ({"PATH": "::", "LD_LIBRARY_PATH": ":/l;lib"}, {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": "/l"}),
        ({"PATH": "bin", "LD_LIBRARY_PATH": ":"}, {"PATH": "/usr/bin:/bin"}),
        ({"PATH": "/a", "LD_LIBRARY_PATH": ""}, {"PATH": "/a"}),
        ({"PATH": "/a", "PYTHONPATH": ".", "PYTHONHOME": ".", "PYTHONX": ""}, {"PATH": "/a"}),
    ],
)  # fmt: skip
def test_s3_search_paths_keep_what_is_absolute(
    repository: Path, given: dict[str, str], kept: dict[str, str]
) -> None:
    script = f'. "{repository}/action/workflow.sh"; isolate; /usr/bin/env'
    done = subprocess.run(
        ["/bin/bash", "--norc", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=given,
    )
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines())

    names = ("PATH", "PYTHON", "LD_")
    assert kept == {name: value for name, value in seen.items() if name.startswith(names)}


@pytest.mark.parametrize(
    "places",
    [
        "action",
        "deploy/Containerfile",
        "deploy/helm",
        "deploy/kubernetes",
        "docs/ci",
        "policytests",
    ],
)
def test_s3_every_interpreter_keeps_the_current_directory_off_its_path(
    repository: Path, places: str
) -> None:
    """`-m` and `-c` put it first; `-P` and `-I` do not."""
    top = repository / places
    files = [path for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file()]
    unsafe = re.compile(r"python[0-9.]*\}?[\"']?,?\s+[\"']?-(?![IP])[A-Za-z]+\b")
    texts = {path: path.read_bytes().decode("utf-8", "replace") for path in files}

    assert texts
    assert [] == [
        (path, match[0]) for path, text in texts.items() for match in unsafe.finditer(text)
    ]
