"""The login action's steps, from its YAML, with real programs and signed tokens over real HTTP."""

import base64
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.conftest import Site
from tests.e2e.images import layer_content, write_image
from tests.e2e.programs import run, running
from tests.e2e.standing import PROXY
from tests.ports import free_ports
from tests.servers.proxy.standing import plain, registry

from .composite import Job
from .github import KEY, Github

pytestmark = pytest.mark.e2e

Jobs = Callable[..., Job]
CONTENT = b"hello from an action\n"
AUDIENCE = "https://registry.example.com"
MODES = ("login", "helper")
CLIENTS = ("docker", "podman", "buildah", "skopeo", "oras", "crane", "helm")


@pytest.fixture
def action(repository: Path) -> Path:
    return repository / "action" / "action.yml"


def later(job: Job, *command: str | Path) -> "tuple[int, str]":
    """Run a program in a later step of the job, with nothing but what the action left behind."""
    program, *arguments = command
    variables = [f"{name}={value}" for name, value in job.variables.items()]
    done = run(["env", "-i", *variables, shutil.which(program) or program, *arguments])
    return done.returncode, done.stdout + done.stderr


def copy(job: Job, source: str, destination: str) -> "tuple[int, str]":
    """Copy an image in a later step of the job."""
    options = ("--src-tls-verify=false", "--dest-tls-verify=false")
    return later(job, "skopeo", "--insecure-policy", "copy", *options, source, destination)


def use(job: Job, client: str, registry: str, folder: Path) -> "tuple[int, str]":
    """Have a client fetch, or push, something that only a login gives; it must find the login itself."""
    image = f"{registry}/acme/app:used"
    match client:
        case "docker":  # its other commands need an engine
            return later(job, "docker", "manifest", "inspect", "--insecure", image)
        case "podman" | "buildah":
            # podman takes no path of more than 50 characters here.
            with TemporaryDirectory() as short:
                storage = ("--storage-driver=vfs", f"--root={short}/a", f"--runroot={short}/b")
                return later(job, client, *storage, "pull", "--tls-verify=false", image)
        case "skopeo":
            return later(job, "skopeo", "inspect", "--tls-verify=false", f"docker://{image}")
        case "oras":
            return later(job, "oras", "manifest", "fetch", "--plain-http", image)
        case "crane":
            return later(job, "crane", "manifest", image)
    (folder / "app").mkdir()
    (folder / "app" / "Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 1.0.0\n")
    code, said = later(job, "helm", "package", folder / "app", "--destination", folder)
    assert code == 0, said
    chart, place = folder / "app-1.0.0.tgz", f"oci://{registry}/acme"
    return later(job, "helm", "push", "--plain-http", chart, place)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_job_logs_in_pushes_pulls_and_logs_out(
    action: Path, site: Site, github: Github, job: Jobs, tmp_path: Path, client: str, mode: str
) -> None:
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not installed; the other clients are tested without it")
    config = tmp_path / "docker"
    inputs = {"registry": site.registry, "docker_config": str(config), "mode": mode}
    done = job(client, **github.environment)
    code, outputs = done.run(action, **inputs, username="sample", audience=AUDIENCE)
    assert (0, {"registry": site.registry}) == (code, outputs), done.output
    assert {AUDIENCE} == set(github.asked)

    image = f"docker://{site.registry}/acme/app:action-{mode}-{client}"
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in", "1", CONTENT)
    assert copy(done, f"oci:{tmp_path / 'in'}:1", image)[0] == 0
    assert copy(done, image, f"oci:{tmp_path / 'out'}:1")[0] == 0
    assert layer_content(tmp_path / "out") == CONTENT

    code, _ = done.run(action, **inputs, logout="true")
    refused, why = copy(done, image, f"oci:{tmp_path / 'again'}:1")
    assert (0, True) == (code, refused != 0), done.output
    assert "unauthorized" in why or "authentication required" in why
    left = json.loads((config / "config.json").read_text())
    assert site.registry not in {**left.get("auths", {}), **left.get("credHelpers", {})}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_finds_the_login_that_another_made(
    action: Path, site: Site, github: Github, job: Jobs, tmp_path: Path, client: str, mode: str
) -> None:
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not installed; the other clients are tested without it")
    done = job("skopeo", **github.environment)
    refused, _ = use(done, client, site.registry, tmp_path)
    config = str(tmp_path / "docker")
    inputs = {"registry": site.registry, "docker_config": config, "mode": mode}
    code, _ = done.run(action, **inputs, username="sample", audience=AUDIENCE)
    assert (True, 0) == (refused != 0, code), done.output
    write_image(tmp_path, "1", CONTENT)
    assert copy(done, f"oci:{tmp_path}:1", f"docker://{site.registry}/acme/app:used")[0] == 0
    shutil.rmtree(tmp_path / "app", ignore_errors=True)
    used, said = use(done, client, site.registry, tmp_path)

    assert used == 0, said


def test_no_token_is_shown_and_only_its_owner_reads_the_file(
    action: Path, site: Site, github: Github, job: Jobs, tmp_path: Path
) -> None:
    done = job("skopeo", **github.environment)
    config = str(tmp_path / "docker")
    code, _ = done.run(
        action, registry=site.registry, username="sample", audience=AUDIENCE, docker_config=config
    )
    file = tmp_path / "docker" / "config.json"
    stored = json.loads(file.read_text())["auths"][site.registry]["auth"]
    token = base64.b64decode(stored).decode().removeprefix("sample:")

    assert code == 0, done.output
    assert [KEY, token, stored] == done.masked
    assert [] == [secret for secret in done.masked if secret in done.output]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_in_helper_mode_no_token_is_on_the_disk(
    action: Path, site: Site, github: Github, job: Jobs, tmp_path: Path
) -> None:
    done = job("skopeo", **github.environment)
    code, _ = done.run(
        action, registry=site.registry, username="sample", audience=AUDIENCE, mode="helper"
    )
    _, token, auth = done.masked
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]

    assert code == 0, done.output
    assert len(files) > 3
    assert [] == [path for path in files if token.encode() in path.read_bytes()]
    assert [] == [path for path in files if auth.encode() in path.read_bytes()]


def test_in_helper_mode_each_use_fetches_a_new_token(
    action: Path, site: Site, github: Github, job: Jobs, tmp_path: Path
) -> None:
    """A job that outlives its first token keeps working."""
    done = job("skopeo", **github.environment)
    done.run(
        action, registry=site.registry, username="sample", audience=AUDIENCE, mode="helper",
        docker_config=str(tmp_path / "docker"),
    )  # fmt: skip
    before = len(github.asked)
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in", "1", CONTENT)
    code, why = copy(
        done, f"oci:{tmp_path / 'in'}:1", f"docker://{site.registry}/acme/app:long-job"
    )

    assert code == 0, why
    assert len(github.asked) > before


def test_the_default_configuration_keeps_what_others_wrote_and_loses_only_this_registry(
    action: Path, site: Site, github: Github, job: Jobs, tmp_path: Path
) -> None:
    done = job("skopeo", **github.environment)
    file = tmp_path / "home" / ".docker" / "config.json"
    file.parent.mkdir()
    others = {
        "auths": {"other.example.com": {"auth": "eDp5"}},
        "credHelpers": {"a.example.com": "a"},
    }
    file.write_text(json.dumps(others))

    for mode in MODES:
        done.run(action, registry=site.registry, username="sample", audience=AUDIENCE, mode=mode)
        there = json.loads(file.read_text())
        assert site.registry in {**there["auths"], **there["credHelpers"]}
        assert done.run(action, registry=site.registry, mode=mode, logout="true")[0] == 0
        left = json.loads(file.read_text())
        assert others == {name: left[name] for name in ("auths", "credHelpers")}
    assert "DOCKER_CONFIG" not in done.environment


def test_without_the_permission_the_two_lines_to_add_are_shown(
    action: Path, site: Site, job: Jobs
) -> None:
    done = job("skopeo")
    code, _ = done.run(action, registry=site.registry)

    assert code == 1
    lines = done.output.splitlines()[-1].split("%0A")
    assert (
        "::error title=No permission to get an ID token::Add these two lines to the job:"
        == lines[0]
    )
    assert ["permissions:", "  id-token: write"] == lines[1:3]


def test_a_token_for_another_audience_is_refused_and_both_are_named(
    action: Path, site: Site, github: Github, job: Jobs, tmp_path: Path
) -> None:
    done = job("skopeo", **github.environment)
    code, _ = done.run(
        action, registry=site.registry, username="sample", docker_config=str(tmp_path / "docker")
    )

    assert code == 1
    assert [f"https://{site.registry}"] == github.asked
    assert "::error title=Login refused::" in done.output
    assert f"The ID token was for 'https://{site.registry}'" in done.output
    assert not (tmp_path / "docker" / "config.json").exists()
    assert set() == done.environment.keys() & {"DOCKER_CONFIG", "REGISTRY_AUTH_FILE"}


@pytest.mark.parametrize("mode", MODES)
def test_a_job_that_the_policy_turns_away_does_not_log_in(
    action: Path, site: Site, github: Github, job: Jobs, mode: str
) -> None:
    github.claims["repository_owner_id"] = "7"
    done = job("skopeo", **github.environment)
    code, _ = done.run(action, registry=site.registry, audience=AUDIENCE, mode=mode)

    assert code == 1
    assert "::error title=Login refused::" in done.output
    assert "The user name was 'github'" in done.output


@pytest.mark.parametrize("status", [403, 500])
def test_what_github_refuses_fails_the_step(
    action: Path, site: Site, github: Github, job: Jobs, status: int
) -> None:
    github.status = status
    done = job("skopeo", **github.environment)
    code, _ = done.run(action, registry=site.registry)

    assert code == 1
    assert f"returned error: {status}" in done.output
    assert "::error title=No ID token::" in done.output


def test_an_endpoint_that_is_down_fails_the_step(action: Path, site: Site, job: Jobs) -> None:
    (port,) = free_ports(1)
    url = f"http://localhost:{port}/idtoken?api-version=2.0"
    done = job("skopeo", ACTIONS_ID_TOKEN_REQUEST_URL=url, ACTIONS_ID_TOKEN_REQUEST_TOKEN=KEY)
    code, _ = done.run(action, registry=site.registry)

    assert code == 1
    assert "::error title=No ID token::" in done.output
    assert KEY not in done.output


def test_a_registry_that_is_down_fails_the_step(
    action: Path, github: Github, job: Jobs, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    done = job("skopeo", **github.environment)
    code, _ = done.run(action, registry=f"localhost:{port}", docker_config=str(tmp_path / "docker"))

    assert code == 1
    assert "::error title=Login refused::" in done.output


@pytest.mark.parametrize(
    ("inputs", "wrong"),
    [
        ({"registry": ""}, "'registry' is ''"),
        ({"registry": "http://registry.example.com"}, "'registry' is 'http://registry"),
        ({"registry": "registry.example.com/acme"}, "'registry' is"),
        ({"registry": "$(touch pwned)"}, "'registry' is"),
        ({"registry": "--help"}, "'registry' is"),
        ({"registry": "r.example.com", "username": ""}, "'username' is ''"),
        ({"registry": "r.example.com", "username": "a:b"}, "'username' is 'a:b'"),
        ({"registry": "r.example.com", "username": "a\nb"}, "more than one line"),
        ({"registry": "r.example.com", "docker_config": "a\nLD_PRELOAD=x"}, "more than one line"),
        ({"registry": "r.example.com", "mode": "Login"}, "'mode' is 'Login'"),
        ({"registry": "r.example.com", "logout": "yes"}, "'logout' is 'yes'"),
    ],
)
def test_a_wrong_input_is_named_and_nothing_is_asked(
    action: Path, github: Github, job: Jobs, inputs: dict[str, str], wrong: str
) -> None:
    done = job("skopeo", **github.environment)
    code, _ = done.run(action, **inputs)

    assert (1, []) == (code, github.asked)
    assert "::error title=Wrong input::" in done.output
    assert wrong in done.output


@pytest.mark.parametrize("written", ["https://{}/", "https://{}", "{}/"])
def test_the_output_is_the_host_alone(
    action: Path, site: Site, github: Github, job: Jobs, written: str
) -> None:
    done = job("skopeo", **github.environment)
    _, outputs = done.run(
        action, registry=written.format(site.registry), username="sample", audience=AUDIENCE
    )

    assert {"registry": site.registry} == outputs


def test_without_any_client_the_step_says_which_there_are(
    action: Path, github: Github, job: Jobs
) -> None:
    done = job("", **github.environment)
    code, _ = done.run(action, registry="registry.example.com")

    assert (1, []) == (code, github.asked)
    assert "None of docker podman buildah skopeo oras crane helm is on this runner." in done.output


def test_logging_out_without_a_login_is_no_error(action: Path, job: Jobs, tmp_path: Path) -> None:
    done = job("skopeo")
    code, _ = done.run(
        action, registry="r.example.com", logout="true", docker_config=str(tmp_path / "none")
    )

    assert code == 0
    assert not (tmp_path / "none").exists()


def test_a_job_that_may_not_push_reads_why_in_its_summary(
    action: Path, site: Site, github: Github, job: Jobs
) -> None:
    github.claims |= {"ref": "refs/heads/feature", "event_name": "pull_request"}
    done = job("skopeo", **github.environment)
    code, _ = done.run(
        action, registry=site.registry, username="sample", audience=AUDIENCE,
        diagnose="acme/app push",
    )  # fmt: skip
    request = done.summary.strip().rpartition("request ")[2]

    assert code == 1, done.output
    assert "### Registry access: refused" in done.summary
    assert '    NO  ref is "refs/heads/feature"' in done.summary
    assert "the grant push-own-repository" in done.summary
    assert [" why " in line for line in site.log.splitlines() if request in line] == [True]
    shown = [line for line in done.summary.splitlines() if "logged in as" not in line]
    assert "refs/heads/main" not in "".join(shown)
    assert "::error title=No access::This job may not push acme/app" in done.output
    assert [] == [one for one in done.masked if one in done.summary + done.output]


PROXY_SETTINGS = """\
upstream: {{url: "{upstream}"}}
token: {{autoRedirect: true, service: registry.example.com, issuer: registry-token-issuer}}
embedded: true
policy: {site}/policy
signing: {{keyFolder: {site}/keys}}
listen: 127.0.0.1:{port}
"""


def test_a_proxy_with_a_policy_tells_a_job_why(
    action: Path, site: Site, github: Github, job: Jobs, tmp_path: Path
) -> None:
    github.claims |= {"ref": "refs/pull/7/merge", "event_name": "pull_request"}
    done = job("skopeo", **github.environment)
    [port], file = free_ports(1), tmp_path / "proxy.yaml"
    trusted = f'[[registry]]\nlocation = "localhost:{port}"\ninsecure = true\n'
    (tmp_path / "home" / ".config" / "containers" / "registries.conf").write_text(trusted)
    inputs = {"registry": f"localhost:{port}", "username": "sample", "audience": AUDIENCE}
    with registry(plain(200, b"{}")) as upstream:
        text = PROXY_SETTINGS.format(upstream=upstream.url, site=site.folder, port=port)
        file.write_text(text)
        with running([*PROXY, "--config", file], port, tmp_path / "proxy.log"):
            code, _ = done.run(action, **inputs, diagnose="acme/app:v1 push")
    request = done.summary.strip().rpartition("request ")[2]
    lines = (tmp_path / "proxy.log").read_text().splitlines()

    assert code == 1, done.output
    assert "    repository:acme/app:v1:pull: allowed (granted)" in done.summary
    assert "    repository:acme/app:v1:push: refused: no grant allows it" in done.summary
    assert '    NO  event_name is "pull_request"' in done.summary
    assert ["why" in line for line in lines if request in line] == [True]


def test_a_job_that_gets_its_access_goes_on(
    action: Path, site: Site, github: Github, job: Jobs
) -> None:
    done = job("skopeo", **github.environment)
    inputs = {"registry": site.registry, "username": "sample", "audience": AUDIENCE}
    codes = [done.run(action, **inputs, diagnose=one)[0] for one in ("acme/app push", "acme/app")]
    wrong, _ = done.run(action, **inputs, diagnose="acme/app fly")

    assert codes == [0, 0], done.output
    assert done.summary.count("### Registry access: allowed") == 2
    assert (wrong, "Wrong input" in done.output) == (1, True)


def test_a_refused_login_is_explained_in_the_summary(
    action: Path, site: Site, github: Github, job: Jobs
) -> None:
    done = job("skopeo", **github.environment)
    audience = "https://other.example.com"
    code, _ = done.run(action, registry=site.registry, username="sample", audience=audience)

    assert code == 1
    assert "the login is refused" in done.summary
    assert "(wrong-audience)" in done.summary
    assert "    request " in done.summary
