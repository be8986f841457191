"""
Who needs one program installs what that program needs: the extras of pyproject.toml.

Each extra is installed into an environment of its own: the base by pip from the wheel, the others
from what pip made of it.
"""

import importlib.metadata
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from regauth.controller import scripts as controller_scripts
from regauth.policytests import cli
from regauth.servers import scripts as server_scripts

from .installing import Installation, install, install_again, needed, run

HELPERS = ("docker-credential-regauth", "regauth-credential-provider")
EXTRA_OF: Mapping[str, tuple[str, int]] = {
    "policytest": ("policytest", 4),
    "token-server": ("servers", 2),
    "registry-auth-proxy": ("servers", 2),
    "kube-controller": ("controller", 2),
    "kubectl-regauth": ("controller", 2),
}
"""The extra of each script that needs one, and its exit code without it."""

INSTALLED: Mapping[str, tuple[str, ...]] = {
    "": (),
    "policytest": ("policytest",),
    "servers": ("servers",),
    "controller": ("controller",),
    "postgresql": ("servers",),
    "otel": ("servers",),
    "granian": ("servers",),
    "all": ("policytest", "servers", "controller"),
}
"""The extras of scripts that each extra of pyproject.toml brings."""

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "policytest": cli.LIBRARIES,
    "servers": server_scripts.LIBRARIES,
    "controller": controller_scripts.LIBRARIES,
}
"""What each script looks for before it starts."""

HELPER_MODULES = (
    "regauth.controller.docker_helper",
    "regauth.controller.helpers.kubelet_plugin",
)
SUITE = "policy: policy\nat: 2026-11-01T12:00:00Z\ntokens: {}\ntests: []\n"

Installed = Callable[[str], Installation]


@pytest.fixture(scope="session")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel with an extra, installed once."""
    (wheel,) = dist.glob("*.whl")
    made = {"": install(wheel, tmp_path_factory.mktemp("with-nothing") / "venv")}

    def get(extra: str) -> Installation:
        if extra not in made:
            folder = tmp_path_factory.mktemp(f"with-{extra}") / "venv"
            made[extra] = install_again(made[""], folder, [extra])
        return made[extra]

    return get


@pytest.fixture(scope="session")
def extras(repository: Path) -> Mapping[str, list[Requirement]]:
    """The extras of pyproject.toml; "" is what everybody gets."""
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    listed = {"": project["dependencies"], **project["optional-dependencies"]}
    return {name: [Requirement(one) for one in needed] for name, needed in listed.items()}


def test_every_extra_is_tested(extras: Mapping[str, list[Requirement]]) -> None:
    assert set(INSTALLED) == set(extras)


def test_the_scripts_check_what_their_extras_bring(
    extras: Mapping[str, list[Requirement]],
) -> None:
    distributions = importlib.metadata.packages_distributions()
    for extra, imported in EXTRAS.items():
        brought = {canonicalize_name(one.name) for one in extras[extra]}

        assert {canonicalize_name(distributions[name][0]) for name in imported} == brought


@pytest.mark.parametrize("extra", INSTALLED)
def test_a_script_runs_with_its_extra_and_names_it_without(
    installed: Installed, tmp_path: Path, extra: str
) -> None:
    version = importlib.metadata.version("jwt-registry-auth")
    for program, (needs, code) in EXTRA_OF.items():
        done = run([installed(extra).bin / program, "--version"], cwd=tmp_path)
        if needs in INSTALLED[extra]:
            assert (0, f"{program} {version}\n") == (done.returncode, done.stdout), done.stderr
        else:
            assert (code, "") == (done.returncode, done.stdout)
            assert re.fullmatch(
                rf"{program}: [a-z0-9_, ]+ not installed; run: pip install 'jwt-registry-auth\[{needs}\]'\n",
                done.stderr,
            )


def test_the_base_holds_the_credential_helpers(installed: Installed, tmp_path: Path) -> None:
    docker, kubelet = (installed("").bin / name for name in HELPERS)
    version = run([docker, "version"], cwd=tmp_path)
    usage = run([kubelet, "--help"], cwd=tmp_path)

    assert version.returncode == 0, version.stdout
    assert "usage: regauth-credential-provider" in usage.stdout


@pytest.mark.parametrize("extra", INSTALLED)
def test_every_module_finds_what_it_imports(
    installed: Installed, tmp_path: Path, extra: str
) -> None:
    """A dependency that an extra forgets is missing here, as it would be for a user."""
    walk = (
        "import importlib, json, pathlib, pkgutil, sys\n"
        "root = next(pathlib.Path(sys.prefix).glob('lib/python*/site-packages/regauth'))\n"
        "names = [one.name for one in pkgutil.walk_packages([str(root)], 'regauth.')]\n"
        "lacking = {}\n"
        "for name in names:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        lacking[name] = error.name.partition('.')[0]\n"
        "print(json.dumps([len(names), lacking]))\n"
    )
    done = run([installed(extra).bin / "python", "-c", walk], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    count, lacking = json.loads(done.stdout)
    hosts = {"policytest": "policytests", "servers": "servers", "controller": "controller"}
    whole = {"engine", "schemas", *(hosts[one] for one in INSTALLED[extra])}
    without = {name for name in lacking if name.split(".")[1] in whole}

    assert count > 100
    assert set() == set(HELPER_MODULES) & set(lacking)
    if extra in ("servers", "otel", "granian"):
        assert {name.rpartition(".")[2].partition("_")[0] for name in without} == {"postgresql"}
        assert {lacking[name] for name in without} <= {"psycopg", "psycopg_pool"}
    else:
        assert set() == without


def test_every_script_is_installed(installed: Installed) -> None:
    names = {path.name for path in installed("all").bin.iterdir()}

    assert {*EXTRA_OF, *HELPERS} <= names


def test_what_is_installed_is_the_wheel(installed: Installed, tmp_path: Path) -> None:
    """Otherwise these tests would run the checkout."""
    where = "import regauth.engine; print(regauth.engine.__file__)"
    done = run([installed("").bin / "python", "-c", where], cwd=tmp_path)

    assert str(installed("").folder) in done.stdout, done.stderr


@pytest.mark.parametrize("program", EXTRA_OF)
def test_an_installed_script_says_what_it_does(
    installed: Installed, tmp_path: Path, program: str
) -> None:
    done = run([installed("all").bin / program, "--help"], cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert f"{program} " in done.stdout


def test_an_extra_brings_no_other_extra_s_packages(installed: Installed) -> None:
    base, everything = installed("").names, installed("all").names

    assert base < installed("policytest").names < everything
    assert {"pytest", "falcon", "waitress", "kubernetes", "click", "urllib3"}.isdisjoint(base)
    assert {"falcon", "waitress", "kubernetes", "psycopg"}.isdisjoint(installed("policytest").names)
    assert {"pytest", "syrupy", "kubernetes", "psycopg"}.isdisjoint(installed("servers").names)
    assert {"pytest", "syrupy", "falcon", "psycopg"}.isdisjoint(installed("controller").names)


def test_testing_a_policy_takes_little(installed: Installed) -> None:
    """A CI job that tests a policy has half the packages of everything, and a third of the bytes."""
    policytest, everything = installed("policytest"), installed("all")

    assert len(policytest.names) / len(everything.names) < 0.6
    assert policytest.size / everything.size < 0.5
    assert installed("").size < policytest.size


@pytest.mark.parametrize("extra", INSTALLED)
def test_the_readme_says_how_much_an_extra_brings(
    installed: Installed, repository: Path, extra: str
) -> None:
    """To a quarter, because a library may grow; another platform's packages have other sizes."""
    what = f"`pip install '.[{extra}]'`" if extra else "`pip install .`"
    text = (repository / "README.md").read_text("utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {what} |"))
    said = re.search(r"\| (\d+), (\d+) MB \|$", row)
    assert said, row

    assert len(installed(extra).names) == pytest.approx(int(said[1]), rel=0.25)
    assert installed(extra).size / 1e6 == pytest.approx(int(said[2]), rel=0.25)


def test_the_pytest_plugin_is_silent_without_its_extra(
    installed: Installed, tmp_path: Path
) -> None:
    """Who has pytest for tests of their own, and only the engine of ours, notices nothing."""
    here = install_again(installed(""), tmp_path / "venv")
    for name in ("pytest", "pluggy", "iniconfig", "packaging", "pygments"):
        here.add(importlib.metadata.distribution(name))
    project = tmp_path / "project"
    project.mkdir()
    (project / "test_mine.py").write_text("def test_mine() -> None:\n    assert True\n")
    pytest_ = [here.bin / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    mine = run(pytest_, cwd=project)

    assert mine.returncode == 0, mine.stdout + mine.stderr
    assert re.fullmatch(r"\.\s+\[100%\]\n1 passed in [0-9.]+s\n", mine.stdout)

    # A suite that nobody runs would let a policy pass untested.
    (project / "acme.policytest.yaml").write_text(SUITE)
    suite = run(pytest_, cwd=project)

    assert suite.returncode == 2, suite.stdout
    assert "pip install 'jwt-registry-auth[policytest]'" in suite.stdout
    assert "Traceback" not in suite.stdout + suite.stderr


def test_the_images_hold_the_packages_of_their_extra(
    installed: Installed, repository: Path
) -> None:
    """Each is installed from its own locked list; deploy/README.md says how the lists are made."""
    for name, brought in (
        ("policytest", ["policytest"]),
        ("servers", ["postgresql", "otel", "granian"]),
        ("controller", ["controller"]),
    ):
        text = (repository / "deploy" / "requirements" / f"{name}.txt").read_text("utf-8")
        locked = {canonicalize_name(one) for one in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}

        needs = {
            canonicalize_name(one.name)
            for one in needed(installed("").wheel, brought, {"python_version": "3.13"})
        }

        # A list is for every platform; some packages are for Windows alone.
        assert locked - {"colorama", "tzdata"} == needs - {"tzdata"}, name
