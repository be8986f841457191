"""The images, built and run for real: what is in them, and that each program works confined."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.controller.api_server import ApiServer
from tests.controller.test_running import Site
from tests.e2e.programs import TOKEN_SERVER, run, wait_until

from .images import HOW, USER, VARIABLE, Podman, podman

pytestmark = pytest.mark.e2e

LOCKED = {
    "token-server": "servers",
    "registry-auth-proxy": "servers",
    "kube-controller": "controller",
    "policytest": "policytest",
}
"""The list in deploy/requirements of each image's packages."""

TARGETS = tuple(LOCKED)
SAME = ("RootFS", "Config", "Architecture", "Os", "Created")
WORK = "/work"
"""Where policytest's image works."""

Built = dict[str, str]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    with podman(tmp_path_factory.mktemp("images")) as found:
        yield found


@pytest.fixture(scope="module")
def images(engine: Podman, repository: Path) -> Built:
    """The ids of all images, built from the checkout as it stands."""
    return {target: engine.build(repository, target) for target in TARGETS}


def test_without_a_base_the_tests_say_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(pytest.skip.Exception) as skipped, podman(tmp_path):
        pass

    assert HOW == str(skipped.value)


def test_a_second_build_makes_the_same_layers_and_configuration(
    engine: Podman, images: Built, repository: Path, tmp_path: Path
) -> None:
    """
    From a checkout of somebody with another umask, later, with nothing kept of the first.

    The ids differ: podman's history of an image names the images in between, which it numbers anew.
    """
    checkout = tmp_path / "checkout"
    for name in ("controller", "deploy", "engine", "policytests", "schemas", "servers"):
        shutil.copytree(repository / name, checkout / name, copy_function=shutil.copyfile)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(repository / name, checkout / name)
    for path in (checkout, *checkout.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)

    built = [images["token-server"], engine.build(checkout, "token-server")]
    first, second = ({name: engine.inspect(one)[name] for name in SAME} for one in built)

    assert first == second


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_it_is_and_is_nobody_s(
    engine: Podman, images: Built, target: str, repository: Path
) -> None:
    about = engine.inspect(images[target])
    labels = about["Config"]["Labels"]
    version = run([*TOKEN_SERVER, "--version"]).stdout.split()[-1]

    assert f"{USER}:{USER}" == about["Config"]["User"]
    assert [target] == about["Config"]["Entrypoint"]
    assert version == labels["org.opencontainers.image.version"]
    assert [] == [one for one in about["Config"]["Env"] if "pip" in one.lower()]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_holds_the_locked_packages_bytecode_and_no_installer(
    engine: Podman, images: Built, target: str, repository: Path
) -> None:
    """A bill of materials is read off the packages' metadata; bytecode that is there need not be written."""
    listing = """
import importlib.metadata, pathlib, sys
site = pathlib.Path(sys.prefix, "lib").glob("python*/site-packages")
for one in importlib.metadata.distributions(path=list(map(str, site))):
    print(one.name.lower().replace("_", "-").replace(".", "-"), one.version)
sources = [one for one in pathlib.Path(sys.prefix, "lib").rglob("*.py")]
print("compiled", all(any(one.parent.glob(f"__pycache__/{one.stem}.*.pyc")) for one in sources))
print("unchecked", {one.read_bytes()[4] for one in pathlib.Path(sys.prefix).rglob("*.pyc")})
print("unreadable", [str(one) for one in pathlib.Path(sys.prefix).rglob("*") if not one.stat().st_mode & 4])
"""
    done = engine(
        "run",
        "--rm",
        *engine.arguments("--network=none", "--entrypoint=python"),
        images[target],
        "-c",
        listing,
    )
    lines = done.stdout.splitlines()
    file = repository / "deploy" / "requirements" / f"{LOCKED[target]}.txt"
    text = file.read_text(encoding="utf-8")
    locked = {
        line.split("==")[0]: line.split("==")[1].split()[0]
        for line in text.splitlines()
        if "==" in line
    }
    held = dict(line.split(" ", 1) for line in lines[:-3])

    assert done.returncode == 0, done.stderr
    assert held.pop("jwt-registry-auth") == run([*TOKEN_SERVER, "--version"]).stdout.split()[-1]
    assert held.items() <= locked.items()
    assert {"pip", "setuptools"} & set(held) == set()
    assert ["compiled True", "unchecked {1}", "unreadable []"] == lines[-3:]


def test_no_shell_is_found_and_nothing_is_written(engine: Podman, images: Built) -> None:
    """What the other tests run within can show a shell that is needed, and a file that is written."""
    confined = engine.arguments("--network=none")
    shell = engine("run", "--rm", *confined, "--entrypoint=sh", images["policytest"], "-c", "true")
    attempt = "import os, pathlib; print(os.getuid(), os.getgid()); pathlib.Path('/opt/x').touch()"
    python = engine(
        "run", "--rm", *confined, "--entrypoint=python", images["policytest"], "-c", attempt
    )

    assert shell.returncode != 0
    assert f"{USER} {USER}" == python.stdout.strip()
    assert "Read-only file system" in python.stderr


def given(folder: Path) -> Path:
    """Make a folder the container's user's own, as a volume's fsGroup does."""
    for path in (folder, *folder.rglob("*")):
        if os.geteuid() == 0:
            os.chown(path, USER, USER)
    return folder


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    """What `token-server init` makes."""
    made = run([*TOKEN_SERVER, "init", tmp_path / "trial"])
    assert made.returncode == 0, made.stderr
    return tmp_path / "trial"


def test_the_token_server_serves_with_what_is_mounted(
    engine: Podman, images: Built, trial: Path
) -> None:
    sample = run([*TOKEN_SERVER, "sample-jwt", trial])
    mounts = [(given(trial), "/etc/token-server")]
    with engine.running(images["token-server"], mounts=mounts) as container:
        container.wait()
        command = (
            *(
                "token-server",
                "exchange",
                "http://localhost:5001/auth/token",
                "--username",
                "sample",
            ),
            *("--service", "registry.example.com", "--scope", "repository:acme/app:pull,push"),
        )
        exchanged = container.exec(*command, text=sample.stdout)
        refused = container.exec(*command, text="a.b.c")

    assert exchanged.returncode == 0, exchanged.stderr
    assert "push" in exchanged.stdout
    assert refused.returncode != 0


def test_the_proxy_asks_for_a_token(engine: Podman, images: Built, trial: Path) -> None:
    (trial / "proxy.yaml").write_text(
        "token:\n"
        "  realm: https://registry.example.com/auth/token\n"
        "  service: registry.example.com\n"
        "  issuer: registry-token-issuer\n"
        "  rootCertBundle: keys/root.crt\n"
        "listen: 127.0.0.1:5000\n"
        "upstream: {url: http://127.0.0.1:5999}\n"
    )
    ask = """
import http.client
connection = http.client.HTTPConnection("127.0.0.1", 5000)
connection.request("GET", "/v2/acme/app/manifests/1")
answer = connection.getresponse()
print(answer.status, answer.headers["WWW-Authenticate"])
"""
    mounts = [(given(trial), "/etc/registry-auth-proxy")]
    with engine.running(images["registry-auth-proxy"], mounts=mounts) as container:
        container.wait()
        answer = container.exec("python", "-c", ask).stdout

    assert answer.startswith("401 Bearer ")
    assert 'scope="repository:acme/app:pull"' in answer


def test_the_controller_makes_pull_secrets(engine: Podman, images: Built, tmp_path: Path) -> None:
    api = ApiServer(time.time)
    with ExitStack() as stack:
        stack.callback(api.close)
        for name in ("team-a", "regauth"):
            api.create("namespaces", name)
        api.create("serviceaccounts", "builder", "team-a")
        site = Site(tmp_path, api, stack)
        files = ("--config=/etc/regauth/controller.yaml", "--kubeconfig=/etc/regauth/kubeconfig")
        mounts = [(given(tmp_path), "/etc/regauth")]
        with engine.running(
            images["kube-controller"], *files, mounts=mounts, network="host"
        ) as container:
            wait_until(site.settled, f"the pull secret, {container.log}")
            health = site.get("/healthz")[0]
            ended = engine("stop", "--time=30", container.name)
            code = engine("wait", container.name).stdout.strip()

    assert (200, 0, "0") == (health, ended.returncode, code)


def test_the_controller_s_health_check_asks_where_it_listens_by_default(
    engine: Podman, images: Built, tmp_path: Path
) -> None:
    """Without a cluster it is healthy, and waits for one."""
    with ExitStack() as stack:
        api = ApiServer(time.time)
        stack.callback(api.close)
        Site(tmp_path, api, stack)
    configuration = tmp_path / "controller.yaml"
    lines = configuration.read_text().splitlines()
    configuration.write_text("\n".join(line for line in lines if not line.startswith("listen:")))
    files = ("--config=/etc/regauth/controller.yaml", "--kubeconfig=/etc/regauth/kubeconfig")
    mounts = [(given(tmp_path), "/etc/regauth")]
    with engine.running(images["kube-controller"], *files, mounts=mounts) as container:
        container.wait()


def test_policytest_tests_a_policy(engine: Podman, images: Built, repository: Path) -> None:
    mounts = [(repository / name, f"{WORK}/{name}") for name in ("policy", "policytests")]
    confined = engine.arguments("--network=none", mounts=mounts)
    suite = "policytests/cases/github-actions.policytest.yaml"
    done = engine("run", "--rm", *confined, images["policytest"], suite)
    failing = engine("run", "--rm", *confined, images["policytest"], "no-such-suite")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert failing.returncode != 0
